// Package traffic is the request log: the last exchanges, those under way,
// their headers and the beginning of their bodies, rates and percentiles.
//
// Everything in it is bounded: the number of exchanges, the bytes captured of
// one body and of all together (the oldest bodies go first). Recording never
// waits for a reader; subscribers read at their own pace and always get the
// last state of every exchange that the log still holds.
//
// What it hands out has its secrets masked. The originals of headers stay in
// memory and leave only through Original.
package traffic

import (
	"cmp"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"daemon-proxy/core/api"
)

// BodyLimit is how many bytes of each body are captured.
const BodyLimit = 64 << 10

// Options configure New.
type Options struct {
	// Exchanges is how many ended exchanges are kept; 0: 10,000.
	Exchanges int
	// BodyBytes bounds the captured bytes of all bodies together; 0: 16 MiB.
	BodyBytes int
	// Bodies turns the capture of bodies on.
	Bodies bool
	// Now is the clock; nil: time.Now.
	Now func() time.Time
	// OnChange is called when Changed has something to tell: an exchange began,
	// got its answer or ended. It must not wait. nil: nobody.
	OnChange func()
}

// Log is the request log. Its methods may be called from any goroutine.
type Log struct {
	options Options
	nextID  atomic.Uint64
	rates   rates

	mu     sync.Mutex
	ring   []*Recording // ended exchanges; the oldest is at next once it is full
	next   int
	live   map[uint64]*Recording
	change uint64       // the number of the last one
	bodies []*Recording // those that held bodies when they came, oldest first
	held   int          // captured bytes of all

	framed     []*Recording // those that hold frames, oldest first
	framesHeld int          // bytes of all frames
}

// New makes an empty log.
func New(options Options) *Log {
	if options.Exchanges == 0 {
		options.Exchanges = 10_000
	}
	if options.BodyBytes == 0 {
		options.BodyBytes = 16 << 20
	}
	if options.Now == nil {
		options.Now = time.Now
	}
	return &Log{options: options, live: map[uint64]*Recording{}}
}

// Begin records that an exchange has begun; x gets its ID, Start and Live.
// The Recording must be ended.
func (l *Log) Begin(x api.Exchange) *Recording {
	x.ID = l.nextID.Add(1)
	if x.Start.IsZero() {
		x.Start = l.options.Now()
	}
	x.Live = true
	r := &Recording{log: l, exchange: x}
	l.mu.Lock()
	l.live[x.ID] = r
	l.mark(r)
	l.mu.Unlock()
	l.tell()
	return r
}

// mark notes that r has changed; l.mu is held, and tell follows.
func (l *Log) mark(r *Recording) {
	l.change++
	r.change = l.change
}

func (l *Log) tell() {
	if l.options.OnChange != nil {
		l.options.OnChange()
	}
}

// changed notes that the live r has changed, and tells.
func (l *Log) changed(r *Recording) {
	l.mu.Lock()
	l.mark(r)
	l.mu.Unlock()
	l.tell()
}

// Changed is what has changed since that change, as it is now, oldest exchange
// first, and the number of the last change. It costs only what has changed. An
// exchange that the log does not hold any more is not in it.
func (l *Log) Changed(since uint64) ([]api.Exchange, uint64) {
	l.mu.Lock()
	var changed []*Recording
	for i := range l.ring { // in the order of their last changes, the newest first
		r := l.ring[(l.next+len(l.ring)-1-i)%len(l.ring)]
		if r.change <= since {
			break
		}
		changed = append(changed, r)
	}
	for _, r := range l.live {
		if r.change > since {
			changed = append(changed, r)
		}
	}
	last := l.change
	l.mu.Unlock()
	slices.SortFunc(changed, func(a, b *Recording) int { return cmp.Compare(a.id(), b.id()) })
	return snapshots(changed), last
}

func snapshots(recordings []*Recording) []api.Exchange {
	exchanges := make([]api.Exchange, len(recordings))
	for i, r := range recordings {
		exchanges[i] = r.snapshot()
	}
	return exchanges
}

// end moves r from the live ones into the ring.
func (l *Log) end(r *Recording, x api.Exchange) {
	l.rates.add(x.Start.Add(x.Duration), x.Duration)
	l.mu.Lock()
	delete(l.live, x.ID)
	l.mark(r)
	if len(l.ring) < l.options.Exchanges {
		l.ring = append(l.ring, r)
	} else {
		l.release(l.ring[l.next])
		l.releaseFrames(l.ring[l.next])
		l.ring[l.next] = r
		l.next = (l.next + 1) % len(l.ring)
	}
	l.mu.Unlock()
	l.tell()
}

// Last is the n latest exchanges, live ones included, newest first; all of
// them if n is 0.
func (l *Log) Last(n int) []api.Exchange {
	l.mu.Lock()
	all := make([]*Recording, 0, len(l.ring)+len(l.live))
	all = append(all, l.ring...)
	for _, r := range l.live {
		all = append(all, r)
	}
	l.mu.Unlock()
	slices.SortFunc(all, func(a, b *Recording) int { return cmp.Compare(b.id(), a.id()) })
	if n > 0 && len(all) > n {
		all = all[:n]
	}
	return snapshots(all)
}

// Get is the exchange of that id, false if the log does not hold it any more.
func (l *Log) Get(id uint64) (api.ExchangeDetail, bool) {
	r := l.find(id)
	if r == nil {
		return api.ExchangeDetail{}, false
	}
	return r.detail(), true
}

// Original is the request header of an exchange as it was, secrets included:
// for repeating the request, never for showing.
func (l *Log) Original(id uint64) (http.Header, bool) {
	r := l.find(id)
	if r == nil {
		return nil, false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.requestHeader.Clone(), true
}

func (l *Log) find(id uint64) *Recording {
	l.mu.Lock()
	defer l.mu.Unlock()
	if r := l.live[id]; r != nil {
		return r
	}
	for _, r := range l.ring {
		if r.id() == id {
			return r
		}
	}
	return nil
}

// reserve asks for n bytes of body for r; older bodies are given up for it.
func (l *Log) reserve(r *Recording, n int) bool {
	if n > l.options.BodyBytes {
		return false
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for l.held+n > l.options.BodyBytes {
		if len(l.bodies) == 0 || l.bodies[0] == r {
			return false
		}
		l.release(l.bodies[0])
		l.bodies = l.bodies[1:]
	}
	if r.held == 0 {
		l.queue(r)
	}
	r.held += n
	l.held += n
	return true
}

// release drops the bodies of r; l.mu is held.
func (l *Log) release(r *Recording) {
	if r.held == 0 {
		return
	}
	l.held -= r.held
	r.held = 0
	r.dropped.Store(true)
}

// queue appends r to bodies, less those at the front that hold none any more,
// and now and then less all such; l.mu is held.
func (l *Log) queue(r *Recording) {
	for len(l.bodies) > 0 && l.bodies[0].held == 0 {
		l.bodies = l.bodies[1:]
	}
	if len(l.bodies) > 2*(len(l.ring)+len(l.live)) {
		l.bodies = slices.DeleteFunc(l.bodies, func(o *Recording) bool { return o.held == 0 })
	}
	l.bodies = append(l.bodies, r)
}

// Rates sums up the last minute.
func (l *Log) Rates() api.Rates { return l.rates.at(l.options.Now()) }
