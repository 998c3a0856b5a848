package tui

import (
	"context"
	"time"

	tea "github.com/charmbracelet/bubbletea"

	"daemon-proxy/core/api"
	"daemon-proxy/tui/format"
	"daemon-proxy/tui/pane"
	"daemon-proxy/tui/shell"
)

// sandboxActions are the actions on sandboxes. The core checks the state again
// before it acts.
type sandboxActions struct {
	desktops
	waiting     map[api.Ref]bool // injections started by this UI
	thenDesktop map[api.Ref]bool // injections after which the desktop is opened
}

// shellEndedMsg is the end of a shell: its exit code, or why there was none.
type shellEndedMsg struct {
	ref  api.Ref
	code int
	err  error
}

// vnc opens the desktop of the selected sandbox; if it has no daemon, vnc injects
// one first and then continues.
func (a *sandboxActions) vnc() tea.Cmd {
	s, ok := a.selected()
	if !ok {
		return nil
	}
	if s.Daemon.State == api.DaemonHealthy {
		return working("looking for the desktop of "+a.Named(s.Ref), a.find(s.Ref))
	}
	a.thenDesktop[s.Ref] = true
	return a.injectInto(s.Ref)
}

type injectedMsg struct {
	ref api.Ref
	at  time.Time // when it ended
	err error
}

func (a *sandboxActions) notKept(ref api.Ref) string {
	return a.Named(ref) + ": cancelled, nothing was kept"
}

type demoMsg = answer[api.Link]

// inject starts an injection into the selected sandbox; its steps come as events.
func (a *sandboxActions) inject() tea.Cmd { return a.injectInto(a.list.Selected) }

func (a *sandboxActions) injectInto(ref api.Ref) tea.Cmd {
	if a.waiting[ref] {
		return nil // one runs
	}
	a.waiting[ref] = true
	a.World.BeginInjection(ref)
	backend, now := a.do.backend, a.Now
	return a.Do(pane.Slow, func(ctx context.Context) tea.Msg {
		err := backend.Inject(ctx, ref, nil)
		return injectedMsg{ref, now(), err}
	})
}

// checkUp shows a diagnosis of the way to the selected sandbox.
func (a *sandboxActions) checkUp() tea.Cmd {
	ref, backend := a.list.Selected, a.do.backend
	c, cmd := newCheckup(a.Ctx, a.Look, "The way to "+a.Named(ref), func(ctx context.Context, report func(api.Finding)) error {
		return backend.Diagnose(ctx, ref, report)
	})
	a.overlays.push(c)
	return cmd
}

func (a *sandboxActions) cancelInjection(ref api.Ref) tea.Cmd {
	what := "the injection into " + a.Named(ref)
	return a.change(ref, 2*pane.Quick, "cancelling "+what, "cancel "+what, a.notKept(ref), a.do.backend.CancelInjection)
}

func (a *sandboxActions) afterInject(msg injectedMsg) tea.Cmd {
	delete(a.waiting, msg.ref)
	a.World.EndInjection(msg.ref, msg.at)
	desktop := a.thenDesktop[msg.ref]
	delete(a.thenDesktop, msg.ref)
	cmds := []tea.Cmd{a.do.sandboxes()}
	switch {
	case msg.err == nil:
		a.World.DismissInjection(msg.ref)
		cmds = append(cmds, a.notes.say(a.Named(msg.ref)+": the daemon is ready"))
		if desktop {
			cmds = append(cmds, a.find(msg.ref))
		}
	case isCancelled(msg.err):
		a.World.DismissInjection(msg.ref)
		cmds = append(cmds, a.notes.say(a.notKept(msg.ref)))
	default:
		problem := &api.Problem{Detail: msg.err.Error()}
		if what, try := format.Explain(msg.err); try != "" {
			problem.Detail, problem.Hint = what, try
		}
		a.World.FailInjection(msg.ref, problem)
		cmds = append(cmds, a.notes.failWith("inject "+a.Named(msg.ref), msg.err))
	}
	return tea.Batch(cmds...)
}

func (a *sandboxActions) askStopDaemon() tea.Cmd {
	ref, name := a.list.Selected, a.Named(a.list.Selected)
	stop := a.change(ref, pane.Quick, "stopping the daemon in "+name, "stop the daemon in "+name,
		name+": the daemon has ended", a.do.backend.StopDaemon)
	return a.ask("Stop the daemon in "+name+"?", "stop", stop, "Its previews do not work until it is injected again.")
}

func (a *sandboxActions) askEject() tea.Cmd {
	ref, name := a.list.Selected, a.Named(a.list.Selected)
	eject := a.change(ref, 2*pane.Quick, "ejecting from "+name, "eject from "+name,
		name+": nothing of ours is left in it", a.do.backend.Eject)
	what := "The daemon is stopped, its binary and its log are taken out of the container."
	if s, ok := a.selected(); ok && s.Via == api.ViaHelper {
		what = "Its helper is removed. Nothing of ours is in the container."
	}
	return a.ask("Eject from "+name+"?", "eject", eject, what)
}

func (a *sandboxActions) startOrStop() tea.Cmd {
	s, ok := a.selected()
	if !ok {
		return nil
	}
	name := a.Named(s.Ref)
	if s.Container != api.ContainerRunning {
		return a.change(s.Ref, 2*pane.Quick, "starting "+name, "start "+name, name+" runs", a.do.backend.StartContainer)
	}
	stop := a.change(s.Ref, 4*pane.Quick, "stopping "+name, "stop "+name, name+" has stopped",
		a.do.backend.StopContainer)
	return a.ask("Stop the container "+name+"?", "stop", stop,
		"Everything in it ends; "+a.Key("container")+" starts it again.")
}

// change calls the core for a sandbox, with the words while it runs, in an error,
// and on success.
func (a *sandboxActions) change(
	ref api.Ref, deadline time.Duration, doing, what, did string, call func(context.Context, api.Ref) error,
) tea.Cmd {
	return working(doing, a.do.act(deadline, what, did, func(ctx context.Context) error { return call(ctx, ref) }))
}

func (a *sandboxActions) demo() tea.Cmd {
	return working("starting the demo sandbox", request(a.do, pane.Slow, a.do.backend.Demo))
}

// shell suspends the UI for a shell in the chosen container.
func (a *sandboxActions) shell() tea.Cmd {
	ref := a.list.Selected
	far := shell.New(a.Ctx, a.do.backend, ref)
	return tea.Exec(far, func(err error) tea.Msg { return shellEndedMsg{ref, far.ExitCode, err} })
}
