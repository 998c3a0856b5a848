package tui

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"daemon-proxy/core/api"
)

func TestWhatIsKnownOfASandboxGoesWithIt(t *testing.T) {
	t.Parallel()
	m := still(t, 120, 40, newFake(), nil)
	w := &m.world
	link := w.linksOf(boxRef, clock)[0]
	step := api.Injection{Sandbox: boxRef, Step: api.StepCopy, State: "running"}
	socket := api.Exchange{ID: 500, Sandbox: "my-sandbox", LinkID: link.ID, Protocol: "websocket", Live: true}
	m.afterInject(injectedMsg{ref: boxRef, at: clock})
	w.take([]api.Event{
		{Kind: api.EventInjection, Time: clock.Add(time.Second), Injection: &step}, {Kind: api.EventExchange, Exchange: &socket},
	})
	for what, n := range map[string]int{"recent": len(w.recent), "over": len(w.over), "injections": len(w.injections), "sockets": len(w.sockets), "ports": len(w.ports)} {
		require.NotZero(t, n, what)
	}
	removed := api.Event{Kind: api.EventRemoved, Sandbox: &api.Sandbox{Ref: boxRef}}
	w.take([]api.Event{removed, {Kind: api.EventInjection, Time: clock.Add(time.Minute), Injection: &step}}) // the last word comes late
	m.afterInject(injectedMsg{ref: boxRef, at: clock})
	require.Empty(t, w.recent)
	require.Empty(t, w.over)
	require.Empty(t, w.injections)
	require.Empty(t, w.sockets)
	require.NotContains(t, w.ports, boxRef)
}

func TestRequestsForWhatIsNoSandboxAreNotKeptByName(t *testing.T) {
	t.Parallel()
	m := newFresh(t)
	before := api.Exchange{ID: 1, Sandbox: "before the list"}
	m.world.take([]api.Event{{Kind: api.EventExchange, Exchange: &before}})
	require.Contains(t, m.world.recent, "before the list")
	m.Update(sandboxesMsg{list: newFake().sandboxes})
	require.Empty(t, m.world.recent)
	for _, name := range []string{"nobody", "web"} {
		m.world.take([]api.Event{{Kind: api.EventExchange, Exchange: &api.Exchange{ID: 2, Sandbox: name}}})
	}
	require.Len(t, m.world.recent, 1)
	require.Contains(t, m.world.recent, "web")
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
	s.f.exchanges = append([]api.Exchange{{ID: 300, Start: clock, Method: "GET", Path: "/missed", Status: 200, Sandbox: "my-sandbox"}}, s.f.exchanges...)
	s.f.mu.Unlock()
	s.send(resubscribeMsg{}) // what was told meanwhile is not told again
	s.shows("/missed")
}
