package tui

import (
	tea "github.com/charmbracelet/bubbletea"

	"daemon-proxy/core/api"
	"daemon-proxy/tui/draw"
)

// pane is one part of the screen that can be in focus. Panes are plain structs
// that the root model calls: they change in these calls only, do no I/O in any
// of them (a command does it and its message comes back through HandleMsg),
// and read the world without changing it.
type pane interface {
	SetSize(width, height int)
	// Show makes ref the sandbox that the pane is about, and says whether the
	// pane can be seen; one that cannot keeps nothing running.
	Show(ref api.Ref, visible bool) tea.Cmd
	// HandleMsg gets every message that the root model does not keep for
	// itself, and the events after the world took them in.
	HandleMsg(msg tea.Msg) tea.Cmd
	// Typing says that the pane reads text: HandleKey then gets every key, and
	// none is looked up in the action table.
	Typing() bool
	HandleKey(key tea.KeyMsg) tea.Cmd
	Move(to draw.Motion) tea.Cmd
	// Click is at a cell of the pane, from its upper left corner.
	Click(x, y int) tea.Cmd
	// Foot stands in the lower edge of the frame; it may be empty.
	Foot() string
	// View is at most the lines and cells of SetSize.
	View(focused bool) []string
}

// shownOnly is what a pane does that is only looked at.
type shownOnly struct{}

func (shownOnly) HandleMsg(tea.Msg) tea.Cmd { return nil }

func (shownOnly) Typing() bool { return false }

func (shownOnly) HandleKey(tea.KeyMsg) tea.Cmd { return nil }

func (shownOnly) Click(int, int) tea.Cmd { return nil }

func (shownOnly) Foot() string { return "" }
