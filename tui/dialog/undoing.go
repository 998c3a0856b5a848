package dialog

import (
	tea "github.com/charmbracelet/bubbletea"

	"daemon-proxy/tui/draw"
)

// Undoing is shown while the injections are undone, before the UI ends.
type Undoing struct{ Look *draw.Look }

// UndoingWords is the text of Undoing.
const UndoingWords = "undoing the injection"

// HandleMsg implements an overlay.
func (u *Undoing) HandleMsg(tea.Msg) tea.Cmd { return nil }

// HandleKey implements an overlay.
func (u *Undoing) HandleKey(tea.KeyMsg) (tea.Cmd, bool) { return nil, false }

// View implements an overlay.
func (u *Undoing) View(width, height int) []string {
	l := u.Look
	lines := []string{"", " " + UndoingWords + l.Glyph.Ellipsis, ""}
	return l.Box(l.Ink.Title.Paint("Quit"), l.Ink.Dim.Paint("ctrl+c quits at once"), lines, min(width, 74),
		min(height, len(lines)+2), true)
}
