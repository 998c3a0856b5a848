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
	// watchEvery is how often the directions under way are looked at. A direction
	// that moves costs an atomic load each time, and no system call.
	watchEvery = 200 * time.Millisecond
	// leftPatience is how long a write may go without progress once the side
	// that its bytes come from has sent its FIN. It is what is left of a second.
	leftPatience = 500 * time.Millisecond
	// takesNothing is after how long a peer that takes nothing is cut, where
	// descriptors are short.
	takesNothing = 5 * time.Minute
)

// errLeft is why an exchange ends whose client has sent its FIN while the
// daemon takes nothing.
var errLeft = fmt.Errorf("the client disconnected: %w", io.ErrUnexpectedEOF)

// errTakesNothing is why a direction ends whose receiver does not read.
var errTakesNothing = fmt.Errorf("the peer read nothing for %s: %w", takesNothing, io.ErrClosedPipe)

// What the goroutine of a direction is doing: the low bits of watch.step.
const (
	resting = iota
	reading
	writing
	stepBits = 2
)

// watch is one direction of an exchange. While its goroutine waits in a write,
// nothing reads from the other side, so its end would stay unseen: the FIN or
// RST is behind bytes that nobody takes. The kernel knows of it all the same.
type watch struct {
	src, dst *socket // nil: cannot be seen
	finIsEnd bool    // the FIN of src is the ordinary end of its bytes: only a RST counts
	back     *watch  // the other direction, whose progress is a sign of life; nil: none
	// silence is for how long a read may wait before silent is called; 0: for ever.
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

// look is called every watchEvery.
func (w *watch) look(now time.Time, crowded func() bool) {
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
		w.lookAtWrite(now, crowded)
	}
}

// lookAtWrite looks at a write that has waited since the last look at least.
func (w *watch) lookAtWrite(now time.Time, crowded func() bool) {
	if queued := w.dst.queued(); queued == 0 || queued != w.queued {
		w.queued, w.moved = queued, now // the peer takes some of it
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

// watcher looks at directions as long as there are any.
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
			if !r.lookAtAll(now) {
				return
			}
		case <-r.stop:
			return
		}
	}
}

// lookAtAll is false once there is nothing to look at.
func (r *watcher) lookAtAll(now time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	for w := range r.set {
		w.look(now, r.crowded)
	}
	r.running = len(r.set) > 0
	return r.running
}

// close ends the watching; what is added later is not watched.
func (r *watcher) close() {
	r.mu.Lock()
	if !r.closed {
		r.closed = true
		close(r.stop)
	}
	r.mu.Unlock()
	r.ended.Wait()
}
