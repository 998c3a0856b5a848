// Package pane has what the panes of the UI share: how the root model calls them,
// how they call the core, and the messages between them.
package pane

import (
	tea "github.com/charmbracelet/bubbletea"

	"daemon-proxy/core/api"
	"daemon-proxy/tui/draw"
)

// Pane is a part of the screen that can be focused. Panes are plain structs that
// the root model calls: they change only in these calls, do no I/O in them (a
// command does, and its message comes back through HandleMsg), and read the world
// without changing it. The interfaces below are optional.
type Pane interface {
	SetSize(width, height int)
	// Show sets the pane's sandbox and whether the pane is visible; one that is
	// not visible must run no commands.
	Show(ref api.Ref, visible bool) tea.Cmd
	Move(to draw.Motion) tea.Cmd
	// View returns at most the lines and cells of SetSize.
	View(focused bool) []string
}

// Listener is a pane that gets the messages that the root model does not handle,
// and events after the world has applied them.
type Listener interface {
	HandleMsg(msg tea.Msg) tea.Cmd
}

// Typist is a pane that reads text: while Typing is true, HandleKey gets every
// key instead of the action table.
type Typist interface {
	Typing() bool
	HandleKey(key tea.KeyMsg) tea.Cmd
}

// Clickable is a pane with something to click on, at a cell counted from its
// upper left corner.
type Clickable interface {
	Click(x, y int) tea.Cmd
}

// Footed is a pane with a text, perhaps empty, in the lower edge of its frame.
type Footed interface {
	Foot() string
}

// IsTyping reports whether keys are text for a pane.
func IsTyping(p Pane) bool {
	t, ok := p.(Typist)
	return ok && t.Typing()
}
