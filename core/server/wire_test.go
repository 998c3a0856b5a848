package server

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// wire is a connection that a test speaks on byte by byte.
type wire struct {
	*net.TCPConn
	br *bufio.Reader
	t  testing.TB
}

// dial opens a client connection to the front.
func (f *front) dial() *wire {
	f.t.Helper()
	return f.dialFrom("127.0.0.1")
}

// dialFrom is dial by a client with that address.
func (f *front) dialFrom(address string) *wire {
	f.t.Helper()
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(address)}}
	c, err := d.DialContext(f.t.Context(), "tcp", f.addr)
	require.NoError(f.t, err)
	f.t.Cleanup(func() { c.Close() })
	require.NoError(f.t, c.SetDeadline(time.Now().Add(2*patience)))
	return &wire{TCPConn: c.(*net.TCPConn), br: bufio.NewReader(c), t: f.t}
}

// send writes s whole.
func (c *wire) send(s string) {
	c.t.Helper()
	_, err := io.WriteString(c.TCPConn, s)
	require.NoError(c.t, err)
}

// head reads lines up to the empty one, which it leaves out.
func (c *wire) head() (string, error) {
	var b strings.Builder
	for {
		line, err := c.br.ReadString('\n')
		if err != nil {
			return b.String(), err
		}
		if line == "\r\n" {
			return b.String(), nil
		}
		b.WriteString(line)
	}
}

// response reads a whole final answer to a request of that method.
func (c *wire) response(method string) answer {
	c.t.Helper()
	resp, err := http.ReadResponse(c.br, &http.Request{Method: method})
	for err == nil && resp.StatusCode < 200 && resp.StatusCode != http.StatusSwitchingProtocols {
		resp, err = http.ReadResponse(c.br, &http.Request{Method: method})
	}
	require.NoError(c.t, err)
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	require.NoError(c.t, err)
	return answer{resp, string(b)}
}

// raw sends bytes on a new connection and reads one answer.
func (f *front) raw(request string) answer {
	f.t.Helper()
	c := f.dial()
	c.send(request)
	method, _, _ := strings.Cut(request, " ")
	return c.response(method)
}

// request is the bytes of a request without a body; headers end with \r\n each.
func request(method, target, host, headers string) string {
	return method + " " + target + " HTTP/1.1\r\nHost: " + host + "\r\n" + headers + "\r\n"
}

// rawDaemon stands where a daemon would and keeps the bytes that it got.
type rawDaemon struct {
	addr  string
	conns atomic.Int64
	mu    sync.Mutex
	got   []string // heads of requests
}

// newRaw accepts connections and hands each to speak; the connection is closed
// when that returns.
func newRaw(t testing.TB, speak func(d *rawDaemon, c *wire)) *rawDaemon {
	t.Helper()
	d := &rawDaemon{}
	l := listen(t)
	d.addr = l.Addr().String()
	var wg sync.WaitGroup
	var mu sync.Mutex
	open := map[net.Conn]bool{}
	wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			open[c] = true
			mu.Unlock()
			d.conns.Add(1)
			wg.Go(func() {
				defer c.Close()
				speak(d, &wire{TCPConn: c.(*net.TCPConn), br: bufio.NewReader(c), t: t})
			})
		}
	})
	t.Cleanup(func() {
		l.Close()
		mu.Lock()
		for c := range open {
			c.Close()
		}
		mu.Unlock()
		wg.Wait()
	})
	return d
}

// answering is a raw daemon that answers every head with these bytes.
func answering(t testing.TB, answer string) *rawDaemon {
	t.Helper()
	return newRaw(t, func(d *rawDaemon, c *wire) {
		for {
			head, err := c.head()
			if err != nil {
				return
			}
			d.keep(head)
			if _, err := io.WriteString(c.TCPConn, answer); err != nil {
				return
			}
		}
	})
}

func (d *rawDaemon) keep(head string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.got = append(d.got, head)
}

// heads are those that came since it was last asked.
func (d *rawDaemon) heads() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	got := d.got
	d.got = nil
	return got
}

// one is the only head that came.
func (d *rawDaemon) one(t testing.TB) string {
	t.Helper()
	got := d.heads()
	require.Len(t, got, 1)
	return got[0]
}

// lines are the values of a header in a head, whatever its case.
func lines(head, name string) (found []string) {
	for line := range strings.SplitSeq(head, "\r\n") {
		if k, v, ok := strings.Cut(line, ":"); ok && strings.EqualFold(k, name) {
			found = append(found, strings.TrimSpace(v))
		}
	}
	return found
}

// target is the request target in a head.
func target(t testing.TB, head string) string {
	t.Helper()
	line, _, _ := strings.Cut(head, "\r\n")
	parts := strings.Split(line, " ")
	require.Len(t, parts, 3, line)
	return parts[1]
}
