package logs

import (
	"testing"
	"time"

	tea "github.com/charmbracelet/bubbletea"
	"github.com/stretchr/testify/require"

	"daemon-proxy/core/api"
	"daemon-proxy/tui/draw"
	"daemon-proxy/tui/pane"
)

func TestALogThatHasEndedIsOpenedWhenItGoesOn(t *testing.T) {
	t.Parallel()
	sandbox := func(change func(*api.Sandbox)) pane.EventsMsg {
		s := box
		change(&s)
		return pane.EventsMsg{{Kind: api.EventSandbox, Sandbox: &s}}
	}
	engine := func(state string) pane.EventsMsg {
		return pane.EventsMsg{{Kind: api.EventEngine, Engine: &api.EngineStatus{Name: "default", State: state}}}
	}
	as := sandbox(func(*api.Sandbox) {})
	exited := sandbox(func(s *api.Sandbox) { s.Container = api.ContainerExited })
	restarted := sandbox(func(s *api.Sandbox) { s.Started = time.Date(2026, 5, 4, 14, 2, 30, 0, time.UTC) })
	down := sandbox(func(s *api.Sandbox) { s.Daemon.State = api.DaemonDown })
	type retry struct{} // the user's R
	// send sends events as the root model does: the world has applied them.
	send := func(p *Pane, msg tea.Msg) {
		switch msg := msg.(type) {
		case retry:
			p.Retry()
			return
		case pane.EventsMsg:
			p.World.Apply(msg, 1)
		}
		p.HandleMsg(msg)
	}
	ends := func(p *Pane) { p.HandleMsg(streamMsg{opened: p.opened, stream: &stream{}, ended: errEnded}) }

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
		"the engine is lost":                 {ended: []tea.Msg{engine("lost"), as, retry{}}},
		"the engine is lost after a restart": {runs: []tea.Msg{restarted, engine("lost")}},
		"it exits after the daemon was down": {source: api.LogDaemon,
			runs: []tea.Msg{down, as, exited}},
		"R": {ended: []tea.Msg{retry{}}, opened: 1},
		"the daemon is healthy again": {source: api.LogDaemon, ended: []tea.Msg{down, as},
			opened: 1},
		"the daemon's container runs, the daemon does not yet": {source: api.LogDaemon, ended: []tea.Msg{exited, down}},
		"this program's goes on whatever they do": {source: api.LogProgram,
			ended: []tea.Msg{exited, as, engine("lost"), engine("connected")}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := shown(t)
			for c.source != "" && p.currentSource() != c.source {
				p.NextSource()
			}
			first := p.opened
			for _, msg := range c.runs {
				send(p, msg)
			}
			require.Equal(t, first, p.opened, "it is open")
			ends(p)
			for _, msg := range c.ended {
				send(p, msg)
			}
			require.Equal(t, c.opened, p.opened-first)
			if c.opened == 0 {
				return
			}
			require.True(t, p.loading)
			now, _ := p.World.Sandbox(box.Ref)
			for range 3 { // it ends at once
				ends(p)
				send(p, pane.EventsMsg{{Kind: api.EventSandbox, Sandbox: &now}})
				p.World.ApplyList([]api.Sandbox{now}, 1)
				p.HandleMsg(nil)
			}
			require.Equal(t, c.opened, p.opened-first, "once for each time that it goes on")
		})
	}
}

func TestALogThatIsReadIsNotOpenedAgainUntilItIsFollowed(t *testing.T) {
	t.Parallel()
	p := shown(t)
	s := box
	p.HandleMsg(streamMsg{opened: p.opened, stream: &stream{}, lines: numbered(0, 100, "last words"), ended: errEnded})
	p.Move(draw.Up)
	first := p.opened
	for _, state := range []string{api.ContainerExited, api.ContainerRunning} {
		s.Container = state
		event := pane.EventsMsg{{Kind: api.EventSandbox, Sandbox: &s}}
		p.World.Apply(event, 1)
		p.HandleMsg(event)
	}
	p.Retry()
	require.Equal(t, first, p.opened)
	require.Contains(t, said(p), "last words")
	p.Follow()
	require.Equal(t, first+1, p.opened)
}
