package tui

import (
	"context"
	"time"

	tea "github.com/charmbracelet/bubbletea"

	"daemon-proxy/core/api"
)

// The deadlines of calls.
const (
	quickly = 15 * time.Second // an answer from what the core knows, or one engine call
	slowly  = 15 * time.Minute // copying a binary over a thin line
)

// commands makes the Bubble Tea commands that call the core. A command takes
// values along, never the model, ends with ctx at the latest, and answers with
// one message.
type commands struct {
	ctx     context.Context // the UI's; a command has no other way to learn of its end
	backend Backend
	taken   uint64 // batches of events so far; a snapshot says after which it was asked for
}

// do runs f in a command with a deadline.
func (c commands) do(deadline time.Duration, f func(ctx context.Context) tea.Msg) tea.Cmd {
	parent := c.ctx
	return func() tea.Msg {
		ctx, cancel := context.WithTimeout(parent, deadline)
		defer cancel()
		return f(ctx)
	}
}

// Messages with what the core answered. err is nil or the reason why there is no answer.
type (
	// subscribedMsg brings the event stream; snapshots are asked for after it.
	subscribedMsg struct {
		events Events
		err    error
	}
	// eventsMsg is a batch of events; the next one is asked for when it is taken.
	eventsMsg []api.Event
	// streamEndedMsg says that there are no more events from this stream.
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
	portsMsg   struct {
		ref   api.Ref
		round int
		cards []api.PortCard
		err   error
	}
	// doneMsg is the end of an action: a word of success, or what failed.
	doneMsg struct {
		did  string
		what string // "stop web"
		err  error
	}
	// runMsg asks for an action by its name; the palette sends it, with what the
	// action was about when it was offered.
	runMsg struct {
		action string
		about  any
	}
	// minuteMsg comes once a minute, for the words that tell of time.
	minuteMsg time.Time
)

// eventsApart is the least time between two batches of events: however much
// happens, they make the UI paint seven times a second, and rates and links twice.
const eventsApart = 150 * time.Millisecond

func (c commands) subscribe() tea.Cmd {
	return func() tea.Msg {
		events, err := c.backend.Events(c.ctx)
		return subscribedMsg{events, err}
	}
}

// next waits for events. There is one such command at any time; the core keeps
// and merges what happens meanwhile, so that it never waits for the UI.
func (c commands) next(events Events) tea.Cmd {
	return func() tea.Msg {
		if pause(c.ctx, eventsApart) != nil {
			return nil
		}
		batch, err := events.Next(c.ctx)
		if err != nil {
			return streamEndedMsg{err}
		}
		return eventsMsg(batch)
	}
}

func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// snapshot asks for all that the world holds; each answer comes when it is there.
func (c commands) snapshot() tea.Cmd {
	return tea.Batch(c.status(), c.engine(), c.sandboxes(), c.links(), c.rates(), c.do(quickly, func(ctx context.Context) tea.Msg {
		list, err := c.backend.Exchanges(ctx, "", 500)
		if err != nil {
			return nil // the list of requests says so when it is looked at
		}
		return recentMsg(list)
	}), c.do(quickly, func(ctx context.Context) tea.Msg {
		list, err := c.backend.Exchanges(ctx, "live:true", 0)
		if err != nil {
			return nil
		}
		return socketsMsg(list)
	}))
}

func (c commands) status() tea.Cmd {
	return c.do(quickly, func(ctx context.Context) tea.Msg {
		s, err := c.backend.Status(ctx)
		return statusMsg{s, err}
	})
}

func (c commands) engine() tea.Cmd {
	return c.do(quickly, func(ctx context.Context) tea.Msg {
		e, err := c.backend.Engine(ctx)
		return engineMsg{e, c.taken, err}
	})
}

func (c commands) sandboxes() tea.Cmd {
	return c.do(quickly, func(ctx context.Context) tea.Msg {
		list, err := c.backend.Sandboxes(ctx)
		return sandboxesMsg{list, c.taken, err}
	})
}

func (c commands) links() tea.Cmd {
	return c.do(quickly, func(ctx context.Context) tea.Msg {
		list, err := c.backend.Links(ctx)
		return linksMsg{list, err}
	})
}

func (c commands) rates() tea.Cmd {
	return c.do(quickly, func(ctx context.Context) tea.Msg {
		r, err := c.backend.Rates(ctx)
		return ratesMsg{r, err}
	})
}

func (c commands) ports(ref api.Ref, round int) tea.Cmd {
	return c.do(quickly, func(ctx context.Context) tea.Msg {
		cards, err := c.backend.Ports(ctx, ref)
		return portsMsg{ref, round, cards, err}
	})
}

// act runs an action of which only success or failure comes back. what is the
// action for an error ("stop web"), did what to say when it is done.
func (c commands) act(deadline time.Duration, what, did string, f func(ctx context.Context) error) tea.Cmd {
	return c.do(deadline, func(ctx context.Context) tea.Msg { return doneMsg{did: did, what: what, err: f(ctx)} })
}
