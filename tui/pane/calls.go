package pane

import (
	"context"
	"time"

	tea "github.com/charmbracelet/bubbletea"
)

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
