//go:build unix

package theme

import (
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// readFor reads from tty until done returns true, or for at most d.
func readFor(tty *os.File, d time.Duration, done func(string) bool) string {
	var got []byte
	for end := time.Now().Add(d); ; {
		left := time.Until(end)
		if left <= 0 {
			return string(got)
		}
		fds := []unix.PollFd{{Fd: int32(tty.Fd()), Events: unix.POLLIN}}
		if n, err := unix.Poll(fds, int(left.Milliseconds())+1); err != nil || n == 0 {
			if err == unix.EINTR {
				continue
			}
			return string(got)
		}
		chunk := make([]byte, 64)
		n, err := unix.Read(int(tty.Fd()), chunk)
		if err != nil || n == 0 {
			return string(got)
		}
		if got = append(got, chunk[:n]...); done(string(got)) {
			return string(got)
		}
	}
}
