//go:build unix

package config

import (
	"io/fs"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// belongsToUser says whether the file's owner is the user that this process acts as.
func belongsToUser(info fs.FileInfo) bool {
	st, ok := info.Sys().(*syscall.Stat_t)
	return ok && int64(st.Uid) == int64(os.Geteuid())
}

// othersMayRead says whether group or others may read the file.
func othersMayRead(info fs.FileInfo) bool { return info.Mode().Perm()&0o044 != 0 }

// canWrite says whether this process may make files in the folder.
func canWrite(dir string) bool { return unix.Access(dir, unix.W_OK|unix.X_OK) == nil }
