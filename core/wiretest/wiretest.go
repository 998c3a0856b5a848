// Package wiretest is what the tests of several packages share: servers and
// clients that speak on sockets byte by byte, and small means of waiting.
// Everything that it opens is closed when the test ends.
package wiretest

import (
	"bytes"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

const (
	// Patience is how long a test waits for what should happen at once.
	Patience = 10 * time.Second
	// Soon is how long a test waits for something that takes a while on a busy machine.
	Soon = time.Minute
	// Tick is how often a condition is checked while a test waits for it.
	Tick = 10 * time.Millisecond
)

// Listen listens on a loopback port that is not one of a daemon's own.
func Listen(t testing.TB) net.Listener {
	t.Helper()
	for {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		switch Port(t, l.Addr()) {
		case 2280, 22220, 22222, 33333:
			defer l.Close() // later, or the same port comes again
		default:
			return l
		}
	}
}

// Port is the port of an address, "HOST:PORT" or a net.Addr.
func Port(t testing.TB, addr any) int {
	t.Helper()
	text, ok := addr.(string)
	if !ok {
		text = addr.(net.Addr).String()
	}
	_, text, err := net.SplitHostPort(text)
	require.NoError(t, err)
	port, err := strconv.Atoi(text)
	require.NoError(t, err)
	return port
}

// FreePort is a port on which nothing listens, on either loopback address.
func FreePort(t testing.TB) int {
	t.Helper()
	for {
		v4 := Listen(t)
		port := Port(t, v4.Addr())
		v4.Close()
		v6, err := net.Listen("tcp6", net.JoinHostPort("::1", strconv.Itoa(port)))
		if err == nil {
			v6.Close()
			return port
		}
		if !strings.Contains(err.Error(), "in use") {
			return port // no IPv6
		}
	}
}

// Serve serves h on a loopback port and returns its address.
func Serve(t testing.TB, h http.HandlerFunc) string {
	t.Helper()
	return ServeOn(t, Listen(t), h)
}

// ServeOn is Serve on a listener of the test's own.
func ServeOn(t testing.TB, l net.Listener, h http.HandlerFunc) string {
	t.Helper()
	s := &http.Server{
		Handler: h, DisableGeneralOptionsHandler: true, ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelInfo),
	}
	var serving sync.WaitGroup
	serving.Go(func() { _ = s.Serve(l) })
	t.Cleanup(func() { _ = s.Close(); serving.Wait() })
	return l.Addr().String()
}

// Client is an HTTP client that decides nothing by itself: it follows no
// redirect, decodes nothing and keeps no cookie.
func Client(t testing.TB) *http.Client {
	transport := &http.Transport{DisableCompression: true}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{
		Transport: transport, Timeout: 3 * Patience,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// Receive waits for a value.
func Receive[T any](t testing.TB, ch <-chan T, what string) T {
	t.Helper()
	select {
	case v := <-ch:
		return v
	case <-time.After(Patience):
		require.FailNow(t, "nothing came: "+what)
		panic("unreachable")
	}
}

// Buffer collects what several goroutines write, while the test reads it.
type Buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *Buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *Buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// Log writes the lines of a log to that of the test.
type Log struct{ T testing.TB }

func (l Log) Write(p []byte) (int, error) {
	l.T.Log(strings.TrimSpace(string(p)))
	return len(p), nil
}

// Skip skips a test for which the machine lacks something. With CI=true, where
// everything must be there, it fails.
func Skip(t testing.TB, why string) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatal("needed with CI=true: " + why)
	}
	t.Skip(why)
}

// Program is the path of a program; the test is skipped if there is none.
func Program(t testing.TB, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		Skip(t, name+" is not installed")
	}
	return path
}
