package tui

import (
	"fmt"
	"runtime"
	"testing"

	"github.com/charmbracelet/x/ansi"
	"github.com/stretchr/testify/require"

	"daemon-proxy/core/api"
	"daemon-proxy/tui/pane"
)

// grown is how many MiB of memory f leaves behind, of what keep refers to.
// Tests that measure it do not run beside others.
func grown(keep any, f func()) float64 {
	var before, after runtime.MemStats
	runtime.GC()
	runtime.GC() // what pools hold goes with the second
	runtime.ReadMemStats(&before)
	f()
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&after)
	runtime.KeepAlive(keep)
	return (float64(after.HeapAlloc) - float64(before.HeapAlloc)) / (1 << 20)
}

// requestNews is the news of n requests from id on.
func requestNews(id, n int) pane.EventsMsg {
	batch := make(pane.EventsMsg, n)
	for i := range batch {
		batch[i] = api.Event{Kind: api.EventExchange, Exchange: &api.Exchange{
			ID: uint64(id + i), Sandbox: "my-sandbox", Method: "GET",
			Path: fmt.Sprintf("/static/%d.js?%0100d", id+i, 7), Status: 200, Start: clock}}
	}
	return batch
}

//nolint:paralleltest // it measures the heap of the process
func TestS41TheListOfRequestsIsBounded(t *testing.T) {
	f := newFake()
	m := still(t, 120, 40, f, nil)
	m.follow.screen = fakeScreen{fake: f}
	m.goTo(tabRequests)
	mib := grown(m, func() {
		for id := 1000; id < 61_000; id += 1000 {
			m.Update(requestNews(id, 1000))
		}
	})
	t.Logf("%.1f MiB", mib)
	require.Less(t, mib, 12.0, "60,000 requests of half a KiB were kept")
	require.Regexp(t, `1[01],\d{3} requests`, ansi.Strip(m.View()))
	require.Contains(t, m.View(), "/static/60999.js")
}

//nolint:paralleltest // it measures the heap of the process
func TestS41TheRecentRequestsOfASandboxAreBounded(t *testing.T) {
	m := still(t, 120, 40, newFake(), nil)
	mib := grown(m, func() {
		for id := 1000; id < 4_000; id += 1000 {
			m.World.Apply(requestNews(id, 1000), 1)
		}
	})
	t.Logf("%.1f MiB", mib)
	require.Less(t, mib, 1.0, "3,000 requests of half a KiB were kept")
	require.Contains(t, m.View(), "/static/3999.js")
}
