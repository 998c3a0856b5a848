package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/stretchr/testify/require"

	"daemon-proxy/core/api"
	"daemon-proxy/core/preview"
	"daemon-proxy/core/wiretest"
)

// latest is the exchange that ended last.
func (f *front) latest() api.Exchange {
	f.t.Helper()
	var x api.Exchange
	require.Eventually(f.t, func() bool {
		last := f.log.Last(1)
		if len(last) == 0 || last[0].Live {
			return false
		}
		x = last[0]
		return true
	}, wiretest.Patience, time.Millisecond)
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
	f, s := newStack(t, func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		bodies = append(bodies, string(b))
		w.Header().Set("Set-Cookie", "sid=s3cret; Path=/")
		w.WriteHeader(http.StatusTeapot)
	})
	for _, w := range f.ways(s.port) {
		t.Run(w.name, func(t *testing.T) {
			bodies = nil
			require.Equal(t, 418, f.do("POST", w.prefix+"/api/login?token=s3cret&x=%2F", `{"a":1}`, "Host: "+w.host,
				"Authorization: Bearer s3cret", "X-Twice: a", "X-Twice: b", "Content-Type: application/json", "X-Api-Key: "+apiKey).StatusCode)
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
			seen := s.requests()
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
			if w.link.ID != "" {
				now, _ := f.links.Get(w.link.ID)
				require.Positive(t, now.Requests, "a replay counts")
			}
		})
	}
}

// The originals of all headers are kept, also of those that were kept from the
// service: a replay keeps them from it again.
func TestS13AReplayCarriesNoOtherLinksSecrets(t *testing.T) {
	t.Parallel()
	f, s := newStack(t, func(w http.ResponseWriter, r *http.Request) {
		if name, ok := strings.CutPrefix(r.URL.Path, "/set-"); ok {
			w.Header().Set("Set-Cookie", name+"=s3cret; Path=/")
		}
	})
	own, other := "/preview/"+f.link(s.port).Token, "/preview/"+f.link(s.port).Token
	require.Equal(t, 200, f.get(own+"/set-mine").StatusCode)
	require.Equal(t, 200, f.get(other+"/set-theirs").StatusCode)
	s.requests()
	require.Equal(t, 200, f.do("GET", own+"/x", "", "Cookie: mine=s3cret; theirs=s3cret", "X-Api-Key: "+apiKey).StatusCode)
	_, err := f.Replay(t.Context(), f.latest().ID)
	require.NoError(t, err)
	seen := s.requests()
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
	f, s := newStack(t, func(w http.ResponseWriter, r *http.Request) {
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
	link := f.link(s.port)
	path := "/preview/" + link.Token
	_, err := f.Replay(t.Context(), 4711)
	requireCode(t, err, api.CodeUnknownExchange)

	require.Equal(t, 200, f.do("POST", path+"/", strings.Repeat("x", 65<<10)).StatusCode)
	_, err = f.Replay(t.Context(), f.latest().ID)
	require.Contains(t, requireCode(t, err, api.CodeNotReplayable).Detail, "not captured whole")

	for _, method := range []string{strings.Repeat("M", 100), link.Token} {
		require.Equal(t, 200, f.do(method, path+"/", "").StatusCode)
		_, err = f.Replay(t.Context(), f.latest().ID)
		require.Contains(t, requireCode(t, err, api.CodeNotReplayable).Detail, "its method")
	}

	c, _, err := websocket.Dial(t.Context(), "ws://"+f.addr+path+"/ws", nil)
	require.NoError(t, err)
	_, _, _ = c.Read(t.Context())
	_, err = f.Replay(t.Context(), f.latest().ID)
	require.Contains(t, requireCode(t, err, api.CodeNotReplayable).Detail, "WebSocket")

	done := make(chan struct{})
	go func() { defer close(done); f.get(path + "/hold") }()
	var live api.Exchange
	require.Eventually(t, func() bool { live = f.log.Last(1)[0]; return live.Live && live.Path == "/hold" }, wiretest.Patience, time.Millisecond)
	_, err = f.Replay(t.Context(), live.ID)
	require.Contains(t, requireCode(t, err, api.CodeNotReplayable).Detail, "under way")
	close(hold)
	<-done

	require.Equal(t, 200, f.get(path+"/x").StatusCode)
	through := f.latest().ID
	s.requests()
	_, err = f.links.Revoke(link.ID)
	require.NoError(t, err)
	_, err = f.Replay(t.Context(), through)
	requireCode(t, err, api.CodeLinkRevoked)
	require.Empty(t, s.requests())
}

func TestAReplayOfAStreamEnds(t *testing.T) {
	t.Parallel()
	var ended atomic.Int64
	f, s := newStack(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		_, _ = io.WriteString(w, "data: 1\n\n")
		_ = http.NewResponseController(w).Flush()
		if r.URL.Query().Get("short") == "" {
			<-r.Context().Done()
			if r.URL.Path == "/replayed" {
				ended.Add(1)
			}
		}
	})
	link := f.link(s.port)
	require.Equal(t, 200, f.get("/preview/"+link.Token+"/?short=1").StatusCode)
	x := f.latest()
	rec, ok := f.log.OriginalRequest(x.ID)
	require.True(t, ok)
	h := hop{ref: rec.Ref, port: rec.Port, prefix: rec.Prefix, rest: "/replayed", scheme: "http"}
	again, err := f.replay(t.Context(), rec, h)
	require.NoError(t, err)
	require.Equal(t, 200, again.Status)
	require.Equal(t, "event-stream", again.Protocol)
	require.Eventually(t, func() bool { return ended.Load() == 1 }, wiretest.Patience, time.Millisecond, "the service was not told that it is over")
}

func TestWebSocketFramesAreInTheRequestLog(t *testing.T) {
	t.Parallel()
	f, s := newStack(t, func(w http.ResponseWriter, r *http.Request) {
		c, err := websocket.Accept(w, r, nil)
		if err != nil {
			return
		}
		_, b, err := c.Read(r.Context())
		if err == nil {
			_ = c.Write(r.Context(), websocket.MessageBinary, append([]byte("got "), b...))
			_ = c.Close(websocket.StatusNormalClosure, "")
		}
	})
	link := f.link(s.port)
	c, _, err := websocket.Dial(t.Context(), "ws://"+f.addr+"/preview/"+link.Token+"/", nil)
	require.NoError(t, err)
	require.NoError(t, c.Write(t.Context(), websocket.MessageText, []byte("ping")))
	_, b, err := c.Read(t.Context())
	require.NoError(t, err)
	require.Equal(t, "got ping", string(b))
	_, _, _ = c.Read(t.Context())
	d, ok := f.log.Get(f.latest().ID)
	require.True(t, ok)
	sides := map[bool][]api.Frame{} // which of two that pass each other comes first is chance
	for _, frame := range d.Frames {
		sides[frame.FromClient] = append(sides[frame.FromClient], frame)
	}
	client, service := sides[true], sides[false]
	require.NotEmpty(t, client)
	require.Len(t, service, 2)
	require.Equal(t, "ping", string(client[0].Data))
	require.Equal(t, 1, client[0].Opcode)
	require.Equal(t, "got ping", string(service[0].Data))
	require.Equal(t, 2, service[0].Opcode)
	require.Equal(t, 8, service[1].Opcode)
}

func TestAShareServesOneLinkAndNothingElse(t *testing.T) {
	t.Parallel()
	f, s := newStack(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/other" {
			w.Header().Set("Location", fmt.Sprintf("http://localhost:%s/", r.URL.Query().Get("port")))
			w.WriteHeader(http.StatusFound)
			return
		}
		_, _ = io.WriteString(w, "shared")
	})
	hour := time.Hour
	forever := f.link(s.port)
	neighbour := f.link(s.port + 1)
	link := f.linkOf(preview.Request{Sandbox: web, Port: s.port, TTL: &hour})
	_, _, err := f.Share(t.Context(), forever.ID)
	requireCode(t, err, api.CodeNeedsExpiry)
	_, _, err = f.Share(t.Context(), "nosuchlink")
	requireCode(t, err, api.CodeUnknownLink)

	share, wait, err := f.Share(t.Context(), link.ID)
	if p, ok := errors.AsType[*api.Problem](err); ok && p.Code == api.CodeNoNetwork {
		wiretest.Skip(t, p.Detail)
	}
	require.NoError(t, err)
	require.Equal(t, *link.ExpiresAt, share.Expires)
	require.NotContains(t, share.URL, "127.0.0.1")
	base, _, _ := strings.Cut(share.URL, "/preview/")
	client := wiretest.Client(f.t)
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
		"/", "/health", "/api/preview", "/api/sandboxes", "/daemon/status", fmt.Sprintf("/proxy/%d/", s.port), "/sandboxes/web/proxy/80/",
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
	_, _, header := ask(path+fmt.Sprintf("/other?port=%d", s.port+1), "")
	require.NotContains(t, header.Get("Location"), neighbour.Token)
	for _, cookie := range header.Values("Set-Cookie") {
		require.NotContains(t, cookie, "daemon_proxy")
	}

	// It serves nothing behind a request whose end could be disputed.
	address := strings.TrimPrefix(base, "http://")
	conn, err := net.Dial("tcp", address)
	require.NoError(t, err)
	defer conn.Close()
	require.NoError(t, conn.SetDeadline(time.Now().Add(wiretest.Patience)))
	_, err = io.WriteString(conn, "POST "+path+"/ HTTP/1.1\r\nHost: "+address+"\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"+
		request("GET", path+"/", address, "Connection: close\r\n"))
	require.NoError(t, err)
	answers, err := io.ReadAll(conn)
	require.NoError(t, ended(err))
	require.Equal(t, 1, strings.Count(string(answers), "HTTP/1.1 "), string(answers))

	_, err = f.links.Revoke(link.ID)
	require.NoError(t, err)
	wait() // the end of the link is the end of the listener
	_, err = http.Get(share.URL)
	require.Error(t, err)

	second := f.linkOf(preview.Request{Sandbox: web, Port: s.port, TTL: &hour})
	ctx, cancel := context.WithCancel(t.Context())
	_, wait, err = f.Share(ctx, second.ID)
	require.NoError(t, err)
	cancel()
	wait()
}
