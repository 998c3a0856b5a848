// Package traffic is the request log: the last exchanges, those under way,
// their headers and the beginning of their bodies, rates and percentiles.
//
// Everything in it is bounded: the number of exchanges, what is kept of one
// path, head, body and frame, and the memory of all together. To stay within
// it, the log discards the headers, bodies and frames of the oldest exchanges,
// and only then the oldest exchanges themselves; what is cut or discarded is
// marked as such. Recording never waits for a reader; subscribers read at their
// own pace and always get the last state of every exchange that the log still
// holds.
//
// What it hands out has its secrets masked. The originals of headers stay in
// memory and leave only through OriginalRequest.
package traffic

import (
	"cmp"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"daemon-proxy/core/api"
	"daemon-proxy/core/logging"
)

// DefaultMemory is the budget of a log that is given none.
const DefaultMemory = 32 << 20

// Options configure New.
type Options struct {
	// Exchanges is how many ended exchanges are kept; 0: 10,000.
	Exchanges int
	// Memory bounds what the log keeps, in bytes: exchanges with their paths,
	// heads, bodies and frames; 0: 32 MiB.
	Memory int
	// Bodies turns the capture of bodies on.
	Bodies bool
	// Now is the clock; nil: time.Now.
	Now func() time.Time
	// After is the ID after which those of the exchanges begin.
	After uint64
	// OnChange is called when Changed has something new: an exchange began, got
	// its answer or ended. It must not block. May be nil.
	OnChange func()
	// OnEnd is called with each exchange that has ended. It must not block. May be nil.
	OnEnd func(api.Exchange)
}

// Log is the request log. Its methods may be called from any goroutine.
type Log struct {
	options Options
	nextID  atomic.Uint64
	rates   rates

	mu      sync.Mutex
	known   map[uint64]*Recording
	live    chain  // open exchanges, in the order in which they began
	ended   chain  // in the order in which they ended
	holders chain  // those with a detail
	change  uint64 // the number of the latest change
	evicted uint64 // that of the latest exchange that was evicted
	dropped uint64 // how many were
	held    int    // bytes in use, by this package's own count
}

// New returns an empty log.
func New(options Options) *Log {
	if options.Exchanges == 0 {
		options.Exchanges = 10_000
	}
	if options.Memory == 0 {
		options.Memory = DefaultMemory
	}
	if options.Now == nil {
		options.Now = time.Now
	}
	l := &Log{options: options, known: map[uint64]*Recording{}, holders: chain{which: byHolding}}
	l.nextID.Store(options.After)
	return l
}

// Begin records that an exchange has begun; x gets its ID, Start and Live.
// The Recording must be ended.
func (l *Log) Begin(x api.Exchange) *Recording {
	x.ID = l.nextID.Add(1)
	if x.Start.IsZero() {
		x.Start = l.options.Now()
	}
	x.Live = true
	own(&x)
	r := &Recording{log: l, exchange: x}
	r.cost = recordingCost + len(x.Method) + roundUp(len(x.Path)) + len(x.Remote) + len(x.Note)
	d := &detail{}
	r.detail.Store(d)
	l.mu.Lock()
	l.makeRoom(r.cost+detailCost, nil) // without room too, what is under way is listed
	l.held += r.cost
	l.hold(r, d, detailCost)
	l.known[x.ID] = r
	l.live.push(r)
	l.mark(r)
	l.mu.Unlock()
	l.notify()
	return r
}

// methodLimit and remoteLimit are how many bytes are kept of texts that are
// short unless a client means harm.
const (
	methodLimit = 64
	remoteLimit = 128
)

// own bounds the texts of x that come from outside, and copies them: they may
// be a small part of a large request.
func own(x *api.Exchange) {
	if len(x.Path) > PathLimit+len(cutMark) {
		x.PathSize = max(x.PathSize, int64(len(x.Path)))
		x.Path = logging.Cut(x.Path, PathLimit)
	}
	x.Path, x.Remote = strings.Clone(x.Path), logging.Cut(x.Remote, remoteLimit)
	switch x.Method {
	case http.MethodGet:
		x.Method = http.MethodGet
	case http.MethodPost:
		x.Method = http.MethodPost
	default:
		x.Method = strings.Clone(logging.Cut(x.Method, methodLimit))
	}
}

// mark records that r has changed; l.mu is held, and the caller calls notify next.
func (l *Log) mark(r *Recording) {
	l.change++
	r.change = l.change
}

func (l *Log) notify() {
	if l.options.OnChange != nil {
		l.options.OnChange()
	}
}

// changed records that the live r has changed, and notifies.
func (l *Log) changed(r *Recording) {
	l.mu.Lock()
	l.mark(r)
	l.mu.Unlock()
	l.notify()
}

// Changed is the current state of what has changed since that change, oldest exchange
// first, and the number of the last change. It costs only what has changed. An
// exchange that the log does not hold any more is not in it.
func (l *Log) Changed(since uint64) ([]api.Exchange, uint64) {
	l.mu.Lock()
	var changed []*Recording
	for r := l.ended.last; r != nil && r.change > since; r = l.ended.older(r) { // the latest change first
		changed = append(changed, r)
	}
	for r := l.live.first; r != nil; r = l.live.newer(r) {
		if r.change > since {
			changed = append(changed, r)
		}
	}
	last := l.change
	l.mu.Unlock()
	slices.SortFunc(changed, func(a, b *Recording) int { return cmp.Compare(a.id(), b.id()) })
	return snapshots(changed), last
}

// Complete reports whether Changed misses nothing since that change: the log
// still holds every exchange that has changed, and the change is one of its own.
func (l *Log) Complete(since uint64) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.evicted <= since && since <= l.change
}

func snapshots(recordings []*Recording) []api.Exchange {
	exchanges := make([]api.Exchange, len(recordings))
	for i, r := range recordings {
		exchanges[i] = r.snapshot()
	}
	return exchanges
}

// end moves r from the live ones to the ended ones.
func (l *Log) end(r *Recording, x api.Exchange) {
	l.rates.add(x.Start.Add(x.Duration), x.Duration)
	l.mu.Lock()
	r.over = true
	l.live.remove(r)
	l.ended.push(r)
	l.mark(r)
	if l.ended.length > l.options.Exchanges {
		l.evict()
	}
	l.makeRoom(0, nil)
	l.mu.Unlock()
	l.notify()
	if l.options.OnEnd != nil {
		l.options.OnEnd(x)
	}
}

// grow counts n more bytes for the line of r, which is under way.
func (l *Log) grow(r *Recording, n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !r.over {
		l.makeRoom(n, r)
		r.cost += n
		l.held += n
	}
}

// Last is the n latest exchanges, live ones included, newest first; all of
// them if n is 0.
func (l *Log) Last(n int) []api.Exchange {
	l.mu.Lock()
	all := make([]*Recording, 0, len(l.known))
	for _, r := range l.known {
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
	return r.show(), true
}

func (l *Log) find(id uint64) *Recording {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.known[id]
}

// Dropped is how many ended exchanges the log had no room for any more.
func (l *Log) Dropped() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.dropped
}

// Open is how many exchanges of each protocol are under way.
func (l *Log) Open() map[string]int {
	open := map[string]int{"http": 0, "websocket": 0, "event-stream": 0}
	l.mu.Lock()
	var live []*Recording
	for r := l.live.first; r != nil; r = l.live.newer(r) {
		live = append(live, r)
	}
	l.mu.Unlock()
	for _, r := range live {
		r.mu.Lock()
		open[r.exchange.Protocol]++
		r.mu.Unlock()
	}
	return open
}

// Rates sums up the last minute.
func (l *Log) Rates() api.Rates { return l.rates.at(l.options.Now()) }
