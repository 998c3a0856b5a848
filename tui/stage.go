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
	_ = []pane.Listener{(*requests.Pane)(nil), (*logs.Pane)(nil), (*form.Form)(nil), (*dialog.Picker)(nil)}
	_ = []pane.Typist{(*sandbox.List)(nil), (*requests.Pane)(nil), (*logs.Pane)(nil)}
	_ = []pane.Clickable{(*sandbox.List)(nil), (*requests.Pane)(nil), (*previews.Pane)(nil)}
	_ = []pane.Footed{(*sandbox.List)(nil), (*requests.Pane)(nil), (*previews.Pane)(nil), (*logs.Pane)(nil)}
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
	left, right := g.layout.list, g.layout.detail
	cmds := []tea.Cmd{g.list.Show(g.list.Selected, left.w-2, left.h-2, left.w > 0)}
	for i, p := range g.panes {
		cmds = append(cmds, p.Show(g.list.Selected, right.w-2, right.h-2, i == g.tab && right.w > 0))
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
		if p.Inspector != nil {
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

// The sizes at which the layout changes.
const (
	leastWidth  = 60
	leastHeight = 15
	wideFrom    = 110
)

type rect struct{ x, y, w, h int }

func (r rect) has(x, y int) bool { return x >= r.x && x < r.x+r.w && y >= r.y && y < r.y+r.h }

// layout has the position of each part. A rectangle without width is not drawn.
type layout struct {
	small        bool // too small for more than a message
	wide         bool // list and detail side by side
	list, detail rect
}

// arrange places the parts of a screen of w × h: side by side, with up to 42 %
// for the list if its rows need that, or only the focused part.
func arrange(w, h, rowWidth int, listInFocus bool) layout {
	if w < leastWidth || h < leastHeight {
		return layout{small: true}
	}
	l := layout{wide: w >= wideFrom}
	body := rect{0, 1, w, h - 3}
	switch {
	case l.wide:
		left := min(60, max(42, w*36/100, min(rowWidth+2, w*42/100)))
		l.list, l.detail = rect{0, 1, left, body.h}, rect{left, 1, w - left, body.h}
	case listInFocus:
		l.list = body
	default:
		l.detail = body
	}
	return l
}
