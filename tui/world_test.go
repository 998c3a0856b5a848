package tui

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"daemon-proxy/core/api"
	"daemon-proxy/tui/pane"
)

func TestWhatIsKnownOfASandboxGoesWithIt(t *testing.T) {
	t.Parallel()
	m := still(t, 120, 40, newFake(), nil)
	w := &m.world
	link := w.LinksOf(boxRef, clock)[0]
	step := api.Injection{Sandbox: boxRef, Step: api.StepCopy, State: "running"}
	socket := api.Exchange{ID: 500, Sandbox: "my-sandbox", LinkID: link.ID, Protocol: "websocket", Live: true}
	m.sandboxes.afterInject(injectedMsg{ref: boxRef, at: clock})
	w.Apply([]api.Event{
		{Kind: api.EventInjection, Time: clock.Add(time.Second), Injection: &step},
		{Kind: api.EventExchange, Exchange: &socket},
	}, 1)
	for what, n := range map[string]int{"recent": len(w.Recent), "over": len(w.InjectionEnded),
		"injections": len(w.Injections), "sockets": len(w.Sockets), "ports": len(w.Ports)} {
		require.NotZero(t, n, what)
	}
	removed := api.Event{Kind: api.EventRemoved, Sandbox: &api.Sandbox{Ref: boxRef}}
	w.Apply([]api.Event{removed, {Kind: api.EventInjection, Time: clock.Add(time.Minute), Injection: &step}}, 2) // the last word comes late
	m.sandboxes.afterInject(injectedMsg{ref: boxRef, at: clock})
	require.Empty(t, w.Recent)
	require.Empty(t, w.InjectionEnded)
	require.Empty(t, w.Injections)
	require.Empty(t, w.Sockets)
	require.NotContains(t, w.Ports, boxRef)
}

func TestRequestsForWhatIsNoSandboxAreNotKeptByName(t *testing.T) {
	t.Parallel()
	m := newFresh(t)
	before := api.Exchange{ID: 1, Sandbox: "before the list"}
	m.world.Apply([]api.Event{{Kind: api.EventExchange, Exchange: &before}}, 1)
	require.Contains(t, m.world.Recent, "before the list")
	m.Update(sandboxesMsg{list: newFake().sandboxes})
	require.Empty(t, m.world.Recent)
	for _, name := range []string{"nobody", "web"} {
		m.world.Apply([]api.Event{{Kind: api.EventExchange, Exchange: &api.Exchange{ID: 2, Sandbox: name}}}, 2)
	}
	require.Len(t, m.world.Recent, 1)
	require.Contains(t, m.world.Recent, "web")
}

func newFresh(t *testing.T) *model {
	t.Helper()
	m, err := newModel(t.Context(), newFake(), Options{})
	require.NoError(t, err)
	return m
}

func TestANewStreamBringsWhatWasMissed(t *testing.T) {
	t.Parallel()
	s := loaded(t, newFake(), 120, 40, nil)
	s.press("2")
	s.shows("/app/0.js")
	s.f.mu.Lock()
	s.f.exchanges = append([]api.Exchange{{ID: 300, Start: clock, Method: "GET", Path: "/missed", Status: 200,
		Sandbox: "my-sandbox"}}, s.f.exchanges...)
	s.f.mu.Unlock()
	s.send(resubscribeMsg{}) // what was told meanwhile is not told again
	s.shows("/missed")
}

func TestASnapshotThatIsOlderThanAnEventDoesNotUndoIt(t *testing.T) {
	t.Parallel()
	f := newFake()
	m := still(t, 120, 40, f, nil)
	sandboxes, engine := m.do.sandboxes()(), m.do.engine()()
	old, later := api.Ref{Engine: "default", Name: "old"}, api.Ref{Engine: "default", Name: "later"}
	m.Update(pane.EventsMsg{
		{Kind: api.EventSandbox, Sandbox: &api.Sandbox{Ref: webRef, Container: api.ContainerRunning,
			Daemon: api.Daemon{State: api.DaemonHealthy}}},
		{Kind: api.EventSandbox, Sandbox: &api.Sandbox{Ref: later}},
		{Kind: api.EventRemoved, Sandbox: &api.Sandbox{Ref: old}},
		{Kind: api.EventEngine, Engine: &api.EngineStatus{State: "lost"}},
	})
	snapshot := sandboxes.(sandboxesMsg)
	snapshot.list[1].Image = "another" // my-sandbox, of which no event told
	has := func(ref api.Ref) bool { _, ok := m.world.Sandbox(ref); return ok }
	m.Update(snapshot)
	m.Update(engine)
	web, _ := m.world.Sandbox(webRef)
	require.Equal(t, api.DaemonHealthy, web.Daemon.State)
	require.True(t, has(later))
	require.False(t, has(old))
	box, _ := m.world.Sandbox(boxRef)
	require.Equal(t, "another", box.Image)
	require.Equal(t, "lost", m.world.Engine.State)
	f.sandboxes = newFake().sandboxes
	m.Update(m.do.sandboxes()())
	m.Update(m.do.engine()())
	require.False(t, has(later), "what is asked for later holds")
	require.True(t, has(old))
	require.Equal(t, "connected", m.world.Engine.State)
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
	require.Equal(t, "lost", m.world.Engine.State)
	require.False(t, m.follow.lostTimer)
}
