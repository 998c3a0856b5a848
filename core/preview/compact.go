package preview

import (
	"errors"
	"os"
	"runtime"

	"go.etcd.io/bbolt"
)

// leastCompacted is the size in bytes of a links file that is left as it is.
const leastCompacted = 256 << 10

// elementOverhead is what a record takes in a page beside its key and value.
const elementOverhead = 16

// Compact implements store. A bbolt file never shrinks: pages that were
// deleted are used again, but stay. So the records are written into a new
// file, which is whole, on the disk and locked before it takes the place of the
// old one in one step: a crash leaves the one or the other.
//
// On Windows, where an open file cannot be replaced, it does nothing.
func (s *boltStore) Compact(factor int64) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	size, needed, err := s.size()
	if err != nil || size < leastCompacted || size <= factor*needed {
		return err
	}
	records, err := s.Load()
	if err != nil {
		return err
	}
	fresh, err := newBolt(s.path+freshSuffix, records)
	if err != nil {
		return err
	}
	if err := replaceOpen(fresh.path, s.path); err != nil {
		return errors.Join(err, fresh.Close(), os.Remove(fresh.path))
	}
	old := &boltStore{path: s.path, db: s.db, file: s.file}
	s.db, s.file = fresh.db, fresh.file
	return old.Close()
}

// size is the size of the file, and what the records need of it, in bytes.
func (s *boltStore) size() (size, needed int64, err error) {
	info, err := s.file.Stat()
	if err != nil {
		return 0, 0, err
	}
	err = s.guard(func() error {
		return s.db.View(func(tx *bbolt.Tx) error {
			return tx.Bucket([]byte(bucketLinks)).ForEach(func(key, value []byte) error {
				needed += int64(len(key) + len(value) + elementOverhead)
				return nil
			})
		})
	})
	return info.Size(), needed, err
}
