package tui

import (
	"fmt"
	"slices"
	"time"

	tea "github.com/charmbracelet/bubbletea"

	"daemon-proxy/core/api"
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

// follower keeps the world current beside the events: it watches the selected
// sandbox, asks for its ports, and counts while something changes by the second.
type follower struct {
	*desk
	news *portNews

	watched      api.Ref // the sandbox that the panes and the core's Watch are at
	watching     bool    // a call of Watch is running
	askingPorts  bool    // ports are asked for, or will be in a moment
	portsRound   int     // changes with the selected sandbox
	trafficTimer bool    // rates and links are due
	lostTimer    bool    // the countdown of a lost engine is due
	retrying     bool    // the lost engine is retried on request
}

// selection follows another sandbox if another one is selected.
func (f *follower) selection() tea.Cmd {
	if f.watched == f.list.Selected {
		return nil
	}
	f.watched, f.askingPorts = f.list.Selected, true // in a moment, if it is still selected then
	f.portsRound++
	round := f.portsRound
	return tea.Batch(f.watch(), tea.Tick(portsAfter, func(time.Time) tea.Msg { return portsDueMsg(round) }))
}

// portsDue asks for the ports of the sandbox that was selected in that round.
func (f *follower) portsDue(round int) tea.Cmd {
	if round == f.portsRound {
		f.askingPorts = false
	}
	return f.askPorts()
}

// watchDone watches the sandbox that was selected during the last call.
func (f *follower) watchDone(ref api.Ref) tea.Cmd {
	f.watching = false
	if ref == f.watched {
		return nil
	}
	return f.watch()
}

// watch reports the watched sandbox to the core, one call after the other.
func (f *follower) watch() tea.Cmd {
	if f.watching {
		return nil
	}
	f.watching = true
	ref, backend := f.watched, f.do.backend
	return func() tea.Msg { backend.Watch(ref); return watchedMsg(ref) }
}

// askPorts asks what listens in the chosen sandbox, if somebody there can tell,
// and then again every portsEvery. Another sandbox is another round.
func (f *follower) askPorts() tea.Cmd {
	if s, ok := f.selected(); !ok || s.Daemon.State != api.DaemonHealthy || f.askingPorts {
		return nil
	}
	f.askingPorts = true
	return f.do.ports(f.list.Selected, f.portsRound)
}

func (f *follower) takePorts(msg pane.PortsMsg) tea.Cmd {
	before, known := f.world.Ports[msg.Ref]
	var again tea.Cmd
	if round := msg.Round; round == f.portsRound {
		again = tea.Tick(portsEvery, func(time.Time) tea.Msg { return portsDueMsg(round) })
	}
	if samePorts(before, msg) {
		return again
	}
	f.world.Ports[msg.Ref] = world.PortList{Cards: msg.Cards, Err: msg.Err}
	f.world.Pages = nil // what answers on a port is part of a link's words
	f.changed()
	cmds := []tea.Cmd{again, f.toPanes(msg)}
	if known && before.Err == nil {
		var came []api.PortCard
		for _, card := range msg.Cards {
			if !card.Daemon && !slices.ContainsFunc(before.Cards,
				func(o api.PortCard) bool { return o.Port.Port == card.Port.Port }) {
				card.Sandbox = msg.Ref
				came = append(came, card)
			}
		}
		if came != nil {
			cmds = append(cmds, f.news.tell(came))
		}
	}
	return tea.Batch(cmds...)
}

// trafficSoon looks at rates and link counts once a second while there is traffic.
func (f *follower) trafficSoon() tea.Cmd {
	if f.trafficTimer {
		return nil
	}
	f.trafficTimer = true
	return tea.Tick(trafficEvery, func(time.Time) tea.Msg { return trafficMsg{} })
}

// trafficDue goes on looking until the last bar has left the header.
func (f *follower) trafficDue() tea.Cmd {
	if f.world.Rates.Spark == ([60]int{}) {
		return nil
	}
	return f.trafficSoon()
}

// countLost redraws once a second while the header counts how long the engine is lost.
func (f *follower) countLost() tea.Cmd {
	if !f.engineLost() || f.lostTimer {
		return nil
	}
	f.lostTimer = true
	return tea.Tick(time.Second, func(time.Time) tea.Msg { return lostMsg{} })
}

// tried says how the retry of a lost engine ended.
func (f *follower) tried() tea.Cmd {
	e := f.world.Engine
	if !f.retrying || e.State == "lost" && e.RetryAt == nil { // it is being asked
		return nil
	}
	f.retrying = false
	switch {
	case e.State != "lost":
		return nil // that it is back is said anyway
	case e.Error == nil:
		return f.notes.fail("the engine does not answer", "")
	}
	return f.notes.fail(e.Error.Error(), e.Error.Hint)
}

// engineBack says that the engine is back, and what that means.
func (f *follower) engineBack() string {
	now := f.options.Now()
	// Links to this machine worked all the time.
	switch n := f.world.ActiveLinks(now) - len(f.world.LinksOf(api.Host, now)); n {
	case 0:
		return "engine back"
	case 1:
		return "engine back " + f.look.Glyph.Dot + " 1 preview works again"
	default:
		return fmt.Sprintf("engine back %s %s work again", f.look.Glyph.Dot, format.Count(n, "preview"))
	}
}

func (f *follower) lostStream(err error) tea.Cmd {
	if f.do.Ctx.Err() != nil {
		return nil
	}
	f.log.Warn("no events from the core", "error", err)
	return tea.Tick(resubscribeAfter, func(time.Time) tea.Msg { return resubscribeMsg{} })
}

// refresh asks for everything again and says how that ended; an event reports
// what became of a lost engine.
func (f *follower) refresh() tea.Cmd {
	f.retrying = f.world.Engine.State == "lost"
	trying, did, backend := "refreshing", "up to date", f.do.backend
	if f.retrying {
		trying, did = "trying the engine", ""
	}
	retry := f.do.act(pane.Quick, "try the engine", did, backend.RetryEngine)
	f.portsRound++
	f.askingPorts = false
	return tea.Batch(tea.ClearScreen, f.notes.tell(trying+f.look.Glyph.Ellipsis),
		tea.Sequence(retry, f.do.snapshot()), f.askPorts(), f.logs().retry())
}

func samePorts(before world.PortList, now pane.PortsMsg) bool {
	if (before.Err == nil) != (now.Err == nil) {
		return false
	}
	return before.Cards != nil && slices.EqualFunc(before.Cards, now.Cards, func(a, b api.PortCard) bool {
		return a.Port == b.Port && a.Service == b.Service && a.Name == b.Name && a.Warning == b.Warning &&
			a.Label == b.Label && slices.Equal(a.Remarks, b.Remarks)
	})
}
