package requests

import (
	"context"
	"time"

	tea "github.com/charmbracelet/bubbletea"

	"daemon-proxy/core/api"
	"daemon-proxy/tui/pane"
)

const (
	pageSize     = 200                    // how many of a filter's newest exchanges are requested
	pageInterval = 250 * time.Millisecond // between two such requests
	pollInterval = time.Second            // between two requests of live exchanges
)

// What an exchangesMsg contains.
const (
	askedAll    = iota // the whole list of a sandbox
	askedFilter        // all of it that match a filter
	askedPage          // the newest that match
	askedLive          // those in progress
)

type (
	// exchangesMsg is a part of the request log. Its number identifies the list or
	// filter that it answers.
	exchangesMsg struct {
		what, number int
		list         []api.Exchange
		err          error
	}
	// pageDueMsg requests the newest page of the filter of that number.
	pageDueMsg int
	// pollMsg requests the live exchanges.
	pollMsg struct{}
)

// pageState is the state of the requests for a filter's newest page.
type pageState struct {
	due  bool // a request is scheduled or running
	more bool // something changed since it began
}

// asker requests the exchanges of the list, and those that match its filter.
type asker struct {
	do         pane.Calls
	backend    Backend
	ref        api.Ref
	Everywhere bool   // all sandboxes instead of ref
	query      string // the requested filter
	wrong      error  // what is wrong with it
	scope      int    // number of the list; answers for earlier ones are dropped
	asked      int    // number of the filter, likewise
	pages      pageState
}

// flow is the transfer rate of a live exchange.
type flow struct {
	bytes int64
	at    time.Time
	rate  float64 // bytes a second; negative: unknown
}

// load requests the whole list and the exchanges that match the filter.
func (p *Pane) load() tea.Cmd {
	if p.ref == (api.Ref{}) && !p.Everywhere {
		return nil
	}
	p.loaded = true
	return tea.Batch(p.ask(askedAll, p.scope, "", 0), p.askFilter())
}

func (p *Pane) takeEvents(events []api.Event) tea.Cmd {
	news := false
	var cmd tea.Cmd
	for _, e := range events {
		if e.Exchange == nil || !p.covers(e.Exchange) {
			continue
		}
		p.store.put(*e.Exchange)
		news = true
		if p.Inspector != nil && e.Exchange.ID == p.Inspector.ID && !e.Exchange.Live {
			cmd = p.Inspector.Refresh() // live ones are polled
		}
	}
	if !news {
		return nil
	}
	return tea.Batch(cmd, p.pageSoon())
}

func (p *Pane) takeAnswer(msg exchangesMsg) tea.Cmd {
	if msg.what == askedAll || msg.what == askedLive {
		if msg.number != p.scope {
			return nil
		}
	} else if msg.number != p.asked {
		return nil
	}
	switch msg.what {
	case askedAll:
		p.known = true
		if p.failed = msg.err; msg.err == nil {
			p.store.load(msg.list)
		}
	case askedFilter:
		if p.wrong = msg.err; msg.err == nil {
			p.store.take(msg.list)
		}
		if p.pages.more && !p.pages.due {
			return p.pageSoon()
		}
	case askedPage:
		p.pages.due = false
		if msg.err != nil {
			return nil // the next event requests it again
		}
		if p.store.takePage(msg.list, len(msg.list) < pageSize) {
			return p.askFilter()
		}
		if p.pages.more {
			return p.pageSoon()
		}
	case askedLive:
		for _, x := range msg.list {
			p.store.put(x)
		}
		p.flows = p.flows.next(msg.list, p.Now())
	}
	return nil
}

func (p *Pane) askLive() tea.Cmd {
	if !p.visible {
		return nil
	}
	return p.ask(askedLive, p.scope, "live:true", 0)
}

// pollSoon schedules a request of the live exchanges, if one is visible.
func (p *Pane) pollSoon() tea.Cmd {
	if p.polling || !p.visible || !p.seesLive() {
		return nil
	}
	p.polling = true
	return tea.Tick(pollInterval, func(time.Time) tea.Msg { return pollMsg{} })
}

func (p *Pane) seesLive() bool {
	if p.Inspector != nil {
		return p.Inspector.Exchange().Live
	}
	from, to := p.cursor.Visible()
	for i := from; i < to; i++ {
		if x, ok := p.store.row(i); ok && x.Live {
			return true
		}
	}
	return false
}

// scoped returns a filter restricted to the list.
func (a *asker) scoped(words string) string {
	if a.Everywhere {
		return words
	}
	if words != "" {
		words = " " + words
	}
	return "sandbox:" + a.ref.String() + words
}

func (a *asker) ask(what, number int, words string, n int) tea.Cmd {
	backend, query := a.backend, a.scoped(words)
	return a.do.Do(pane.Quick, func(ctx context.Context) tea.Msg {
		list, err := backend.Exchanges(ctx, query, n)
		return exchangesMsg{what, number, list, err}
	})
}

func (a *asker) askFilter() tea.Cmd {
	if a.query == "" {
		return nil
	}
	return a.ask(askedFilter, a.asked, a.query, 0)
}

// pageSoon schedules a request of the newest page, one in pageInterval at most.
func (a *asker) pageSoon() tea.Cmd {
	if a.query == "" || a.wrong != nil {
		return nil
	}
	if a.pages.due {
		a.pages.more = true
		return nil
	}
	a.pages = pageState{due: true}
	number := a.asked
	return tea.Tick(pageInterval, func(time.Time) tea.Msg { return pageDueMsg(number) })
}

func (a *asker) askPage() tea.Cmd {
	a.pages.more = false
	return a.ask(askedPage, a.asked, a.query, pageSize)
}

// flows are the flows of live exchanges by id.
type flows map[uint64]flow

// next returns the current flows of live exchanges.
func (f flows) next(live []api.Exchange, now time.Time) flows {
	next := make(flows, len(live))
	for _, x := range live {
		n := flow{bytes: x.BytesIn + x.BytesOut, at: now, rate: -1}
		if before, ok := f[x.ID]; ok {
			n.rate = before.rate
			if took := now.Sub(before.at).Seconds(); took > 0 {
				n.rate = float64(n.bytes-before.bytes) / took
			}
		}
		next[x.ID] = n
	}
	return next
}
