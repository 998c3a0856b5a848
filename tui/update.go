package tui

import (
	"fmt"
	"slices"
	"time"

	tea "github.com/charmbracelet/bubbletea"

	"daemon-proxy/core/api"
	"daemon-proxy/tui/form"
	"daemon-proxy/tui/pane"
)

// Init implements tea.Model.
func (m *model) Init() tea.Cmd {
	return tea.Batch(m.arrange(), m.follow.subscribe(), everyMinute(), tea.SetWindowTitle("daemon-proxy"))
}

func everyMinute() tea.Cmd {
	return tea.Every(time.Minute, func(t time.Time) tea.Msg { return minuteMsg(t) })
}

// Update implements tea.Model. It does no I/O and takes no lock.
func (m *model) Update(msg tea.Msg) (tea.Model, tea.Cmd) {
	switch msg := msg.(type) {
	case pane.EventsMsg:
		return m, m.takeEvents(msg)
	case ratesMsg:
		if msg.err == nil && m.World.SetRates(msg.value) {
			m.changed()
		}
		return m, m.follow.trafficDue()
	case pane.PortsMsg:
		return m, m.follow.takePorts(msg)
	case portsDueMsg:
		return m, m.follow.portsDue(int(msg))
	case watchedMsg:
		return m, m.follow.watchDone(msg)
	case trafficMsg:
		m.follow.trafficTimer = false
		return m, tea.Batch(m.do.rates(), m.do.links())
	}
	m.changed()
	switch msg := msg.(type) {
	case tea.KeyMsg:
		return m, m.takeKey(msg)
	case tea.MouseMsg:
		return m, m.takeMouse(msg)
	case tea.WindowSizeMsg:
		m.resize(msg.Width, msg.Height)
		return m, m.arrange()
	case minuteMsg:
		return m, everyMinute()
	case runMsg:
		return m, m.dispatch.runOffered(msg)
	}
	return m, m.takeAnswer(msg)
}

func (m *model) takeAnswer(msg tea.Msg) tea.Cmd {
	switch msg := msg.(type) {
	case subscribedMsg:
		return m.follow.subscribed(msg)
	case streamEndedMsg:
		return m.follow.lostStream(msg.err)
	case doubtedMsg:
		return m.follow.doubted(msg)
	case resubscribeMsg:
		return m.follow.resubscribe(msg)
	case statusMsg:
		if msg.err != nil {
			return m.notes.failToList("ask the core", msg.err)
		}
		m.World.SetStatus(msg.value)
		return nil
	case statesMsg:
		if msg.err == nil {
			m.World.ApplyEngines(msg.value, msg.after)
			m.list.Refresh()
		}
		return tea.Batch(m.arrange(), m.follow.countLost())
	case sandboxesMsg:
		return m.takeSandboxes(msg)
	case linksMsg:
		if msg.err != nil {
			return m.notes.failToList("list the previews", msg.err)
		}
		m.World.SetLinks(msg.value)
		return m.toPanes(msg)
	case recentMsg:
		m.World.ApplyRecent(msg, len(msg) < recentAsked)
		return nil
	case socketsMsg:
		m.World.ApplySockets(msg)
		return nil
	case leaveMsg:
		return m.quitter.leave()
	case doneMsg:
		if msg.err != nil {
			return m.notes.failWith(msg.what, msg.err)
		}
		return tea.Batch(m.notes.say(msg.did), m.do.sandboxes(), m.do.links())
	case lostMsg:
		m.follow.lostTimer = false
		return m.follow.countLost()
	case noteOverMsg:
		m.notes.expire(msg)
		return nil
	}
	return m.takeFlow(msg)
}

// takeFlow handles the messages of actions with several steps.
func (m *model) takeFlow(msg tea.Msg) tea.Cmd {
	switch msg := msg.(type) {
	case workMsg:
		return m.notes.begin(msg)
	case workedMsg:
		m.notes.end(msg.words)
		return m.takeAnswer(msg.msg)
	case injectedMsg:
		return m.sandboxes.afterInject(msg)
	case form.CreatedMsg:
		return m.links.afterCreate(msg)
	case form.ActionMsg:
		return m.dispatch.formWants(msg)
	case shareMsg:
		return m.links.share(msg)
	case sharedMsg:
		return m.links.afterShare(msg)
	case vncMsg:
		return m.sandboxes.afterVNC(msg)
	case openedMsg:
		return m.links.afterOpen(msg)
	case copiedMsg:
		return m.links.afterCopy(msg)
	case demoMsg:
		if msg.err != nil {
			return m.notes.failWith("start the demo", msg.err)
		}
		m.list.Select(msg.value.Sandbox)
		return tea.Batch(m.arrange(), m.do.sandboxes(), m.do.links(), m.open(m.World.PageURL(msg.value), "demo"))
	case pane.SayMsg:
		return m.notes.say(string(msg))
	case pane.FailMsg:
		return m.notes.failWith(msg.Action, msg.Err)
	case shellEndedMsg:
		var cmds []tea.Cmd
		if m.mouse {
			cmds = append(cmds, tea.EnableMouseCellMotion) // Bubble Tea restores everything else
		}
		switch {
		case msg.err != nil:
			cmds = append(cmds, m.notes.failWith("shell", msg.err))
		case msg.code != 0:
			cmds = append(cmds, m.notes.tell(fmt.Sprintf("the shell in %s ended with exit code %d", msg.ref, msg.code)))
		}
		return tea.Batch(cmds...)
	}
	return m.toPanes(msg)
}

func (m *model) takeSandboxes(msg sandboxesMsg) tea.Cmd {
	if msg.err != nil {
		if m.World.EngineLost() {
			return nil // the header says so
		}
		return m.notes.failToList("list the sandboxes", msg.err)
	}
	m.World.ApplyList(msg.value, msg.after)
	m.list.Refresh()
	return tea.Batch(m.arrange(), m.follow.countLost(), m.toPanes(msg))
}

func (m *model) takeEvents(batch pane.EventsMsg) tea.Cmd {
	m.do.taken++
	c := m.World.Apply(batch, m.do.taken)
	cmds := []tea.Cmd{m.do.next(m.follow.screen)}
	if slices.ContainsFunc(batch, func(e api.Event) bool { return e.Kind == api.EventReset }) {
		cmds = append(cmds, m.do.snapshot(), m.toPanes(pane.ReconnectedMsg{}))
	}
	if c.Visible {
		m.changed()
		m.list.Refresh()
		cmds = append(cmds, m.arrange(), m.follow.askPorts())
	}
	if c.Exchanges {
		cmds = append(cmds, m.follow.trafficSoon())
	}
	if c.UnknownLink {
		cmds = append(cmds, m.do.links())
	}
	if c.NewPorts != nil {
		cmds = append(cmds, m.news.tell(c.NewPorts))
	}
	if slices.ContainsFunc(batch, func(e api.Event) bool { return e.Engine != nil }) {
		cmds = append(cmds, m.follow.tried())
	}
	if c.EngineLost {
		cmds = append(cmds, m.follow.countLost())
	}
	if c.EngineBack != nil {
		cmds = append(cmds, m.notes.say(m.follow.engineBack(c.EngineBack)), m.do.snapshot())
	}
	return tea.Batch(append(cmds, m.toPanes(batch))...)
}
