package preview

import (
	"errors"
	"os"

	"golang.org/x/sys/windows"
)

// lockOffset is the place of the one byte that is locked, beyond any content.
// bbolt's is another: locks of one handle shut each other out here.
const lockOffset = 1<<32 - 2

func lockRange() *windows.Overlapped {
	return &windows.Overlapped{Offset: lockOffset, OffsetHigh: lockOffset}
}

// tryLock takes a lock on an open file, or reports that another program has it.
func tryLock(file *os.File) (locked bool, err error) {
	err = windows.LockFileEx(windows.Handle(file.Fd()),
		windows.LOCKFILE_EXCLUSIVE_LOCK|windows.LOCKFILE_FAIL_IMMEDIATELY, 0, 1, 0, lockRange())
	if errors.Is(err, windows.ERROR_LOCK_VIOLATION) {
		return false, nil
	}
	return err == nil, err
}

// unlock gives the lock back.
func unlock(file *os.File) error {
	return windows.UnlockFileEx(windows.Handle(file.Fd()), 0, 1, 0, lockRange())
}

// replaceLocked puts the file fresh in the place of the locked file at path,
// which it must close: an open file cannot be replaced here. If another
// program opens it in that moment, that is an error and changes nothing.
func replaceLocked(file *os.File, fresh, path string) error {
	if err := file.Close(); err != nil {
		return err
	}
	return os.Rename(fresh, path)
}

// replaceOpen is not possible here.
func replaceOpen(_, _ string) error { return errors.ErrUnsupported }
