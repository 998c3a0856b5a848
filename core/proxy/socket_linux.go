package proxy

import (
	"io"
	"net"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// plainSocket is nil where what is read from c is not what the socket has.
func plainSocket(c net.Conn) *socket {
	if _, wrapped := c.(interface{ NetConn() net.Conn }); wrapped {
		return nil
	}
	return socketOf(c)
}

// read reads what there is into the buffer that take returns. While there is
// nothing it waits as Read of a net.Conn does, having called give before.
func (s *socket) read(take func() []byte, give func()) (n int, err error) {
	waited := s.raw.Read(func(fd uintptr) bool {
		for {
			n, err = unix.Read(int(fd), take())
			if err != unix.EINTR {
				break
			}
		}
		if err == unix.EAGAIN {
			give()
			return false
		}
		return true
	})
	switch {
	case waited != nil:
		return 0, waited
	case err != nil:
		return 0, os.NewSyscallError("read", err)
	case n == 0:
		return 0, io.EOF
	}
	return n, nil
}

// over reports whether the peer's FIN or RST has arrived, also where unread bytes
// are before it.
func (s *socket) over() (fin, reset bool) {
	if s == nil {
		return false, false
	}
	err := s.raw.Control(func(fd uintptr) {
		poll := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLRDHUP}}
		if n, err := unix.Poll(poll, 0); n > 0 && err == nil {
			fin = poll[0].Revents&(unix.POLLRDHUP|unix.POLLHUP) != 0
			reset = poll[0].Revents&unix.POLLERR != 0
		}
	})
	return fin && err == nil, reset && err == nil
}

func (s *socket) endUnheard(after time.Duration) {
	if s == nil {
		return
	}
	_ = s.raw.Control(func(fd uintptr) { // a connection that is closed needs none
		_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(after.Milliseconds()))
	})
}

// queued is how many bytes the peer's kernel has not acknowledged yet.
func (s *socket) queued() (n int) {
	if s == nil {
		return 0
	}
	err := s.raw.Control(func(fd uintptr) {
		n, _ = unix.IoctlGetInt(int(fd), unix.SIOCOUTQ) // 0 where it is not known
	})
	if err != nil {
		return 0
	}
	return n
}
