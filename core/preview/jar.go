package preview

import (
	"crypto/sha256"
	"encoding/binary"
	"strings"
	"sync"
	"sync/atomic"
)

// Jar knows the cookies that the service of a link has set. Cookies of one
// host go to all its ports and, in path mode, to all its previews, so that a
// cookie passes to a service only if that very service has set it.
type Jar interface {
	// Knows reports whether the service has set this cookie: "name=value".
	Knows(pair string) bool
	// Learn keeps that it has.
	Learn(pair string)
}

// maxCookies bounds what is remembered of one link; the ones that were not
// sent for the longest time go first.
const maxCookies = 256

// hashSize is the size in bytes of what is kept of one cookie.
const hashSize = 8

// jar remembers cookies by hash, value included: a name alone would let a
// service have every cookie whose name it can guess, by setting one of that
// name that browsers refuse. 64 bits are enough, since to have a cookie pass
// by chance a service would need to hit a value that it does not know.
type jar struct {
	mu    sync.RWMutex
	used  map[uint64]*atomic.Bool // by hash: sent since it last was the oldest
	order []uint64                // the oldest first
}

// readJar makes a jar of what bytes has returned.
func readJar(stored []byte) *jar {
	j := &jar{used: map[uint64]*atomic.Bool{}}
	for ; len(stored) >= hashSize; stored = stored[hashSize:] {
		j.add(binary.BigEndian.Uint64(stored))
	}
	return j
}

// bytes is the jar as it is stored.
func (j *jar) bytes() []byte {
	j.mu.RLock()
	defer j.mu.RUnlock()
	var stored []byte
	for _, hash := range j.order {
		stored = binary.BigEndian.AppendUint64(stored, hash)
	}
	return stored
}

func (j *jar) has(hash uint64) bool {
	j.mu.RLock()
	defer j.mu.RUnlock()
	used := j.used[hash]
	if used == nil {
		return false
	}
	if !used.Load() {
		used.Store(true)
	}
	return true
}

// add reports whether the cookie is new.
func (j *jar) add(hash uint64) bool {
	if j.has(hash) {
		return false
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.used[hash] != nil {
		return false
	}
	for len(j.order) >= maxCookies {
		oldest := j.order[0]
		j.order = j.order[1:]
		if used := j.used[oldest]; used.Swap(false) {
			j.order = append(j.order, oldest) // a second chance
		} else {
			delete(j.used, oldest)
		}
	}
	j.used[hash] = &atomic.Bool{}
	j.order = append(j.order, hash)
	return true
}

// clear forgets all cookies, for a link that has ended, and reports whether
// there were any.
func (j *jar) clear() bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	had := len(j.order) > 0
	clear(j.used)
	j.order = nil
	return had
}

func hashCookie(pair string) uint64 {
	sum := sha256.Sum256([]byte(pair))
	return binary.BigEndian.Uint64(sum[:])
}

// Knows implements Jar.
func (l *Live) Knows(pair string) bool { return l.cookies.has(hashCookie(pair)) }

// Learn implements Jar. A new cookie is stored soon, and at the latest when
// Links is closed, so that a login survives a restart.
func (l *Live) Learn(pair string) {
	if l.cookies.add(hashCookie(pair)) {
		l.dirty.Store(true)
		l.storeSoon()
	}
}

// storeSoon has what changed stored before the next flush.
func (l *Live) storeSoon() {
	select {
	case l.store <- struct{}{}:
	default: // it will be stored anyway
	}
}

// sentPair is a cookie as browsers send it back: without the blanks around
// name and value, and without "=" if it has no name (RFC 6265bis §5.6).
func sentPair(pair string) string {
	name, value, ok := strings.Cut(pair, "=")
	if !ok {
		return strings.Trim(pair, " \t")
	}
	name, value = strings.Trim(name, " \t"), strings.Trim(value, " \t")
	if name == "" {
		return value
	}
	if len(name)+1+len(value) == len(pair) {
		return pair
	}
	return name + "=" + value
}
