package client

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"daemon-proxy/core/api"
	"daemon-proxy/core/wiretest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// asked is what a server was asked.
type asked struct {
	mu   sync.Mutex
	seen []*http.Request
	body []string
}

func (a *asked) add(r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	a.mu.Lock()
	defer a.mu.Unlock()
	a.seen, a.body = append(a.seen, r.Clone(context.Background())), append(a.body, string(body))
}

func (a *asked) count() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.seen)
}

// serving is a client of a server that answers with h, and what it was asked.
func serving(t *testing.T, h http.HandlerFunc, options ...Option) (*Client, *asked) {
	t.Helper()
	got := &asked{}
	addr := wiretest.Serve(t, func(w http.ResponseWriter, r *http.Request) {
		got.add(r)
		h(w, r)
	})
	return of(t, "http://"+addr, options...), got
}

// of is a client whose connections end with the test.
func of(t *testing.T, url string, options ...Option) *Client {
	t.Helper()
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	c, err := New(url, options...)
	require.NoError(t, err)
	c.http.Transport = transport
	return c
}

func answer(w http.ResponseWriter, status int, kind string, value any) {
	w.Header().Set("Content-Type", kind)
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(value)
}

func TestAURLThatIsNoneIsRefused(t *testing.T) {
	t.Parallel()
	for _, url := range []string{"", "localhost:8080", "ftp://x", "http://", "http://a/?b", "http://a/#b", "http://[", "unix:///run/x"} {
		_, err := New(url)
		require.Error(t, err, url)
	}
	c, err := New("https://desk.example.com/under/")
	require.NoError(t, err)
	require.Equal(t, "https://desk.example.com/under", c.URL())
}

func closed(r io.ReadCloser, err error) error {
	if err != nil {
		return err
	}
	return r.Close()
}

func TestEachCallAsksForItsOwn(t *testing.T) {
	t.Parallel()
	c, got := serving(t, func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, `{"finished":true}`)
	}, WithAPIKey("the-key"))
	ctx := t.Context()
	calls := []struct {
		want string
		body string
		call func() error
	}{
		{"GET /health", "", func() error { _, err := c.Health(ctx); return err }},
		{"GET /daemon/status", "", func() error { _, err := c.DaemonStatus(ctx, api.Ref{}); return err }},
		{"GET /daemon/status?sandbox=a%26b", "", func() error { _, err := c.DaemonStatus(ctx, api.Ref{Name: "a&b"}); return err }},
		{"POST /api/preview/create", `{"port":3000}`, func() error { _, err := c.CreateLink(ctx, api.LinkRequest{Port: 3000}); return err }},
		{"GET /api/preview", "", func() error { _, err := c.Links(ctx); return err }},
		{"GET /api/preview/stats", "", func() error { _, err := c.LinkStats(ctx); return err }},
		{"DELETE /api/preview/a%2Fb", "", func() error { return c.RevokeLink(ctx, "a/b") }},
		{"GET /api/sandboxes", "", func() error { _, err := c.Sandboxes(ctx); return err }},
		{"GET /api/sandboxes/container:host/ports", "", func() error { _, err := c.Listeners(ctx, api.ParseRef("container:host")); return err }},
		{"POST /api/sandboxes/lab%2Fweb/stop", "", func() error { return c.StopDaemon(ctx, api.Ref{Engine: "lab", Name: "web"}) }},
		{"GET /api/sandboxes/web/ports?identify=true", "", func() error { _, err := c.Ports(ctx, api.Ref{Name: "web"}); return err }},
		{"POST /api/sandboxes/web/eject", "", func() error { return c.Eject(ctx, api.Ref{Name: "web"}) }},
		{"POST /api/sandboxes/web/stop", "", func() error { return c.StopDaemon(ctx, api.Ref{Name: "web"}) }},
		{"POST /api/sandboxes/web/container/start", "", func() error { return c.StartContainer(ctx, api.Ref{Name: "web"}) }},
		{"POST /api/sandboxes/web/container/stop", "", func() error { return c.StopContainer(ctx, api.Ref{Name: "web"}) }},
		{"GET /api/sandboxes/web/logs?follow=false&source=daemon&tail=5", "", func() error { return closed(c.Logs(ctx, api.Ref{Name: "web"}, api.LogDaemon, 5, false)) }},
		{"GET /api/sandboxes/web/logs?follow=true&source=container", "", func() error { return closed(c.Logs(ctx, api.Ref{Name: "web"}, api.LogContainer, -1, true)) }},
		{"POST /api/sandboxes/web/inject", "", func() error { return c.Inject(ctx, api.Ref{Name: "web"}, nil) }},
		{"DELETE /api/sandboxes/web/inject", "", func() error { return c.CancelInjection(ctx, api.Ref{Name: "web"}) }},
		{"GET /api/requests?filter=status%3A5xx+path%3A%2Fa&limit=3", "", func() error { _, err := c.Exchanges(ctx, "status:5xx path:/a", 3); return err }},
		{"GET /api/requests", "", func() error { _, err := c.Exchanges(ctx, "", 0); return err }},
		{"GET /api/requests/7", "", func() error { _, err := c.Exchange(ctx, 7); return err }},
		{"GET /api/requests/7/bodies", "", func() error { _, _, err := c.Bodies(ctx, 7); return err }},
		{"GET /api/requests/7/curl", "", func() error { _, err := c.Curl(ctx, 7); return err }},
		{"POST /api/requests/7/replay", "", func() error { _, err := c.Replay(ctx, 7); return err }},
		{"GET /api/requests.har?filter=status%3A5xx", "", func() error { _, err := c.HAR(ctx, "status:5xx"); return err }},
		{"GET /api/requests.har", "", func() error { _, err := c.HAR(ctx, ""); return err }},
		{"GET /api/rates", "", func() error { _, err := c.Rates(ctx); return err }},
		{"GET /api/status", "", func() error { _, err := c.Status(ctx); return err }},
		{"GET /api/engine", "", func() error { _, err := c.Engine(ctx); return err }},
		{"GET /api/engines", "", func() error { _, err := c.Engines(ctx); return err }},
		{"GET /api/engines/open", "", func() error { _, err := c.EngineStates(ctx); return err }},
		{"PUT /api/engines/lab", "", func() error { return c.OpenEngine(ctx, "lab") }},
		{"PUT /api/engines/unix:%2F%2F%2Fd.sock", "", func() error { return c.OpenEngine(ctx, "unix:///d.sock") }},
		{"DELETE /api/engines/lab", "", func() error { return c.CloseEngine(ctx, "lab") }},
		{"PUT /api/engine", `{"name":"lab"}`, func() error { return c.SwitchEngine(ctx, "lab") }},
		{"POST /api/engine/retry", "", func() error { return c.RetryEngine(ctx) }},
		{"POST /api/demo", "", func() error { _, err := c.Demo(ctx); return err }},
		{"POST /api/sandboxes/web/desktop", "", func() error { return c.StartDesktop(ctx, api.Ref{Name: "web"}) }},
		{"POST /api/sandboxes/web/inject/leave", "", func() error { return c.LeaveInjection(ctx, api.Ref{Name: "web"}) }},
	}
	for i, one := range calls {
		require.NoError(t, one.call(), one.want)
		r := got.seen[i]
		require.Equal(t, one.want, r.Method+" "+r.RequestURI)
		require.Equal(t, "the-key", r.Header.Get("X-API-Key"), one.want)
		require.Equal(t, one.body, got.body[i], one.want)
		require.False(t, strings.HasPrefix(r.UserAgent(), "Mozilla/"), "the guard would take it for a browser")
	}
	require.Equal(t, len(calls), got.count())
}

func TestAProblemIsTyped(t *testing.T) {
	t.Parallel()
	sent := api.Problem{Title: "Stopped", Status: 503, Code: api.CodeSandboxStopped, Detail: "web does not run", Hint: "docker start web", Sandbox: "web"}
	c, got := serving(t, func(w http.ResponseWriter, _ *http.Request) {
		answer(w, 503, "application/problem+json", sent)
	})
	_, err := c.CreateLink(t.Context(), api.LinkRequest{Port: 80})
	problem, ok := errors.AsType[*api.Problem](err)
	require.True(t, ok, "%v", err)
	require.Equal(t, sent, *problem)
	require.ErrorIs(t, err, &api.Problem{Code: api.CodeSandboxStopped})
	require.Contains(t, err.Error(), "web does not run")
	require.Equal(t, 1, got.count(), "an answer is no reason to ask again")
}

func TestWhatIsNoDaemonProxyIsNamed(t *testing.T) {
	t.Parallel()
	c, _ := serving(t, func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "<h1>nginx</h1>", http.StatusNotFound)
	})
	_, err := c.Sandboxes(t.Context())
	require.ErrorIs(t, err, &api.Problem{Code: api.CodeBadUpstream})
	require.NotContains(t, err.Error(), "nginx")
}

func TestNoRedirectTakesTheKeyAway(t *testing.T) {
	t.Parallel()
	_, elsewhere := serving(t, func(http.ResponseWriter, *http.Request) {})
	thief, stolen := serving(t, func(http.ResponseWriter, *http.Request) {})
	c, _ := serving(t, func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, thief.URL(), http.StatusTemporaryRedirect)
	}, WithAPIKey("the-key"))
	_, err := c.Health(t.Context())
	require.Error(t, err)
	require.Zero(t, stolen.count()+elsewhere.count())
}

// cutter hangs up on the first n requests, once it has read them.
func cutter(n int64, h http.HandlerFunc) http.HandlerFunc {
	var seen atomic.Int64
	return func(w http.ResponseWriter, r *http.Request) {
		if seen.Add(1) <= n {
			panic(http.ErrAbortHandler)
		}
		h(w, r)
	}
}

func TestAReadingCallIsRepeatedAndAChangingOneIsNot(t *testing.T) {
	t.Parallel()
	ok := func(w http.ResponseWriter, _ *http.Request) {
		answer(w, 200, "application/json", api.Health{Status: "healthy"})
	}
	c, got := serving(t, cutter(2, ok))
	health, err := c.Health(t.Context())
	require.NoError(t, err)
	require.Equal(t, "healthy", health.Status)
	require.Equal(t, 3, got.count())

	c, got = serving(t, cutter(99, ok))
	_, err = c.Health(t.Context())
	require.Error(t, err)
	require.Equal(t, maxTries, got.count(), "not for ever")

	for name, call := range map[string]func(*Client) error{
		"create": func(c *Client) error { _, err := c.CreateLink(t.Context(), api.LinkRequest{Port: 80}); return err },
		"revoke": func(c *Client) error { return c.RevokeLink(t.Context(), "id") },
		"stop":   func(c *Client) error { return c.StopDaemon(t.Context(), api.Ref{Name: "web"}) },
		"eject":  func(c *Client) error { return c.Eject(t.Context(), api.Ref{Name: "web"}) },
		"inject": func(c *Client) error { return c.Inject(t.Context(), api.Ref{Name: "web"}, nil) },
		"leave":  func(c *Client) error { return c.LeaveInjection(t.Context(), api.Ref{Name: "web"}) },
		"switch": func(c *Client) error { return c.SwitchEngine(t.Context(), "lab") },
		"demo":   func(c *Client) error { _, err := c.Demo(t.Context()); return err },
		"replay": func(c *Client) error { _, err := c.Replay(t.Context(), 7); return err },
	} {
		c, got := serving(t, cutter(1, ok))
		require.Error(t, call(c), name)
		require.Equal(t, 1, got.count(), name)
	}
}

// A connection that did not come about has carried nothing.
func TestACreateWaitsForAServerThatIsJustStarting(t *testing.T) {
	t.Parallel()
	var dials atomic.Int64
	c, got := serving(t, func(w http.ResponseWriter, _ *http.Request) { answer(w, 200, "application/json", api.Link{Token: "t"}) })
	transport := &http.Transport{DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
		if dials.Add(1) < 3 {
			address = "127.0.0.1:1"
		}
		var d net.Dialer
		return d.DialContext(ctx, network, address)
	}}
	defer transport.CloseIdleConnections()
	c.http.Transport = transport
	link, err := c.CreateLink(t.Context(), api.LinkRequest{Port: 80})
	require.NoError(t, err)
	require.Equal(t, "t", link.Token)
	require.Equal(t, 1, got.count())
}

func TestTheEndOfTheContextEndsACall(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	c, got := serving(t, func(_ http.ResponseWriter, r *http.Request) {
		cancel()
		<-r.Context().Done()
	})
	_, err := c.Health(ctx)
	require.ErrorIs(t, err, context.Canceled)
	require.Equal(t, 1, got.count())
}

func TestNoErrorShowsAToken(t *testing.T) {
	t.Parallel()
	token := strings.Repeat("k3", 13)
	c := of(t, "http://127.0.0.1:1")
	err := c.RevokeLink(t.Context(), token)
	require.Error(t, err)
	require.NotContains(t, err.Error(), token)
}

// A server that never stops answering fills no memory.
func TestATextHasABound(t *testing.T) {
	t.Parallel()
	const most = 1 << 10
	for size, fits := range map[int]bool{most: true, most + 1: false} {
		c, _ := serving(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(make([]byte, size)) })
		text, err := c.read(t.Context(), "/api/requests.har", "application/json", most)
		if fits {
			require.NoError(t, err)
			require.Len(t, text, size)
			continue
		}
		require.ErrorContains(t, err, "more than 1024 bytes")
		require.Empty(t, text)
	}
}
