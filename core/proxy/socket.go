package proxy

import (
	"net"
	"net/http"
	"syscall"
	"time"
)

// socket asks the kernel about a connection. On a nil socket nothing is known.
type socket struct{ raw syscall.RawConn }

// socketOf is nil if there is no socket or it cannot be reached.
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

// stalled reports whether the peer has stopped reading what was written to it.
// It watches for up to leftPatience.
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

// resetOnClose makes Close send a RST: a FIN would be queued behind the bytes
// that the peer does not read. The peer may be the next hop, which then ends its own client.
// The result is c without TLS, whose Close would first wait to send an alert.
func resetOnClose(c net.Conn) net.Conn {
	if secure, ok := c.(interface{ NetConn() net.Conn }); ok { // TLS
		c = secure.NetConn()
	}
	if tcp, ok := c.(interface{ SetLinger(sec int) error }); ok {
		_ = tcp.SetLinger(0)
	}
	return c
}

// EndUnheard makes the system end the connection of a server's request once
// nothing that was sent to the client has been acknowledged for that long: the
// client's machine has gone, or the network to it. 0: after the system's own time,
// a quarter of an hour on Linux. It does nothing where the system cannot.
func EndUnheard(r *http.Request, after time.Duration) {
	if c, ok := r.Context().Value(connKey{}).(net.Conn); ok {
		socketOf(c).endUnheard(after)
	}
}

// Left reports whether the peer has ended the connection, also where it has sent
// bytes before that which nobody has read. It is false where the system cannot
// tell.
func Left(c net.Conn) bool {
	fin, reset := socketOf(c).over()
	return fin || reset
}
