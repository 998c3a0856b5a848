//go:build unix

package server

import "syscall"

// openFiles is how many files this process may have open; 0: not known. (Go
// raises the soft limit to the hard one at the start.)
func openFiles() int {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return 0
	}
	return int(min(uint64(limit.Cur), 1<<30)) //nolint:unconvert // it is signed on some systems
}
