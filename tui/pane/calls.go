package pane

import (
	"context"
	"time"

	tea "github.com/charmbracelet/bubbletea"
)

// The deadlines of calls.
const (
	Quick = 15 * time.Second // an answer from what the core knows, or one engine call
	Slow  = 15 * time.Minute // copying a binary over a thin line
)

// Calls makes commands that call the core. Each ends with ctx at the latest
// and answers with one message.
type Calls struct {
	Ctx context.Context // the UI's; a command has no other way to learn of its end
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

// EventsApart is the least time between two batches of events: however much
// happens, they make the UI paint seven times a second, and rates and links twice.
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
