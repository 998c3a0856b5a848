//go:build linux

package proxy

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"daemon-proxy/core/api"
	"daemon-proxy/core/wiretest"
)

// tight makes connections to the daemon hold little, so that a daemon that
// does not read soon stops the front's writes.
func tight(upstream string) option {
	return withTarget(func(_ *http.Request, t *Target) {
		t.Dial = func(ctx context.Context) (net.Conn, error) {
			c, err := new(net.Dialer).DialContext(ctx, "tcp", upstream)
			if err == nil {
				err = c.(*net.TCPConn).SetWriteBuffer(4 << 10)
			}
			return c, err
		}
	})
}

// small makes what l accepts from now on take little that nobody reads.
func small(t *testing.T, l net.Listener) {
	t.Helper()
	raw, err := l.(*net.TCPListener).SyscallConn()
	require.NoError(t, err)
	require.NoError(t, raw.Control(func(fd uintptr) {
		err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUF, 4<<10)
	}))
	require.NoError(t, err)
}

// goings are the ways in which the end of a peer arrives.
var goings = map[string]func(c *wiretest.Conn){
	"closes":        func(c *wiretest.Conn) { c.Close() },
	"resets":        func(c *wiretest.Conn) { _ = c.SetLinger(0); c.Close() },
	"stops talking": func(c *wiretest.Conn) { _ = c.CloseWrite() },
}

// stuck is more than a tight connection holds, but less than what the front's
// kernel takes from the client.
const stuck = 120 << 10

func TestP6P13TheEndOfAClientEndsAnUploadThatNobodyReads(t *testing.T) {
	t.Parallel()
	for how, leave := range goings {
		for framing, head := range map[string]string{
			"length":           postHead(stuck, ""),
			"part of a length": postHead(1<<30, ""),
			"chunked":          "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1e001\r\n",
		} {
			t.Run(how+", "+framing, func(t *testing.T) {
				t.Parallel()
				arrived, leaving := make(chan *wiretest.Conn, 1), make(chan struct{})
				up := wiretest.Raw(t, func(_ int, c *wiretest.Conn) {
					c.MustHead()
					arrived <- c
					<-leaving // and reads nothing
				})
				t.Cleanup(func() { close(leaving) })
				small(t, up.Listener)
				f := newFront(t, up.Addr, tight(up.Addr))
				c := f.dial(t)
				c.Send(head + string(pattern(stuck)))
				daemon := wiretest.Receive(t, arrived, "request")
				leave(c)
				o := f.result(t)
				require.Equal(t, api.CodeCancelled, code(o.err))
				_ = daemon.SetReadDeadline(time.Now().Add(wiretest.Patience))
				_, err := daemon.Rest()
				require.False(t, errors.Is(err, os.ErrDeadlineExceeded), "the daemon's connection was not ended")
			})
		}
	}
}

// flooding answers with head and a body of which nobody takes all, and then
// resets the connection.
func flooding(t *testing.T, head string) *wiretest.Server {
	return wiretest.Raw(t, func(_ int, c *wiretest.Conn) {
		c.MustHead()
		_ = c.SetWriteDeadline(time.Now().Add(2 * time.Second)) // by then nothing more is taken
		_, _ = io.WriteString(c, head)
		_, _ = c.Write(make([]byte, flood))
		_ = c.SetLinger(0)
	})
}

// flood is more than the kernel takes on any way.
const flood = 64 << 20

// floods are the heads of answers of that length.
var floods = map[string]string{
	"length":  fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n", flood),
	"chunked": fmt.Sprintf("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n", flood),
}

func TestP6P13AResetOfTheDaemonEndsADownloadThatNobodyReads(t *testing.T) {
	t.Parallel()
	for framing, head := range floods {
		t.Run(framing, func(t *testing.T) {
			t.Parallel()
			f := newFront(t, flooding(t, head).Addr)
			c := f.dial(t)
			c.Send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
			o := f.result(t) // nothing was read
			require.True(t, o.Cut)
			require.Equal(t, api.CodeBadUpstream, code(o.Err), "%v", o.Err)
			_, err := c.Rest()
			require.False(t, errors.Is(err, os.ErrDeadlineExceeded), "the client's connection was not ended")
		})
	}
}

// A daemon of this program is such a proxy itself, so that the service's reset
// has two connections to go through which are full.
func TestP6P13AResetOfTheServicePassesADaemonWhoseAnswerNobodyReads(t *testing.T) {
	t.Parallel()
	for framing, head := range floods {
		t.Run(framing, func(t *testing.T) {
			t.Parallel()
			daemon := newFront(t, flooding(t, head).Addr)
			f := newFront(t, daemon.addr)
			c := f.dial(t)
			c.Send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
			require.True(t, daemon.result(t).Cut)
			require.True(t, f.result(t).Cut, "nothing was read")
		})
	}
}

// Here the reset comes while the daemon waits for the next event; the last
// ones are still on their way to the front.
func TestP6P13AResetOfTheServiceBetweenEventsPassesADaemon(t *testing.T) {
	t.Parallel()
	up := wiretest.Raw(t, func(_ int, c *wiretest.Conn) {
		c.MustHead()
		_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n")
		for range 150 {
			_, _ = io.WriteString(c, "data: "+strings.Repeat("x", 10_000)+"\n\n")
			time.Sleep(2 * time.Millisecond)
		}
		_ = c.SetLinger(0)
	})
	daemon := newFront(t, up.Addr)
	f := newFront(t, daemon.addr, withTarget(func(_ *http.Request, t *Target) {
		t.Dial = func(ctx context.Context) (net.Conn, error) {
			c, err := new(net.Dialer).DialContext(ctx, "tcp", daemon.addr)
			if err == nil {
				err = c.(*net.TCPConn).SetReadBuffer(64 << 10)
			}
			return c, err
		}
	}), func(f *front) {
		f.accepted = func(c net.Conn) { _ = c.(*net.TCPConn).SetWriteBuffer(64 << 10) }
	})
	c := f.dial(t)
	_ = c.SetReadBuffer(64 << 10)
	c.Send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	require.True(t, daemon.result(t).Cut)
	require.True(t, f.result(t).Cut, "nothing was read")
}

func TestP7P13AResetOfTheServicePassesADaemonWhoseWebSocketNobodyReads(t *testing.T) {
	t.Parallel()
	daemon := newFront(t, flooding(t, switching).Addr)
	f := newFront(t, daemon.addr)
	c := f.dial(t)
	c.Send(handshake)
	require.Equal(t, "HTTP/1.1 101 Switching Protocols", wiretest.FirstLine(c.MustHead()))
	daemon.result(t)
	f.result(t) // nothing was read
}

func TestP7P13TheEndOfASideEndsAWebSocketThatNobodyReads(t *testing.T) {
	t.Parallel()
	for how, leave := range goings {
		for _, who := range []string{"client", "daemon"} {
			t.Run(who+" "+how, func(t *testing.T) {
				t.Parallel()
				f, one, other := openedTight(t)
				if who == "daemon" {
					one, other = other, one
				}
				one.Send(string(pattern(stuck)))
				leave(one)
				o := f.result(t) // the other has read nothing
				require.NoError(t, o.err)
				_, err := other.Rest()
				require.False(t, errors.Is(err, os.ErrDeadlineExceeded), "the other side was not ended")
			})
		}
	}
}

// openedTight is opened with connections that hold little.
func openedTight(t *testing.T) (f *front, client, daemon *wiretest.Conn) {
	t.Helper()
	conns, over := make(chan *wiretest.Conn, 1), make(chan struct{})
	up := wiretest.Raw(t, func(_ int, c *wiretest.Conn) {
		c.MustHead()
		c.Send(switching)
		_ = c.SetDeadline(time.Now().Add(wiretest.Patience))
		conns <- c
		<-over
	})
	t.Cleanup(func() { close(over) })
	small(t, up.Listener)
	f = newFront(t, up.Addr, tight(up.Addr), func(f *front) {
		f.accepted = func(c net.Conn) { _ = c.(*net.TCPConn).SetWriteBuffer(4 << 10) }
	})
	client = f.dial(t)
	_ = client.SetReadBuffer(4 << 10)
	client.Send(handshake)
	require.Equal(t, "HTTP/1.1 101 Switching Protocols", wiretest.FirstLine(client.MustHead()))
	return f, client, wiretest.Receive(t, conns, "the daemon's end")
}

// blocked is a direction whose write waits: its source has sent something that
// nobody reads, its destination takes nothing.
func blocked(t *testing.T) (w *watch, source, destination *net.TCPConn, left <-chan error) {
	t.Helper()
	source, src := pair(t)
	dst, destination := pair(t)
	_, err := source.Write([]byte("unread"))
	require.NoError(t, err)
	for n := 1; n > 0; { // until nothing more is taken
		require.NoError(t, dst.SetWriteDeadline(time.Now().Add(300*time.Millisecond)))
		n, err = dst.Write(make([]byte, 4<<20))
	}
	require.ErrorIs(t, err, os.ErrDeadlineExceeded)
	ends := make(chan error, 16)
	w = &watch{src: socketOf(src), dst: socketOf(dst), left: func(err error) { ends <- err }}
	w.now(writing)
	return w, source, destination, ends
}

// pair is both ends of a connection.
func pair(t *testing.T) (a, b *net.TCPConn) {
	t.Helper()
	l := wiretest.Listen(t)
	defer l.Close()
	one, err := net.Dial("tcp", l.Addr().String())
	require.NoError(t, err)
	other, err := l.Accept()
	require.NoError(t, err)
	t.Cleanup(func() { one.Close(); other.Close() })
	return one.(*net.TCPConn), other.(*net.TCPConn)
}

// A FIN may mean "I have sent everything": as long as that is taken, however
// slowly, or something comes back, it is not cut.
func TestP7P13AHalfCloseWhoseBytesAreTakenGoesThrough(t *testing.T) {
	t.Parallel()
	never := func() bool { return false }
	for name, alive := range map[string]bool{"taken": true, "answered": true, "neither": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, source, destination, left := blocked(t)
			require.NoError(t, source.CloseWrite())
			require.Eventually(t, func() bool { fin, _ := w.src.over(); return fin }, wiretest.Patience, time.Millisecond)
			back := &watch{}
			w.back = back
			now := time.Now()
			for range 20 { // four seconds
				now = now.Add(watchEvery)
				switch name {
				case "taken":
					if before := w.dst.queued(); before > 0 { // or all of it is taken
						_, _ = destination.Read(make([]byte, 4<<20))
						require.Eventually(t, func() bool { return w.dst.queued() < before }, wiretest.Patience, time.Millisecond)
					}
				case "answered":
					back.now(writing)
					back.now(resting)
				}
				back.check(now, never)
				w.check(now, never)
			}
			require.Equal(t, alive, len(left) == 0)
			if !alive {
				require.ErrorIs(t, <-left, errLeft)
			}
		})
	}
}

func TestS8P14APeerThatTakesNothingIsCutOnlyWhereDescriptorsAreShort(t *testing.T) {
	t.Parallel()
	for _, crowded := range []bool{false, true} {
		w, _, destination, left := blocked(t)
		look := func(now time.Time) { w.check(now, func() bool { return crowded }) }
		now := time.Now()
		look(now)
		look(now.Add(watchEvery))
		look(now.Add(takesNothing))
		require.Empty(t, left, "not yet")
		before := w.dst.queued()
		_, err := destination.Read(make([]byte, 4<<20))
		require.NoError(t, err)
		require.Eventually(t, func() bool { return w.dst.queued() < before }, wiretest.Patience, time.Millisecond)
		look(now.Add(2 * takesNothing))
		require.Empty(t, left, "it takes something")
		look(now.Add(4 * takesNothing))
		if crowded {
			require.ErrorIs(t, <-left, errTakesNothing)
		} else {
			require.Empty(t, left)
		}
	}
}

func TestS8P14ABodyThatStopsEndsWith408(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		body, answer string
		cut          bool
	}{
		"length":                {postHead(1000, "") + "some", "", true},
		"chunked":               {"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n", "", true},
		"nothing at all":        {postHead(1000, ""), "", true},
		"an answer that pauses": {"GET / HTTP/1.1\r\nHost: x\r\n\r\n", "", false},
		"a body with an answer": {postHead(1000, "") + "some", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			gone := make(chan error, 1)
			up := wiretest.Raw(t, func(_ int, c *wiretest.Conn) {
				c.MustHead()
				c.Send(tc.answer)
				_, err := c.Rest()
				gone <- err
			})
			f := newFront(t, up.Addr, withLimits(Options{BodySilence: 2 * watchEvery}))
			c := f.dial(t)
			c.Send(tc.body)
			if !tc.cut {
				_ = c.SetReadDeadline(time.Now().Add(8 * watchEvery))
				_, err := c.Rest()
				require.ErrorIs(t, err, os.ErrDeadlineExceeded)
				return
			}
			require.Equal(t, "HTTP/1.1 408 Request Timeout", wiretest.FirstLine(c.MustHead()))
			_, err := c.Rest()
			require.False(t, errors.Is(err, os.ErrDeadlineExceeded), "the connection ends")
			wiretest.Receive(t, gone, "the end of the connection to the daemon")
			require.Equal(t, api.CodeBodyTimeout, code(f.result(t).err))
		})
	}
}
