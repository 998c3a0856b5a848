//go:build unix

package mux

import (
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

// broken reports whether the peer of a connection has reset it, also where
// bytes that were not read are before that.
func broken(c net.Conn) bool {
	if secure, ok := c.(interface{ NetConn() net.Conn }); ok { // TLS
		c = secure.NetConn()
	}
	sc, ok := c.(syscall.Conn)
	if !ok {
		return false
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return true // it is closed
	}
	failed := 0
	err = raw.Control(func(fd uintptr) { failed, _ = unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_ERROR) })
	return err != nil || failed != 0
}
