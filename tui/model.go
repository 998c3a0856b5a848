package tui

import (
	"cmp"
	"context"
	"log/slog"
	"time"

	tea "github.com/charmbracelet/bubbletea"

	"daemon-proxy/core/api"
	"daemon-proxy/tui/dialog"
	"daemon-proxy/tui/draw"
	"daemon-proxy/tui/pane"
	"daemon-proxy/tui/previews"
	"daemon-proxy/tui/requests"
	"daemon-proxy/tui/sandbox"
	"daemon-proxy/tui/world"
)

// The tabs of the detail pane.
const (
	tabOverview = iota
	tabRequests
	tabPreviews
	tabLogs
)

var tabNames = [...]string{"Overview", "Requests", "Previews", "Logs"}

// model is the only Bubble Tea model. It owns the world, the panes and what
// lies over them, and passes messages and keys on.
type model struct {
	options Options
	do      commands
	look    *draw.Look
	keys    keymap
	log     *slog.Logger
	world   world.World
	events  Events

	width, height int
	layout        layout
	listFocused   bool
	tab           int
	list          *sandbox.List
	overview      *sandbox.Overview
	panes         [4]pane.Pane // by tab; the first is overview
	overlays      []overlay
	mouse         bool

	shown    api.Ref // the sandbox that the panes and the core's Watch are at
	note     note
	noteAge  int      // which note a timer is about
	works    []string // what is under way, the latest last
	newPort  newPort
	asked    map[api.Ref]bool // injections that are waited for here
	vncAfter map[api.Ref]bool // injections that end in the desktop being opened

	trafficTimer bool            // a look at rates and links is due
	lostTimer    bool            // the countdown of a lost engine is due
	trying       bool            // the lost engine is asked again because somebody wants it
	watching     bool            // the core is being told what is looked at
	askingPorts  bool            // ports are asked for, or will be in a moment
	portsRound   int             // which sandbox that is about
	interrupted  time.Time       // of the last ctrl+c
	quitting     *dialog.Confirm // the question whether to quit, if it was asked
	leaving      bool            // the answer was yes; injections are being undone

	frame string // the screen as it was drawn last; empty when something changed
}

func newModel(ctx context.Context, backend Backend, o Options) (*model, error) {
	o = o.withDefaults()
	keys, err := newKeymap(o.Keys, o.ReadOnly)
	if err != nil {
		return nil, err
	}
	m := &model{
		options: o, do: commands{Calls: pane.Calls{Ctx: ctx}, backend: backend}, look: draw.New(o.Theme, o.ASCII), keys: keys, log: o.Logger,
		world: world.New(), listFocused: true, mouse: !o.NoMouse,
		asked: map[api.Ref]bool{}, vncAfter: map[api.Ref]bool{},
	}
	saved := loadUIState(o.StateFile)
	m.list = sandbox.NewList(m.look, &m.world, m.keys.key, saved.Sandbox, saved.Filter)
	m.overview = sandbox.NewOverview(m.look, &m.world, o.Now, m.keys.key, o.ReadOnly)
	m.panes = [4]pane.Pane{m.overview, requests.New(m.look, &m.world, m.do.Calls, backend, o.Now, m.keys.key, saved.Requests), previews.New(m.look, &m.world, o.Now, m.keys.key), newLogs(m.look, &m.world, m.do.Calls, backend, m.keys.key)}
	if saved.Tab > 0 && saved.Tab < len(m.panes) {
		m.tab = saved.Tab
	}
	return m, nil
}

// Init implements tea.Model.
func (m *model) Init() tea.Cmd {
	return tea.Batch(m.arrange(), m.do.subscribe(), everyMinute(), tea.SetWindowTitle("daemon-proxy"))
}

func everyMinute() tea.Cmd {
	return tea.Every(time.Minute, func(t time.Time) tea.Msg { return minuteMsg(t) })
}

// chosen is the sandbox that actions are about.
func (m *model) chosen() (api.Sandbox, bool) { return m.world.Sandbox(m.list.Selected) }

// inFocus is the pane that keys go to.
func (m *model) inFocus() pane.Pane {
	if m.listFocused {
		return m.list
	}
	return m.front()
}

// front is the detail pane that is shown. Where nothing is chosen the overview
// says why, in place of all but the requests of all sandboxes.
func (m *model) front() pane.Pane {
	if m.list.Selected == (api.Ref{}) && (m.tab != tabRequests || !m.requests().Everywhere) {
		return m.overview
	}
	return m.panes[m.tab]
}

// place is where keys are pressed now.
func (m *model) place() place {
	if m.listFocused {
		return inList
	}
	switch p := m.front().(type) {
	case *sandbox.Overview:
		return inOverview
	case *requests.Pane:
		if p.Inspecting() {
			return inInspector
		}
	}
	return [...]place{inOverview, inRequests, inPreviews, inLogs}[m.tab]
}

// focus goes to the list or to the details; who goes there works at the chosen sandbox.
func (m *model) focus(list bool) {
	m.listFocused = list
	if !list {
		m.list.Confirm()
	}
}

// goTo puts a tab into focus.
func (m *model) goTo(tab int) tea.Cmd {
	m.tab = tab
	m.focus(false)
	return m.arrange()
}

func (m *model) otherPane() tea.Cmd {
	m.focus(!m.listFocused)
	return m.arrange()
}

// sideways goes to the tab beside; the list is left of the first.
func (m *model) sideways(by int) tea.Cmd {
	switch {
	case m.listFocused && by < 0:
		return nil
	case m.listFocused:
		m.focus(false)
	case m.tab == 0 && by < 0:
		m.listFocused = true
	default:
		m.tab = min(len(m.panes)-1, max(0, m.tab+by))
	}
	return m.arrange()
}

// resize takes the window's size; a terminal that does not know its own says 0.
func (m *model) resize(width, height int) {
	m.width, m.height = cmp.Or(width, 80), cmp.Or(height, 24)
}

// arrange fits the panes to the window and shows them what is chosen.
func (m *model) arrange() tea.Cmd {
	m.layout = arrange(m.width, m.height, m.list.RowWidth, m.listFocused)
	m.list.Alone = !m.layout.wide
	m.list.SetSize(m.layout.list.w-2, m.layout.list.h-2)
	cmds := []tea.Cmd{m.list.Show(m.list.Selected, m.layout.list.w > 0)}
	for i, p := range m.panes {
		p.SetSize(m.layout.detail.w-2, m.layout.detail.h-2)
		cmds = append(cmds, p.Show(m.list.Selected, i == m.tab && m.layout.detail.w > 0))
	}
	if m.shown != m.list.Selected {
		m.shown, m.askingPorts = m.list.Selected, true // in a moment, if it is still chosen then
		m.portsRound++
		round := m.portsRound
		cmds = append(cmds, m.watch(), tea.Tick(portsAfter, func(time.Time) tea.Msg { return portsDueMsg(round) }))
	}
	return tea.Batch(cmds...)
}

// watch tells the core what is looked at, one call after the other.
func (m *model) watch() tea.Cmd {
	if m.watching {
		return nil
	}
	m.watching = true
	ref, backend := m.shown, m.do.backend
	return func() tea.Msg { backend.Watch(ref); return watchedMsg(ref) }
}

// changed makes the next View draw anew.
func (m *model) changed() { m.frame = "" }
