package proxy

import "golang.org/x/sys/unix"

// over says whether the peer's FIN or RST has arrived, also where unread bytes
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

// queued is how many bytes the peer's kernel has not taken yet.
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
