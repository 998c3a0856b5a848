package preview

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"runtime/debug"
	"time"

	"go.etcd.io/bbolt"

	"daemon-proxy/core/api"
)

// bucketLinks holds the records: token → record.encode.
const bucketLinks = "links"

// linksName is the links file's usual name: what has it is a links file, be it
// damaged beyond recognition. Under any other name such a file may be another
// program's.
const linksName = "links.db"

// lockTimeout is how long a file that another program has open is waited for,
// so that a restart needs no luck.
const lockTimeout = time.Second

// errBroken reports that bbolt panicked before: its locks and pages are in no
// known state, so it is not called again.
var errBroken = errors.New("the links file is damaged; this was noticed while it was in use")

// boltStore is a store in one bbolt file.
type boltStore struct {
	db     *bbolt.DB
	path   string
	file   *os.File // the one db uses; closing it also unlocks it
	broken bool
}

// openBolt opens the links file, or begins one. bbolt trusts every number in
// its pages: it panics, runs in circles or asks for all memory where one is
// wrong, and it says nothing where a record is. So the file is first read by
// checkPages, under the lock that bbolt will use, and bbolt only ever sees one
// that is sound.
func openBolt(ctx context.Context, path string, now func() time.Time, log *slog.Logger) (*boltStore, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, unusable(path, err)
	}
	for {
		file, err := openLocked(ctx, path)
		if err != nil {
			return nil, err
		}
		sound, err := soundOrReplaced(file, path, now, log)
		if err == nil && sound {
			_ = os.Remove(path + freshSuffix) // what a crash left half written
			return openSound(file, path)
		}
		_ = file.Close()
		if err != nil {
			return nil, err
		}
	}
}

// openLocked opens the file, which nobody but its user may read, and locks it
// against other programs, or says that one is in the way.
func openLocked(ctx context.Context, path string) (*os.File, error) {
	retry := time.NewTicker(20 * time.Millisecond)
	defer retry.Stop()
	deadline := time.NewTimer(lockTimeout)
	defer deadline.Stop()
	for {
		file, err := os.OpenFile(filepath.Clean(path), os.O_RDWR|os.O_CREATE, 0o600)
		if err != nil {
			return nil, unusable(path, err)
		}
		locked := false
		if err = file.Chmod(0o600); err == nil {
			locked, err = tryLock(file)
		}
		if locked && isAt(file, path) {
			return file, nil
		}
		_ = file.Close()
		if err != nil {
			return nil, unusable(path, err)
		}
		select {
		case <-retry.C:
		case <-ctx.Done():
			return nil, unusable(path, context.Cause(ctx))
		case <-deadline.C:
			return nil, api.NewProblem(api.CodeStateLocked,
				fmt.Sprintf("the links file %s is in use by another program, probably another daemon-proxy", path),
				"stop the other one, or set preview.state_file to a different file")
		}
	}
}

// isAt reports whether path still names the open file: who waited for its lock
// may have waited for one that was replaced meanwhile.
func isAt(file *os.File, path string) bool {
	ours, err := file.Stat()
	if err != nil {
		return false
	}
	there, err := os.Stat(path)
	return err == nil && os.SameFile(ours, there)
}

// soundOrReplaced reports whether bbolt can have the file. If the file is damaged
// it copies it aside and puts a new one with the readable records in its place
// in one step, so that no moment has fewer links than the damaged file.
func soundOrReplaced(file *os.File, path string, now func() time.Time, log *slog.Logger) (bool, error) {
	info, err := file.Stat()
	if err != nil {
		return false, unusable(path, err)
	}
	if !info.Mode().IsRegular() {
		return false, unusable(path, errors.New("not a regular file"))
	}
	head := make([]byte, 64)
	n, err := file.ReadAt(head, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return false, unusable(path, err)
	}
	if foreign(head[:n]) && filepath.Base(path) != linksName {
		return false, unusable(path, errors.New("it is not a links file; it was not changed"))
	}
	content, err := io.ReadAll(io.NewSectionReader(file, 0, info.Size()))
	if err != nil {
		return false, unusable(path, err)
	}
	records, damage := checkPages(content)
	if damage == nil {
		return true, nil
	}
	aside := fmt.Sprintf("%s.damaged-%s", path, now().UTC().Format("20060102T150405.000000000Z"))
	if err := writeAside(aside, content); err != nil {
		return false, unusable(path, fmt.Errorf("it is damaged (%w) and cannot be renamed: %w", damage, err))
	}
	if err := replaceBy(file, path, records); err != nil {
		return false, unusable(path, fmt.Errorf("it is damaged (%w) and cannot be replaced: %w", damage, err))
	}
	log.Warn("the links file is damaged: it was renamed, and the links that could be read were copied to a new one",
		"file", path, "aside", aside, "damage", damage, "links", len(records))
	return false, nil
}

// writeAside writes a new file that no crash undoes.
func writeAside(path string, content []byte) error {
	file, err := os.OpenFile(filepath.Clean(path), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = file.Write(content)
	if err == nil {
		err = file.Sync()
	}
	return errors.Join(err, file.Close())
}

// replaceBy puts a new links file with the records in the place of the locked
// one at path.
func replaceBy(locked *os.File, path string, records []record) error {
	fresh, err := newBolt(path+freshSuffix, records)
	if err == nil {
		err = fresh.Close()
	}
	if err != nil {
		return err
	}
	return replaceLocked(locked, path+freshSuffix, path)
}

// freshSuffix ends the name of a file that is to take the place of the links file.
const freshSuffix = ".new"

// newBolt begins a links file with the records, in the place of what a crash
// may have left there.
func newBolt(path string, records []record) (*boltStore, error) {
	path = filepath.Clean(path)
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, err
	}
	s, err := openSound(file, path)
	if err != nil {
		return nil, err
	}
	err = s.update(func(bucket *bbolt.Bucket) error {
		bucket.FillPercent = 0.9 // few records will be inserted between them
		return putAll(bucket, records)
	})
	if err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// allocSize is by how many bytes the file grows. bbolt itself would double it.
const allocSize = 128 << 10

// openSound gives bbolt an open file that is new or was checked.
func openSound(file *os.File, path string) (*boltStore, error) {
	s := &boltStore{path: path, file: file}
	err := s.guard(func() (err error) {
		s.db, err = bbolt.Open(path, 0o600, &bbolt.Options{
			Timeout:  lockTimeout,
			OpenFile: func(string, int, os.FileMode) (*os.File, error) { return file, nil },
		})
		if err != nil {
			return err
		}
		s.db.AllocSize = allocSize
		return s.db.Update(func(tx *bbolt.Tx) error {
			_, err := tx.CreateBucketIfNotExists([]byte(bucketLinks))
			return err
		})
	})
	if err != nil {
		_ = s.Close()
		return nil, unusable(path, err)
	}
	return s, nil
}

// Load implements store.
func (s *boltStore) Load() ([]record, error) {
	var records []record
	err := s.guard(func() error {
		return s.db.View(func(tx *bbolt.Tx) error {
			return tx.Bucket([]byte(bucketLinks)).ForEach(func(key, value []byte) error {
				r, err := decode(key, value)
				records = append(records, r)
				return err
			})
		})
	})
	if err != nil {
		return nil, unusable(s.path, err)
	}
	return records, nil
}

// Put implements store.
func (s *boltStore) Put(records ...record) error {
	return s.update(func(bucket *bbolt.Bucket) error { return putAll(bucket, records) })
}

func putAll(bucket *bbolt.Bucket, records []record) error {
	for _, r := range records {
		value, err := r.encode()
		if err != nil {
			return err
		}
		if err := bucket.Put([]byte(r.Token), value); err != nil {
			return err
		}
	}
	return nil
}

// Delete implements store.
func (s *boltStore) Delete(tokens ...string) error {
	return s.update(func(bucket *bbolt.Bucket) error {
		for _, token := range tokens {
			if err := bucket.Delete([]byte(token)); err != nil {
				return err
			}
		}
		return nil
	})
}

// update commits a change, then once more without one: now both headers of the
// file lead to it. Else damage to the newer one would undo what was changed
// last, and give a revoked link back to those who had it.
func (s *boltStore) update(change func(*bbolt.Bucket) error) error {
	return s.guard(func() error {
		err := s.db.Update(func(tx *bbolt.Tx) error { return change(tx.Bucket([]byte(bucketLinks))) })
		if err != nil {
			return err
		}
		return s.db.Update(func(*bbolt.Tx) error { return nil })
	})
}

// Close implements store.
func (s *boltStore) Close() error {
	if s.broken || s.db == nil { // bbolt might wait for ever for a lock that a panic left behind
		return errors.Join(unlock(s.file), s.file.Close())
	}
	return s.guard(s.db.Close)
}

// guard turns bbolt's panics, and faults on its memory map (the file was cut
// by somebody, its disk fails), into errors. After one it calls bbolt no more.
func (s *boltStore) guard(call func() error) (err error) {
	if s.broken {
		return errBroken
	}
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if p := recover(); p != nil {
			s.broken = true
			err = fmt.Errorf("%w: %v", errBroken, p)
		}
	}()
	return call()
}

// unusable is the problem of a links file that cannot be opened.
func unusable(path string, err error) *api.Problem {
	if p, ok := errors.AsType[*api.Problem](err); ok {
		return p
	}
	return api.NewProblem(api.CodeStateUnusable, fmt.Sprintf("cannot use the links file %s: %v", path, err),
		"check that it is a links file that can be read and written; otherwise move it, or set preview.state_file to "+
			"a different file").Because(err)
}
