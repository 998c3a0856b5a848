package tui

import (
	"testing"

	"github.com/stretchr/testify/require"

	"daemon-proxy/core/api"
	"daemon-proxy/tui/pane"
)

func TestANewStreamBringsWhatWasMissed(t *testing.T) {
	t.Parallel()
	s := loaded(t, newFake(), 120, 40, nil)
	s.press("2")
	s.shows("/app/0.js")
	s.f.mu.Lock()
	s.f.exchanges = append([]api.Exchange{{ID: 300, Start: clock, Method: "GET", Path: "/missed", Status: 200,
		Sandbox: "my-sandbox"}}, s.f.exchanges...)
	s.f.mu.Unlock()
	s.send(resubscribeMsg(s.m.outage.round)) // what was told meanwhile is not told again
	s.shows("/missed")
}

func TestASnapshotThatIsOlderThanAnEventDoesNotUndoIt(t *testing.T) {
	t.Parallel()
	f := newFake()
	m := still(t, 120, 40, f, nil)
	sandboxes, engine := m.do.sandboxes()(), m.do.engines()()
	old, later := api.Ref{Engine: "default", Name: "old"}, api.Ref{Engine: "default", Name: "later"}
	m.Update(pane.EventsMsg{
		{Kind: api.EventSandbox, Sandbox: &api.Sandbox{Ref: webRef, Container: api.ContainerRunning,
			Daemon: api.Daemon{State: api.DaemonHealthy}}},
		{Kind: api.EventSandbox, Sandbox: &api.Sandbox{Ref: later}},
		{Kind: api.EventRemoved, Sandbox: &api.Sandbox{Ref: old}},
		{Kind: api.EventEngine, Engine: &api.EngineStatus{Name: "default", State: "lost"}},
	})
	snapshot := sandboxes.(sandboxesMsg)
	snapshot.value[1].Image = "another" // my-sandbox, of which no event told
	has := func(ref api.Ref) bool { _, ok := m.World.Sandbox(ref); return ok }
	m.Update(snapshot)
	m.Update(engine)
	web, _ := m.World.Sandbox(webRef)
	require.Equal(t, api.DaemonHealthy, web.Daemon.State)
	require.True(t, has(later))
	require.False(t, has(old))
	box, _ := m.World.Sandbox(boxRef)
	require.Equal(t, "another", box.Image)
	require.Equal(t, "lost", m.World.Engine().State)
	f.sandboxes = newFake().sandboxes
	m.Update(m.do.sandboxes()())
	m.Update(m.do.engines()())
	require.False(t, has(later), "what is asked for later holds")
	require.True(t, has(old))
	require.Equal(t, "connected", m.World.Engine().State)
}

func TestOnlyACountThatIsShownIsRedrawn(t *testing.T) {
	t.Parallel()
	f := newFake()
	f.engine.State = "lost"
	m := still(t, 120, 40, f, nil)
	require.True(t, m.follow.lostTimer)
	m.Update(lostMsg{})
	require.True(t, m.follow.lostTimer, "it goes on")

	f.sandboxes = f.sandboxes[:1] // the machine, no containers: the header has no count
	m = still(t, 120, 40, f, nil)
	require.Equal(t, "lost", m.World.Engine().State)
	require.False(t, m.follow.lostTimer)
}
