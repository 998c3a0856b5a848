package proxy

import (
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

const (
	// watchEvery is how often the active directions are checked. One that makes
	// progress costs an atomic load each time, and no system call.
	watchEvery = 200 * time.Millisecond
	// leftPatience is how long a write may be blocked once the side that its
	// bytes come from has sent its FIN. With the checks it adds up to a second.
	leftPatience = 500 * time.Millisecond
	// takesNothing is how long a peer may read nothing before it is disconnected
	// if descriptors are short.
	takesNothing = 5 * time.Minute
)

// errLeft ends an exchange whose client has sent its FIN while the daemon reads
// nothing.
var errLeft = fmt.Errorf("the client disconnected: %w", io.ErrUnexpectedEOF)

// errTakesNothing ends a direction whose receiver does not read.
var errTakesNothing = fmt.Errorf("the peer read nothing for %s: %w", takesNothing, io.ErrClosedPipe)

// What the goroutine of a direction is doing; stored in the low bits of watch.step.
const (
	resting = iota
	reading
	writing
	stepBits = 2
)

// watch monitors one direction of an exchange. While its goroutine is blocked in
// a write, nothing reads from the source, so its end would go unnoticed: the FIN
// or RST is behind unread bytes. The kernel can report it all the same.
type watch struct {
	src, dst *socket // nil: unknown
	finIsEnd bool    // the FIN of src is the ordinary end of its bytes: only a RST counts
	back     *watch  // the other direction, whose progress is a sign of life; nil: none
	// silence is how long a read may block before silent is called; 0: no limit.
	silence time.Duration
	silent  func()
	// left is called when the side that the bytes come from has ended, with
	// errLeft or what broke the connection; and with errTakesNothing.
	left func(error)

	step  atomic.Uint64
	count uint64 // of the goroutine that moves the bytes

	// These belong to the watcher.
	seen   uint64
	queued int
	moved  time.Time
	ended  time.Time // when the FIN was first seen in this write
}

// now records what the goroutine of the direction is about to do. On a nil
// watch it does nothing.
func (w *watch) now(doing uint64) {
	if w == nil {
		return
	}
	w.count++
	w.step.Store(w.count<<stepBits | doing)
}

// check is called every watchEvery.
func (w *watch) check(now time.Time, crowded func() bool) {
	step := w.step.Load()
	doing := step & (1<<stepBits - 1)
	if step != w.seen {
		w.seen, w.moved, w.ended, w.queued = step, now, time.Time{}, -1
		return
	}
	waited := now.Sub(w.moved)
	switch {
	case doing == reading && w.silence > 0 && waited >= w.silence:
		w.silent()
	case doing == writing:
		w.checkWrite(now, crowded)
	}
}

// checkWrite checks a write that has been blocked since the last check at least.
func (w *watch) checkWrite(now time.Time, crowded func() bool) {
	if queued := w.dst.queued(); queued == 0 || queued != w.queued {
		w.queued, w.moved = queued, now // the peer has read some of it
	}
	fin, reset := w.src.over()
	fin = fin && !w.finIsEnd
	switch {
	case reset:
		w.left(syscall.ECONNRESET)
		return
	case !fin:
		w.ended = time.Time{}
	case w.ended.IsZero():
		w.ended = now
	}
	alive := w.moved
	if w.back != nil && w.back.moved.After(alive) {
		alive = w.back.moved
	}
	if fin && now.Sub(w.ended) >= leftPatience && now.Sub(alive) >= leftPatience {
		w.left(errLeft)
	} else if now.Sub(w.moved) >= takesNothing && crowded() {
		w.left(errTakesNothing)
	}
}

// watcher monitors directions as long as there are any.
type watcher struct {
	crowded func() bool

	mu      sync.Mutex
	set     map[*watch]struct{}
	running bool
	closed  bool
	stop    chan struct{}
	ended   sync.WaitGroup
}

func (r *watcher) add(watches ...*watch) {
	now := time.Now()
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, w := range watches {
		w.moved = now
		r.set[w] = struct{}{}
	}
	if !r.running && !r.closed {
		r.running = true
		r.ended.Go(r.run)
	}
}

func (r *watcher) remove(watches ...*watch) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, w := range watches {
		delete(r.set, w)
	}
}

func (r *watcher) run() {
	tick := time.NewTicker(watchEvery)
	defer tick.Stop()
	for {
		select {
		case now := <-tick.C:
			if !r.checkAll(now) {
				return
			}
		case <-r.stop:
			return
		}
	}
}

// checkAll returns false once there is nothing to monitor.
func (r *watcher) checkAll(now time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	for w := range r.set {
		w.check(now, r.crowded)
	}
	r.running = len(r.set) > 0
	return r.running
}

// close stops monitoring; directions added later are not monitored.
func (r *watcher) close() {
	r.mu.Lock()
	if !r.closed {
		r.closed = true
		close(r.stop)
	}
	r.mu.Unlock()
	r.ended.Wait()
}
