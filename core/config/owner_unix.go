//go:build unix

package config

import (
	"io/fs"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// belongsToUserOrRoot reports whether the file's owner is the user that this
// process acts as, or root: a mounted file, or that of a service of the system.
func belongsToUserOrRoot(info fs.FileInfo) bool {
	st, ok := info.Sys().(*syscall.Stat_t)
	return ok && (st.Uid == 0 || int64(st.Uid) == int64(os.Geteuid()))
}

// strangersMayRead reports whether more users may read the file than need to:
// group or others if it is the user's own, others if the program needs the
// group's permission because the file is root's.
func strangersMayRead(info fs.FileInfo) bool {
	wide := fs.FileMode(0o044)
	if st, ok := info.Sys().(*syscall.Stat_t); ok && int64(st.Uid) != int64(os.Geteuid()) {
		wide = 0o004
	}
	return info.Mode().Perm()&wide != 0
}

// canWrite reports whether this process may make files in the folder.
func canWrite(dir string) bool { return unix.Access(dir, unix.W_OK|unix.X_OK) == nil }
