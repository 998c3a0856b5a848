package tui

import (
	"slices"

	tea "github.com/charmbracelet/bubbletea"

	"daemon-proxy/core/api"
)

// model is the only Bubble Tea model. It passes messages and keys to the panes,
// the overlays and the types with the actions.
type model struct {
	*ui
	dispatch  *dispatcher
	sandboxes *sandboxActions
	links     *linkActions
	requested *requestActions
	news      *portNews
	follow    *follower
	quitter   *quitter
	head      header
	mouse     bool
}

// emptyModel connects the parts of a model, without a core and panes.
func emptyModel() *model {
	u := &ui{stage: &stage{}}
	m := &model{ui: u, head: header{u}, requested: &requestActions{u}}
	m.dispatch = &dispatcher{ui: u}
	m.news = &portNews{ui: u}
	m.follow = &follower{ui: u, news: m.news}
	m.links = &linkActions{ui: u, news: m.news, mouseKeys: m.dispatch.mouseKeys}
	m.sandboxes = &sandboxActions{desktops: desktops{u}, waiting: map[api.Ref]bool{}, thenDesktop: map[api.Ref]bool{}}
	m.quitter = &quitter{ui: u, own: m.sandboxes.waiting, self: m.follow.self}
	return m
}

func (m *model) goTo(tab int) tea.Cmd {
	m.tab = tab
	m.focus(false)
	return m.arrange()
}

func (m *model) otherPane() tea.Cmd { m.focus(!m.listFocused); return m.arrange() }

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

// arrange fits the panes to the window and follows the selected sandbox.
func (m *model) arrange() tea.Cmd { return tea.Batch(m.fit(), m.follow.selection()) }

// toLogs goes to the logs; after a failed injection, to the one with the cause.
func (m *model) toLogs() tea.Cmd {
	if in := m.World.Injection(m.list.Selected); in != nil && in.Problem != nil && m.atOverview() {
		m.logs().ShowCause(slices.ContainsFunc(in.Steps, func(n api.Injection) bool { return n.Step == api.StepWait }))
	}
	return m.goTo(tabLogs)
}
