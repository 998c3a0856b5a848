package proxy

import (
	"context"
	"net"
	"syscall"
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
