// Package requests is the second tab: the exchanges, newest first, and the
// inspector of one of them.
package requests

import (
	"slices"
	"strings"
	"time"

	tea "github.com/charmbracelet/bubbletea"

	"daemon-proxy/core/api"
	"daemon-proxy/tui/draw"
	"daemon-proxy/tui/format"
	"daemon-proxy/tui/inspect"
	"daemon-proxy/tui/pane"
)

// Pane is the second tab: the list, and the inspector of one of its exchanges.
type Pane struct {
	rows
	polling   bool // a pollMsg is due
	Inspector *inspect.Inspector
}

// State is what is saved for the next run.
type State struct {
	Filter     string `json:"filter,omitempty"`
	Everywhere bool   `json:"everywhere,omitempty"`
}

// New returns the pane, with the state that the last run saved.
func New(env pane.Env, backend Backend, saved State) *Pane {
	query := strings.TrimSpace(saved.Filter)
	ask := asker{Env: env, backend: backend, Everywhere: saved.Everywhere, query: query}
	p := &Pane{rows: rows{asker: ask, filter: draw.NewFilterLine()}}
	p.filter.SetValue(saved.Filter)
	return p
}

// State returns what is saved for the next run.
func (p *Pane) State() State {
	return State{Filter: strings.TrimSpace(p.filter.Value()), Everywhere: p.Everywhere}
}

// Show implements pane.Pane.
func (p *Pane) Show(ref api.Ref, width, height int, visible bool) tea.Cmd {
	p.width, p.height = width, height
	p.settle(p.listHeight())
	appeared := visible && !p.visible
	p.visible = visible
	if ref != p.ref {
		p.ref = ref
		if !p.Everywhere {
			p.Inspector = nil
			p.forget()
		}
	}
	if !visible || p.loaded && !appeared {
		return nil
	}
	return p.load()
}

// ToggleEverywhere switches between one sandbox and all.
func (p *Pane) ToggleEverywhere() tea.Cmd {
	p.Everywhere = !p.Everywhere
	p.forget()
	return p.load()
}

// HandleMsg implements pane.Listener.
func (p *Pane) HandleMsg(msg tea.Msg) tea.Cmd {
	var cmd tea.Cmd
	switch msg := msg.(type) {
	case pane.EventsMsg:
		if !p.visible {
			return nil
		}
		cmd = p.takeEvents(msg)
	case pane.ReconnectedMsg: // something may have been missed since the last stream
		if !p.visible || !p.loaded {
			return nil
		}
		cmd = p.load()
	case exchangesMsg:
		cmd = p.takeAnswer(msg)
	case pageDueMsg:
		if int(msg) != p.asked {
			return nil
		}
		cmd = p.askPage()
	case pollMsg:
		p.polling = false
		cmd = p.askLive()
		if p.Inspector != nil {
			cmd = tea.Batch(cmd, p.Inspector.Refresh())
		}
	case ReplayedMsg:
		cmd = p.afterReplay(msg)
	case inspect.Msg:
		if p.Inspector != nil {
			cmd = p.Inspector.HandleMsg(msg)
		}
	default:
		return nil
	}
	p.settle(p.listHeight())
	return tea.Batch(cmd, p.pollSoon())
}

// Follow follows new exchanges or frames, or pauses.
func (p *Pane) Follow() tea.Cmd {
	if p.Inspector != nil {
		p.Inspector.Follow()
		return nil
	}
	if p.paused {
		p.paused = false
		p.settle(p.listHeight())
		return p.pollSoon()
	}
	p.pause()
	return nil
}

// Move implements pane.Pane.
func (p *Pane) Move(to draw.Motion) tea.Cmd {
	if p.Inspector != nil {
		p.Inspector.Move(to)
		return nil
	}
	p.goTo(func() { p.cursor.Move(to) })
	return p.pollSoon()
}

// Click implements pane.Clickable: a click selects an exchange, another one inspects
// it; in the inspector, a click on a title folds the section.
func (p *Pane) Click(x, y int) tea.Cmd {
	if p.Inspector != nil {
		p.Inspector.Click(x, y)
		return nil
	}
	y -= p.headHeight()
	i := p.cursor.Top + y
	switch {
	case y < 0:
		return p.StartFilter()
	case i >= p.cursor.Count:
		return nil
	case i == p.cursor.At:
		return p.Inspect(p.Chosen)
	}
	p.goTo(func() { p.cursor.Put(i) })
	return nil
}

// Typing implements pane.Typist.
func (p *Pane) Typing() bool {
	if p.Inspector != nil {
		return p.Inspector.Typing()
	}
	return p.filter.Typing
}

// StartFilter starts typing a filter.
func (p *Pane) StartFilter() tea.Cmd { p.filter.Start(); return nil }

// HandleKey implements pane.Typist.
func (p *Pane) HandleKey(key tea.KeyMsg) tea.Cmd {
	if p.Inspector != nil {
		p.Inspector.HandleKey(key)
		return nil
	}
	if to, ok := draw.Motions[key.String()]; ok && to <= draw.Down {
		return p.Move(to)
	}
	p.filter.Handle(key)
	return p.refilter()
}

// Filtered reports whether a filter hides requests.
func (p *Pane) Filtered() bool { return p.query != "" }

// Scope returns the filter of the whole list.
func (p *Pane) Scope() string { return p.scoped("") }

// ClearFilter shows all requests.
func (p *Pane) ClearFilter() tea.Cmd { p.filter.SetValue(""); return p.refilter() }

// refilter requests what matches the filter; the list stays until the answer.
func (p *Pane) refilter() tea.Cmd {
	words := strings.TrimSpace(p.filter.Value())
	if words == p.query {
		return nil
	}
	p.query, p.wrong, p.pages = words, nil, pageState{}
	p.asked++
	if words == "" {
		p.store.showAll()
		p.settle(p.listHeight())
		return p.pollSoon()
	}
	return p.askFilter()
}

// Inspect opens an exchange in the inspector, or replaces the inspected one.
func (p *Pane) Inspect(id uint64) tea.Cmd {
	i, ok := p.store.find(id) // it may not match the filter
	if !ok {
		return nil
	}
	if p.Inspector == nil {
		p.Inspector = inspect.New(p.Env, p.backend)
	}
	p.Inspector = p.Inspector.Next(p.store.all[i])
	return tea.Batch(p.Inspector.Ask(), p.pollSoon())
}

// CloseInspector ends a search in the inspector, or closes it.
func (p *Pane) CloseInspector() tea.Cmd {
	if p.Inspector.EndFind() {
		return nil
	}
	p.Inspector = nil
	return p.pollSoon()
}

// Exchange returns the inspected exchange, or the one at the cursor.
func (p *Pane) Exchange() (api.Exchange, bool) {
	if p.Inspector != nil {
		return p.Inspector.Exchange(), true
	}
	return p.store.row(p.cursor.At)
}

// Beside inspects the exchange that began before or after.
func (p *Pane) Beside(by int) tea.Cmd {
	at := p.cursor.At
	if p.Inspector != nil {
		at = p.store.rowOf(p.Inspector.ID)
	}
	if x, _ := p.store.row(at); p.Inspector != nil && x.ID != p.Inspector.ID && by > 0 {
		by-- // it no longer matches: at its row is the next older one
	}
	x, ok := p.store.row(at + by)
	if !ok {
		return nil
	}
	p.goTo(func() { p.cursor.Put(at + by) })
	return p.Inspect(x.ID)
}

// jump puts the cursor on an exchange that may not be in the list yet.
func (p *Pane) jump(x api.Exchange) {
	if p.covers(&x) {
		p.store.put(x)
		p.Select(x.ID)
	}
}

// Select puts the cursor on an exchange, if it matches the filter.
func (p *Pane) Select(id uint64) {
	at := p.store.rowOf(id)
	if x, ok := p.store.row(at); ok && x.ID == id {
		p.goTo(func() { p.cursor.Resize(p.store.count(), p.listHeight()); p.cursor.Put(at) })
	}
}

// Unsafe reports whether a request of that method may change something.
func Unsafe(method string) bool {
	return !slices.Contains([]string{"", "GET", "HEAD", "OPTIONS", "TRACE"}, strings.ToUpper(method))
}

// ReplayedMsg is the outcome of a replay.
type ReplayedMsg struct {
	Exchange api.Exchange
	Err      error
}

func (p *Pane) afterReplay(msg ReplayedMsg) tea.Cmd {
	if msg.Err != nil {
		return func() tea.Msg { return pane.FailMsg{Action: "replay", Err: msg.Err} }
	}
	x := msg.Exchange
	p.jump(x)
	say := func() tea.Msg {
		return pane.SayMsg("replayed: " + format.Status(x) + " in " + format.Latency(x.Duration))
	}
	if p.Inspector != nil {
		return tea.Batch(say, p.Inspect(x.ID))
	}
	return say
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
