package server

import (
	"io"
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestS8OpenConnectionsAreLimitedOverAllListeners(t *testing.T) {
	t.Parallel()
	places := newPlaces(2)
	accepted := make(chan net.Conn, 3)
	var addrs []string
	for range 2 {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		limit := newLimited(l.(*net.TCPListener), places)
		addrs = append(addrs, l.Addr().String())
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			for {
				c, err := limit.Accept()
				if err != nil {
					return
				}
				accepted <- c
			}
		}()
		t.Cleanup(func() { limit.Close(); <-ended })
	}
	for _, addr := range []string{addrs[0], addrs[1], addrs[0]} {
		c, err := net.Dial("tcp", addr)
		require.NoError(t, err)
		defer c.Close()
	}
	first, second := <-accepted, <-accepted
	require.Len(t, places.taken, 2)
	select {
	case <-accepted:
		t.Fatal("one too many")
	case <-time.After(50 * time.Millisecond):
	}
	first.Close()
	first.Close() // gives its place back once
	third := <-accepted
	require.Len(t, places.taken, 2)
	second.Close()
	third.Close()
}

// What forwarding needs of a connection is there: the ends of uploads and of
// WebSockets, and the kernel's own copy of long bodies.
func TestLimitedConnectionsAreWholeTCPConnections(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	limit := newLimited(l.(*net.TCPListener), newPlaces(1))
	defer limit.Close()
	client, err := net.Dial("tcp", l.Addr().String())
	require.NoError(t, err)
	defer client.Close()
	c, err := limit.Accept()
	require.NoError(t, err)
	defer c.Close()
	require.Implements(t, (*io.ReaderFrom)(nil), c)
	require.Implements(t, (*interface{ SetLinger(sec int) error })(nil), c)
	half, ok := c.(interface{ CloseWrite() error })
	require.True(t, ok)
	require.NoError(t, half.CloseWrite())
	_, err = client.Read(make([]byte, 1))
	require.ErrorIs(t, err, io.EOF)
}
