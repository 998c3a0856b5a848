package wiretest

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Conn is a connection on which a test speaks byte by byte. Methods without an
// error fail the test instead.
type Conn struct {
	*net.TCPConn
	Reader *bufio.Reader
	Server *Server // that accepted it; nil: the test dialled
	t      testing.TB
}

func newConn(t testing.TB, c net.Conn) *Conn {
	return &Conn{TCPConn: c.(*net.TCPConn), Reader: bufio.NewReader(c), t: t}
}

// Dial opens a connection, which is given up after a multiple of Patience.
func Dial(t testing.TB, addr string) *Conn {
	t.Helper()
	return DialFrom(t, "127.0.0.1", addr)
}

// DialFrom is Dial by a client with that IP address.
func DialFrom(t testing.TB, client, addr string) *Conn {
	t.Helper()
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(client)}}
	c, err := d.DialContext(t.Context(), "tcp", addr)
	require.NoError(t, err)
	t.Cleanup(func() { c.Close() })
	require.NoError(t, c.SetDeadline(time.Now().Add(2*Patience)))
	return newConn(t, c)
}

// Send writes all of s.
func (c *Conn) Send(s string) {
	c.t.Helper()
	_, err := io.WriteString(c.TCPConn, s)
	require.NoError(c.t, err)
}

// Head reads lines up to the empty one, which it omits.
func (c *Conn) Head() (string, error) {
	var b strings.Builder
	for {
		line, err := c.Reader.ReadString('\n')
		if err != nil {
			return b.String(), err
		}
		if line == "\r\n" {
			return b.String(), nil
		}
		b.WriteString(line)
	}
}

// MustHead is Head where nothing else is expected.
func (c *Conn) MustHead() string {
	c.t.Helper()
	h, err := c.Head()
	require.NoError(c.t, err, "read so far: %q", h)
	return h
}

// Next reads exactly n bytes.
func (c *Conn) Next(n int) string {
	c.t.Helper()
	b := make([]byte, n)
	_, err := io.ReadFull(c.Reader, b)
	require.NoError(c.t, err)
	return string(b)
}

// Rest reads up to the end of the connection.
func (c *Conn) Rest() (string, error) {
	b, err := io.ReadAll(c.Reader)
	return string(b), err
}

// Answer is a response with its whole body.
type Answer struct {
	*http.Response
	Body string
}

// Answer reads the final answer to a request of that method.
func (c *Conn) Answer(method string) Answer {
	c.t.Helper()
	resp, err := http.ReadResponse(c.Reader, &http.Request{Method: method})
	for err == nil && resp.StatusCode < 200 && resp.StatusCode != http.StatusSwitchingProtocols {
		resp, err = http.ReadResponse(c.Reader, &http.Request{Method: method})
	}
	require.NoError(c.t, err)
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	require.NoError(c.t, err)
	return Answer{resp, string(b)}
}

// Server is a server that a test plays, byte by byte.
type Server struct {
	Addr     string
	Listener net.Listener
	Conns    atomic.Int64 // how many it has accepted

	mu    sync.Mutex
	heads []string
}

// Raw accepts connections and hands each to serve, with its number from 0. The
// connection is closed when serve returns.
func Raw(t testing.TB, serve func(n int, c *Conn)) *Server {
	t.Helper()
	l := Listen(t)
	s := &Server{Addr: l.Addr().String(), Listener: l}
	var serving sync.WaitGroup
	var open []net.Conn
	serving.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			s.mu.Lock()
			open = append(open, c)
			s.mu.Unlock()
			n := int(s.Conns.Add(1)) - 1
			serving.Go(func() {
				defer c.Close()
				conn := newConn(t, c)
				conn.Server = s
				serve(n, conn)
			})
		}
	})
	t.Cleanup(func() {
		l.Close()
		s.mu.Lock()
		for _, c := range open {
			c.Close()
		}
		s.mu.Unlock()
		serving.Wait()
	})
	return s
}

// Answering answers every request without a body with these bytes and keeps the connection.
func Answering(t testing.TB, answer string) *Server {
	t.Helper()
	return Raw(t, func(_ int, c *Conn) {
		for {
			head, err := c.Head()
			if err != nil {
				return
			}
			c.Server.Keep(head)
			if _, err := io.WriteString(c.TCPConn, answer); err != nil {
				return
			}
		}
	})
}

// Keep records the head of a request for Heads and One.
func (s *Server) Keep(head string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.heads = append(s.heads, head)
}

// Heads are those that were kept since the last call.
func (s *Server) Heads() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	heads := s.heads
	s.heads = nil
	return heads
}

// One is the only head that was kept.
func (s *Server) One(t testing.TB) string {
	t.Helper()
	heads := s.Heads()
	require.Len(t, heads, 1)
	return heads[0]
}

// Values are those of a header in a head, whatever its case.
func Values(head, name string) (found []string) {
	for line := range strings.SplitSeq(head, "\r\n") {
		if k, v, ok := strings.Cut(line, ":"); ok && strings.EqualFold(k, name) {
			found = append(found, strings.TrimSpace(v))
		}
	}
	return found
}

// FirstLine is the first line of a head.
func FirstLine(head string) string {
	line, _, _ := strings.Cut(head, "\r\n")
	return line
}

// OK are the bytes of an answer with a body.
func OK(body string) string {
	return "HTTP/1.1 200 OK\r\nContent-Length: " + strconv.Itoa(len(body)) + "\r\n\r\n" + body
}
