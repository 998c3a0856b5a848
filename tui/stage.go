package tui

import (
	"cmp"

	tea "github.com/charmbracelet/bubbletea"

	"daemon-proxy/core/api"
	"daemon-proxy/tui/dialog"
	"daemon-proxy/tui/form"
	"daemon-proxy/tui/logs"
	"daemon-proxy/tui/pane"
	"daemon-proxy/tui/previews"
	"daemon-proxy/tui/requests"
	"daemon-proxy/tui/sandbox"
)

// The tabs of the detail pane.
const (
	tabOverview = iota
	tabRequests
	tabPreviews
	tabLogs
)

// What panes and overlays can do beyond their interface is found out at run time:
// without these lines a changed method would cost one its keys or its messages.
var (
	_, _ pane.Listener = (*form.Form)(nil), (*dialog.Picker)(nil)
	_    interface {
		pane.Typist
		pane.Clickable
		pane.Footed
	} = (*sandbox.List)(nil)
	_ interface {
		pane.Listener
		pane.Typist
		pane.Clickable
		pane.Footed
	} = (*requests.Pane)(nil)
	_ interface {
		pane.Clickable
		pane.Footed
	} = (*previews.Pane)(nil)
	_ interface {
		pane.Listener
		pane.Typist
		pane.Footed
	} = (*logs.Pane)(nil)
)

var tabNames = [...]string{"Overview", "Requests", "Previews", "Logs"}

// stage is the list, the tabs of the details, and how the window is divided.
type stage struct {
	width, height int
	layout        layout
	listFocused   bool
	tab           int
	list          *sandbox.List
	overview      *sandbox.Overview
	panes         [4]pane.Pane // by tab; the first is overview
}

// fit fits the panes to the window and shows them the selected sandbox.
func (g *stage) fit() tea.Cmd {
	g.layout = arrange(g.width, g.height, g.list.RowWidth, g.listFocused)
	g.list.Alone = !g.layout.wide
	g.list.SetSize(g.layout.list.w-2, g.layout.list.h-2)
	cmds := []tea.Cmd{g.list.Show(g.list.Selected, g.layout.list.w > 0)}
	for i, p := range g.panes {
		p.SetSize(g.layout.detail.w-2, g.layout.detail.h-2)
		cmds = append(cmds, p.Show(g.list.Selected, i == g.tab && g.layout.detail.w > 0))
	}
	return tea.Batch(cmds...)
}

// inFocus is the pane that keys go to.
func (g *stage) inFocus() pane.Pane {
	if g.listFocused {
		return g.list
	}
	return g.front()
}

// front returns the visible detail pane. If no sandbox is selected, that is the
// overview, which explains why, or the requests of all sandboxes.
func (g *stage) front() pane.Pane {
	if g.list.Selected == (api.Ref{}) && (g.tab != tabRequests || !g.requests().Everywhere) {
		return g.overview
	}
	return g.panes[g.tab]
}

// place returns where keys are pressed now.
func (g *stage) place() place {
	if g.listFocused {
		return inList
	}
	switch p := g.front().(type) {
	case *sandbox.Overview:
		return inOverview
	case *requests.Pane:
		if p.Inspecting() {
			return inInspector
		}
	}
	return [...]place{inOverview, inRequests, inPreviews, inLogs}[g.tab]
}

// focus focuses the list or the details; the latter confirms the selected sandbox.
func (g *stage) focus(list bool) {
	g.listFocused = list
	if !list {
		g.list.Confirm()
	}
}

// resize sets the window's size; a terminal that does not know its size reports 0.
func (g *stage) resize(width, height int) { g.width, g.height = cmp.Or(width, 80), cmp.Or(height, 24) }

func (g *stage) logs() *logs.Pane { return g.panes[tabLogs].(*logs.Pane) }

func (g *stage) requests() *requests.Pane { return g.panes[tabRequests].(*requests.Pane) }

func (g *stage) previews() *previews.Pane { return g.panes[tabPreviews].(*previews.Pane) }

// atOverview reports whether the overview is visible.
func (g *stage) atOverview() bool { return g.tab == tabOverview && (g.layout.wide || !g.listFocused) }
