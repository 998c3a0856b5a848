package mux

import (
	"context"
	"net"
	"os"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"daemon-proxy/core/wiretest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// serve is a far end that joins each stream to a connection of its own to addr.
func serve(conn net.Conn, addr string, l Limits) error {
	far, err := Far(conn, l)
	if err != nil {
		return err
	}
	far.Serve(context.Background(), func(s *Stream) {
		service, err := net.Dial("tcp", addr)
		if err != nil {
			_ = s.Reset()
			return
		}
		Join(s, service)
	})
	return nil
}

// session is the near end of one whose streams lead to a listener.
func session(t *testing.T, listener net.Listener, l Limits) *Session {
	t.Helper()
	farIn, out, err := os.Pipe()
	require.NoError(t, err)
	in, farOut, err := os.Pipe()
	require.NoError(t, err)
	return sessionOver(t, Pipes(in, out), Pipes(farIn, farOut), listener, l)
}

func sessionOver(t *testing.T, near, far net.Conn, listener net.Listener, l Limits) *Session {
	t.Helper()
	ended := make(chan error, 1)
	go func() { ended <- serve(far, listener.Addr().String(), l) }()
	s, err := Near(near, l)
	require.NoError(t, err)
	t.Cleanup(func() {
		s.Close()
		require.NoError(t, wiretest.Receive(t, ended, "the far end ends"))
	})
	return s
}

// pair is a connection through a session, as both of its ends have it.
func pair(t *testing.T) (near *Stream, service *net.TCPConn) {
	t.Helper()
	listener := wiretest.Listen(t)
	t.Cleanup(func() { listener.Close() })
	return dialled(t, session(t, listener, Limits{}), listener)
}

// dialled opens another connection.
func dialled(t *testing.T, s *Session, listener net.Listener) (near *Stream, service *net.TCPConn) {
	t.Helper()
	near, err := s.Open(t.Context())
	require.NoError(t, err)
	t.Cleanup(func() { _ = near.Close() })
	accepted, err := listener.Accept()
	require.NoError(t, err)
	t.Cleanup(func() { accepted.Close() })
	return near, accepted.(*net.TCPConn)
}
