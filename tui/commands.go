package tui

import (
	"context"
	"time"

	tea "github.com/charmbracelet/bubbletea"

	"daemon-proxy/core/api"
	"daemon-proxy/tui/pane"
)

// recentAsked is how many of the newest exchanges a snapshot has.
const recentAsked = 500

// commands makes the commands of the root model. A command captures values, never
// the model.
type commands struct {
	pane.Calls
	backend api.Service
	name    string // of this screen
	taken   uint64 // batches of events so far; a snapshot has the number at which it was requested
}

// answer brings what the core returned. The number is that of batches of events
// when it was requested.
type answer[T any] struct {
	value T
	after uint64
	err   error
}

type (
	statusMsg    = answer[api.Status]
	statesMsg    = answer[[]api.EngineStatus]
	sandboxesMsg = answer[[]api.Sandbox]
	linksMsg     = answer[[]api.Link]
	ratesMsg     = answer[api.Rates]
	recentMsg    []api.Exchange
	socketsMsg   []api.Exchange // every exchange that has not ended

	// subscribedMsg brings the event stream; snapshots are requested after it.
	subscribedMsg struct {
		screen api.Screen
		leave  context.CancelFunc // ends the stream
		err    error
	}
	// doubtedMsg is whether the core still answers a screen.
	doubtedMsg struct {
		screen api.Screen
		err    error
	}
	// streamEndedMsg reports the end of the event stream.
	streamEndedMsg struct{ err error }
	// doneMsg is the outcome of an action: a word of success, or what failed.
	doneMsg struct {
		did  string
		what string // "stop web"
		err  error
	}
	// minuteMsg comes once a minute, to update relative times.
	minuteMsg time.Time
)

// subscribe attaches the screen for as long as the UI runs; the deadline is only
// for the call.
func (c commands) subscribe() tea.Cmd {
	return func() tea.Msg {
		ctx, giveUp := context.WithCancel(c.Ctx)
		deadline := time.AfterFunc(pane.Quick, giveUp)
		screen, err := c.backend.Attach(ctx, c.name)
		if !deadline.Stop() && err == nil {
			err = context.DeadlineExceeded
		}
		if err != nil {
			giveUp()
		}
		return subscribedMsg{screen, giveUp, err}
	}
}

// next waits for events. There is one such command at any time; meanwhile the
// core keeps and merges events, so that it never waits for the UI.
func (c commands) next(screen api.Screen) tea.Cmd {
	return func() tea.Msg {
		if pane.Pause(c.Ctx, pane.EventsApart) != nil {
			return nil
		}
		batch, err := screen.Next(c.Ctx)
		if err != nil {
			return streamEndedMsg{err}
		}
		return pane.EventsMsg(batch)
	}
}

// request requests a value of the core; the answer is a message.
func request[T any](c commands, deadline time.Duration, call func(context.Context) (T, error)) tea.Cmd {
	return c.Do(deadline, func(ctx context.Context) tea.Msg {
		value, err := call(ctx)
		return answer[T]{value, c.taken, err}
	})
}

func (c commands) status() tea.Cmd    { return request(c, pane.Quick, c.backend.Status) }
func (c commands) engines() tea.Cmd   { return request(c, pane.Quick, c.backend.EngineStates) }
func (c commands) sandboxes() tea.Cmd { return request(c, pane.Quick, c.backend.Sandboxes) }
func (c commands) links() tea.Cmd     { return request(c, pane.Quick, c.backend.Links) }
func (c commands) rates() tea.Cmd     { return request(c, pane.Quick, c.backend.Rates) }

// exchanges requests exchanges; if there is an error, the list of requests shows it.
func (c commands) exchanges(filter string, n int, msg func([]api.Exchange) tea.Msg) tea.Cmd {
	return c.Do(pane.Quick, func(ctx context.Context) tea.Msg {
		list, err := c.backend.Exchanges(ctx, filter, n)
		if err != nil {
			return nil
		}
		return msg(list)
	})
}

// snapshot requests everything that the world holds.
func (c commands) snapshot() tea.Cmd {
	return tea.Batch(c.status(), c.engines(), c.sandboxes(), c.links(), c.rates(),
		c.exchanges("", recentAsked, func(list []api.Exchange) tea.Msg { return recentMsg(list) }),
		c.exchanges("live:true", 0, func(list []api.Exchange) tea.Msg { return socketsMsg(list) }))
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
