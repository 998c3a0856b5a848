//go:build unix

package proxy

import (
	"errors"
	"syscall"

	"golang.org/x/sys/unix"
)

// quiet says that an idle connection is open and that nothing has arrived on
// it: a read that does not wait must find nothing, not even the end. (The
// method is that of go-sql-driver/mysql's connCheck.) A connection whose
// socket cannot be reached, such as one through TLS, is taken to be quiet; see
// upstream.checked.
func (u *upstream) quiet() bool {
	sc, ok := u.Conn.(syscall.Conn)
	if !ok {
		return true
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return false
	}
	quiet := false
	err = raw.Read(func(fd uintptr) bool {
		var b [1]byte
		_, err := unix.Read(int(fd), b[:])
		quiet = errors.Is(err, unix.EAGAIN)
		return true
	})
	u.checked = true
	return err == nil && quiet
}
