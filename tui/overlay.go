package tui

import (
	"slices"

	tea "github.com/charmbracelet/bubbletea"
)

// overlay is shown over the panes and gets every key; it may be a pane.Listener.
type overlay interface {
	// HandleKey also reports whether the overlay is to be closed.
	HandleKey(key tea.KeyMsg) (cmd tea.Cmd, done bool)
	// View returns a box of at most width × height, including its frame.
	View(width, height int) []string
}

// overlays is a stack; the last one is on top.
type overlays []overlay

func (o *overlays) push(over overlay) { *o = append(*o, over) }

// close removes an overlay from anywhere in the stack.
func (o *overlays) close(over overlay) {
	*o = slices.DeleteFunc(slices.Clone(*o), func(other overlay) bool { return other == over })
}

// top is the overlay on top; nil without one.
func (o overlays) top() overlay {
	if len(o) == 0 {
		return nil
	}
	return o[len(o)-1]
}

func (o *overlays) handleKey(key tea.KeyMsg) tea.Cmd {
	top := o.top()
	cmd, done := top.HandleKey(key)
	if done {
		o.close(top)
	}
	return cmd
}
