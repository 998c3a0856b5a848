package proxy

import (
	"context"
	"net"
	"syscall"
	"time"
)

// connKey is where ConnContext keeps the connection.
type connKey struct{}

// ConnContext is for http.Server.ConnContext: with it, Forward can see the end
// of a client whose body it does not read at the moment.
func ConnContext(ctx context.Context, c net.Conn) context.Context {
	return context.WithValue(ctx, connKey{}, c)
}

// socket is what the kernel knows of a connection. A nil one knows nothing.
type socket struct{ raw syscall.RawConn }

// socketOf is nil where there is no socket, or no way to it.
func socketOf(c net.Conn) *socket {
	if inner, ok := c.(interface{ NetConn() net.Conn }); ok { // TLS
		c = inner.NetConn()
	}
	sc, ok := c.(syscall.Conn)
	if !ok {
		return nil
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return nil
	}
	return &socket{raw}
}

// clientSocket is that of the client of a request.
func clientSocket(ctx context.Context) *socket {
	c, ok := ctx.Value(connKey{}).(net.Conn)
	if !ok {
		return nil
	}
	return socketOf(c)
}

// stalled says whether the peer has stopped to take what was written to it. It
// looks for as long as leftPatience.
func (s *socket) stalled() bool {
	const step = leftPatience / 20
	queued, still := s.queued(), time.Duration(0)
	for range leftPatience / step {
		if queued == 0 {
			return false
		}
		time.Sleep(step)
		still += step
		if n := s.queued(); n != queued {
			queued, still = n, 0
		}
	}
	return still >= leftPatience/2
}

// resetOnClose makes Close send a RST: a FIN would be behind the bytes that
// the peer does not take. The peer may be the next hop, which has to tell its own.
func resetOnClose(c net.Conn) {
	if secure, ok := c.(interface{ NetConn() net.Conn }); ok { // TLS
		c = secure.NetConn()
	}
	if tcp, ok := c.(interface{ SetLinger(sec int) error }); ok {
		_ = tcp.SetLinger(0)
	}
}
