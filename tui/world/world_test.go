package world

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"daemon-proxy/core/api"
)

var (
	clock = time.Date(2026, 7, 31, 12, 0, 0, 0, time.UTC)
	box   = api.Ref{Engine: "default", Name: "my-sandbox"}
)

func TestASnapshotEndsTheAccountOfTheEventsBeforeIt(t *testing.T) {
	t.Parallel()
	w := New()
	w.Apply([]api.Event{{Kind: api.EventSandbox, Sandbox: &api.Sandbox{Ref: api.Host}}}, 1)
	w.ApplyList(nil, 0)
	require.Len(t, w.Sandboxes(), 1, "the event is newer than the snapshot")
	w.ApplyList(nil, 1)
	require.Empty(t, w.Sandboxes())
	require.Empty(t, w.lastBatch)
}

func TestWhatIsKnownOfASandboxGoesWithIt(t *testing.T) {
	t.Parallel()
	w := New()
	w.ApplyList([]api.Sandbox{{Ref: box}, {Ref: api.Host}}, 0)
	w.SetLinks([]api.Link{{ID: "link", Sandbox: box, SandboxName: "my-sandbox", State: "active"}})
	w.SetPorts(box, PortList{Cards: []api.PortCard{{Port: api.Port{Port: 3000}}}})
	step := api.Injection{Sandbox: box, Step: api.StepCopy, State: "running"}
	socket := api.Exchange{ID: 500, Sandbox: "my-sandbox", LinkID: "link", Protocol: "websocket", Live: true}
	w.EndInjection(box, clock)
	w.Apply([]api.Event{
		{Kind: api.EventInjection, Time: clock.Add(time.Second), Injection: &step},
		{Kind: api.EventExchange, Exchange: &socket},
	}, 1)
	for what, n := range map[string]int{"recent": len(w.recent), "over": len(w.ended),
		"injections": len(w.byRef), "sockets": len(w.sockets), "ports": len(w.ports)} {
		require.NotZero(t, n, what)
	}
	removed := api.Event{Kind: api.EventRemoved, Sandbox: &api.Sandbox{Ref: box}}
	w.Apply([]api.Event{removed, {Kind: api.EventInjection, Time: clock.Add(time.Minute), Injection: &step}}, 2) // the last word comes late
	w.EndInjection(box, clock)
	require.Empty(t, w.recent)
	require.Empty(t, w.ended)
	require.Empty(t, w.byRef)
	require.Empty(t, w.sockets)
	require.NotContains(t, w.ports, box)
}

func TestRequestsOfAnEarlierRunOfTheCoreAreDropped(t *testing.T) {
	t.Parallel()
	w := New()
	at := func(id uint64) api.Exchange { return api.Exchange{ID: id, Sandbox: "web"} }
	ids := func() (ids []uint64) {
		for _, x := range w.Recent(api.Ref{Name: "web"}) {
			ids = append(ids, x.ID)
		}
		return ids
	}
	for _, id := range []uint64{5, 6, 12} { // 12 came as an event after the list was made
		w.ApplyExchange(at(id))
	}
	w.ApplyRecent([]api.Exchange{at(11), at(10)}, true)
	require.Equal(t, []uint64{12, 11, 10}, ids())
	w.ApplyRecent([]api.Exchange{at(20)}, false)
	require.Equal(t, []uint64{20, 12, 11, 10}, ids(), "there are more than the core has listed")
	w.ApplyRecent(nil, true)
	require.Empty(t, ids())
}

func TestRequestsForWhatIsNoSandboxAreNotKeptByName(t *testing.T) {
	t.Parallel()
	w := New()
	w.ApplyExchange(api.Exchange{ID: 1, Sandbox: "before the list"})
	require.Contains(t, w.recent, api.Ref{Name: "before the list"})
	w.ApplyList([]api.Sandbox{{Ref: box}, {Ref: api.Host}}, 0)
	require.Empty(t, w.recent)
	for _, name := range []string{"nobody", "my-sandbox"} {
		w.ApplyExchange(api.Exchange{ID: 2, Sandbox: name})
	}
	require.Len(t, w.recent, 1)
	require.Contains(t, w.recent, box)
}
