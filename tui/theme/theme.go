// Package theme has the inks and glyphs of the UI, and chooses them for a terminal.
// Inks use the 16 colours of the terminal's own palette. Colour is never the only
// sign of a state: the mono theme has none.
package theme

import (
	"strings"

	"github.com/charmbracelet/x/ansi"
)

// Ink is how a piece of text is painted. The zero Ink paints nothing.
type Ink struct{ on string }

// Paint returns s in this ink. Parts that are already painted keep theirs.
func (i Ink) Paint(s string) string {
	if i.on == "" || s == "" {
		return s
	}
	return i.on + s + ansi.ResetStyle
}

// Over paints a whole line, including parts that are already painted.
func (i Ink) Over(s string) string {
	if i.on == "" {
		return s
	}
	return i.on + strings.ReplaceAll(s, ansi.ResetStyle, ansi.ResetStyle+i.on) + ansi.ResetStyle
}

func ink(s ansi.Style) Ink { return Ink{on: s.String()} }

// Theme is a set of inks, named for what they say.
type Theme struct {
	// Title, Key and Accent are prominent; Dim is for less important text.
	Title, Key, Accent, Dim Ink
	// Good, Busy and Bad are the states of things.
	Good, Busy, Bad Ink
	// Cursor is the selected row in the focused pane, Chosen that of other panes.
	Cursor, Chosen Ink
	// Frame is a border, Focus that of the focused pane.
	Frame, Focus Ink
	// QR is black on white whatever the terminal's palette is.
	QR Ink
}

// The names of the themes. Auto is dark or light, like the terminal.
const (
	Auto  = "auto"
	Dark  = "dark"
	Light = "light"
	Mono  = "mono"
)

// Names returns the valid names.
var Names = []string{Auto, Dark, Light, Mono}

// New is the theme of that name; anything but Light and Mono is Dark.
func New(name string) Theme {
	plain := ansi.NewStyle()
	bold, faint, reverse := plain.Bold(), plain.Faint(), plain.Reverse(true)
	fg := func(c ansi.BasicColor) ansi.Style { return ansi.NewStyle().ForegroundColor(c) }
	// These of the 256 colours are not changed by palettes.
	blackOnWhite := plain.ForegroundColor(ansi.IndexedColor(16)).BackgroundColor(ansi.IndexedColor(231))
	t := Theme{
		Title: ink(bold), Key: ink(fg(ansi.BrightCyan)), Accent: ink(fg(ansi.BrightCyan)), Dim: ink(fg(ansi.BrightBlack)),
		Good: ink(fg(ansi.BrightGreen)), Busy: ink(fg(ansi.BrightYellow)), Bad: ink(fg(ansi.BrightRed)),
		Cursor: ink(fg(ansi.BrightCyan).Reverse(true)), Chosen: ink(bold), Frame: ink(fg(ansi.BrightBlack)),
		Focus: ink(fg(ansi.Cyan)), QR: ink(blackOnWhite),
	}
	switch name {
	case Mono:
		return Theme{
			Title: ink(bold), Key: ink(bold), Accent: ink(bold), Dim: ink(faint),
			Bad: ink(bold), Cursor: ink(reverse), Chosen: ink(bold), Frame: ink(faint),
		}
	case Light:
		t.Key, t.Accent, t.Focus = ink(fg(ansi.Blue).Bold()), ink(fg(ansi.Blue)), ink(fg(ansi.Blue))
		t.Good, t.Busy, t.Bad = ink(fg(ansi.Green)), ink(fg(ansi.Magenta)), ink(fg(ansi.Red).Bold())
		t.Cursor = ink(fg(ansi.Blue).Reverse(true))
	}
	return t
}

// Glyphs are the characters that are not text.
type Glyphs struct {
	Healthy, Busy, None, Bad, Done, Warn  string
	Cursor, Ellipsis, Dot, Up, Down, Dash string
	Open, Folded                          string // before the title of a section
	Sockets                               string // open both ways
	Attached                              string // a core that runs without the UI
	Bar, BarHalf, BarRest                 string
	Both, In, Out, Mask                   string   // directions of frames; the mask of a secret
	Spark                                 []string // from nothing to most
	// The frame: corners clockwise from the top left, then lines.
	TopLeft, TopRight, BottomRight, BottomLeft, Across, Along string
}

// Unicode glyphs are in every font that a terminal has.
func Unicode() Glyphs {
	return Glyphs{
		Healthy: "●", Busy: "◐", None: "○", Bad: "✕", Done: "✓", Warn: "!",
		Cursor: "▸", Ellipsis: "…", Dot: "·", Up: "↑", Down: "↓", Dash: "──", Open: "▾", Folded: "▸", Sockets: "⇄",
		Attached: "⇄",
		Bar:      "█", BarHalf: "▌", BarRest: "░", Both: "⇅", In: "←", Out: "→", Mask: "••••",
		Spark:   []string{" ", "▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"},
		TopLeft: "╭", TopRight: "╮", BottomRight: "╯", BottomLeft: "╰", Across: "─", Along: "│",
	}
}

// ASCII glyphs are for terminals without UTF-8.
func ASCII() Glyphs {
	return Glyphs{
		Healthy: "*", Busy: "~", None: "o", Bad: "x", Done: "+", Warn: "!",
		Cursor: ">", Ellipsis: "~", Dot: "-", Up: "^", Down: "v", Dash: "--", Open: "v", Folded: ">", Sockets: "x",
		Attached: "<>",
		Bar:      "#", BarHalf: "=", BarRest: ".", Both: "<>", In: "<", Out: ">", Mask: "****",
		Spark:   []string{" ", ".", ".", ":", ":", "-", "=", "+", "#"},
		TopLeft: "+", TopRight: "+", BottomRight: "+", BottomLeft: "+", Across: "-", Along: "|",
	}
}
