package tui

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	tea "github.com/charmbracelet/bubbletea"

	"daemon-proxy/core/api"
	"daemon-proxy/tui/form"
	"daemon-proxy/tui/format"
	"daemon-proxy/tui/pane"
	"daemon-proxy/tui/world"
)

const (
	resubscribeAfter = time.Second
	trafficEvery     = time.Second
	// portsAfter is how long a sandbox is chosen before its ports are asked for:
	// a cursor that passes asks nobody.
	portsAfter = 100 * time.Millisecond
	// portsEvery finds the ports that closed; one that opens comes as an event.
	portsEvery = 30 * time.Second
)

type (
	// The timers; each runs only while there is something to wait for.
	resubscribeMsg struct{}
	trafficMsg     struct{}
	portsDueMsg    int
	watchedMsg     api.Ref // the core was told
	lostMsg        struct{}
)

// Update implements tea.Model. It does no I/O and takes no lock.
func (m *model) Update(msg tea.Msg) (tea.Model, tea.Cmd) {
	switch msg := msg.(type) {
	case pane.EventsMsg:
		return m, m.takeEvents(msg)
	case ratesMsg:
		if msg.err == nil && msg.rates != m.world.Rates {
			m.world.Rates = msg.rates
			m.changed()
		}
		return m, m.trafficDue()
	case pane.PortsMsg:
		return m, m.takePorts(msg)
	case portsDueMsg:
		if int(msg) == m.portsRound {
			m.askingPorts = false
		}
		return m, m.askPorts()
	case watchedMsg:
		m.watching = false
		if api.Ref(msg) != m.shown {
			return m, m.watch()
		}
		return m, nil
	case trafficMsg:
		m.trafficTimer = false
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
		return m, m.runOffered(msg)
	}
	return m, m.takeAnswer(msg)
}

// takeAnswer takes what a command brought.
func (m *model) takeAnswer(msg tea.Msg) tea.Cmd {
	switch msg := msg.(type) {
	case subscribedMsg:
		if msg.err != nil {
			return m.lostStream(msg.err)
		}
		m.events = msg.events
		return tea.Batch(m.do.snapshot(), m.do.next(m.events), m.toPanes(pane.ReconnectedMsg{}))
	case streamEndedMsg:
		return m.lostStream(msg.err)
	case resubscribeMsg:
		return m.do.subscribe()
	case statusMsg:
		if msg.err != nil {
			return m.failWith("ask the core", msg.err)
		}
		m.world.Status, m.world.Pages = msg.status, nil
		return nil
	case engineMsg:
		if msg.err == nil {
			m.world.ApplyEngine(msg.engine, msg.after)
		}
		return m.countLost()
	case sandboxesMsg:
		return m.takeSandboxes(msg)
	case linksMsg:
		if msg.err != nil {
			return m.failWith("list the previews", msg.err)
		}
		m.world.Links, m.world.Pages = msg.list, nil
		return m.toPanes(msg)
	case recentMsg:
		for _, x := range msg {
			m.world.ApplyExchange(x)
		}
		return nil
	case socketsMsg:
		m.world.ApplySockets(msg)
		return nil
	case leaveMsg:
		return m.leave()
	case doneMsg:
		if msg.err != nil {
			return m.failWith(msg.what, msg.err)
		}
		return tea.Batch(m.say(msg.did), m.do.sandboxes(), m.do.links())
	case lostMsg:
		m.lostTimer = false
		return m.countLost()
	case noteOverMsg:
		if int(msg) == m.noteAge && !m.note.failed {
			m.note = note{}
		}
		return nil
	}
	return m.takeFlow(msg)
}

// takeFlow takes the steps of actions that have several.
func (m *model) takeFlow(msg tea.Msg) tea.Cmd {
	switch msg := msg.(type) {
	case workMsg:
		return m.work(msg)
	case workedMsg:
		return m.worked(msg)
	case injectedMsg:
		return m.afterInject(msg)
	case form.CreatedMsg:
		return m.afterCreate(msg)
	case form.ActionMsg:
		return m.formWants(msg)
	case shareMsg:
		return m.share(msg)
	case sharedMsg:
		return m.afterShare(msg)
	case vncMsg:
		return m.afterVNC(msg)
	case openedMsg:
		return m.afterOpen(msg)
	case copiedMsg:
		return m.afterCopy(msg)
	case demoMsg:
		if msg.err != nil {
			return m.failWith("start the demo", msg.err)
		}
		m.list.Select(msg.link.Sandbox)
		return tea.Batch(m.arrange(), m.do.sandboxes(), m.do.links(), m.open(m.world.PageURL(msg.link), "demo"))
	case pane.SayMsg:
		return m.say(string(msg))
	case pane.FailMsg:
		return m.failWith(msg.Action, msg.Err)
	case shellEndedMsg:
		var cmds []tea.Cmd
		if m.mouse {
			cmds = append(cmds, tea.EnableMouseCellMotion) // Bubble Tea restores all else
		}
		if msg.err != nil {
			cmds = append(cmds, m.failWith("shell", msg.err))
		}
		return tea.Batch(cmds...)
	}
	return m.toPanes(msg)
}

// toPanes passes a message on to all that may want it.
func (m *model) toPanes(msg tea.Msg) tea.Cmd {
	var cmds []tea.Cmd
	for _, p := range m.panes {
		if p, ok := p.(pane.Listener); ok {
			cmds = append(cmds, p.HandleMsg(msg))
		}
	}
	for _, o := range m.overlays {
		cmds = append(cmds, o.HandleMsg(msg))
	}
	return tea.Batch(cmds...)
}

func (m *model) lostStream(err error) tea.Cmd {
	if m.do.Ctx.Err() != nil {
		return nil
	}
	m.log.Warn("no events from the core", "error", err)
	return tea.Tick(resubscribeAfter, func(time.Time) tea.Msg { return resubscribeMsg{} })
}

func (m *model) takeSandboxes(msg sandboxesMsg) tea.Cmd {
	if msg.err != nil {
		if m.world.Engine.State == "lost" {
			return nil // the header says so
		}
		return m.failWith("list the sandboxes", msg.err)
	}
	m.world.ApplyList(msg.list, msg.after)
	m.list.Refresh()
	return tea.Batch(m.arrange(), m.countLost(), m.toPanes(msg))
}

func (m *model) takeEvents(batch pane.EventsMsg) tea.Cmd {
	m.do.taken++
	c := m.world.Apply(batch, m.do.taken)
	cmds := []tea.Cmd{m.do.next(m.events)}
	if c.Visible {
		m.changed()
		m.list.Refresh()
		cmds = append(cmds, m.arrange(), m.askPorts())
	}
	if c.Exchanges {
		cmds = append(cmds, m.trafficSoon())
	}
	if c.UnknownLink {
		cmds = append(cmds, m.do.links())
	}
	if c.NewPorts != nil {
		cmds = append(cmds, m.tellPorts(c.NewPorts))
	}
	if slices.ContainsFunc(batch, func(e api.Event) bool { return e.Engine != nil }) {
		cmds = append(cmds, m.tried())
	}
	if c.EngineLost {
		cmds = append(cmds, m.countLost())
	}
	if c.EngineBack {
		cmds = append(cmds, m.say(m.engineBack()), m.do.snapshot())
	}
	return tea.Batch(append(cmds, m.toPanes(batch))...)
}

// trafficSoon looks at rates and link counts once a second while there is traffic.
func (m *model) trafficSoon() tea.Cmd {
	if m.trafficTimer {
		return nil
	}
	m.trafficTimer = true
	return tea.Tick(trafficEvery, func(time.Time) tea.Msg { return trafficMsg{} })
}

// trafficDue goes on looking until the last bar has left the header.
func (m *model) trafficDue() tea.Cmd {
	if m.world.Rates.Spark == ([60]int{}) {
		return nil
	}
	return m.trafficSoon()
}

// askPorts asks what listens in the chosen sandbox, if somebody there can tell,
// and then again every portsEvery. Another sandbox is another round.
func (m *model) askPorts() tea.Cmd {
	if s, ok := m.chosen(); !ok || s.Daemon.State != api.DaemonHealthy || m.askingPorts {
		return nil
	}
	m.askingPorts = true
	return m.do.ports(m.list.Selected, m.portsRound)
}

func (m *model) takePorts(msg pane.PortsMsg) tea.Cmd {
	before, known := m.world.Ports[msg.Ref]
	var again tea.Cmd
	if round := msg.Round; round == m.portsRound {
		again = tea.Tick(portsEvery, func(time.Time) tea.Msg { return portsDueMsg(round) })
	}
	if samePorts(before, msg) {
		return again
	}
	m.world.Ports[msg.Ref] = world.PortList{Cards: msg.Cards, Err: msg.Err}
	m.world.Pages = nil // what answers on a port is part of a link's words
	m.changed()
	cmds := []tea.Cmd{again, m.toPanes(msg)}
	if known && before.Err == nil {
		var came []api.PortCard
		for _, card := range msg.Cards {
			if !card.Daemon && !slices.ContainsFunc(before.Cards, func(o api.PortCard) bool { return o.Port.Port == card.Port.Port }) {
				card.Sandbox = msg.Ref
				came = append(came, card)
			}
		}
		if came != nil {
			cmds = append(cmds, m.tellPorts(came))
		}
	}
	return tea.Batch(cmds...)
}

func samePorts(before world.PortList, now pane.PortsMsg) bool {
	if (before.Err == nil) != (now.Err == nil) {
		return false
	}
	return before.Cards != nil && slices.EqualFunc(before.Cards, now.Cards, func(a, b api.PortCard) bool {
		return a.Port == b.Port && a.Service == b.Service && a.Name == b.Name && a.Warning == b.Warning && a.Label == b.Label && slices.Equal(a.Remarks, b.Remarks)
	})
}

// engineBack says that the engine is back, and what that means.
func (m *model) engineBack() string {
	now := m.options.Now()
	switch n := m.world.ActiveLinks(now) - len(m.world.LinksOf(api.Host, now)); n { // those to this machine went on working
	case 0:
		return "engine back"
	case 1:
		return "engine back " + m.look.Glyph.Dot + " 1 preview works again"
	default:
		return fmt.Sprintf("engine back %s %s work again", m.look.Glyph.Dot, format.Count(n, "preview"))
	}
}

// countLost redraws once a second while the header counts how long the engine is lost.
func (m *model) countLost() tea.Cmd {
	if !m.engineLost() || m.lostTimer {
		return nil
	}
	m.lostTimer = true
	return tea.Tick(time.Second, func(time.Time) tea.Msg { return lostMsg{} })
}

// isCancelled says whether err is only the end that somebody asked for, and not
// that of a deadline.
func isCancelled(err error) bool {
	return !errors.Is(err, context.DeadlineExceeded) && (errors.Is(err, context.Canceled) || errors.Is(err, &api.Problem{Code: api.CodeCancelled}))
}
