// Package pane is what the panes of the UI have in common: how the root model
// calls them, how they call the core, and the messages between them.
package pane

import (
	tea "github.com/charmbracelet/bubbletea"

	"daemon-proxy/core/api"
	"daemon-proxy/tui/draw"
)

// Pane is one part of the screen that can be in focus. Panes are plain structs
// that the root model calls: they change in these calls only, do no I/O in any
// of them (a command does it and its message comes back through HandleMsg),
// and read the world without changing it. What else a pane can do, it does by
// one of the interfaces below.
type Pane interface {
	SetSize(width, height int)
	// Show makes ref the sandbox that the pane is about, and says whether the
	// pane is visible; one that is not keeps nothing running.
	Show(ref api.Ref, visible bool) tea.Cmd
	Move(to draw.Motion) tea.Cmd
	// View is at most the lines and cells of SetSize.
	View(focused bool) []string
}

// Listener is a pane that gets every message that the root model does not keep
// for itself, and events after the world has applied them.
type Listener interface {
	HandleMsg(msg tea.Msg) tea.Cmd
}

// Typist is a pane that reads text: while it is typing HandleKey gets every
// key, and none is looked up in the action table.
type Typist interface {
	Typing() bool
	HandleKey(key tea.KeyMsg) tea.Cmd
}

// Clickable is a pane with something to click on, at a cell counted from its
// upper left corner.
type Clickable interface {
	Click(x, y int) tea.Cmd
}

// Footed is a pane with a text in the lower edge of its frame; it may be empty.
type Footed interface {
	Foot() string
}

// IsTyping reports whether keys are text for a pane.
func IsTyping(p Pane) bool {
	t, ok := p.(Typist)
	return ok && t.Typing()
}
