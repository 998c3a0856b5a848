// Package draw draws frames, rows, inputs, cursors and the terminal itself. It
// knows cells, glyphs and inks, but not the content.
package draw

import (
	"slices"
	"strings"

	"github.com/charmbracelet/x/ansi"

	"daemon-proxy/tui/text"
	"daemon-proxy/tui/theme"
)

// Look has the inks and glyphs of the UI. It does not change while the UI runs.
type Look struct {
	Ink   theme.Theme
	Glyph theme.Glyphs
	ASCII bool
}

// New returns the look of a theme.
func New(themeName string, ascii bool) *Look {
	l := &Look{Ink: theme.New(themeName), Glyph: theme.Unicode(), ASCII: ascii}
	if ascii {
		l.Glyph = theme.ASCII()
	}
	return l
}

// Fit makes s exactly width cells.
func (l *Look) Fit(s string, width int) string { return text.Fit(s, width, l.Glyph.Ellipsis) }

// Right is Fit with s at the right end.
func (l *Look) Right(s string, width int) string { return text.Right(s, width, l.Glyph.Ellipsis) }

// Ends puts left and right at the ends of width cells; left is cut if needed.
func (l *Look) Ends(left, right string, width int) string {
	w := text.Width(right)
	if w >= width {
		return l.Fit(right, width)
	}
	return l.Fit(left, width-w) + right
}

// Fill makes lines exactly height lines of exactly width cells.
func (l *Look) Fill(lines []string, width, height int) []string {
	out := make([]string, max(0, height))
	for i := range out {
		s := ""
		if i < len(lines) {
			s = lines[i]
		}
		out[i] = l.Fit(s, width)
	}
	return out
}

// Box draws a frame of width × height cells around lines; title and foot
// stand in its upper and lower edge.
func (l *Look) Box(title, foot string, lines []string, width, height int, focused bool) []string {
	if width < 2 || height < 2 {
		return l.Fill(nil, width, height)
	}
	frame := l.Ink.Frame
	if focused {
		frame = l.Ink.Focus
	}
	edge := func(left, s, right string) string {
		inner := width - 2
		if s != "" {
			s = " " + ansi.Truncate(s, max(0, inner-3), l.Glyph.Ellipsis) + " "
		}
		if text.Width(s) > inner {
			s = ""
		}
		return frame.Paint(left) + s + frame.Paint(strings.Repeat(l.Glyph.Across, inner-text.Width(s))+right)
	}
	out := make([]string, 0, height)
	out = append(out, edge(l.Glyph.TopLeft, title, l.Glyph.TopRight))
	side := frame.Paint(l.Glyph.Along)
	for _, s := range l.Fill(lines, width-2, height-2) {
		out = append(out, side+s+side)
	}
	return append(out, edge(l.Glyph.BottomLeft, foot, l.Glyph.BottomRight))
}

// Row draws one line of a list. The selected one has a glyph, which is visible
// without colours, and one ink.
func (l *Look) Row(s string, width int, chosen, focused bool) string {
	if !chosen {
		return l.Fit("  "+s, width)
	}
	s = l.Fit(l.Glyph.Cursor+" "+s, width)
	if focused {
		// One ink for the whole row: other colours are unreadable on it.
		return l.Ink.Cursor.Paint(ansi.Strip(s))
	}
	return l.Ink.Chosen.Over(s)
}

// Spark draws values as bars, the last ones if they are more than width.
func (l *Look) Spark(values []float64, width int) string {
	if len(values) > width {
		values = values[len(values)-width:]
	}
	most := slices.Max(append([]float64{0}, values...))
	var b strings.Builder
	for _, v := range values {
		step := 0
		if most > 0 && v > 0 {
			step = max(1, int(v/most*float64(len(l.Glyph.Spark)-1)))
		}
		b.WriteString(l.Glyph.Spark[step])
	}
	return b.String()
}

// Over lays box upon base with its upper left corner at x, y.
func (l *Look) Over(base, box []string, x, y int) []string {
	for i, s := range box {
		if y+i < 0 || y+i >= len(base) {
			continue
		}
		line := base[y+i]
		width, w := text.Width(line), text.Width(s)
		base[y+i] = l.Fit(l.Fit(ansi.Cut(line, 0, x), x)+s+ansi.ResetStyle+ansi.Cut(line, x+w, width), width)
	}
	return base
}

// Bar draws a share from 0 to 1, in halves of a cell.
func (l *Look) Bar(share float64, width int) string {
	halves := max(0, min(2*width, int(share*float64(2*width))))
	full, half := halves/2, halves%2
	return l.Ink.Busy.Paint(strings.Repeat(l.Glyph.Bar, full)+strings.Repeat(l.Glyph.BarHalf, half)) +
		l.Ink.Dim.Paint(strings.Repeat(l.Glyph.BarRest, width-full-half))
}

// Wrap breaks s into lines of at most width cells, each in an ink and after indent.
func (l *Look) Wrap(s string, width int, indent string, in theme.Ink) []string {
	lines := text.Wrap(s, width)
	for i := range lines {
		lines[i] = in.Paint(lines[i])
	}
	return text.Indent(lines, indent)
}

// Shorten returns at most that many lines of a text: the first ones and the last,
// as those of an error say what failed and why. An ellipsis replaces the others.
func (l *Look) Shorten(lines []string, most, width int) []string {
	if len(lines) <= most {
		return lines
	}
	out := slices.Clone(lines[:most])
	if most > 1 {
		out[most-1] = lines[len(lines)-1]
	}
	before := max(0, most-2)
	out[before] = l.Cut(out[before]+l.Glyph.Ellipsis, width)
	return out
}

// StatusInk returns the ink of an HTTP status; 0: none yet.
func (l *Look) StatusInk(status int) theme.Ink {
	switch {
	case status >= 500:
		return l.Ink.Bad
	case status >= 400:
		return l.Ink.Busy
	case status >= 200:
		return l.Ink.Good
	}
	return l.Ink.Accent
}

// Cut cuts s to width and does not pad it.
func (l *Look) Cut(s string, width int) string {
	if text.Width(s) <= width {
		return s
	}
	return l.Fit(s, width)
}
