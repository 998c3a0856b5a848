// Package news fans the event stream out. Publishing never waits for a
// follower: what one has not taken yet is kept for it, later news of a thing
// replacing earlier news of it, so that a slow follower skips steps but always
// learns the last state of everything. A follower that takes nothing is cut
// once too much is owed to it. One whose connection broke may resume: the latest
// events are kept for a while.
package news

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"daemon-proxy/core/api"
)

// maxPending bounds the events that are kept for a follower that does not read.
const maxPending = 20_000

// ErrBehind ends the following of one to whom too much is owed. It should
// follow again, and begin with snapshots.
var ErrBehind = errors.New("too much has happened since the last events were taken")

// Feed is the event stream of a core. Its zero value has no request log.
//
// Followers are only notified that exchanges have changed and fetch them from
// the request log themselves. So a request costs the proxy next to nothing,
// however many follow.
type Feed struct {
	log Log

	mu        sync.Mutex // held while an event is published and while followers changes
	run       string     // names this feed in positions; empty: nobody has followed
	history   history
	followers atomic.Pointer[[]*Follower]
}

// Log is what followers read of the request log.
type Log interface {
	// Changed is what has changed since that change, and the number of the last.
	Changed(since uint64) ([]api.Exchange, uint64)
	// Complete reports whether Changed misses nothing since that change.
	Complete(since uint64) bool
}

// Follower is one reader of the event stream. One goroutine may use it.
type Follower struct {
	feed        *Feed
	log         Log
	unsubscribe func()
	seen        uint64        // the number of the last change of an exchange that was taken
	taken       uint64        // the number of the last event that was taken
	dirty       atomic.Bool   // exchanges have changed since
	ready       chan struct{} // holds one element while there is something to take

	mu      sync.Mutex
	pending []api.Event
	index   map[subject]int // subject → position in pending
	newest  uint64          // the number of the last event that was pending
	behind  bool
}

// SetLog names the request log; it is called before anything else.
func (f *Feed) SetLog(log Log) { f.log = log }

// Follow registers a follower before it returns; the following ends with ctx.
func (f *Feed) Follow(ctx context.Context) *Follower {
	o := &Follower{feed: f, log: f.log, index: map[subject]int{}, ready: make(chan struct{}, 1)}
	if o.log != nil {
		_, o.seen = o.log.Changed(math.MaxUint64)
	}
	f.change(func(all []*Follower) []*Follower {
		if f.run == "" {
			f.run = strings.ToLower(rand.Text()[:10])
		}
		o.newest, o.taken = f.history.last, f.history.last
		return append(all, o)
	})
	o.unsubscribe = func() {
		f.change(func(all []*Follower) []*Follower {
			return slices.DeleteFunc(all, func(other *Follower) bool { return other == o })
		})
	}
	context.AfterFunc(ctx, o.unsubscribe)
	return o
}

// change replaces the followers; edit gets a copy.
func (f *Feed) change(edit func([]*Follower) []*Follower) {
	f.mu.Lock()
	defer f.mu.Unlock()
	all := edit(slices.Clone(f.all()))
	f.followers.Store(&all)
}

func (f *Feed) all() []*Follower {
	if all := f.followers.Load(); all != nil {
		return *all
	}
	return nil
}

// Publish passes an event to all followers.
func (f *Feed) Publish(event api.Event) {
	about := subjectOf(event)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.history.add(about, event)
	for _, o := range f.all() {
		o.mu.Lock()
		o.put(about, event, f.history.last)
		o.mu.Unlock()
	}
}

// LogChanged notifies followers that an exchange has changed. It is called
// twice a request and more, and takes no lock.
func (f *Feed) LogChanged() {
	for _, o := range f.all() {
		if !o.dirty.Load() && o.dirty.CompareAndSwap(false, true) {
			o.wake()
		}
	}
}

func (o *Follower) wake() {
	select {
	case o.ready <- struct{}{}:
	default:
	}
}

// put adds an event to those that are pending; mu is held.
func (o *Follower) put(about subject, event api.Event, number uint64) {
	o.newest = number
	if at, ok := o.index[about]; ok {
		o.pending[at] = event
		return // ready is set already
	}
	if len(o.pending) >= maxPending {
		o.behind = true
		return
	}
	o.index[about] = len(o.pending)
	o.pending = append(o.pending, event)
	o.wake()
}

// Next waits until there is news and returns all of it, oldest subject first.
// The error is that of ctx, or ErrBehind.
func (o *Follower) Next(ctx context.Context) ([]api.Event, error) {
	for {
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-o.ready:
		}
		batch, err := o.take()
		if len(batch) > 0 || err != nil {
			return batch, err
		}
	}
}

// take is all that is pending, and what has changed in the request log.
func (o *Follower) take() ([]api.Event, error) {
	o.mu.Lock()
	batch, behind := o.pending, o.behind
	o.pending, o.taken = nil, o.newest
	clear(o.index)
	o.mu.Unlock()
	if behind {
		o.unsubscribe()
		return nil, ErrBehind
	}
	if !o.dirty.Swap(false) { // before the log is read, so that nothing is missed
		return batch, nil
	}
	var changed []api.Exchange
	changed, o.seen = o.log.Changed(o.seen)
	now := time.Now()
	batch = slices.Grow(batch, len(changed))
	for i := range changed {
		batch = append(batch, api.Event{Kind: api.EventExchange, Time: now, Exchange: &changed[i]})
	}
	return batch, nil
}

// Position names what was taken so far, for Resume.
func (o *Follower) Position() string {
	return fmt.Sprintf("%s-%d-%d", o.feed.run, o.taken, o.seen)
}

// Resume makes Next return what has happened since the position of another
// follower, instead of what has happened since this one registered. It reports
// false and changes nothing if some of that is not known any more, or if the
// position is none of this feed: the caller then begins with snapshots.
func (o *Follower) Resume(position string) bool {
	parts := strings.Split(position, "-")
	if len(parts) != 3 || parts[0] != o.feed.run {
		return false
	}
	event, err1 := strconv.ParseUint(parts[1], 10, 64)
	change, err2 := strconv.ParseUint(parts[2], 10, 64)
	if err1 != nil || err2 != nil || o.log != nil && !o.log.Complete(change) {
		return false
	}
	o.feed.mu.Lock()
	defer o.feed.mu.Unlock()
	missed, ok := o.feed.history.since(event)
	if !ok {
		return false
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.pending, o.taken, o.seen = nil, event, change
	clear(o.index)
	for _, one := range missed {
		o.put(one.about, one.event, one.number)
	}
	o.dirty.Store(o.log != nil)
	o.wake()
	return true
}

// subject is the thing that an event is about: a later event of the same
// subject makes an earlier one worthless.
type subject struct {
	kind         string
	engine, name string
	more, state  string
	number       uint64
}

func subjectOf(e api.Event) subject {
	switch {
	case e.Injection != nil:
		// Each step counts; within a step only the latest progress does.
		return subject{kind: "injection", engine: e.Injection.Sandbox.Engine, name: e.Injection.Sandbox.Name,
			more: string(e.Injection.Step), state: e.Injection.State}
	case e.Port != nil:
		return subject{kind: "port", engine: e.Port.Sandbox.Engine, name: e.Port.Sandbox.Name,
			number: uint64(e.Port.Port.Port)}
	case e.Sandbox != nil:
		return subject{kind: "sandbox", engine: e.Sandbox.Engine, name: e.Sandbox.Name}
	case e.Link != nil:
		return subject{kind: "link", more: e.Link.ID}
	case e.Exchange != nil: // of a core elsewhere: in its own process the log has them
		return subject{kind: "exchange", number: e.Exchange.ID}
	case e.Engine != nil:
		return subject{kind: "engine", name: e.Engine.Name}
	}
	return subject{kind: string(e.Kind)} // such as the screens, which come all at once
}
