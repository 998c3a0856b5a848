// Package pane has what the panes of the UI share: how the root model calls them,
// what they draw with, how they call the core, and the messages between them.
package pane

import (
	"context"
	"time"

	tea "github.com/charmbracelet/bubbletea"

	"daemon-proxy/core/api"
	"daemon-proxy/tui/draw"
	"daemon-proxy/tui/text"
	"daemon-proxy/tui/world"
)

// Pane is a part of the screen that can be focused. Panes are plain structs that
// the root model calls: they change only in these calls, do no I/O in them (a
// command does, and its message comes back through HandleMsg), and read the world
// without changing it. The interfaces below are optional.
type Pane interface {
	// Show sets the pane's sandbox, its size in cells, and whether it is visible;
	// one that is not visible must run no commands.
	Show(ref api.Ref, width, height int, visible bool) tea.Cmd
	Move(to draw.Motion) tea.Cmd
	// View returns at most the lines and cells of that size.
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
func IsTyping(p Pane) bool { t, ok := p.(Typist); return ok && t.Typing() }

// Env is what the root model gives to panes and overlays. They do not change it.
type Env struct {
	*draw.Look
	World *world.World
	Now   func() time.Time
	Key   func(action string) string // the key of an action
	// Machine names the machine that the core runs on: "this machine".
	Machine string
	Calls
}

// Named returns the name of a sandbox in texts: with its engine if another one has a
// sandbox of that name.
func (e Env) Named(ref api.Ref) string {
	if e.World.Ambiguous(ref) {
		return text.Clean(ref.Long())
	}
	if ref.IsHost() {
		return e.Machine
	}
	return text.Clean(ref.String())
}

// The deadlines of calls.
const (
	Quick = 15 * time.Second // for the core's own state, or one call to the engine
	Slow  = 15 * time.Minute // for copying a binary over a slow connection
)

// Calls makes commands that call the core. Each ends when ctx does, at the latest,
// and returns one message.
type Calls struct {
	Ctx context.Context // the UI's
}

// Do runs f in a command with a deadline.
func (c Calls) Do(deadline time.Duration, f func(ctx context.Context) tea.Msg) tea.Cmd {
	parent := c.Ctx
	return func() tea.Msg {
		ctx, cancel := context.WithTimeout(parent, deadline)
		defer cancel()
		return f(ctx)
	}
}

// EventsApart is the least time between two batches of events, so that they cause
// at most seven frames a second, and rates and links two more.
const EventsApart = 150 * time.Millisecond

// Pause waits for d or the end of ctx.
func Pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// EventsMsg is a batch of events; the next one is requested when it is applied.
type EventsMsg []api.Event

// ReconnectedMsg reports a new event stream: earlier events may be missing.
type ReconnectedMsg struct{}

// PortsMsg is what listens in a sandbox, or why that is unknown.
type PortsMsg struct {
	Ref   api.Ref
	Round int
	Cards []api.PortCard
	Err   error
}

// SayMsg asks for a note; panes send it.
type SayMsg string

// FailMsg asks for an error line; panes send it.
type FailMsg struct {
	Action string
	Err    error
}
