package core

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/stretchr/testify/require"

	"daemon-proxy/core/api"
	"daemon-proxy/core/wiretest"
)

const apiKey = "the-key-of-the-core"

// front is a core in host mode with a service beside it.
type front struct {
	*Core
	t    *testing.T
	host string // localhost:PORT
	port int    // the service's

	mu   sync.Mutex
	seen []*http.Request
}

func newFront(t *testing.T, h http.HandlerFunc) *front {
	t.Helper()
	f := &front{t: t}
	f.port = wiretest.Port(t, wiretest.Serve(t, func(w http.ResponseWriter, r *http.Request) {
		f.mu.Lock()
		f.seen = append(f.seen, r.Clone(context.Background()))
		f.mu.Unlock()
		h(w, r)
	}))
	f.Core = started(t, func(o *Options) { o.Config.Daemon.Mode = "host" })
	f.host = "localhost:" + strconv.Itoa(f.options.Config.Server.Port)
	return f
}

func (f *front) link(port int, ttl ...int64) api.Link {
	f.t.Helper()
	request := api.LinkRequest{Port: port}
	for i := range ttl {
		request.TTLSeconds = &ttl[i]
	}
	link, err := f.CreateLink(f.t.Context(), request)
	require.NoError(f.t, err)
	return link
}

// way is how a request gets to the service: by path, by host name, or as a program's.
type way struct{ name, host, prefix, linkID string }

func (f *front) ways() []way {
	link, port := f.link(f.port), strconv.Itoa(f.port)
	return []way{
		{"path mode", f.host, "/preview/" + link.Token, link.ID}, {"host mode", link.Token + "." + f.host, "", link.ID},
		{"proxy", f.host, "/proxy/" + port, ""}, {"sandbox", f.host, "/sandboxes/host/proxy/" + port, ""},
	}
}

// do sends a request and returns the answer's status and header.
func (f *front) do(method, host, target, body string, headers ...string) (int, http.Header) {
	f.t.Helper()
	r, err := http.NewRequestWithContext(f.t.Context(), method, f.URL()+target, strings.NewReader(body))
	require.NoError(f.t, err)
	r.Host = host
	for _, line := range headers {
		name, value, _ := strings.Cut(line, ": ")
		r.Header.Add(name, value)
	}
	response, err := wiretest.Client(f.t).Do(r)
	require.NoError(f.t, err)
	defer response.Body.Close()
	_, err = io.Copy(io.Discard, response.Body)
	require.NoError(f.t, err)
	return response.StatusCode, response.Header
}

func (f *front) get(target string) int {
	f.t.Helper()
	status, _ := f.do("GET", f.host, target, "")
	return status
}

// requests are those that the service got since it was last asked.
func (f *front) requests() []*http.Request {
	f.mu.Lock()
	defer f.mu.Unlock()
	seen := f.seen
	f.seen = nil
	return seen
}

// latest is the exchange that ended last.
func (f *front) latest() (x api.Exchange) {
	f.t.Helper()
	require.Eventually(f.t, func() bool {
		last, err := f.Exchanges(f.t.Context(), "", 1)
		require.NoError(f.t, err)
		if len(last) == 1 {
			x = last[0]
		}
		return len(last) == 1 && !x.Live
	}, soon, look)
	return x
}

func requireCode(t *testing.T, err error, code string) *api.Problem {
	t.Helper()
	p, ok := errors.AsType[*api.Problem](err)
	require.True(t, ok, "%v", err)
	require.Equal(t, code, p.Code, p.Detail)
	require.NotEmpty(t, p.Hint)
	return p
}

func TestS13AReplayIsTheSameRequestToTheSamePlace(t *testing.T) {
	t.Parallel()
	var bodies []string
	f := newFront(t, func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		bodies = append(bodies, string(b))
		w.Header().Set("Set-Cookie", "sid=s3cret; Path=/")
		w.WriteHeader(http.StatusTeapot)
	})
	for _, w := range f.ways() {
		t.Run(w.name, func(t *testing.T) {
			bodies = nil
			status, _ := f.do("POST", w.host, w.prefix+"/api/login?token=s3cret&x=%2F", `{"a":1}`,
				"Authorization: Bearer s3cret", "X-Twice: a", "X-Twice: b", "Content-Type: application/json", "X-Api-Key: "+apiKey)
			require.Equal(t, 418, status)
			first := f.latest()
			again, err := f.Replay(t.Context(), first.ID)
			require.NoError(t, err)
			require.Greater(t, again.ID, first.ID)
			require.Equal(t, 418, again.Status)
			require.False(t, again.Live)
			require.Equal(t, fmt.Sprintf("replay of #%d", first.ID), again.Note)
			require.Equal(t, first.Path, again.Path)
			require.Equal(t, first.LinkID, again.LinkID)
			require.NotContains(t, again.Path, "s3cret")
			seen := f.requests()
			require.Len(t, seen, 2)
			require.Equal(t, seen[0].RequestURI, seen[1].RequestURI)
			require.Equal(t, []string{`{"a":1}`, `{"a":1}`}, bodies)
			require.Equal(t, "Bearer s3cret", seen[1].Header.Get("Authorization"), "the originals of secrets are sent")
			for _, h := range []string{"Cdn-Loop", "X-Request-Id"} {
				seen[0].Header.Del(h)
				seen[1].Header.Del(h)
			}
			require.Equal(t, seen[0].Header, seen[1].Header)
			require.Equal(t, seen[0].Host, seen[1].Host)
			if w.linkID != "" {
				now, _ := f.links.Get(w.linkID)
				require.Positive(t, now.Requests, "a replay counts")
			}
		})
	}
}

// The originals of all headers are kept, also of those that were kept from the
// service: a replay keeps them from it again.
func TestS13AReplayCarriesNoOtherLinksSecrets(t *testing.T) {
	t.Parallel()
	f := newFront(t, func(w http.ResponseWriter, r *http.Request) {
		if name, ok := strings.CutPrefix(r.URL.Path, "/set-"); ok {
			w.Header().Set("Set-Cookie", name+"=s3cret; Path=/")
		}
	})
	own, other := "/preview/"+f.link(f.port).Token, "/preview/"+f.link(f.port).Token
	require.Equal(t, 200, f.get(own+"/set-mine"))
	require.Equal(t, 200, f.get(other+"/set-theirs"))
	f.requests()
	status, _ := f.do("GET", f.host, own+"/x", "", "Cookie: mine=s3cret; theirs=s3cret", "X-Api-Key: "+apiKey)
	require.Equal(t, 200, status)
	_, err := f.Replay(t.Context(), f.latest().ID)
	require.NoError(t, err)
	seen := f.requests()
	require.Len(t, seen, 2)
	for _, r := range seen {
		require.Equal(t, "/x", r.URL.Path)
		require.Equal(t, []string{"mine=s3cret"}, r.Header["Cookie"])
		require.Empty(t, r.Header["X-Api-Key"])
	}
}

func TestS13WhatIsNotReplayed(t *testing.T) {
	t.Parallel()
	hold := make(chan struct{})
	f := newFront(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/ws":
			c, err := websocket.Accept(w, r, nil)
			if err == nil {
				_ = c.Close(websocket.StatusNormalClosure, "")
			}
		case "/hold":
			<-hold
		default:
			_, _ = io.Copy(io.Discard, r.Body)
		}
	})
	link := f.link(f.port)
	path := "/preview/" + link.Token
	_, err := f.Replay(t.Context(), 4711)
	requireCode(t, err, api.CodeUnknownExchange)

	status, _ := f.do("POST", f.host, path+"/", strings.Repeat("x", 65<<10))
	require.Equal(t, 200, status)
	_, err = f.Replay(t.Context(), f.latest().ID)
	require.Contains(t, requireCode(t, err, api.CodeNotReplayable).Detail, "not captured whole")

	for _, method := range []string{strings.Repeat("M", 100), link.Token} {
		status, _ = f.do(method, f.host, path+"/", "")
		require.Equal(t, 200, status)
		_, err = f.Replay(t.Context(), f.latest().ID)
		require.Contains(t, requireCode(t, err, api.CodeNotReplayable).Detail, "its method")
	}

	c, _, err := websocket.Dial(t.Context(), "ws://"+f.host+path+"/ws", nil)
	require.NoError(t, err)
	_, _, _ = c.Read(t.Context())
	_, err = f.Replay(t.Context(), f.latest().ID)
	require.Contains(t, requireCode(t, err, api.CodeNotReplayable).Detail, "WebSocket")

	done := make(chan struct{})
	go func() { defer close(done); f.get(path + "/hold") }()
	var live api.Exchange
	require.Eventually(t, func() bool { live = f.Log.Last(1)[0]; return live.Live && live.Path == "/hold" }, soon, look)
	_, err = f.Replay(t.Context(), live.ID)
	require.Contains(t, requireCode(t, err, api.CodeNotReplayable).Detail, "under way")
	close(hold)
	<-done

	require.Equal(t, 200, f.get(path+"/x"))
	through := f.latest().ID
	f.requests()
	require.NoError(t, f.RevokeLink(t.Context(), link.ID))
	_, err = f.Replay(t.Context(), through)
	requireCode(t, err, api.CodeLinkRevoked)
	require.Empty(t, f.requests())
}

func TestAReplayOfAStreamEnds(t *testing.T) {
	t.Parallel()
	var replayed atomic.Bool
	ended := make(chan struct{})
	f := newFront(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		_, _ = io.WriteString(w, "data: 1\n\n")
		_ = http.NewResponseController(w).Flush()
		if replayed.Load() {
			<-r.Context().Done()
			close(ended)
		}
	})
	require.Equal(t, 200, f.get("/preview/"+f.link(f.port).Token+"/"))
	x := f.latest()
	replayed.Store(true)
	again, err := f.Replay(t.Context(), x.ID)
	require.NoError(t, err)
	require.Equal(t, 200, again.Status)
	require.Equal(t, "event-stream", again.Protocol)
	select {
	case <-ended:
	case <-time.After(soon):
		require.Fail(t, "the service was not told that it is over")
	}
}

func TestAShareServesOneLinkAndNothingElse(t *testing.T) {
	t.Parallel()
	f := newFront(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/other" {
			w.Header().Set("Location", fmt.Sprintf("http://localhost:%s/", r.URL.Query().Get("port")))
			w.WriteHeader(http.StatusFound)
			return
		}
		_, _ = io.WriteString(w, "shared")
	})
	forever := f.link(f.port)
	neighbour := f.link(f.port + 1)
	link := f.link(f.port, 3600)
	_, err := f.Share(t.Context(), forever.ID)
	requireCode(t, err, api.CodeNeedsExpiry)
	_, err = f.Share(t.Context(), "nosuchlink")
	requireCode(t, err, api.CodeUnknownLink)

	share, err := f.Share(t.Context(), link.ID)
	if p, ok := errors.AsType[*api.Problem](err); ok && p.Code == api.CodeNoNetwork {
		wiretest.Skip(t, p.Detail)
	}
	require.NoError(t, err)
	require.Equal(t, *link.ExpiresAt, share.Expires)
	require.NotContains(t, share.URL, "127.0.0.1")
	base, _, _ := strings.Cut(share.URL, "/preview/")
	client := wiretest.Client(t)
	ask := func(target, host string) (int, string, http.Header) {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, base+target, http.NoBody)
		require.NoError(t, err)
		if host != "" {
			r.Host = host
		}
		response, err := client.Do(r)
		require.NoError(t, err)
		defer response.Body.Close()
		body, err := io.ReadAll(response.Body)
		require.NoError(t, err)
		return response.StatusCode, string(body), response.Header
	}
	path := "/preview/" + link.Token
	status, body, _ := ask(path+"/", "")
	require.Equal(t, 200, status)
	require.Equal(t, "shared", body)
	for _, target := range []string{
		"/", "/health", "/api/preview", "/api/sandboxes", "/daemon/status", fmt.Sprintf("/proxy/%d/", f.port), "/sandboxes/web/proxy/80/",
		"/preview/" + forever.Token + "/", "/preview/" + neighbour.Token + "/", path + "/../../api/preview", "/x" + path + "/", "//preview/" + link.Token + "/",
	} {
		status, _, _ := ask(target, "")
		require.Equal(t, 404, status, target)
	}
	for _, host := range []string{link.Token + ".localhost", "evil.example", f.host} {
		status, _, _ := ask(path+"/", host)
		require.Equal(t, 404, status, host)
	}
	// It does not tell the token of another link.
	_, _, header := ask(path+fmt.Sprintf("/other?port=%d", f.port+1), "")
	require.NotContains(t, header.Get("Location"), neighbour.Token)
	for _, cookie := range header.Values("Set-Cookie") {
		require.NotContains(t, cookie, "daemon_proxy")
	}

	// It serves nothing behind a request whose end could be disputed.
	address := strings.TrimPrefix(base, "http://")
	conn, err := net.Dial("tcp", address)
	require.NoError(t, err)
	defer conn.Close()
	require.NoError(t, conn.SetDeadline(time.Now().Add(soon)))
	_, err = io.WriteString(conn, "POST "+path+"/ HTTP/1.1\r\nHost: "+address+"\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"+
		"GET "+path+"/ HTTP/1.1\r\nHost: "+address+"\r\nConnection: close\r\n\r\n")
	require.NoError(t, err)
	answers, err := io.ReadAll(conn)
	require.NoError(t, ignoreReset(err))
	require.Equal(t, 1, strings.Count(string(answers), "HTTP/1.1 "), string(answers))

	closed := func() bool {
		c, err := net.Dial("tcp", strings.Split(share.URL, "/")[2])
		if err == nil {
			c.Close()
		}
		return err != nil
	}
	require.NoError(t, f.RevokeLink(t.Context(), link.ID))
	require.Eventually(t, closed, soon, look, "the end of the link is the end of the listener")

	second := f.link(f.port, 3600)
	ctx, cancel := context.WithCancel(t.Context())
	share, err = f.Share(ctx, second.ID)
	require.NoError(t, err)
	require.False(t, closed())
	cancel()
	require.Eventually(t, closed, soon, look)
}
