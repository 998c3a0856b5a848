package proxy

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"daemon-proxy/core/api"
	"daemon-proxy/core/wiretest"
)

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
			up := wiretest.Raw(t, func(_ int, c *wiretest.Conn) {
				if h := c.MustHead(); strings.HasPrefix(h, "GET /plain") {
					c.Send(wiretest.OK("x"))
				} else if strings.Contains(h, "websocket") {
					c.Send(switching + "y")
				}
				_, _ = c.Rest()
			})
			var log wiretest.Buffer
			f := newFront(t, up.Addr, withLimits(Options{Logger: slog.New(slog.NewTextHandler(&log, nil))}),
				withTarget(func(_ *http.Request, t *Target) { tc.target(t) }))
			c := f.dial(t)
			c.Send(tc.request)
			_, err := c.Rest()
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
	var log wiretest.Buffer
	p := New(Options{Logger: slog.New(slog.NewTextHandler(&log, nil))})
	defer p.Close()
	p.Go(func() { panic("a bug in a caller") })
	require.Eventually(t, func() bool { return strings.Contains(log.String(), "a bug in a caller") }, wiretest.Patience, time.Millisecond)
}

func TestP6ACutAnswerResetsAnHTTP2Stream(t *testing.T) {
	t.Parallel()
	up := wiretest.Raw(t, func(_ int, c *wiretest.Conn) {
		c.MustHead()
		c.Send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nsome\r\n")
	})
	p := New(Options{})
	defer p.Close()
	results := make(chan Result, 1)
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		res, _ := p.Forward(w, r, Target{Dial: func(ctx context.Context) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "tcp", up.Addr)
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
	require.True(t, wiretest.Receive(t, results, "result").Cut)
}
