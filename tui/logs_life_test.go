package tui

import (
	"testing"

	tea "github.com/charmbracelet/bubbletea"
	"github.com/stretchr/testify/require"

	"daemon-proxy/core/api"
	"daemon-proxy/tui/draw"
	"daemon-proxy/tui/pane"
)

func TestALogThatHasEndedIsOpenedWhenItGoesOn(t *testing.T) {
	t.Parallel()
	box := newFake().sandboxes[1]
	sandbox := func(change func(*api.Sandbox)) pane.EventsMsg {
		s := box
		change(&s)
		return pane.EventsMsg{{Kind: api.EventSandbox, Sandbox: &s}}
	}
	engine := func(state string) pane.EventsMsg {
		e := newFake().engine
		e.State = state
		return pane.EventsMsg{{Kind: api.EventEngine, Engine: &e}}
	}
	as := sandbox(func(*api.Sandbox) {})
	exited := sandbox(func(s *api.Sandbox) { s.Container = api.ContainerExited })
	restarted := sandbox(func(s *api.Sandbox) { s.Started = clock })
	down := sandbox(func(s *api.Sandbox) { s.Daemon.State = api.DaemonDown })
	key := func(name string) tea.Msg { return tea.KeyMsg{Type: tea.KeyRunes, Runes: []rune(name)} }
	ends := func(m *model, p *logs) { m.Update(logMsg{opened: p.opened, stream: &logStream{}, ended: errLogEnded}) }

	for name, c := range map[string]struct {
		source string
		runs   []tea.Msg // before the stream ends
		ended  []tea.Msg // and after
		opened int       // how often more than at first
	}{
		"the container runs again":           {ended: []tea.Msg{exited, as}, opened: 1},
		"nothing else opens it":              {ended: []tea.Msg{as, down, as, exited}},
		"it was seen again before the end":   {runs: []tea.Msg{exited, as}, opened: 1},
		"it was restarted between two looks": {ended: []tea.Msg{restarted}, opened: 1},
		"the engine is back": {ended: []tea.Msg{engine("lost"),
			engine("connected")}, opened: 1},
		"the engine is lost":                 {ended: []tea.Msg{engine("lost"), as, key("R")}},
		"the engine is lost after a restart": {runs: []tea.Msg{restarted, engine("lost")}},
		"it exits after the daemon was down": {source: api.LogDaemon,
			runs: []tea.Msg{down, as, exited}},
		"R": {ended: []tea.Msg{key("R")}, opened: 1},
		"the daemon is healthy again": {source: api.LogDaemon, ended: []tea.Msg{down, as},
			opened: 1},
		"the daemon's container runs, the daemon does not yet": {source: api.LogDaemon, ended: []tea.Msg{exited, down}},
		"this program's goes on whatever they do": {source: api.LogProgram,
			ended: []tea.Msg{exited, as, engine("lost"), engine("connected")}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m, p := logsShown(t)
			for c.source != "" && p.currentSource() != c.source {
				p.nextSource()
			}
			first := p.opened
			for _, msg := range c.runs {
				m.Update(msg)
			}
			require.Equal(t, first, p.opened, "it is open")
			ends(m, p)
			for _, msg := range c.ended {
				m.Update(msg)
			}
			require.Equal(t, c.opened, p.opened-first)
			if c.opened == 0 {
				return
			}
			require.True(t, p.loading)
			now, _ := m.world.Sandbox(boxRef)
			for range 3 { // it ends at once
				ends(m, p)
				m.Update(pane.EventsMsg{{Kind: api.EventSandbox, Sandbox: &now}})
				m.Update(sandboxesMsg{list: []api.Sandbox{now}})
			}
			require.Equal(t, c.opened, p.opened-first, "once for each time that it goes on")
		})
	}
}

func TestALogThatIsReadIsNotOpenedAgainUntilItIsFollowed(t *testing.T) {
	t.Parallel()
	m, p := logsShown(t)
	box := newFake().sandboxes[1]
	m.Update(logMsg{opened: p.opened, stream: &logStream{}, lines: logLines(0, 100, "last words"), ended: errLogEnded})
	p.Move(draw.Up)
	first := p.opened
	for _, state := range []string{api.ContainerExited, api.ContainerRunning} {
		box.Container = state
		m.Update(pane.EventsMsg{{Kind: api.EventSandbox, Sandbox: &box}})
	}
	m.Update(tea.KeyMsg{Type: tea.KeyRunes, Runes: []rune("R")})
	require.Equal(t, first, p.opened)
	require.Contains(t, said(p), "last words")
	p.follow()
	require.Equal(t, first+1, p.opened)
}
