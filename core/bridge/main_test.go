package bridge

import (
	"context"
	"net"
	"os"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"daemon-proxy/core/api"
	"daemon-proxy/core/mux"
	"daemon-proxy/core/wiretest"
)

// net/http keeps a connection that it closes gently for 500 ms, in a goroutine
// that Server.Close does not wait for.
func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("net/http.(*conn).closeWriteAndWait"))
}

// greeting is that of a core at an address.
func greeting(addr string) Greeting {
	return Greeting{Protocol: api.Protocol, Version: "v1", Address: addr, Key: "run-key"}
}

// coreAt is a core that listens there.
func coreAt(addr string) Core {
	return Core{Greeting: greeting(addr), Dial: func(ctx context.Context) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "tcp", addr)
	}}
}

// far runs a far end and returns what its near end reads and writes, and what
// Serve returns.
func farEnd(t *testing.T, find func(context.Context) (Core, error), l mux.Limits) (in, out *os.File, ended chan error) {
	t.Helper()
	farIn, out, err := os.Pipe()
	require.NoError(t, err)
	in, farOut, err := os.Pipe()
	require.NoError(t, err)
	ended = make(chan error, 1)
	go func() { ended <- Serve(context.WithoutCancel(t.Context()), farIn, farOut, find, l) }()
	return in, out, ended
}

// session is both ends of one that leads to a core at an address.
func session(t *testing.T, addr string, l mux.Limits) *Session {
	t.Helper()
	in, out, ended := farEnd(t, func(context.Context) (Core, error) { return coreAt(addr), nil }, l)
	s, err := Near(t.Context(), in, out, l)
	require.NoError(t, err)
	t.Cleanup(func() {
		require.NoError(t, s.Close())
		require.NoError(t, wiretest.Receive(t, ended, "the far end ends"))
	})
	return s
}

// dialled opens another connection.
func dialled(t *testing.T, s *Session, listener net.Listener) (near net.Conn, core *net.TCPConn) {
	t.Helper()
	near, err := s.Dial(t.Context())
	require.NoError(t, err)
	t.Cleanup(func() { near.Close() })
	accepted, err := listener.Accept()
	require.NoError(t, err)
	t.Cleanup(func() { accepted.Close() })
	return near, accepted.(*net.TCPConn)
}
