package metrics

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"daemon-proxy/core/api"
)

func scrape(t *testing.T, m *Metrics) string {
	t.Helper()
	s := httptest.NewServer(m)
	defer s.Close()
	response, err := http.Get(s.URL)
	require.NoError(t, err)
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, response.StatusCode, string(text))
	return string(text)
}

func newMetrics(boxes ...api.Sandbox) *Metrics {
	return New(Options{
		Version: "1.2.3", Sandboxes: func() []api.Sandbox { return boxes },
		Open:    func() map[string]int { return map[string]int{"http": 0, "websocket": 2} },
		Dropped: func() uint64 { return 7 },
	})
}

var web = api.Ref{Engine: "default", Name: "web"}

func TestEverythingIsCounted(t *testing.T) {
	t.Parallel()
	m := newMetrics(api.Sandbox{Ref: web, Daemon: api.Daemon{State: api.DaemonHealthy, LatencyMS: 2.5}}, api.Sandbox{Ref: api.Host})
	for range 3 {
		m.Ended(api.Exchange{Ref: web, Port: 3000, Kind: "preview", Status: 204, BytesIn: 10, BytesOut: 20, FirstByte: 3 * time.Millisecond})
	}
	m.Ended(api.Exchange{Ref: web, Port: 3000, Kind: "proxy"})
	m.Ended(api.Exchange{Kind: "api", Status: 999})
	for range 2 {
		m.Event(api.Event{Injection: &api.Injection{State: "done"}})
	}
	m.Event(api.Event{Injection: &api.Injection{State: "done", Finished: true}})
	m.Event(api.Event{Injection: &api.Injection{State: "failed", Finished: true, Error: &api.Problem{}}})
	text := scrape(t, m)
	for _, line := range []string{
		`daemon_proxy_requests_total{class="2xx",port="3000",sandbox="default/web"} 3`,
		`daemon_proxy_requests_total{class="none",port="3000",sandbox="default/web"} 1`,
		`daemon_proxy_requests_total{class="none",port="",sandbox=""} 1`,
		`daemon_proxy_bytes_total{direction="in",port="3000",sandbox="default/web"} 30`,
		`daemon_proxy_bytes_total{direction="out",port="3000",sandbox="default/web"} 60`,
		`daemon_proxy_request_seconds_bucket{kind="preview",le="0.0025"} 0`,
		`daemon_proxy_request_seconds_bucket{kind="preview",le="0.005"} 3`,
		`daemon_proxy_injections_total{outcome="done"} 1`,
		`daemon_proxy_injections_total{outcome="failed"} 1`,
		`daemon_proxy_open_streams{protocol="websocket"} 2`,
		`daemon_proxy_daemon_state{sandbox="default/web",state="healthy"} 1`,
		`daemon_proxy_daemon_latency_seconds{sandbox="default/web"} 0.0025`,
		`daemon_proxy_request_log_dropped_total 7`,
		`daemon_proxy_build_info{version="1.2.3"} 1`,
	} {
		require.Contains(t, text, line+"\n")
	}
	require.NotContains(t, text, `daemon_proxy_daemon_latency_seconds{sandbox="host"}`)
}

func TestTheSeriesAreBoundedWhateverIsRequested(t *testing.T) {
	t.Parallel()
	var boxes []api.Sandbox
	for i := range 3000 {
		boxes = append(boxes, api.Sandbox{Ref: api.Ref{Engine: "default", Name: fmt.Sprintf("box-%d\xff", i)},
			Daemon: api.Daemon{State: api.DaemonHealthy, LatencyMS: 1}})
	}
	m := newMetrics(boxes...)
	for i := range 5000 {
		for status := 0; status < 600; status += 100 {
			m.Ended(api.Exchange{Ref: boxes[i%3000].Ref, Port: 1 + i, Kind: []string{"proxy", "preview", "api"}[i%3], Status: status,
				FirstByte: time.Millisecond})
		}
	}
	text := scrape(t, m)
	require.Less(t, len(regexp.MustCompile(`(?m)^[a-z]`).FindAllString(text, -1)), 2000)
	require.Contains(t, text, `daemon_proxy_requests_total{class="2xx",port="1",sandbox="default/box-0�"} 1`)
	require.Regexp(t, `daemon_proxy_requests_total{class="2xx",port="other",sandbox="other"} 48\d\d`, text)
}

func TestTheDashboardShowsWhatThereIs(t *testing.T) {
	t.Parallel()
	dashboard, err := os.ReadFile("../../deploy/grafana/daemon-proxy.json")
	require.NoError(t, err)
	require.True(t, json.Valid(dashboard))
	m := newMetrics(api.Sandbox{Ref: web, Daemon: api.Daemon{State: api.DaemonHealthy, LatencyMS: 1}})
	m.Ended(api.Exchange{Ref: web, Port: 1, Kind: "proxy", FirstByte: time.Millisecond})
	m.Event(api.Event{Injection: &api.Injection{Finished: true}})
	text := scrape(t, m)
	names := regexp.MustCompile(`\b(?:daemon_proxy|process)_[a-z_]+`).FindAllString(string(dashboard), -1)
	require.Greater(t, len(names), 10)
	for _, name := range names {
		require.Regexp(t, `(?m)^`+name+`[{ ]`, text)
	}
}

// BenchmarkEnded is what counting costs a request.
func BenchmarkEnded(b *testing.B) {
	m := newMetrics()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			m.Ended(api.Exchange{Ref: web, Port: 3000, Kind: "preview", Status: 200, BytesOut: 20, FirstByte: time.Millisecond})
		}
	})
}
