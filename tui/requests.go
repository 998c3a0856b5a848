package tui

import (
	"slices"
	"strings"
	"time"

	tea "github.com/charmbracelet/bubbletea"

	"daemon-proxy/core/api"
	"daemon-proxy/tui/draw"
	"daemon-proxy/tui/world"
)

// requests is the second tab: the exchanges that went through, newest first,
// and the inspector of one of them. It holds what it shows by number, so that
// nothing moves under the cursor; events keep it up to date, and the core is
// asked what a filter takes.
type requests struct {
	look  *draw.Look
	world *world.World
	do    commands
	now   func() time.Time
	key   func(action string) string
	dir   string // where files are saved; empty: the current directory

	width, height int
	ref           api.Ref
	visible       bool
	everywhere    bool // all sandboxes instead of the chosen one

	store   exchangeStore
	loaded  bool  // it was asked for
	known   bool  // that was answered
	failed  error // why the list is not known
	cursor  draw.Cursor
	chosen  uint64 // the exchange at the cursor
	paused  bool
	seen    uint64 // the newest when it was paused
	filter  draw.FilterLine
	words   string // the filter that was asked for
	wrong   error  // what is wrong with it
	scope   int    // which list answers belong to; older ones are dropped
	asked   int    // which filter answers belong to
	pages   pageState
	polling bool // a look at the live ones is due
	flows   map[uint64]flow

	inspector *inspector
}

// requestsState is what is as it was at the last quit.
type requestsState struct {
	Filter     string `json:"filter,omitempty"`
	Everywhere bool   `json:"everywhere,omitempty"`
}

func newRequests(l *draw.Look, w *world.World, do commands, now func() time.Time, key func(string) string, saved requestsState) *requests {
	p := &requests{look: l, world: w, do: do, now: now, key: key, filter: draw.NewFilterLine(), everywhere: saved.Everywhere, flows: map[uint64]flow{}}
	p.filter.SetValue(saved.Filter)
	p.words = strings.TrimSpace(saved.Filter)
	return p
}

func (p *requests) state() requestsState {
	return requestsState{Filter: strings.TrimSpace(p.filter.Value()), Everywhere: p.everywhere}
}

// Place says whether keys go to the list or to the inspector.
func (p *requests) Place() place {
	if p.inspector != nil {
		return inInspector
	}
	return inRequests
}

// SetSize implements pane.
func (p *requests) SetSize(width, height int) {
	p.width, p.height = width, height
	p.settle()
}

// Show implements pane.
func (p *requests) Show(ref api.Ref, visible bool) tea.Cmd {
	appeared := visible && !p.visible
	p.visible = visible
	if ref != p.ref {
		p.ref = ref
		if !p.everywhere {
			p.inspector = nil
			p.forget()
		}
	}
	if !visible || p.loaded && !appeared {
		return nil
	}
	return p.load()
}

// forget drops the list of another sandbox.
func (p *requests) forget() {
	p.scope++
	p.asked++
	p.store = exchangeStore{filtered: p.words != ""}
	p.loaded, p.known, p.failed, p.wrong, p.paused, p.pages = false, false, nil, nil, false, pageState{}
	p.cursor.Put(0)
	p.settle()
}

func (p *requests) toggleEverywhere() tea.Cmd {
	p.everywhere = !p.everywhere
	p.forget()
	return p.load()
}

// mine says whether an exchange belongs to the list.
func (p *requests) mine(x *api.Exchange) bool { return p.everywhere || x.Sandbox == p.ref.String() }

// HandleMsg implements pane.
func (p *requests) HandleMsg(msg tea.Msg) tea.Cmd {
	var cmd tea.Cmd
	switch msg := msg.(type) {
	case eventsMsg:
		if !p.visible {
			return nil
		}
		cmd = p.takeEvents(msg)
	case subscribedMsg: // something may have been missed since the last stream
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
		cmd = tea.Batch(p.askLive(), p.inspectAgain())
	case replayedMsg:
		cmd = p.afterReplay(msg)
	case inspectMsg:
		cmd = p.takeInspection(msg)
	default:
		return nil
	}
	p.settle()
	return tea.Batch(cmd, p.pollSoon())
}

// settle puts the cursor where it belongs after the list changed: on the newest
// while it follows, else on the same exchange, which stays at its place on the screen.
func (p *requests) settle() {
	onScreen := p.cursor.At - p.cursor.Top
	p.cursor.Resize(p.store.count(), p.listHeight())
	if !p.paused || p.chosen == 0 {
		p.paused = false
		p.cursor.Put(0)
	} else if at := max(0, p.store.place(p.chosen)); at != p.cursor.At {
		p.cursor.Top = max(0, at-onScreen)
		p.cursor.Put(at)
	}
	p.remember()
}

// remember notes which exchange is at the cursor.
func (p *requests) remember() {
	x, _ := p.store.row(p.cursor.At)
	p.chosen = x.ID
}

func (p *requests) pause() {
	if !p.paused {
		p.paused = true
		newest, _ := p.store.row(0)
		p.seen = newest.ID
	}
}

func (p *requests) follow() tea.Cmd {
	if p.inspector != nil {
		p.inspector.follow()
		return nil
	}
	if p.paused {
		p.paused = false
		p.settle()
		return p.pollSoon()
	}
	p.pause()
	return nil
}

// missed is how many came since the pause.
func (p *requests) missed() int {
	if !p.paused {
		return 0
	}
	return max(0, p.store.place(p.seen))
}

// Move implements pane.
func (p *requests) Move(to draw.Motion) tea.Cmd {
	if p.inspector != nil {
		p.inspector.move(to)
		return nil
	}
	p.goTo(func() { p.cursor.Move(to) })
	return p.pollSoon()
}

// goTo moves the cursor; away from the newest it stays, at the newest it follows.
func (p *requests) goTo(move func()) {
	p.pause()
	move()
	p.remember()
	p.paused = p.cursor.At > 0
}

// Click implements pane: a click chooses, another one looks into it; in the
// inspector, one on a title folds.
func (p *requests) Click(x, y int) tea.Cmd {
	if p.inspector != nil {
		p.inspector.click(x, y)
		return nil
	}
	y -= p.headHeight()
	i := p.cursor.Top + y
	switch {
	case y < 0:
		return p.startFilter()
	case i >= p.cursor.Count:
		return nil
	case i == p.cursor.At:
		return p.inspect(p.chosen)
	}
	p.goTo(func() { p.cursor.Put(i) })
	return nil
}

// Typing implements pane.
func (p *requests) Typing() bool {
	if p.inspector != nil {
		return p.inspector.find.Typing
	}
	return p.filter.Typing
}

func (p *requests) startFilter() tea.Cmd {
	p.filter.Start()
	return nil
}

// HandleKey implements pane.
func (p *requests) HandleKey(key tea.KeyMsg) tea.Cmd {
	if p.inspector != nil {
		p.inspector.handleKey(key)
		return nil
	}
	switch key.String() {
	case "up":
		return p.Move(draw.Up)
	case "down":
		return p.Move(draw.Down)
	}
	p.filter.Handle(key)
	return p.refilter()
}

func (p *requests) clearFilter() tea.Cmd {
	p.filter.SetValue("")
	return p.refilter()
}

// refilter asks for what the words take; until that comes the list stays.
func (p *requests) refilter() tea.Cmd {
	words := strings.TrimSpace(p.filter.Value())
	if words == p.words {
		return nil
	}
	p.words, p.wrong, p.pages = words, nil, pageState{}
	p.asked++
	if words == "" {
		p.store.showAll()
		p.settle()
		return p.pollSoon()
	}
	return p.askFilter()
}

// exchange is the one at the cursor, or the one that is looked into.
func (p *requests) exchange() (api.Exchange, bool) {
	if p.inspector != nil {
		return p.inspector.exchange(), true
	}
	return p.store.row(p.cursor.At)
}

// beside looks into the exchange that began before or after.
func (p *requests) beside(by int) tea.Cmd {
	at := p.cursor.At
	if p.inspector != nil {
		at = p.store.place(p.inspector.id)
	}
	if x, _ := p.store.row(at); p.inspector != nil && x.ID != p.inspector.id && by > 0 {
		by-- // the filter has dropped it: in its place is the next older one
	}
	x, ok := p.store.row(at + by)
	if !ok {
		return nil
	}
	p.goTo(func() { p.cursor.Put(at + by) })
	return p.inspect(x.ID)
}

// jump puts the cursor on an exchange that may not be in the list yet.
func (p *requests) jump(x api.Exchange) {
	if p.mine(&x) {
		p.store.put(x)
		p.putOn(x.ID)
	}
}

// putOn puts the cursor on an exchange, unless the filter does not take it.
func (p *requests) putOn(id uint64) {
	at := p.store.place(id)
	if x, ok := p.store.row(at); ok && x.ID == id {
		p.goTo(func() { p.cursor.Resize(p.store.count(), p.listHeight()); p.cursor.Put(at) })
	}
}

// changesThings says whether a request of that method may change something.
func changesThings(method string) bool {
	return !slices.Contains([]string{"", "GET", "HEAD", "OPTIONS", "TRACE"}, strings.ToUpper(method))
}
