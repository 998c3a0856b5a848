// Package save writes what a person wants to keep to new files.
package save

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"daemon-proxy/core/api"
)

// TimeFormat names files; colons are no part of a file's name everywhere.
const TimeFormat = "20060102-150405"

// New writes a file that only its owner may read and that was not there
// before; it returns the whole path. The file has its name only once all of it
// is on the disk: whatever fails, no part of it stays.
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

// notWritten names the file that was wanted, not the one that was tried.
func notWritten(path string, err error, hint string) error {
	why := err
	if failed := (*fs.PathError)(nil); errors.As(err, &failed) {
		why = failed.Err
	}
	return &api.Problem{Title: "Not saved", Detail: path + " was not written: " + why.Error(), Hint: hint, Cause: err}
}
