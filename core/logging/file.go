package logging

import (
	"io"
	"os"
	"path/filepath"
	"sync"
	"time"

	"gopkg.in/natefinch/lumberjack.v2"
)

// checkEvery is how often, at most, a write checks that the log file is still
// the one that is open.
const checkEvery = time.Second

// rotated is a log file that is renamed when it is full. A file that another
// program deletes, renames or truncates is opened again within checkEvery.
type rotated struct {
	log *lumberjack.Logger

	mu      sync.Mutex
	checked time.Time
	seen    os.FileInfo // the file as of the last check; nil before the first
}

func newRotated(file string, maxSizeMB, maxBackups int) *rotated {
	return &rotated{log: &lumberjack.Logger{Filename: file, MaxSize: maxSizeMB, MaxBackups: maxBackups}}
}

func (r *rotated) Write(line []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if now := time.Now(); now.Sub(r.checked) >= checkEvery {
		r.checked = now
		r.reopenIfReplaced()
	}
	return r.log.Write(line)
}

// reopenIfReplaced closes the file if its name stands for another file by now,
// or for none; the next write opens it.
func (r *rotated) reopenIfReplaced() {
	info, err := os.Stat(r.log.Filename)
	if err != nil {
		_ = usable(r.log.Filename) // creates folder and file with our modes, if possible
		info, _ = os.Stat(r.log.Filename)
	}
	if r.seen != nil && (info == nil || !os.SameFile(r.seen, info) || info.Size() < r.seen.Size()) {
		_ = r.log.Close()
	}
	r.seen = info
}

// Close closes the file.
func (r *rotated) Close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.log.Close()
}

var _ io.WriteCloser = (*rotated)(nil)

// usable creates the folder of file and tries to append to it.
func usable(file string) error {
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return err
	}
	f, err := os.OpenFile(file, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600) //nolint:gosec // the configured log file
	if err != nil {
		return err
	}
	return f.Close()
}
