package tui

import (
	"context"
	"time"

	tea "github.com/charmbracelet/bubbletea"

	"daemon-proxy/core/api"
)

const (
	pageSize  = 200                    // how many of the newest a look at a filter's answer takes
	pageEvery = 250 * time.Millisecond // between two such looks
	pollEvery = time.Second            // between two looks at live exchanges
)

// What is asked for in exchangesMsg.
const (
	askedAll    = iota // the whole list of a sandbox
	askedFilter        // all that a filter takes of it
	askedPage          // the newest that it takes
	askedLive          // those under way
)

type (
	// exchangesMsg is a part of the request log. Its number says which list or
	// filter it is the answer for.
	exchangesMsg struct {
		what, number int
		list         []api.Exchange
		err          error
	}
	// pageDueMsg says that the filter of that number is to be looked at again.
	pageDueMsg int
	// pollMsg says that live exchanges are to be looked at again.
	pollMsg struct{}
)

// pageState is how far the newest page of a filter's answer is asked for.
type pageState struct {
	due  bool // a look is planned or under way
	more bool // something happened since the last one began
}

// flow is how fast a live exchange moves.
type flow struct {
	bytes int64
	at    time.Time
	rate  float64 // bytes a second; negative: not known yet
}

// query is a filter within the list.
func (p *requests) query(words string) string {
	if p.everywhere {
		return words
	}
	if words != "" {
		words = " " + words
	}
	return "sandbox:" + p.ref.String() + words
}

func (p *requests) ask(what, number int, words string, n int) tea.Cmd {
	backend, query := p.do.backend, p.query(words)
	return p.do.do(quickly, func(ctx context.Context) tea.Msg {
		list, err := backend.Exchanges(ctx, query, n)
		return exchangesMsg{what, number, list, err}
	})
}

// load asks for the whole list and for what the filter takes of it.
func (p *requests) load() tea.Cmd {
	if p.ref == (api.Ref{}) && !p.everywhere {
		return nil
	}
	p.loaded = true
	return tea.Batch(p.ask(askedAll, p.scope, "", 0), p.askFilter())
}

func (p *requests) askFilter() tea.Cmd {
	if p.words == "" {
		return nil
	}
	return p.ask(askedFilter, p.asked, p.words, 0)
}

// pageSoon looks at the newest page in a moment, at most once in pageEvery.
func (p *requests) pageSoon() tea.Cmd {
	if p.words == "" || p.wrong != nil {
		return nil
	}
	if p.pages.due {
		p.pages.more = true
		return nil
	}
	p.pages = pageState{due: true}
	number := p.asked
	return tea.Tick(pageEvery, func(time.Time) tea.Msg { return pageDueMsg(number) })
}

func (p *requests) askPage() tea.Cmd {
	p.pages.more = false
	return p.ask(askedPage, p.asked, p.words, pageSize)
}

func (p *requests) takeEvents(events []api.Event) tea.Cmd {
	news := false
	var cmd tea.Cmd
	for _, e := range events {
		if e.Exchange == nil || !p.mine(e.Exchange) {
			continue
		}
		p.store.put(*e.Exchange)
		news = true
		if p.inspector != nil && e.Exchange.ID == p.inspector.id && !e.Exchange.Live {
			cmd = p.inspectAgain() // live ones are looked at once a second
		}
	}
	if !news {
		return nil
	}
	return tea.Batch(cmd, p.pageSoon())
}

func (p *requests) takeAnswer(msg exchangesMsg) tea.Cmd {
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
			return nil // the next news ask again
		}
		if p.store.takePage(msg.list, len(msg.list) < pageSize) {
			return p.askFilter()
		}
		if p.pages.more {
			return p.pageSoon()
		}
	case askedLive:
		p.takeLive(msg.list)
	}
	return nil
}

func (p *requests) askLive() tea.Cmd {
	if !p.visible {
		return nil
	}
	return p.ask(askedLive, p.scope, "live:true", 0)
}

// takeLive notes how far the live ones are and how fast that went.
func (p *requests) takeLive(list []api.Exchange) {
	before, now := p.flows, p.now()
	p.flows = make(map[uint64]flow, len(list))
	for _, x := range list {
		p.store.put(x)
		f := flow{bytes: x.BytesIn + x.BytesOut, at: now, rate: -1}
		if b, ok := before[x.ID]; ok {
			f.rate = b.rate
			if took := now.Sub(b.at).Seconds(); took > 0 {
				f.rate = float64(f.bytes-b.bytes) / took
			}
		}
		p.flows[x.ID] = f
	}
}

// pollSoon looks at live exchanges again in a while, if one can be seen.
func (p *requests) pollSoon() tea.Cmd {
	if p.polling || !p.visible || !p.seesLive() {
		return nil
	}
	p.polling = true
	return tea.Tick(pollEvery, func(time.Time) tea.Msg { return pollMsg{} })
}

func (p *requests) seesLive() bool {
	if p.inspector != nil {
		return p.inspector.exchange().Live
	}
	from, to := p.cursor.Visible()
	for i := from; i < to; i++ {
		if x, ok := p.store.row(i); ok && x.Live {
			return true
		}
	}
	return false
}
