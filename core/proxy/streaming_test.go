package proxy

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"daemon-proxy/core/wiretest"
)

// Each piece must reach the client before the next one is written, so a proxy
// that holds anything back does not get through.
func TestP6EachPieceArrivesBeforeTheNextIsWritten(t *testing.T) {
	t.Parallel()
	chunk := func(s string) string { return fmt.Sprintf("%x\r\n%s\r\n", len(s), s) }
	big := strings.Repeat("b", 300<<10)
	for name, tc := range map[string]struct {
		head   string
		pieces []string // as written
		want   []string // body bytes that each piece brings
	}{
		"server-sent events": {
			"Content-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n",
			[]string{chunk("data: 1\n\n"), chunk("data: 2\n\n"), chunk("data: 3\n\n")}, []string{"data: 1\n\n", "data: 2\n\n", "data: 3\n\n"},
		},
		"gzip": {
			"Content-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n",
			[]string{chunk("\x1f\x8b"), chunk("\x08\x00")}, []string{"\x1f\x8b", "\x08\x00"},
		},
		"of known length":        {"Content-Length: 6\r\n", []string{"ab", "cd", "ef"}, []string{"ab", "cd", "ef"}},
		"long, of known length":  {"Content-Length: 600000\r\n", []string{"ab", "cd", big}, []string{"ab", "cd", big}},
		"to the end of all":      {"", []string{"ab", "cd"}, []string{"ab", "cd"}},
		"within a chunk":         {"Transfer-Encoding: chunked\r\n", []string{"6\r\nab", "cd", "ef\r\n"}, []string{"ab", "cd", "ef"}},
		"with half a chunk line": {"Transfer-Encoding: chunked\r\n", []string{"2\r\nab\r\n1", "0\r\ncdcdcdcd"}, []string{"ab", "cdcdcdcd"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			next := make(chan string)
			up := wiretest.Raw(t, func(_ int, c *wiretest.Conn) {
				c.MustHead()
				c.Send("HTTP/1.1 200 OK\r\n" + tc.head + "\r\n")
				for s := range next {
					c.Send(s)
				}
			})
			f := newFront(t, up.Addr)
			resp, err := wiretest.Client(t).Get("http://" + f.addr) // returns: the head arrived before any body
			require.NoError(t, err)
			defer resp.Body.Close()
			for i, piece := range tc.pieces {
				next <- piece
				got := make([]byte, len(tc.want[i]))
				_, err := io.ReadFull(resp.Body, got)
				require.NoError(t, err)
				require.Equal(t, tc.want[i], string(got))
			}
			close(next)
			_, _ = io.Copy(io.Discard, resp.Body)
			o := f.result(t)
			require.NoError(t, o.err)
			if name == "server-sent events" {
				require.Equal(t, "event-stream", o.Protocol)
			}
		})
	}
}

func TestP6LongBodiesArriveWhole(t *testing.T) {
	t.Parallel()
	want := pattern(5 << 20)
	up := wiretest.Serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/length" {
			w.Header().Set("Content-Length", strconv.Itoa(len(want)))
		}
		for rest := want; len(rest) > 0; {
			n := min(len(rest), 70001)
			_, _ = w.Write(rest[:n])
			rest = rest[n:]
		}
	})
	for _, path := range []string{"/length", "/chunked"} {
		for _, tap := range []bool{false, true} {
			t.Run(fmt.Sprint(path, tap), func(t *testing.T) {
				t.Parallel()
				var seen []byte
				f := newFront(t, up, withTarget(func(_ *http.Request, t *Target) {
					if tap {
						t.ResponseBody = func(p []byte) { seen = append(seen, p...) }
					}
				}))
				_, got, _ := f.get(t, path)
				require.True(t, string(want) == got, "%d bytes", len(got))
				require.EqualValues(t, len(want), f.result(t).BytesOut)
				if tap {
					require.True(t, string(want[:TapBytes]) == string(seen), "%d bytes", len(seen))
				}
			})
		}
	}
}

func TestS8TapsSeeTheFirst64KiBOnly(t *testing.T) {
	t.Parallel()
	want := pattern(300 << 10)
	up := wiretest.Serve(t, func(w http.ResponseWriter, r *http.Request) { _, _ = io.Copy(w, r.Body) })
	var in, out []byte
	f := newFront(t, up, withTarget(func(_ *http.Request, t *Target) {
		t.RequestBody = func(p []byte) { in = append(in, p...) }
		t.ResponseBody = func(p []byte) { out = append(out, p...) }
	}))
	resp, err := wiretest.Client(t).Post("http://"+f.addr, "", strings.NewReader(string(want)))
	require.NoError(t, err)
	got, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	resp.Body.Close()
	require.True(t, string(want) == string(got))
	f.result(t)
	require.True(t, string(want[:TapBytes]) == string(in))
	require.True(t, string(want[:TapBytes]) == string(out))
}

func TestP6NoTimeLimitOnAStream(t *testing.T) {
	t.Parallel()
	// The dial's own limit must not reach the exchange.
	release := make(chan struct{})
	up := wiretest.Raw(t, func(_ int, c *wiretest.Conn) {
		c.MustHead()
		<-release
		c.Send(wiretest.OK("late"))
	})
	f := newFront(t, up.Addr, withLimits(Options{DialTimeout: 50 * time.Millisecond}))
	c := f.dial(t)
	c.Send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	_ = c.SetReadDeadline(time.Now().Add(200 * time.Millisecond))
	_, err := c.Reader.Peek(1)
	require.Error(t, err, "nothing comes, for longer than the limit on dialling")
	_ = c.SetReadDeadline(time.Now().Add(wiretest.Patience))
	close(release)
	c.Reader = bufio.NewReader(c)
	require.Equal(t, "HTTP/1.1 200 OK", wiretest.FirstLine(c.MustHead()))
}

func TestP6WaitAndFirstByteAreMeasured(t *testing.T) {
	t.Parallel()
	up := wiretest.Answering(t, wiretest.OK("x"))
	f := newFront(t, up.Addr)
	f.get(t, "/")
	o := f.result(t)
	require.Positive(t, o.Wait)
	require.Greater(t, o.FirstByte, o.Wait)
	require.Equal(t, "http", o.Protocol)
	require.Equal(t, 200, o.Status)
	require.EqualValues(t, 1, o.BytesOut)
	require.False(t, errors.Is(o.err, io.EOF))
}

// counting counts what comes by io.ReaderFrom, which is how the kernel gets to
// move a body by itself.
type counting struct {
	http.ResponseWriter
	by *atomic.Int64
}

func (c *counting) Unwrap() http.ResponseWriter { return c.ResponseWriter }
func (c *counting) ReadFrom(r io.Reader) (int64, error) {
	n, err := io.Copy(c.ResponseWriter, r)
	c.by.Add(n)
	return n, err
}

func TestS8BodiesAreNotCopiedOnceTheTapHasSeenEnough(t *testing.T) {
	t.Parallel()
	const size = 4 << 20
	up := wiretest.Serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", strconv.Itoa(size))
		_, _ = w.Write(make([]byte, size))
	})
	for _, tap := range []bool{false, true} {
		var moved atomic.Int64
		seen := 0
		p := New(Options{})
		forwarded := make(chan struct{})
		addr := wiretest.Serve(t, func(w http.ResponseWriter, r *http.Request) {
			defer close(forwarded)
			target := Target{Authority: "x", RequestURI: "/", Dial: func(ctx context.Context) (net.Conn, error) {
				return new(net.Dialer).DialContext(ctx, "tcp", up)
			}}
			if tap {
				target.ResponseBody = func(b []byte) { seen += len(b) }
			}
			_, _ = p.Forward(&counting{w, &moved}, r, target)
		})
		_, body, _ := (&front{addr: addr}).get(t, "/")
		require.Len(t, body, size)
		wiretest.Receive(t, forwarded, "the end of Forward") // it counts after the last byte went out
		require.Greater(t, moved.Load(), int64(size-4*TapBytes), "tap: %t", tap)
		if tap {
			require.Equal(t, TapBytes, seen)
		}
		p.Close()
	}
}
