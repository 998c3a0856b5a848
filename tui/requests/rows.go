package requests

import (
	tea "github.com/charmbracelet/bubbletea"

	"daemon-proxy/core/api"
	"daemon-proxy/tui/draw"
	"daemon-proxy/tui/format"
	"daemon-proxy/tui/text"
)

// rows are the exchanges of one sandbox or of all, newest first. They are referred
// to by id, so that nothing moves under the cursor. Events keep them up to date;
// the core evaluates filters.
type rows struct {
	asker
	place
	width, height int
	visible       bool
	loaded        bool  // the list was requested
	known         bool  // the answer has arrived
	failed        error // why the list is unknown
	filter        draw.FilterLine
	flows         flows
}

// forget drops the list of the previous sandbox.
func (p *rows) forget() {
	p.scope++
	p.asked++
	p.store = store{filtered: p.query != ""}
	p.loaded, p.known, p.failed, p.wrong, p.paused, p.pages = false, false, nil, nil, false, pageState{}
	p.cursor.Put(0)
	p.settle(p.listHeight())
}

func (p *rows) covers(x *api.Exchange) bool {
	return p.Everywhere || x.Ref == p.ref || x.Ref == (api.Ref{}) && x.Sandbox == p.ref.String()
}

func (p *rows) headHeight() int { return 1 + len(p.wrongLines()) }

func (p *rows) listHeight() int { return max(1, p.height-p.headHeight()) }

// wrongLines explains what is wrong with the filter, on three lines at most.
func (p *rows) wrongLines() []string {
	if p.wrong == nil {
		return nil
	}
	what, _ := format.Explain(p.wrong)
	lines := p.Wrap(text.Clean(what), max(1, p.width-4), "  ", p.Ink.Bad)
	return lines[:min(3, len(lines))]
}

// load requests the whole list and the exchanges that match the filter.
func (p *rows) load() tea.Cmd {
	if p.ref == (api.Ref{}) && !p.Everywhere {
		return nil
	}
	p.loaded = true
	return tea.Batch(p.ask(askedAll, p.scope, "", 0), p.askFilter())
}

func (p *rows) takeAnswer(msg exchangesMsg) tea.Cmd {
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

func (p *rows) askLive() tea.Cmd {
	if !p.visible {
		return nil
	}
	return p.ask(askedLive, p.scope, "live:true", 0)
}
