package proxy

import (
	"errors"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"daemon-proxy/core/api"
	"daemon-proxy/core/wiretest"
)

// leaving is an upstream whose first connection answers once and ends in the
// way that leave says; all others answer as often as they are asked. got
// counts the requests that arrived after the first.
func leaving(t *testing.T, leave func(c *wiretest.Conn)) (up *wiretest.Server, got *atomic.Int64) {
	t.Helper()
	got = &atomic.Int64{}
	return wiretest.Raw(t, func(n int, c *wiretest.Conn) {
		for i := 0; ; i++ {
			h, err := c.Head()
			if err != nil {
				return
			}
			if n > 0 || i > 0 {
				got.Add(1)
			}
			if n == 0 && i == 1 {
				leave(c)
				return
			}
			length, _ := strconv.Atoi(strings.Join(wiretest.Values(h, "Content-Length"), ""))
			_, _ = c.Reader.Discard(length)
			c.Send(wiretest.OK(strconv.Itoa(n)))
		}
	}), got
}

func TestP8DeadIdleConnectionIsRepeatedOnlyWhereThatIsAllowed(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		request string
		again   bool
	}{
		"GET":                           {"GET / HTTP/1.1\r\nHost: x\r\n\r\n", true},
		"HEAD":                          {"HEAD / HTTP/1.1\r\nHost: x\r\n\r\n", true},
		"OPTIONS":                       {"OPTIONS / HTTP/1.1\r\nHost: x\r\n\r\n", true},
		"DELETE":                        {"DELETE / HTTP/1.1\r\nHost: x\r\n\r\n", true},
		"PUT without a body":            {"PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n", true},
		"PUT with a body":               {"PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\nx", false},
		"GET with a body":               {"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\nx", false},
		"POST":                          {"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\nx", false},
		"POST without a body":           {"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n", false},
		"POST with an Idempotency-Key":  {"POST / HTTP/1.1\r\nHost: x\r\nIdempotency-Key: k\r\nContent-Length: 0\r\n\r\n", false},
		"PATCH with an Idempotency-Key": {"PATCH / HTTP/1.1\r\nHost: x\r\nX-Idempotency-Key: k\r\nContent-Length: 0\r\n\r\n", false},
		"an unknown method":             {"FROB / HTTP/1.1\r\nHost: x\r\n\r\n", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			up, got := leaving(t, func(*wiretest.Conn) {})
			f := newFront(t, up.Addr)
			_, body, _ := f.get(t, "/")
			require.Equal(t, "0", body)
			f.result(t)
			c := f.dial(t)
			c.Send(tc.request)
			status := wiretest.FirstLine(c.MustHead())
			o := f.result(t)
			if tc.again {
				require.Equal(t, "HTTP/1.1 200 OK", status)
				require.EqualValues(t, 2, got.Load())
				return
			}
			require.Equal(t, "HTTP/1.1 502 Bad Gateway", status)
			require.Equal(t, api.CodeUpstreamCut, code(o.err))
			require.EqualValues(t, 1, got.Load(), "it was sent once")
			require.EqualValues(t, 1, up.Conns.Load())
		})
	}
}

func TestP8ItIsRepeatedOnceOnly(t *testing.T) {
	t.Parallel()
	var requests atomic.Int64
	up := wiretest.Raw(t, func(n int, c *wiretest.Conn) {
		c.MustHead()
		requests.Add(1)
		if n == 0 {
			c.Send(wiretest.OK(""))
			c.MustHead()
			requests.Add(1)
		}
	})
	f := newFront(t, up.Addr)
	f.get(t, "/")
	f.result(t)
	status, _, _ := f.get(t, "/")
	require.Equal(t, 502, status)
	require.Equal(t, api.CodeUpstreamCut, code(f.result(t).err))
	require.EqualValues(t, 3, requests.Load())
	require.EqualValues(t, 2, up.Conns.Load())
	status, _, _ = f.get(t, "/") // on a connection that never answered
	require.Equal(t, 502, status)
	require.EqualValues(t, 3, up.Conns.Load(), "a new connection is no reason to repeat")
}

func TestP8HalfAnAnswerIsNoReasonToRepeat(t *testing.T) {
	t.Parallel()
	for _, part := range []string{"H", "HTTP/1.1 100 Continue\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-"} {
		up, got := leaving(t, func(c *wiretest.Conn) { c.Send(part) })
		f := newFront(t, up.Addr)
		f.get(t, "/")
		f.result(t)
		status, _, _ := f.get(t, "/")
		require.Equal(t, 502, status)
		require.Equal(t, api.CodeUpstreamCut, code(f.result(t).err))
		require.EqualValues(t, 1, got.Load(), part)
	}
}

func TestP8ClosedIdleConnectionIsNotUsedForAPost(t *testing.T) {
	t.Parallel()
	closed := make(chan struct{})
	up := wiretest.Raw(t, func(n int, c *wiretest.Conn) {
		c.MustHead()
		if n == 0 {
			c.Send(wiretest.OK("0"))
			c.Close()
			close(closed)
			return
		}
		c.Send(wiretest.OK(c.Next(5)))
	})
	f := newFront(t, up.Addr)
	f.get(t, "/")
	f.result(t)
	wiretest.Receive(t, closed, "the end of the first connection")
	c := f.dial(t)
	c.Send(postHead(5, "") + "hello")
	require.Equal(t, "HTTP/1.1 200 OK", wiretest.FirstLine(c.MustHead()))
	require.Equal(t, "hello", c.Next(5))
	require.EqualValues(t, 2, up.Conns.Load())
}

// What a daemon sends without being asked must not become the answer to the
// next request, which may be another client's.
func TestP8S7UnaskedBytesEndAConnection(t *testing.T) {
	t.Parallel()
	evil := "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil"
	for name, second := range map[string]bool{"with the answer": false, "after it": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			sent, more := make(chan struct{}), make(chan struct{})
			up := wiretest.Raw(t, func(n int, c *wiretest.Conn) {
				c.MustHead()
				switch {
				case n > 0:
					c.Send(wiretest.OK("good"))
				case second:
					c.Send(wiretest.OK("good"))
					<-more
					c.Send(evil)
					close(sent)
				default:
					c.Send(wiretest.OK("good") + evil)
				}
				_, _ = c.Rest()
			})
			f := newFront(t, up.Addr)
			_, body, _ := f.get(t, "/")
			require.Equal(t, "good", body)
			f.result(t)
			if second {
				close(more)
				<-sent
			}
			_, body, _ = f.get(t, "/")
			require.Equal(t, "good", body)
			require.EqualValues(t, 2, up.Conns.Load())
		})
	}
}

func TestP8PoolsAreKeptApart(t *testing.T) {
	t.Parallel()
	up := wiretest.Answering(t, wiretest.OK(""))
	f := newFront(t, up.Addr, withTarget(func(r *http.Request, t *Target) { t.Pool = r.URL.Query().Get("pool") }))
	for i, want := range []struct {
		pool  string
		conns int64
	}{{"a", 1}, {"a", 1}, {"b", 2}, {"a", 2}, {"", 3}, {"", 4}, {"b", 4}} {
		f.get(t, "/?pool="+want.pool)
		f.result(t)
		require.Equal(t, want.conns, up.Conns.Load(), "request %d", i)
	}
}

func TestP8ConnectionThatMustNotBeKeptIsNot(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]string{
		"Connection: close": "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n",
		"HTTP/1.0":          "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 0\r\n\r\n",
		"length and chunks": "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
	} {
		up := wiretest.Answering(t, answer)
		f := newFront(t, up.Addr)
		for i := range int64(2) {
			f.get(t, "/")
			f.result(t)
			require.Equal(t, i+1, up.Conns.Load(), name)
		}
	}
}

func TestS8IdleConnectionsAreBounded(t *testing.T) {
	t.Parallel()
	const clients = 5
	ended, answer := make(chan struct{}, clients), make(chan struct{})
	up := wiretest.Raw(t, func(_ int, c *wiretest.Conn) {
		c.MustHead()
		<-answer
		c.Send(wiretest.OK(""))
		_, _ = c.Rest()
		ended <- struct{}{}
	})
	f := newFront(t, up.Addr, withLimits(Options{MaxIdle: 2}))
	for range clients {
		f.dial(t).Send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	}
	require.Eventually(t, func() bool { return up.Conns.Load() == clients }, wiretest.Patience, time.Millisecond)
	close(answer)
	for range clients {
		f.result(t)
	}
	for range clients - 2 {
		wiretest.Receive(t, ended, "the end of a connection too many")
	}
	require.Empty(t, ended, "two are kept")
	f.proxy.Close()
	wiretest.Receive(t, ended, "the end of the kept ones")
	wiretest.Receive(t, ended, "the end of the kept ones")
}

func TestS8IdleConnectionsEnd(t *testing.T) {
	t.Parallel()
	ended := make(chan struct{}, 1)
	up := wiretest.Raw(t, func(_ int, c *wiretest.Conn) {
		c.MustHead()
		c.Send(wiretest.OK(""))
		_ = c.SetReadDeadline(time.Now().Add(wiretest.Patience))
		if _, err := c.Rest(); !errors.Is(err, os.ErrDeadlineExceeded) {
			ended <- struct{}{}
		}
	})
	f := newFront(t, up.Addr, withLimits(Options{IdleTimeout: 20 * time.Millisecond}))
	f.get(t, "/")
	wiretest.Receive(t, ended, "the end of an idle connection")
}

// Clients that wait, each with two connections and a handler, hold up nobody.
func TestS8ManyWaitingClientsDoNotStopAnother(t *testing.T) {
	t.Parallel()
	const waiting = 300
	up := wiretest.Raw(t, func(_ int, c *wiretest.Conn) {
		h, err := c.Head()
		if err == nil && strings.HasPrefix(h, "GET /quick ") {
			c.Send(wiretest.OK("quick"))
		}
		_, _ = io.Copy(io.Discard, c)
	})
	f := newFront(t, up.Addr)
	for range waiting {
		f.dial(t).Send("GET /slow HTTP/1.1\r\nHost: x\r\n\r\n")
	}
	require.Eventually(t, func() bool { return up.Conns.Load() == waiting }, wiretest.Patience, time.Millisecond)
	_, body, _ := f.get(t, "/quick")
	require.Equal(t, "quick", body)
}
