package tui

import (
	"context"
	"fmt"
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
	*ui
	waiting     map[api.Ref]bool // injections started by this UI
	thenDesktop map[api.Ref]bool // injections after which the desktop is opened
}

// shellEndedMsg is the end of a shell.
type shellEndedMsg struct{ err error }

// injectedMsg is the end of an injection.
type injectedMsg struct {
	ref api.Ref
	at  time.Time // when it ended
	err error
}

// notKept is the note for a cancelled injection.
func notKept(ref api.Ref) string { return ref.String() + ": cancelled, nothing was kept" }

type demoMsg struct {
	link api.Link
	err  error
}

// inject starts an injection into the selected sandbox; its steps come as events.
func (a *sandboxActions) inject() tea.Cmd { return a.injectInto(a.list.Selected) }

func (a *sandboxActions) injectInto(ref api.Ref) tea.Cmd {
	if a.waiting[ref] {
		return nil // one runs
	}
	a.waiting[ref] = true
	a.world.BeginInjection(ref)
	backend, now := a.do.backend, a.options.Now
	return a.do.Do(pane.Slow, func(ctx context.Context) tea.Msg {
		err := backend.Inject(ctx, ref, nil)
		return injectedMsg{ref, now(), err}
	})
}

// cancelInjection cancels and undoes any injection into ref.
func (a *sandboxActions) cancelInjection(ref api.Ref) tea.Cmd {
	backend, what := a.do.backend, "the injection into "+ref.String()
	return working("cancelling "+what, a.do.act(2*pane.Quick, "cancel "+what, notKept(ref),
		func(ctx context.Context) error { return backend.CancelInjection(ctx, ref) }))
}

func (a *sandboxActions) afterInject(msg injectedMsg) tea.Cmd {
	delete(a.waiting, msg.ref)
	a.world.EndInjection(msg.ref, msg.at)
	desktop := a.thenDesktop[msg.ref]
	delete(a.thenDesktop, msg.ref)
	cmds := []tea.Cmd{a.do.sandboxes()}
	switch {
	case msg.err == nil:
		a.world.DismissInjection(msg.ref)
		cmds = append(cmds, a.notes.say(msg.ref.String()+": the daemon is ready"))
		if desktop {
			cmds = append(cmds, a.desktop(msg.ref))
		}
	case isCancelled(msg.err):
		a.world.DismissInjection(msg.ref)
		cmds = append(cmds, a.notes.say(notKept(msg.ref)))
	default:
		problem := &api.Problem{Detail: msg.err.Error()}
		if what, try := format.Explain(msg.err); try != "" {
			problem.Detail, problem.Hint = what, try
		}
		a.world.FailInjection(msg.ref, problem)
		cmds = append(cmds, a.notes.failWith("inject "+msg.ref.String(), msg.err))
	}
	return tea.Batch(cmds...)
}

func (a *sandboxActions) askStopDaemon() tea.Cmd {
	ref, backend := a.list.Selected, a.do.backend
	return a.confirmThen(fmt.Sprintf("Stop the daemon in %s?", ref),
		"Its previews do not work until it is injected again.", "stop",
		working("stopping the daemon in "+ref.String(),
			a.do.act(pane.Quick, "stop the daemon in "+ref.String(), ref.String()+": the daemon has ended",
				func(ctx context.Context) error { return backend.StopDaemon(ctx, ref) })))
}

func (a *sandboxActions) askEject() tea.Cmd {
	ref, backend := a.list.Selected, a.do.backend
	return a.confirmThen(fmt.Sprintf("Eject from %s?", ref),
		"The daemon is stopped, its binary and its log are taken out of the container.", "eject",
		working("ejecting from "+ref.String(),
			a.do.act(2*pane.Quick, "eject from "+ref.String(), ref.String()+": nothing of ours is left in it",
				func(ctx context.Context) error { return backend.Eject(ctx, ref) })))
}

func (a *sandboxActions) startOrStop() tea.Cmd {
	s, ok := a.selected()
	if !ok {
		return nil
	}
	ref, backend := s.Ref, a.do.backend
	if s.Container != api.ContainerRunning {
		return working("starting "+ref.String(), a.do.act(2*pane.Quick, "start "+ref.String(), ref.String()+" runs",
			func(ctx context.Context) error { return backend.StartContainer(ctx, ref) }))
	}
	return a.confirmThen(fmt.Sprintf("Stop the container %s?", ref),
		"Everything in it ends; "+a.key("container")+" starts it again.", "stop",
		working("stopping "+ref.String(),
			a.do.act(4*pane.Quick, "stop "+ref.String(), ref.String()+" has stopped",
				func(ctx context.Context) error { return backend.StopContainer(ctx, ref) })))
}

func (a *sandboxActions) demo() tea.Cmd {
	backend := a.do.backend
	return working("starting the demo sandbox", a.do.Do(pane.Slow, func(ctx context.Context) tea.Msg {
		link, err := backend.Demo(ctx)
		return demoMsg{link, err}
	}))
}

// shell suspends the UI for a shell in the chosen container.
func (a *sandboxActions) shell() tea.Cmd {
	ref := a.list.Selected
	return tea.Exec(shell.New(a.do.Ctx, a.do.backend, ref),
		func(err error) tea.Msg { return shellEndedMsg{err} })
}
