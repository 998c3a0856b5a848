package proxy

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"daemon-proxy/core/api"
)

// syncBuffer is a buffer that a logger may write to while a test reads it.
type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// net/http recovers panics only in the goroutines of its handlers: in one of
// ours, a panic would end the program.
func TestAPanicOutsideOfTheHandlerEndsOnlyItsExchange(t *testing.T) {
	t.Parallel()
	tap := func([]byte) { panic("a bug in a tap") }
	for name, tc := range map[string]struct {
		request string
		target  func(*Target)
	}{
		"from the client": {handshake + "x", func(t *Target) { t.TunnelIn = tap }},
		"from the daemon": {handshake, func(t *Target) { t.TunnelOut = tap }},
		"an upload":       {postHead(1, "") + "x", func(t *Target) { t.RequestBody = tap }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			up := newRaw(t, func(_ int, c *wire) {
				if h := c.mustHead(); strings.HasPrefix(h, "GET /plain") {
					c.send(ok("x"))
				} else if strings.Contains(h, "websocket") {
					c.send(switching + "y")
				}
				_, _ = c.rest()
			})
			var log syncBuffer
			f := newFront(t, up.addr, withLimits(Options{Logger: slog.New(slog.NewTextHandler(&log, nil))}),
				withTarget(func(_ *http.Request, t *Target) { tc.target(t) }))
			c := f.dial(t)
			c.send(tc.request)
			_, err := c.rest()
			require.NoError(t, err)
			o := f.result(t)
			if o.err == nil {
				o.err = o.Err
			}
			require.Equal(t, api.CodeInternal, code(o.err))
			require.Contains(t, log.String(), "a bug in a tap")
			require.Contains(t, log.String(), "nethttp_test.go", "the stack is logged")
			status, _, _ := f.get(t, "/plain")
			require.Equal(t, http.StatusOK, status)
		})
	}
}

func TestAPanicInGoIsLogged(t *testing.T) {
	t.Parallel()
	var log syncBuffer
	p := New(Options{Logger: slog.New(slog.NewTextHandler(&log, nil))})
	defer p.Close()
	p.Go(func() { panic("a bug in a caller") })
	require.Eventually(t, func() bool { return strings.Contains(log.String(), "a bug in a caller") }, patience, time.Millisecond)
}

func TestP6ACutAnswerResetsAnHTTP2Stream(t *testing.T) {
	t.Parallel()
	up := newRaw(t, func(_ int, c *wire) {
		c.mustHead()
		c.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nsome\r\n")
	})
	p := New(Options{})
	defer p.Close()
	results := make(chan Result, 1)
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		res, _ := p.Forward(w, r, Target{Dial: func(ctx context.Context) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "tcp", up.addr)
		}, Authority: "x", RequestURI: r.RequestURI})
		results <- res
	}))
	server.Config.ConnContext = ConnContext
	server.EnableHTTP2 = true
	server.StartTLS()
	defer server.Close()
	resp, err := server.Client().Get(server.URL)
	require.NoError(t, err)
	defer resp.Body.Close()
	require.Equal(t, 2, resp.ProtoMajor)
	body, err := io.ReadAll(resp.Body)
	require.Equal(t, "some", string(body))
	require.ErrorContains(t, err, "INTERNAL_ERROR")
	require.True(t, recv(t, results, "result").Cut)
}
