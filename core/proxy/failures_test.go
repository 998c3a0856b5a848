package proxy

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"daemon-proxy/core/api"
	"daemon-proxy/core/wiretest"
)

func TestP10DifferentFailuresDifferentProblems(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		answer, code string
		status       int
	}{
		"empty 502":          {"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n", api.CodePortClosed, 502},
		"empty 502, chunked": {"HTTP/1.1 502 Bad Gateway\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", api.CodePortClosed, 502},
		"hung up":            {"", api.CodeUpstreamCut, 502},
		"hung up in a head":  {"HTTP/1.1 200 OK\r\nX-A", api.CodeUpstreamCut, 502},
		"no HTTP":            {"SSH-2.0-OpenSSH_9.2\r\n", api.CodeBadUpstream, 502},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			up := wiretest.Raw(t, func(_ int, c *wiretest.Conn) {
				_, _ = c.Head()
				c.Send(tc.answer)
			})
			f := newFront(t, up.Addr)
			status, body, h := f.get(t, "/")
			require.Equal(t, tc.status, status)
			require.Equal(t, tc.code, h.Get("X-Problem"))
			require.Empty(t, body)
			o := f.result(t)
			p := api.AsProblem(o.err)
			require.NotEmpty(t, p.Hint)
			require.NotEmpty(t, p.Detail)
			require.Zero(t, o.Status)
		})
	}
}

func TestP10AServicesOwn502PassesUntouched(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]string{
		"length":  "HTTP/1.1 502 Bad Gateway\r\nX-A: b\r\nContent-Length: 4\r\n\r\nmine",
		"chunked": "HTTP/1.1 502 Bad Gateway\r\nX-A: b\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nmine\r\n0\r\n\r\n",
		"to EOF":  "HTTP/1.1 502 Bad Gateway\r\nX-A: b\r\n\r\nmine",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			up := wiretest.Raw(t, func(_ int, c *wiretest.Conn) { c.MustHead(); c.Send(answer) })
			f := newFront(t, up.Addr)
			status, body, h := f.get(t, "/")
			require.Equal(t, 502, status)
			require.Equal(t, "mine", body)
			require.Equal(t, "b", h.Get("X-A"))
			require.NoError(t, f.result(t).err)
		})
	}
	t.Run("HEAD", func(t *testing.T) {
		t.Parallel()
		f := newFront(t, wiretest.Answering(t, "HTTP/1.1 502 Bad Gateway\r\nContent-Length: 4\r\n\r\n").Addr)
		c := f.dial(t)
		c.Send("HEAD / HTTP/1.1\r\nHost: x\r\n\r\n")
		require.Equal(t, []string{"4"}, wiretest.Values(c.MustHead(), "Content-Length"))
		require.NoError(t, f.result(t).err)
	})
}

func TestP10DaemonThatCannotBeReached(t *testing.T) {
	t.Parallel()
	stopped := &api.Problem{Code: api.CodeSandboxStopped, Status: 503, Title: "stopped"}
	for name, tc := range map[string]struct {
		dial func(context.Context) (net.Conn, error)
		code string
	}{
		"refused":      {func(context.Context) (net.Conn, error) { return nil, errors.New("connection refused") }, api.CodeDaemonDown},
		"no answer":    {func(ctx context.Context) (net.Conn, error) { <-ctx.Done(); return nil, ctx.Err() }, api.CodeDaemonDown},
		"its own word": {func(context.Context) (net.Conn, error) { return nil, stopped }, api.CodeSandboxStopped},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFront(t, "", withTarget(func(_ *http.Request, t *Target) { t.Dial = tc.dial }))
			start := time.Now()
			status, _, h := f.get(t, "/")
			require.Equal(t, 503, status)
			require.Equal(t, tc.code, h.Get("X-Problem"))
			require.Less(t, time.Since(start), wiretest.Patience)
		})
	}
}

func TestP10ClientThatLeavesWhileDialling(t *testing.T) {
	t.Parallel()
	dialling := make(chan struct{})
	f := newFront(t, "", withLimits(Options{DialTimeout: 10 * wiretest.Patience}), withTarget(func(_ *http.Request, t *Target) {
		t.Dial = func(ctx context.Context) (net.Conn, error) { close(dialling); <-ctx.Done(); return nil, ctx.Err() }
	}))
	c := f.dial(t)
	c.Send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	wiretest.Receive(t, dialling, "the dial")
	c.Close()
	require.Equal(t, api.CodeCancelled, code(f.result(t).err), "not the daemon's fault")
}

func TestS9UnusableAnswerIs502WithoutAHang(t *testing.T) {
	t.Parallel()
	const mib = 1 << 20
	chunked := "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
	for name, answer := range map[string]string{
		"one header of 1 MiB":        "HTTP/1.1 200 OK\r\nX-A: " + strings.Repeat("a", mib) + "\r\n\r\n",
		"1 MiB of headers":           "HTTP/1.1 200 OK\r\n" + strings.Repeat("X-A: b\r\n", mib/8) + "\r\n",
		"1 MiB of status":            "HTTP/1.1 200 " + strings.Repeat("a", mib),
		"1 MiB without a line":       strings.Repeat("a", mib),
		"1 MiB of interim answers":   strings.Repeat("HTTP/1.1 103 Hi\r\nX-A: "+strings.Repeat("a", mib/10)+"\r\n\r\n", 10),
		"17 interim answers":         strings.Repeat("HTTP/1.1 103 Hi\r\n\r\n", 17) + wiretest.OK("x"),
		"17 unasked 100s":            strings.Repeat("HTTP/1.1 100 Continue\r\n\r\n", 17) + wiretest.OK("x"),
		"status of two digits":       "HTTP/1.1 20 OK\r\n\r\n",
		"status of four digits":      "HTTP/1.1 2000 OK\r\n\r\n",
		"status 000":                 "HTTP/1.1 000 No\r\n\r\n",
		"status 099":                 "HTTP/1.1 099 No\r\n\r\n",
		"status with a sign":         "HTTP/1.1 +20 OK\r\n\r\n",
		"negative status":            "HTTP/1.1 -20 OK\r\n\r\n",
		"HTTP/2":                     "HTTP/2.0 200 OK\r\n\r\n",
		"HTTP/0.9":                   "<html>hello</html>\r\n",
		"ICY":                        "ICY 200 OK\r\n\r\n",
		"header without colon":       "HTTP/1.1 200 OK\r\nX-A\r\n\r\n",
		"header that begins with SP": "HTTP/1.1 200 OK\r\n X-A: b\r\n\r\n",
		"two lengths":                "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx",
		"list of lengths":            "HTTP/1.1 200 OK\r\nContent-Length: 1, 2\r\n\r\nxx",
		"negative length":            "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
		"length with a sign":         "HTTP/1.1 200 OK\r\nContent-Length: +1\r\n\r\nx",
		"unknown encoding":           "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nx",
		"two encodings":              "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		"chunk of no size":           chunked + "\r\nx\r\n0\r\n\r\n",
		"chunk size with a sign":     chunked + "+1\r\nx\r\n0\r\n\r\n",
		"chunk size with 0x":         chunked + "0x1\r\nx\r\n0\r\n\r\n",
		"chunk size that overflows":  chunked + "10000000000000001\r\nx\r\n0\r\n\r\n",
		"chunk size after a space":   chunked + " 1\r\nx\r\n0\r\n\r\n",
		"chunk line without CR":      chunked + "1\nx\r\n0\r\n\r\n",
		"chunk line with a lone CR":  chunked + "1;a\rb\r\nx\r\n0\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			up := wiretest.Raw(t, func(_ int, c *wiretest.Conn) {
				c.MustHead()
				_, _ = io.WriteString(c, answer) // fails where it is refused before its end
				_, _ = c.Rest()
			})
			f := newFront(t, up.Addr)
			c := f.dial(t)
			c.Send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
			h := c.MustHead()
			for strings.HasPrefix(h, "HTTP/1.1 103 ") {
				h = c.MustHead()
			}
			require.Equal(t, "HTTP/1.1 502 Bad Gateway", wiretest.FirstLine(h))
			o := f.result(t)
			require.Equal(t, api.CodeBadUpstream, code(o.err), "%v", o.err)
		})
	}
}

func TestS9SixteenInterimAnswersPass(t *testing.T) {
	t.Parallel()
	f := newFront(t, wiretest.Answering(t, strings.Repeat("HTTP/1.1 103 Hi\r\nX-A: b\r\n\r\n", 16)+wiretest.OK("x")).Addr)
	c := f.dial(t)
	c.Send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	for range 16 {
		require.Equal(t, "HTTP/1.1 103 Early Hints\r\nX-A: b\r\n", c.MustHead())
	}
	require.Equal(t, "HTTP/1.1 200 OK", wiretest.FirstLine(c.MustHead()))
}

func TestS9EndlessAnswersEnd(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct{ head, again string }{
		"headers":  {"HTTP/1.1 200 OK\r\n", "X-A: " + strings.Repeat("b", 1000) + "\r\n"},
		"interims": {"", "HTTP/1.1 103 Hi\r\n\r\n"},
		"trailers": {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n", "X-A: " + strings.Repeat("b", 1000) + "\r\n"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ended := make(chan struct{})
			up := wiretest.Raw(t, func(_ int, c *wiretest.Conn) {
				defer close(ended)
				c.MustHead()
				c.Send(tc.head)
				for {
					if _, err := io.WriteString(c, tc.again); err != nil {
						return
					}
				}
			})
			f := newFront(t, up.Addr)
			c := f.dial(t)
			c.Send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
			o := f.result(t)
			require.True(t, o.Cut || code(o.err) == api.CodeBadUpstream, "%+v", o)
			wiretest.Receive(t, ended, "the end of the connection to the daemon")
		})
	}
}

// 1 MiB of lines that have next to nothing in them costs no more memory than
// 1 MiB of long ones.
func TestS9AHeadOfManyShortLinesCostsLittle(t *testing.T) {
	cost := func(lines int) (status int, bytes uint64) {
		answer := "HTTP/1.1 200 OK\r\n" + strings.Repeat("a:\r\n", lines) + "Content-Length: 0\r\n\r\n"
		up := wiretest.Raw(t, func(_ int, c *wiretest.Conn) {
			c.MustHead()
			_, _ = io.WriteString(c, answer) // fails where it is refused before its end
		})
		f := newFront(t, up.Addr)
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		status, _, _ = f.get(t, "/")
		runtime.ReadMemStats(&after)
		return status, after.TotalAlloc - before.TotalAlloc
	}
	status, _ := cost(1000)
	require.Equal(t, http.StatusOK, status)
	status, bytes := cost(200_000)
	require.Equal(t, http.StatusBadGateway, status)
	require.Less(t, bytes, uint64(8<<20))
}

func TestP16AConnectionWaitsForADescriptor(t *testing.T) {
	t.Parallel()
	up := wiretest.Answering(t, wiretest.OK("x"))
	tries := 0
	f := newFront(t, up.Addr, withTarget(func(_ *http.Request, t *Target) {
		t.Dial = func(ctx context.Context) (net.Conn, error) {
			if tries++; tries < 3 {
				return nil, &net.OpError{Op: "dial", Net: "tcp", Err: os.NewSyscallError("socket", syscall.EMFILE)}
			}
			return new(net.Dialer).DialContext(ctx, "tcp", up.Addr)
		}
	}))
	status, body, _ := f.get(t, "/")
	require.Equal(t, "200 x", fmt.Sprint(status, " ", body))
}
