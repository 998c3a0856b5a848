//go:build unix

package proxy

import (
	"errors"
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

// probe checks the socket of an idle connection. It is made once for a
// connection, because it is used before every request on it.
type probe struct {
	raw   syscall.RawConn // nil if the socket cannot be reached, such as through TLS
	try   func(fd uintptr) bool
	byte  [1]byte
	quiet bool // what look saw
}

func newProbe(c net.Conn) *probe {
	p := &probe{}
	p.try = p.look
	if sc, ok := c.(syscall.Conn); ok {
		p.raw, _ = sc.SyscallConn() // an error leaves nil
	}
	return p
}

// look reads without waiting, once.
func (p *probe) look(fd uintptr) bool {
	_, err := unix.Read(int(fd), p.byte[:])
	p.quiet = errors.Is(err, unix.EAGAIN)
	return true
}

// quietNow reports that the connection is open and that nothing has arrived on
// it: a read that does not wait must find nothing, not even the end. (The
// method is that of go-sql-driver/mysql's connCheck.) known is false where the
// socket cannot be reached.
func (p *probe) quietNow() (quiet, known bool) {
	if p.raw == nil {
		return true, false
	}
	p.quiet = false
	err := p.raw.Read(p.try)
	return err == nil && p.quiet, true
}
