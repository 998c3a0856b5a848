// Package save writes to new files.
package save

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"daemon-proxy/core/api"
)

// TimeFormat is for file names; some systems do not allow colons in them.
const TimeFormat = "20060102-150405"

// New writes a new file that only its owner may read, and returns its absolute
// path. The file gets its name once all of it is on disk; after an error no part
// of it remains.
func New(dir, name string, content []byte) (string, error) {
	path, err := filepath.Abs(filepath.Join(dir, name))
	if err != nil {
		return "", err
	}
	if _, err := os.Lstat(path); err == nil {
		return "", notWritten(path, fs.ErrExist, "wait a second: the time is part of its name")
	}
	const elsewhere = "free some space, or start daemon-proxy in another directory"
	part, err := os.CreateTemp(filepath.Dir(path), "."+name+"-*") // mode 0600
	if err != nil {
		return "", notWritten(path, err, elsewhere)
	}
	_, err = part.Write(content)
	if err == nil {
		err = part.Sync()
	}
	if err = errors.Join(err, part.Close()); err == nil {
		err = os.Rename(part.Name(), path)
	}
	if err != nil {
		_ = os.Remove(part.Name())
		return "", notWritten(path, err, elsewhere)
	}
	return path, nil
}

// notWritten names the requested file in err, not the temporary one.
func notWritten(path string, err error, hint string) error {
	why := err
	if failed := (*fs.PathError)(nil); errors.As(err, &failed) {
		why = failed.Err
	}
	return &api.Problem{Title: "Not saved", Detail: path + " was not written: " + why.Error(), Hint: hint, Cause: err}
}
