package proxy

import (
	"context"
	"io"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"daemon-proxy/core/api"
	"daemon-proxy/core/wiretest"
)

// Whatever the exchange is doing, the client's leaving ends the daemon's side.
func TestP6ClientThatGoesAwayCancelsUpstream(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		request, answer string
		head            bool // the client has got a head before it leaves
	}{
		"before the answer":    {"GET / HTTP/1.1\r\nHost: x\r\n\r\n", "", false},
		"during a download":    {"GET / HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\nx", true},
		"during a stream":      {"GET / HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n", true},
		"during an upload":     {postHead(1000, "") + "some", "", false},
		"during a chunked one": {"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n", "", false},
		"during both":          {postHead(1000, "") + "some", "HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\nx", true},
		"waiting for a 100":    {postHead(1000, "Expect: 100-continue\r\n"), "", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			arrived, gone := make(chan struct{}), make(chan struct{})
			up := wiretest.Raw(t, func(_ int, c *wiretest.Conn) {
				c.MustHead()
				c.Send(tc.answer)
				close(arrived)
				_, _ = c.Rest() // returns when the front hangs up
				close(gone)
			})
			f := newFront(t, up.Addr)
			c := f.dial(t)
			c.Send(tc.request)
			wiretest.Receive(t, arrived, "request")
			if tc.head {
				c.MustHead()
			}
			c.Close()
			wiretest.Receive(t, gone, "the end of the connection to the daemon")
			o := f.result(t)
			if tc.head {
				require.True(t, o.Cut)
				require.Error(t, o.Err)
			} else {
				require.Equal(t, api.CodeCancelled, code(o.err))
				require.Zero(t, o.Status)
			}
		})
	}
}

func TestP6ContextEndsAnExchangeWhateverItWaitsFor(t *testing.T) {
	t.Parallel()
	revoked := &api.Problem{Code: api.CodeLinkRevoked, Status: 410, Title: "revoked"}
	for name, tc := range map[string]struct {
		request, answer string
		flood           bool // the daemon sends more than the client reads
		interim         bool // and that are interim answers
		head            bool
	}{
		"the answer":        {request: "GET / HTTP/1.1\r\nHost: x\r\n\r\n"},
		"the client's body": {request: postHead(1000, "") + "some"},
		"the next event":    {request: "GET / HTTP/1.1\r\nHost: x\r\n\r\n", answer: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", head: true},
		"a slow client":     {request: "GET / HTTP/1.1\r\nHost: x\r\n\r\n", answer: "HTTP/1.1 200 OK\r\n\r\n", flood: true, head: true},
		"a client that reads no interim answer": {
			request: "GET / HTTP/1.1\r\nHost: x\r\n\r\n", interim: true,
		},
		"a slow client of a long body": {
			request: "GET / HTTP/1.1\r\nHost: x\r\n\r\n", answer: "HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n", flood: true, head: true,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithCancelCause(context.Background())
			stuck := make(chan struct{})
			up := wiretest.Raw(t, func(_ int, c *wiretest.Conn) {
				c.MustHead()
				c.Send(tc.answer)
				if tc.flood || tc.interim {
					block := make([]byte, 1<<20)
					if tc.interim {
						block = []byte("HTTP/1.1 103 Early Hints\r\nX-A: " + strings.Repeat("a", 100<<10) + "\r\n\r\n")
					}
					for {
						_ = c.SetWriteDeadline(time.Now().Add(300 * time.Millisecond))
						if _, err := c.Write(block); err != nil {
							break
						}
					}
				}
				close(stuck)
				_, _ = c.Rest()
			})
			f := newFront(t, up.Addr, withContext(func(context.Context) context.Context { return ctx }),
				withLimits(Options{MaxInterim: 1 << 20, MaxHeadBytes: 1 << 30}))
			c := f.dial(t)
			c.Send(tc.request)
			wiretest.Receive(t, stuck, "request")
			if tc.head {
				c.MustHead()
			}
			cancel(revoked)
			o := f.result(t)
			if tc.head {
				require.True(t, o.Cut)
				require.ErrorIs(t, o.Err, revoked)
				got, _ := c.Rest()
				require.False(t, strings.HasSuffix(got, "0\r\n\r\n"), "no clean end")
				return
			}
			require.ErrorIs(t, o.err, revoked)
			if tc.interim {
				return // and there is nobody to read it
			}
			require.Equal(t, "HTTP/1.1 410 Gone", wiretest.FirstLine(c.MustHead()), "nothing was written: the caller's answer gets through")
		})
	}
}

func TestP6UpstreamCutMidBodyCutsTheClient(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]string{
		"length":          "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\npart",
		"long length":     "HTTP/1.1 200 OK\r\nContent-Length: 10000000\r\n\r\npart",
		"chunk":           "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n10\r\npart",
		"between chunks":  "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\npart\r\n",
		"without a zero":  "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\npart",
		"before trailers": "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\npart\r\n0\r\n",
		"in trailers":     "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\npart\r\n0\r\nX-A: b\r\n",
		"trailers by LF":  "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\npart\r\n0\r\nX-A: b\n\n",
		"garbage":         "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\npartgarbage",
		"long chunk line": "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\npart\r\n1;" + strings.Repeat("a", 9<<10) + "\r\nx\r\n0\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			up := wiretest.Raw(t, func(_ int, c *wiretest.Conn) { c.MustHead(); c.Send(answer) })
			f := newFront(t, up.Addr)
			c := f.dial(t)
			c.Send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
			resp, err := http.ReadResponse(c.Reader, nil)
			require.NoError(t, err)
			body, err := io.ReadAll(resp.Body)
			require.Error(t, err, "the client sees that something is missing")
			require.Equal(t, "part", string(body), "and has what there was")
			o := f.result(t)
			require.True(t, o.Cut)
			require.Error(t, o.Err)
			require.NoError(t, o.err)
			require.EqualValues(t, 4, o.BytesOut)
		})
	}
}

// To a client of HTTP/1.0, the end of a connection is the end of a body of
// unknown length: only a reset says that something is missing.
func TestP6UpstreamCutMidBodyResetsHTTP10(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]string{
		"chunked": "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\npart\r\n",
		"to EOF":  "HTTP/1.1 200 OK\r\n\r\npart",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cut := make(chan struct{})
			up := wiretest.Raw(t, func(_ int, c *wiretest.Conn) {
				c.MustHead()
				c.Send(answer)
				<-cut
				_ = c.SetLinger(0)
			})
			f := newFront(t, up.Addr)
			c := f.dial(t)
			c.Send("GET / HTTP/1.0\r\nHost: x\r\n\r\n")
			require.Equal(t, "HTTP/1.0 200 OK", wiretest.FirstLine(c.MustHead()))
			require.Equal(t, "part", c.Next(4))
			close(cut)
			_, err := c.Rest()
			require.ErrorIs(t, err, syscall.ECONNRESET)
			require.True(t, f.result(t).Cut)
		})
	}
}

func TestP6ResetOfABodyWithoutLengthCutsTheClient(t *testing.T) {
	t.Parallel()
	cut := make(chan struct{})
	up := wiretest.Raw(t, func(_ int, c *wiretest.Conn) {
		c.MustHead()
		c.Send("HTTP/1.1 200 OK\r\n\r\npart")
		<-cut
		_ = c.SetLinger(0)
	})
	f := newFront(t, up.Addr)
	c := f.dial(t)
	c.Send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	c.MustHead()
	require.Equal(t, "4\r\npart\r\n", c.Next(9))
	close(cut)
	rest, _ := c.Rest()
	require.Empty(t, rest, "no last chunk")
	require.True(t, f.result(t).Cut)
}
