//go:build unix

package mux

import (
	"os"
	"syscall"
)

// interruptible is f such that Close ends a Read or Write that is blocked. f must
// be kept, and not be used any more.
func interruptible(f *os.File) *os.File {
	fd := int(f.Fd())
	if syscall.SetNonblock(fd, true) != nil {
		return f
	}
	return os.NewFile(uintptr(fd), f.Name())
}
