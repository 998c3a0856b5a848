package tui

import (
	"context"
	"fmt"
	"time"

	tea "github.com/charmbracelet/bubbletea"

	"daemon-proxy/core/api"
	"daemon-proxy/tui/dialog"
	"daemon-proxy/tui/format"
	"daemon-proxy/tui/pane"
	"daemon-proxy/tui/world"
)

// What is done to a sandbox. The core looks at the state again before it acts.

// injectedMsg is the end of an injection.
type injectedMsg struct {
	ref api.Ref
	at  time.Time // when it ended
	err error
}

// inject begins an injection into the chosen sandbox; its steps come as events.
func (m *model) inject() tea.Cmd { return m.injectInto(m.list.Selected) }

func (m *model) injectInto(ref api.Ref) tea.Cmd {
	if m.asked[ref] {
		return nil // one runs
	}
	m.asked[ref] = true
	m.world.Injections[ref] = &world.Injection{}
	backend, now := m.do.backend, m.options.Now
	return m.do.Do(pane.Slow, func(ctx context.Context) tea.Msg {
		err := backend.Inject(ctx, ref, nil)
		return injectedMsg{ref, now(), err}
	})
}

// notKept says how an injection ended that somebody cancelled.
func notKept(ref api.Ref) string { return ref.String() + ": cancelled, nothing was kept" }

// cancelInjection undoes the injection into ref, whoever began it.
func (m *model) cancelInjection(ref api.Ref) tea.Cmd {
	backend, what := m.do.backend, "the injection into "+ref.String()
	return working("cancelling "+what, m.do.act(2*pane.Quick, "cancel "+what, notKept(ref),
		func(ctx context.Context) error { return backend.CancelInjection(ctx, ref) }))
}

func (m *model) afterInject(msg injectedMsg) tea.Cmd {
	delete(m.asked, msg.ref)
	if !m.world.Unlisted(msg.ref.String()) {
		m.world.InjectionEnded[msg.ref] = msg.at
	}
	desktop := m.vncAfter[msg.ref]
	delete(m.vncAfter, msg.ref)
	cmds := []tea.Cmd{m.do.sandboxes()}
	switch in := m.world.Injections[msg.ref]; {
	case msg.err == nil:
		delete(m.world.Injections, msg.ref)
		cmds = append(cmds, m.say(msg.ref.String()+": the daemon is ready"))
		if desktop {
			cmds = append(cmds, m.desktop(msg.ref))
		}
	case isCancelled(msg.err):
		delete(m.world.Injections, msg.ref)
		cmds = append(cmds, m.say(notKept(msg.ref)))
	default:
		if in == nil { // no event told of it
			in = &world.Injection{}
			m.world.Injections[msg.ref] = in
		}
		in.Finished = true
		if in.Problem == nil {
			in.Problem = &api.Problem{Detail: msg.err.Error()}
			if what, try := format.Explain(msg.err); try != "" {
				in.Problem.Detail, in.Problem.Hint = what, try
			}
		}
		cmds = append(cmds, m.failWith("inject "+msg.ref.String(), msg.err))
	}
	return tea.Batch(cmds...)
}

// confirmThen asks before cmd is run.
func (m *model) confirmThen(title, effect, yes string, cmd tea.Cmd) tea.Cmd {
	m.push(&dialog.Confirm{Look: m.look, Title: title, Lines: []string{effect}, Yes: yes, No: "no", Run: cmd})
	return nil
}

func (m *model) askStopDaemon() tea.Cmd {
	ref, backend := m.list.Selected, m.do.backend
	return m.confirmThen(fmt.Sprintf("Stop the daemon in %s?", ref), "Its previews do not work until it is injected again.", "stop",
		working("stopping the daemon in "+ref.String(),
			m.do.act(pane.Quick, "stop the daemon in "+ref.String(), ref.String()+": the daemon has ended", func(ctx context.Context) error { return backend.StopDaemon(ctx, ref) })))
}

func (m *model) askEject() tea.Cmd {
	ref, backend := m.list.Selected, m.do.backend
	return m.confirmThen(fmt.Sprintf("Eject from %s?", ref), "The daemon is stopped, its binary and its log are taken out of the container.", "eject",
		working("ejecting from "+ref.String(),
			m.do.act(2*pane.Quick, "eject from "+ref.String(), ref.String()+": nothing of ours is left in it", func(ctx context.Context) error { return backend.Eject(ctx, ref) })))
}

func (m *model) startOrStop() tea.Cmd {
	s, ok := m.chosen()
	if !ok {
		return nil
	}
	ref, backend := s.Ref, m.do.backend
	if s.Container != api.ContainerRunning {
		return working("starting "+ref.String(), m.do.act(2*pane.Quick, "start "+ref.String(), ref.String()+" runs",
			func(ctx context.Context) error { return backend.StartContainer(ctx, ref) }))
	}
	return m.confirmThen(fmt.Sprintf("Stop the container %s?", ref), "Everything in it ends; "+m.keys.key("container")+" starts it again.", "stop",
		working("stopping "+ref.String(),
			m.do.act(4*pane.Quick, "stop "+ref.String(), ref.String()+" has stopped", func(ctx context.Context) error { return backend.StopContainer(ctx, ref) })))
}

type demoMsg struct {
	link api.Link
	err  error
}

func (m *model) demo() tea.Cmd {
	backend := m.do.backend
	return working("starting the demo sandbox", m.do.Do(pane.Slow, func(ctx context.Context) tea.Msg {
		link, err := backend.Demo(ctx)
		return demoMsg{link, err}
	}))
}
