package dialog

import (
	"slices"

	tea "github.com/charmbracelet/bubbletea"

	"daemon-proxy/tui/draw"
	"daemon-proxy/tui/format"
	"daemon-proxy/tui/text"
)

// Text shows a complete text, usually a URL, until it is closed. It may be the
// only place where the URL can be read, so keys do not close it by accident, and
// the mouse can be turned off to select it.
type Text struct {
	Look         *draw.Look
	Title, Intro string
	Body         string
	Mouse        []string // the keys that turn the mouse on and off
	ToggleMouse  tea.Cmd
}

// HandleKey implements an overlay.
func (s *Text) HandleKey(key tea.KeyMsg) (tea.Cmd, bool) {
	switch name := format.KeyName(key); {
	case name == "esc" || name == "enter" || name == "q":
		return nil, true
	case slices.Contains(s.Mouse, name):
		return s.ToggleMouse, false
	}
	return nil, false
}

// View implements an overlay.
func (s *Text) View(width, height int) []string {
	l := s.Look
	lines := slices.Concat([]string{""}, text.Indent(text.Wrap(s.Intro, width-4), " "), []string{""})
	for _, part := range text.Break(s.Body, width-4) {
		lines = append(lines, " "+l.Ink.Accent.Paint(part))
	}
	foot := "esc closes"
	if len(s.Mouse) > 0 {
		foot += "   " + format.Keys(s.Mouse[:1]) + " mouse on or off"
	}
	return l.Box(l.Ink.Title.Paint(s.Title), l.Ink.Dim.Paint(foot), append(lines, ""), width,
		min(height, len(lines)+3), true)
}

// Undoing is shown while the injections are undone, before the UI ends.
type Undoing struct{ Look *draw.Look }

// UndoingWords is the text of Undoing.
const UndoingWords = "undoing the injection"

// HandleKey implements an overlay.
func (u *Undoing) HandleKey(tea.KeyMsg) (tea.Cmd, bool) { return nil, false }

// View implements an overlay.
func (u *Undoing) View(width, height int) []string {
	l := u.Look
	lines := []string{"", " " + UndoingWords + l.Glyph.Ellipsis, ""}
	return l.Box(l.Ink.Title.Paint("Quit"), l.Ink.Dim.Paint("ctrl+c quits at once"), lines, min(width, 74),
		min(height, len(lines)+2), true)
}
