package server

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"daemon-proxy/core/api"
	"daemon-proxy/core/daemon"
	"daemon-proxy/core/preview"
	"daemon-proxy/core/wiretest"
)

// requireProblem checks that an answer is a problem document of that code.
func requireProblem(t testing.TB, got wiretest.Answer, code string) api.Problem {
	t.Helper()
	require.Equal(t, "application/problem+json", got.Header.Get("Content-Type"), got.Body)
	require.Equal(t, "no-store", got.Header.Get("Cache-Control"))
	require.Equal(t, "nosniff", got.Header.Get("X-Content-Type-Options"))
	var p api.Problem
	require.NoError(t, json.Unmarshal([]byte(got.Body), &p), got.Body)
	require.Equal(t, code, p.Code, got.Body)
	require.Equal(t, got.StatusCode, p.Status)
	require.NotEmpty(t, p.Title)
	require.NotEmpty(t, p.Detail)
	require.NotEmpty(t, p.Hint)
	return p
}

// navigates is what a browser says when a person goes somewhere.
var navigates = []string{"User-Agent: Mozilla/5.0", "Accept: text/html,*/*", "Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: document", "Sec-Fetch-Site: cross-site"}

// failures are what may be wrong with a link to a port of "web".
var failures = []struct {
	name    string
	breakIt func(t *testing.T, f *front, link api.Link)
	status  int
	code    string
	waits   bool // it may mend itself
}{
	{"nothing listens", func(*testing.T, *front, api.Link) {}, 502, api.CodePortClosed, true},
	{"revoked", func(t *testing.T, f *front, link api.Link) {
		_, err := f.links.Revoke(link.Token)
		require.NoError(t, err)
	}, 410, api.CodeLinkRevoked, false},
	{"daemon down", func(_ *testing.T, f *front, _ api.Link) {
		f.boxes.change("web", func(b *box) { b.up.Dial = closedDial; b.up.Pool = "gone" })
	}, 503, api.CodeDaemonDown, true},
	{"sandbox stopped", func(_ *testing.T, f *front, _ api.Link) {
		f.boxes.change("web", func(b *box) {
			b.err = &api.Problem{Title: "Sandbox stopped", Status: 503, Code: api.CodeSandboxStopped, Detail: "web does not run", Hint: "docker start web", Sandbox: "web"}
		})
	}, 503, api.CodeSandboxStopped, true},
	{"sandbox gone", func(_ *testing.T, f *front, _ api.Link) {
		f.boxes.mu.Lock()
		defer f.boxes.mu.Unlock()
		delete(f.boxes.known, "web")
	}, 503, api.CodeSandboxMissing, true},
	{"error that nobody knows", func(_ *testing.T, f *front, _ api.Link) {
		f.boxes.change("web", func(b *box) { b.err = errors.New("the inner workings") })
	}, 500, api.CodeInternal, false},
}

// closedPort is a port that nothing listens on until the test ends: the near
// end of a connection.
func closedPort(t testing.TB) int {
	t.Helper()
	l := wiretest.Listen(t)
	defer l.Close()
	for {
		c, err := net.Dial("tcp", l.Addr().String())
		require.NoError(t, err)
		t.Cleanup(func() { c.Close() })
		if port := wiretest.Port(t, c.LocalAddr()); !daemon.IsPort(port) {
			return port
		}
	}
}

func TestP10EachFailureHasItsAnswer(t *testing.T) {
	t.Parallel()
	for _, failure := range failures {
		t.Run(failure.name, func(t *testing.T) {
			t.Parallel()
			f := newFront(t, newDaemon(t))
			port := closedPort(t)
			link := f.link(port)
			failure.breakIt(t, f, link)
			for _, m := range f.modes(link) {
				start := time.Now()
				got := f.get(m.prefix+"/", "Host: "+m.host)
				require.Less(t, time.Since(start), wiretest.Patience)
				require.Equal(t, failure.status, got.StatusCode, m.name)
				requireProblem(t, got, failure.code)
				require.NotContains(t, got.Body, "inner workings")
				retry := ""
				if failure.status == 503 {
					retry = "2"
				}
				require.Equal(t, retry, got.Header.Get("Retry-After"), m.name)

				page := f.get(m.prefix+"/", append(navigates, "Host: "+m.host)...)
				require.Equal(t, failure.status, page.StatusCode)
				require.Equal(t, retry, page.Header.Get("Retry-After"), m.name)
				requirePage(t, page, failure.code, failure.waits)
				if failure.code == api.CodePortClosed {
					require.Contains(t, page.Body, "web:"+strconv.Itoa(port))
				}
				for _, asset := range [][]string{{"Sec-Fetch-Mode: no-cors", "Sec-Fetch-Dest: script"}, {"Sec-Fetch-Mode: cors", "Accept: text/html"}} {
					headers := append(append([]string{}, asset...), "User-Agent: Mozilla/5.0", "Sec-Fetch-Site: same-origin", "Host: "+m.host)
					requireProblem(t, f.get(m.prefix+"/app.js", headers...), failure.code)
				}
			}
		})
	}
}

func requirePage(t testing.TB, page wiretest.Answer, code string, waits bool) {
	t.Helper()
	require.Equal(t, "text/html; charset=utf-8", page.Header.Get("Content-Type"))
	require.Equal(t, "no-store", page.Header.Get("Cache-Control"))
	require.Contains(t, page.Header.Get("Content-Security-Policy"), "frame-ancestors 'none'")
	require.Contains(t, page.Body, code)
	require.Equal(t, waits, strings.Contains(page.Body, `http-equiv="refresh"`), page.Body)
	require.NotContains(t, page.Body, "<script")
}

func TestP10ADaemonThatNothingIsHeardOfIsDown(t *testing.T) {
	t.Parallel()
	f := newFront(t, "127.0.0.1:1")
	f.boxes.change("web", func(b *box) {
		b.up.Dial = func(ctx context.Context) (net.Conn, error) { <-ctx.Done(); return nil, ctx.Err() }
	})
	start := time.Now()
	got := f.get("/preview/" + f.link(3000).Token + "/")
	require.Equal(t, 503, got.StatusCode)
	requireProblem(t, got, api.CodeDaemonDown)
	require.Less(t, time.Since(start), wiretest.Patience)
}

func TestP10UnknownLinksAllLookAlike(t *testing.T) {
	t.Parallel()
	f := newFront(t, "127.0.0.1:1")
	unknown := strings.Repeat("a", 32)
	first := f.get("/preview/" + unknown + "/")
	require.Equal(t, 404, first.StatusCode)
	requireProblem(t, first, api.CodeUnknownLink)
	for _, path := range []string{"/preview/b/", "/preview/" + strings.Repeat("c", 32) + "/x?y", "/preview/" + unknown} {
		got := f.get(path)
		require.Equal(t, 404, got.StatusCode, path)
		require.Equal(t, first.Body, got.Body, path)
	}
	require.Equal(t, first.Body, f.get("/", "Host: "+unknown+"."+f.host).Body)
	requireProblem(t, f.get("/nothing"), api.CodeUnknownRoute)
	require.Zero(t, f.boxes.dials.Load())
}

func TestP10ExpiredIsGone(t *testing.T) {
	t.Parallel()
	f := newFront(t, "127.0.0.1:1")
	ttl := time.Millisecond
	link := f.linkOf(preview.Request{Sandbox: web, Port: 3000, TTL: &ttl})
	for _, m := range f.modes(link) {
		require.Eventually(t, func() bool { return f.get(m.prefix+"/", "Host: "+m.host).StatusCode == http.StatusGone }, wiretest.Patience, time.Millisecond)
		requireProblem(t, f.get(m.prefix+"/", "Host: "+m.host), api.CodeLinkExpired)
	}
}

func TestP10AServicesOwn502Passes(t *testing.T) {
	t.Parallel()
	f, s := newStack(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Cache-Control", "max-age=5")
		w.WriteHeader(http.StatusBadGateway)
		_, _ = io.WriteString(w, "<h1>my own</h1>")
	})
	for _, m := range f.ways(s.port) {
		got := f.get(m.prefix+"/", "Host: "+m.host)
		require.Equal(t, 502, got.StatusCode)
		require.Equal(t, "<h1>my own</h1>", got.Body)
		require.Equal(t, "max-age=5", got.Header.Get("Cache-Control"))
	}
}

func TestP10AFormThatFailsGetsAPageThatStays(t *testing.T) {
	t.Parallel()
	f := newFront(t, newDaemon(t))
	for _, m := range f.modes(f.link(closedPort(t))) {
		page := f.do("POST", m.prefix+"/form", "a=b", append(navigates, "Host: "+m.host)...)
		require.Equal(t, 502, page.StatusCode)
		requirePage(t, page, api.CodePortClosed, false) // loading it again would be a GET
	}
}

func TestP10OwnLoopIsFound(t *testing.T) {
	t.Parallel()
	f := newFront(t, newDaemon(t), func(s *settings) {
		s.boxes.known["web"].up.Loopback = true
	})
	port := strconv.Itoa(f.o.Config.Server.Port)
	got := f.do("POST", "/api/preview/create", `{"port":`+port+`}`, "Content-Type: application/json")
	require.Equal(t, 409, got.StatusCode)
	requireProblem(t, got, api.CodeLoop)

	// A link that was made before the front moved to that port.
	link := f.link(f.o.Config.Server.Port)
	for _, m := range append(f.modes(link), way{host: f.host, prefix: "/proxy/" + port}) {
		for _, inner := range []string{"/proxy/" + port + "/", "/health", "/preview/" + link.Token + "/", "/api/preview"} {
			before := f.boxes.dials.Load()
			got := f.get(m.prefix+inner, "Host: "+m.host)
			require.Equal(t, 508, got.StatusCode, inner)
			requireProblem(t, got, api.CodeLoop)
			require.LessOrEqual(t, f.boxes.dials.Load()-before, int64(1), "on the first return")
		}
	}
	typed := f.get("/proxy/"+port+"/", "Sec-Fetch-Site: none", "Sec-Fetch-Mode: navigate", "Accept: text/html")
	require.Contains(t, []int{307, 409}, typed.StatusCode)
}

func TestP10AReturnToAPreviewsHostIsFound(t *testing.T) {
	t.Parallel()
	f, s := newStack(t, nil)
	for _, m := range f.ways(s.port) { // a daemon that leaves the Host as it is comes back like this
		got := f.get(m.prefix+"/", "Host: "+m.host, "CDN-Loop: other-cdn", "CDN-Loop: a, "+f.loopID)
		require.Equal(t, 508, got.StatusCode, m.name)
		requireProblem(t, got, api.CodeLoop)
	}
	require.Empty(t, s.requests())
}

func TestP10OthersLoopHeadersPass(t *testing.T) {
	t.Parallel()
	f, s := newStack(t, nil)
	m := f.modes(f.link(s.port))[0]
	require.Equal(t, 200, f.get(m.prefix+"/", "CDN-Loop: other-cdn; a=b").StatusCode)
	require.Equal(t, []string{"other-cdn; a=b", f.loopID}, s.one(t).Header["Cdn-Loop"])
}

// closedDial is the way to a daemon that does not listen.
func closedDial(ctx context.Context) (net.Conn, error) {
	var d net.Dialer
	return d.DialContext(ctx, "tcp", "127.0.0.1:1")
}
