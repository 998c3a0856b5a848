package tui

import (
	"context"
	"time"

	tea "github.com/charmbracelet/bubbletea"

	"daemon-proxy/core/api"
	"daemon-proxy/tui/pane"
)

// commands makes the commands of the root model. A command captures values, never
// the model.
type commands struct {
	pane.Calls
	backend Backend
	taken   uint64 // batches of events so far; a snapshot has the number at which it was requested
}

// Messages with the core's answers. err is the reason if there is no answer.
type (
	// subscribedMsg brings the event stream; snapshots are requested after it.
	subscribedMsg struct {
		events Events
		err    error
	}
	// streamEndedMsg reports the end of the event stream.
	streamEndedMsg struct{ err error }

	statusMsg struct {
		status api.Status
		err    error
	}
	engineMsg struct {
		engine api.EngineStatus
		after  uint64
		err    error
	}
	sandboxesMsg struct {
		list  []api.Sandbox
		after uint64
		err   error
	}
	linksMsg struct {
		list []api.Link
		err  error
	}
	ratesMsg struct {
		rates api.Rates
		err   error
	}
	recentMsg []api.Exchange
	// socketsMsg is every exchange that has not ended.
	socketsMsg []api.Exchange
	// doneMsg is the outcome of an action: a word of success, or what failed.
	doneMsg struct {
		did  string
		what string // "stop web"
		err  error
	}
	// minuteMsg comes once a minute, to update relative times.
	minuteMsg time.Time
)

func (c commands) subscribe() tea.Cmd {
	return func() tea.Msg {
		events, err := c.backend.Events(c.Ctx)
		return subscribedMsg{events, err}
	}
}

// next waits for events. There is one such command at any time; meanwhile the
// core keeps and merges events, so that it never waits for the UI.
func (c commands) next(events Events) tea.Cmd {
	return func() tea.Msg {
		if pane.Pause(c.Ctx, pane.EventsApart) != nil {
			return nil
		}
		batch, err := events.Next(c.Ctx)
		if err != nil {
			return streamEndedMsg{err}
		}
		return pane.EventsMsg(batch)
	}
}

// snapshot requests everything that the world holds; each answer is a message.
func (c commands) snapshot() tea.Cmd {
	return tea.Batch(c.status(), c.engine(), c.sandboxes(), c.links(), c.rates(),
		c.Do(pane.Quick, func(ctx context.Context) tea.Msg {
			list, err := c.backend.Exchanges(ctx, "", 500)
			if err != nil {
				return nil // the list of requests shows the error
			}
			return recentMsg(list)
		}), c.Do(pane.Quick, func(ctx context.Context) tea.Msg {
			list, err := c.backend.Exchanges(ctx, "live:true", 0)
			if err != nil {
				return nil
			}
			return socketsMsg(list)
		}))
}

func (c commands) status() tea.Cmd {
	return c.Do(pane.Quick, func(ctx context.Context) tea.Msg {
		s, err := c.backend.Status(ctx)
		return statusMsg{s, err}
	})
}

func (c commands) engine() tea.Cmd {
	return c.Do(pane.Quick, func(ctx context.Context) tea.Msg {
		e, err := c.backend.Engine(ctx)
		return engineMsg{e, c.taken, err}
	})
}

func (c commands) sandboxes() tea.Cmd {
	return c.Do(pane.Quick, func(ctx context.Context) tea.Msg {
		list, err := c.backend.Sandboxes(ctx)
		return sandboxesMsg{list, c.taken, err}
	})
}

func (c commands) links() tea.Cmd {
	return c.Do(pane.Quick, func(ctx context.Context) tea.Msg {
		list, err := c.backend.Links(ctx)
		return linksMsg{list, err}
	})
}

func (c commands) rates() tea.Cmd {
	return c.Do(pane.Quick, func(ctx context.Context) tea.Msg {
		r, err := c.backend.Rates(ctx)
		return ratesMsg{r, err}
	})
}

func (c commands) ports(ref api.Ref, round int) tea.Cmd {
	return c.Do(pane.Quick, func(ctx context.Context) tea.Msg {
		cards, err := c.backend.Ports(ctx, ref)
		return pane.PortsMsg{Ref: ref, Round: round, Cards: cards, Err: err}
	})
}

// act runs an action that returns only success or failure. what names the action
// in an error ("stop web"), did is the note on success.
func (c commands) act(deadline time.Duration, what, did string, f func(ctx context.Context) error) tea.Cmd {
	return c.Do(deadline, func(ctx context.Context) tea.Msg { return doneMsg{did: did, what: what, err: f(ctx)} })
}
