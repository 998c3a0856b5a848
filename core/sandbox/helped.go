package sandbox

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"daemon-proxy/core/sandbox/source"
)

// helped remembers the containers of one source that have a helper, as empty files
// in the state folder, so that they get one again after a restart of this program.
type helped struct {
	dir    string // one file for each container
	source string // part of the names of the files
}

func newHelped(stateDir string, from source.Source) helped {
	h := helped{dir: filepath.Join(stateDir, "helped")}
	if from != nil {
		h.source = fmt.Sprintf("%x", sha256.Sum256([]byte(from.Name()+"\n"+from.Endpoint())))[:16]
	}
	return h
}

func (h helped) file(id string) string {
	return filepath.Join(h.dir, fmt.Sprintf("%s-%x", h.source, sha256.Sum256([]byte(id)))) // whatever the engine calls it
}

func (h helped) add(id string) error {
	if err := os.MkdirAll(h.dir, 0o700); err != nil {
		return err
	}
	return os.WriteFile(h.file(id), nil, 0o600)
}

func (h helped) remove(id string) error {
	err := os.Remove(h.file(id))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

func (h helped) has(id string) bool {
	_, err := os.Stat(h.file(id))
	return err == nil
}

// keep forgets all containers but those that are listed.
func (h helped) keep(listed []source.Container) error {
	known := map[string]bool{}
	for _, c := range listed {
		known[filepath.Base(h.file(c.ID))] = true
	}
	files, err := os.ReadDir(h.dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	for _, file := range files {
		if strings.HasPrefix(file.Name(), h.source+"-") && !known[file.Name()] {
			err = errors.Join(err, os.Remove(filepath.Join(h.dir, file.Name())))
		}
	}
	return err
}
