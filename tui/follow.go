package tui

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"time"

	tea "github.com/charmbracelet/bubbletea"

	"daemon-proxy/core/api"
	"daemon-proxy/tui/format"
	"daemon-proxy/tui/pane"
	"daemon-proxy/tui/phone"
	"daemon-proxy/tui/text"
	"daemon-proxy/tui/world"
)

const (
	trafficEvery = time.Second
	// portsAfter is how long a sandbox must be selected before its ports are
	// listed: moving the cursor past it makes no calls.
	portsAfter = 100 * time.Millisecond
	// portsEvery is for ports that close; a port that opens comes as an event.
	portsEvery = 30 * time.Second
	// doubtWithin is how soon a core answers that only was slow in one call.
	doubtWithin = 5 * time.Second
)

type (
	// The timers; each runs only while it is needed.
	resubscribeMsg int // the round of the outage
	trafficMsg     struct{}
	portsDueMsg    int
	lostMsg        struct{}

	// watchedMsg reports that the screen's Watch has returned.
	watchedMsg struct {
		ref api.Ref
		err error
	}
)

// follower keeps the world current in addition to the events: it watches the
// selected sandbox, lists its ports, and updates what changes every second.
type follower struct {
	*ui
	news *portNews

	screen       api.Screen // nil while none is attached
	leave        func()     // ends the stream of the screen
	doubting     bool       // a check whether the core answers is running
	attaching    bool       // a call of Attach is running
	watched      api.Ref    // the sandbox in the panes and of the screen's Watch
	watching     bool       // a call of Watch is running
	askingPorts  bool       // ports are being listed, or are about to be
	portsRound   int        // incremented with each newly selected sandbox
	trafficTimer bool       // rates and links are due
	lostTimer    bool       // the countdown of a lost engine is due
	retrying     bool       // the lost engine is retried on request
}

// self is the id of this screen; empty before it is attached.
func (f *follower) self() string {
	if f.screen == nil {
		return ""
	}
	return f.screen.ID()
}

// selection handles a change of the selected sandbox.
func (f *follower) selection() tea.Cmd {
	if f.watched == f.list.Selected {
		return nil
	}
	f.watched, f.askingPorts = f.list.Selected, true // in a moment, if it is still selected then
	f.portsRound++
	round := f.portsRound
	return tea.Batch(f.watch(), tea.Tick(portsAfter, func(time.Time) tea.Msg { return portsDueMsg(round) }))
}

// portsDue lists the ports of the sandbox that was selected in that round.
func (f *follower) portsDue(round int) tea.Cmd {
	if round == f.portsRound {
		f.askingPorts = false
	}
	return f.askPorts()
}

// watchDone watches the next sandbox if another was selected during the call.
func (f *follower) watchDone(msg watchedMsg) tea.Cmd {
	f.watching = false
	doubt := f.doubt(msg.err)
	if msg.ref == f.watched {
		return doubt
	}
	return tea.Batch(doubt, f.watch())
}

// attached begins to follow the core: everything is requested anew, and what is
// selected is watched.
func (f *follower) attached(screen api.Screen) tea.Cmd {
	f.screen = screen
	cmds := []tea.Cmd{f.do.snapshot(), f.do.next(screen), f.toPanes(pane.ReconnectedMsg{})}
	if f.outage.end() {
		cmds = append(cmds, f.notes.say(f.coreName()+" is back"))
	}
	if f.watched != (api.Ref{}) {
		cmds = append(cmds, f.watch())
	}
	return tea.Batch(cmds...)
}

// watch calls the screen's Watch, one call at a time.
func (f *follower) watch() tea.Cmd {
	if f.watching || f.screen == nil {
		return nil
	}
	f.watching = true
	ref, screen, log := f.watched, f.screen, f.log
	return f.do.Do(pane.Quick, func(ctx context.Context) tea.Msg {
		err := screen.Watch(ctx, ref)
		if err != nil {
			log.Warn("the core does not follow what is shown", "sandbox", ref.String(), "error", err)
		}
		return watchedMsg{ref, err}
	})
}

// askPorts lists the ports of the selected sandbox, if it has a daemon, and again
// every portsEvery. Each newly selected sandbox starts a new round.
func (f *follower) askPorts() tea.Cmd {
	if s, ok := f.selected(); !ok || s.Daemon.State != api.DaemonHealthy || f.askingPorts || f.outage.is() {
		return nil
	}
	f.askingPorts = true
	return f.do.ports(f.list.Selected, f.portsRound)
}

func (f *follower) takePorts(msg pane.PortsMsg) tea.Cmd {
	var again tea.Cmd
	if round := msg.Round; round == f.portsRound {
		again = tea.Tick(portsEvery, func(time.Time) tea.Msg { return portsDueMsg(round) })
	}
	changed, opened := f.World.SetPorts(msg.Ref, world.PortList{Cards: msg.Cards, Err: msg.Err})
	if !changed {
		return again
	}
	f.changed()
	cmds := []tea.Cmd{again, f.toPanes(msg), f.doubt(msg.Err)}
	if opened != nil {
		cmds = append(cmds, f.news.tell(opened))
	}
	return tea.Batch(cmds...)
}

// trafficSoon requests rates and links once a second while there is traffic.
func (f *follower) trafficSoon() tea.Cmd {
	if f.trafficTimer {
		return nil
	}
	f.trafficTimer = true
	return tea.Tick(trafficEvery, func(time.Time) tea.Msg { return trafficMsg{} })
}

// trafficDue repeats the requests until the header shows no traffic.
func (f *follower) trafficDue() tea.Cmd {
	if f.World.Rates().Spark == ([60]int{}) || f.outage.is() {
		return nil
	}
	return f.trafficSoon()
}

// countLost redraws once a second while the header counts how long the engine is
// lost, or when the core is tried again.
func (f *follower) countLost() tea.Cmd {
	counts := f.engineLost() || f.World.Several() && f.World.LostEngines() > 0 || f.outage.is()
	if !counts || f.lostTimer {
		return nil
	}
	f.lostTimer = true
	return tea.Tick(time.Second, func(time.Time) tea.Msg { return lostMsg{} })
}

// tried says how the retry of a lost engine ended.
func (f *follower) tried() tea.Cmd {
	e := f.World.Engine()
	if !f.retrying || f.World.EngineLost() && e.RetryAt == nil { // the retry is running
		return nil
	}
	f.retrying = false
	switch {
	case !f.World.EngineLost():
		return nil // another note reports that it is back
	case e.Error == nil:
		return f.notes.fail("the engine does not answer", "")
	}
	return f.notes.fail(e.Error.Error(), e.Error.Hint)
}

// engineBack returns the note that engines are back, and its consequences.
func (f *follower) engineBack(names []string) string {
	back := "engine back"
	if f.World.Several() {
		back = "engine " + text.Clean(strings.Join(names, ", ")) + " back"
	}
	n := 0
	for _, name := range names {
		n += f.World.ActiveLinks(f.Now(), name)
	}
	switch n {
	case 0:
		return back
	case 1:
		return back + " " + f.Glyph.Dot + " 1 preview works again"
	}
	return back + " " + f.Glyph.Dot + " " + format.Count(n, "preview") + " work again"
}

// lostStream tries the core again in a while: it has gone, or refuses. A reason
// that a person can do something about is shown once.
func (f *follower) lostStream(err error) tea.Cmd {
	if f.Ctx.Err() != nil {
		return nil
	}
	f.screen = nil
	level := slog.LevelWarn
	if f.outage.is() { // which may last for days
		level = slog.LevelDebug
	}
	f.log.Log(f.Ctx, level, "no events from the core", "error", err)
	wait := f.outage.failed(f.Now())
	f.outage.refused = refused(err)
	round := resubscribeMsg(f.outage.round)
	cmds := []tea.Cmd{f.endShares(), f.countLost(), tea.Tick(wait, func(time.Time) tea.Msg { return round })}
	if p := reasonOf(err); p != nil && p.Detail != f.outage.said {
		f.outage.said = p.Detail
		cmds = append(cmds, f.notes.fail(format.Explain(p)))
	}
	return tea.Batch(cmds...)
}

// doubt checks whether the core answers at all after a call that it did not answer
// in time: a core that hangs keeps its event stream open.
func (f *follower) doubt(err error) tea.Cmd {
	if !errors.Is(err, context.DeadlineExceeded) || f.screen == nil || f.doubting {
		return nil
	}
	f.doubting = true
	screen, status := f.screen, f.do.backend.Status
	return f.do.Do(doubtWithin, func(ctx context.Context) tea.Msg {
		_, err := status(ctx)
		return doubtedMsg{screen, err}
	})
}

// doubted ends the stream of a core that does not answer; lostStream follows.
func (f *follower) doubted(msg doubtedMsg) tea.Cmd {
	f.doubting = false
	if msg.err != nil && msg.screen == f.screen {
		f.leave()
	}
	return nil
}

// endShares closes the screens with codes: a listener ends with the connection to
// the core, and does not come back with it.
func (f *follower) endShares() tea.Cmd {
	var cmds []tea.Cmd
	for _, over := range slices.Clone(f.overlays) {
		if p, ok := over.(*phone.Screen); ok {
			p.Cancel()
			f.overlays.close(p)
			cmds = append(cmds, f.notes.fail("the network can no longer reach "+p.Title()+": "+f.coreName()+" was lost",
				"show it on a phone again when the core is back"))
		}
	}
	return tea.Batch(cmds...)
}

// reasonOf returns why the core is lost, nil if there is no more to say than that
// nothing answers: it refuses, or what leads to it, such as ssh, has a problem.
func reasonOf(err error) *api.Problem {
	p, ok := errors.AsType[*api.Problem](err)
	if ok && p.Code == api.CodeCoreUnreachable {
		p, ok = errors.AsType[*api.Problem](p.Cause)
	}
	if !ok {
		return nil
	}
	return p
}

// refused reports whether the core itself said no.
func refused(err error) bool {
	p, ok := errors.AsType[*api.Problem](err)
	return ok && p.Code != api.CodeCoreUnreachable
}

// resubscribe tries the core again, unless it was tried since that round began.
func (f *follower) resubscribe(round resubscribeMsg) tea.Cmd {
	if int(round) != f.outage.round {
		return nil
	}
	return f.subscribe()
}

// subscribe attaches the screen, one call at a time.
func (f *follower) subscribe() tea.Cmd {
	if f.attaching {
		return nil
	}
	f.attaching = true
	return f.do.subscribe()
}

// subscribed takes the answer.
func (f *follower) subscribed(msg subscribedMsg) tea.Cmd {
	f.attaching = false
	if msg.err != nil {
		return f.lostStream(msg.err)
	}
	f.leave = msg.leave
	return f.attached(msg.screen)
}

// retryCore tries the core now.
func (f *follower) retryCore() tea.Cmd {
	f.outage.round++
	f.outage.retry = f.Now()
	return tea.Batch(f.notes.tell("trying "+f.coreName()+f.Glyph.Ellipsis), f.subscribe())
}

// refresh requests everything again and reports the outcome; that of a lost
// engine comes as an event.
func (f *follower) refresh() tea.Cmd {
	if f.outage.is() {
		return f.retryCore()
	}
	f.retrying = f.World.EngineLost()
	trying, did, backend := "refreshing", "up to date", f.do.backend
	if f.retrying {
		trying, did = "trying the engine", ""
	}
	retry := f.do.act(pane.Quick, "try the engine", did, backend.RetryEngine)
	f.portsRound++
	f.askingPorts = false
	return tea.Batch(tea.ClearScreen, f.notes.tell(trying+f.Glyph.Ellipsis),
		tea.Sequence(retry, f.do.snapshot()), f.askPorts(), f.logs().Retry())
}
