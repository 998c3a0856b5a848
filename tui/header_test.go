package tui

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"daemon-proxy/core/api"
)

// headerOf is the first line of a desk in a window of that width.
func headerOf(t *testing.T, f *fake, width int) string {
	t.Helper()
	line, _, _ := strings.Cut(loaded(t, f, width, 30, nil).text(), "\n")
	return line
}

func TestAWideHeaderHasTheWholeTraffic(t *testing.T) {
	t.Parallel()
	for width, engine := range map[int]string{110: "5 containers · 2 previews",
		120: " default · 5 containers · 2 previews", 132: "engine default 28.5 · 5 containers · 2 previews"} {
		f := newFake()
		f.rates.PerSecond, f.rates.P99 = 1200, 42*time.Millisecond
		f.status.URL = "http://127.0.0.1:8080"
		got := headerOf(t, f, width)
		require.Contains(t, got, "▇█ ▁▂▃▄▅ 1200 req/s  p50 1.2ms  p99 42ms", "%d", width)
		require.Contains(t, got, engine, "%d", width)
	}
}

func TestRatesAreAskedForOnlyWhileThereIsTraffic(t *testing.T) {
	t.Parallel()
	inProcess(t, "the clock is made up")
	synctest.Test(t, func(t *testing.T) {
		t.Cleanup(func() { <-time.After(2 * time.Minute) }) // timers that have begun end
		f := newFake()
		s := loaded(t, f, 120, 40, nil)
		during := func(d time.Duration) int {
			before := len(f.calls("Rates")) + len(f.calls("Links"))
			s.pass(d)
			return len(f.calls("Rates")) + len(f.calls("Links")) - before
		}
		require.InDelta(t, 20, during(10*time.Second), 2, "once a second while the header shows traffic")
		f.mu.Lock()
		f.rates = api.Rates{}
		f.mu.Unlock()
		s.pass(2 * time.Second) // the last look finds nothing
		require.Zero(t, during(10*time.Minute))
		f.add(api.Exchange{ID: 300, Start: clock, Method: "GET", Path: "/", Status: 200, Sandbox: "my-sandbox"})
		require.Equal(t, 2, during(10*time.Minute), "one look for one request")
	})
}

func TestAHeaderSaysThatTheEngineIsLostBeforeItSaysMore(t *testing.T) {
	t.Parallel()
	for width, words := range map[int]string{60: "✕ engine lost ", 80: "✕ engine lost 12s ago ",
		110: "engine default ✕ lost 12s ago · retry in 3s (R now)",
		120: "engine default ✕ lost 12s ago · retry in 3s (R now)"} {
		f := newFake()
		retry := clock.Add(2500 * time.Millisecond)
		f.engine = api.EngineStatus{Name: "default", State: "lost", Since: clock.Add(-12 * time.Second),
			RetryAt: &retry}
		require.Contains(t, headerOf(t, f, width), words, "%d", width)
	}
}
