//go:build !windows

package preview

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
)

// tryLock takes the lock on an open file that bbolt takes too (on the same
// *os.File it gets it as well), or reports that another program has it.
func tryLock(file *os.File) (locked bool, err error) {
	err = syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return false, nil
	}
	return err == nil, err
}

// unlock gives the lock back: a memory map holds it beyond the file's close.
func unlock(file *os.File) error { return syscall.Flock(int(file.Fd()), syscall.LOCK_UN) }

// replaceLocked puts the file fresh in the place of the locked file at path.
func replaceLocked(_ *os.File, fresh, path string) error { return replaceOpen(fresh, path) }

// replaceOpen is replaceLocked of files that stay open. When it returns, no
// loss of power brings the old one back, and what the new one got since is
// not lost with it.
func replaceOpen(fresh, path string) error {
	if err := os.Rename(fresh, path); err != nil {
		return err
	}
	if dir, err := os.Open(filepath.Dir(path)); err == nil { // a folder may be one to write to and not to read
		_ = dir.Sync() // not every file system can
		_ = dir.Close()
	}
	return nil
}
