package core

import (
	"context"
	"errors"
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"daemon-proxy/core/api"
)

// maxPending bounds what a subscriber that does not read is owed.
const maxPending = 20_000

// errBehind ends a subscription to which too much is owed: what comes next is a
// new one, and snapshots.
var errBehind = errors.New("too much has happened since the last events were taken")

// events fans the event stream out. Publishing never waits for a subscriber:
// what one has not taken yet is kept for it with later news of the same thing
// replacing earlier news, so that a slow subscriber skips steps but always
// learns the last state of everything.
//
// Of exchanges a subscriber is told only that there are news; it fetches them
// from the request log when it takes them. So a request costs the proxy next to
// nothing, however many follow.
type events struct {
	exchanges exchanges

	mu   sync.Mutex // held while something is published and while subs changes
	subs atomic.Pointer[[]*Subscription]
}

// exchanges is the request log, as far as subscribers read it.
type exchanges interface {
	// Changed is what has changed since that change, and the number of the last.
	Changed(since uint64) ([]api.Exchange, uint64)
}

// Subscription is one follower of the event stream. One goroutine may use it.
type Subscription struct {
	exchanges exchanges
	leave     func()        // no more is owed to it
	seen      uint64        // the number of the last change of an exchange that was taken
	exchanged atomic.Bool   // there are others
	ready     chan struct{} // holds one element while there is something to take

	mu      sync.Mutex
	pending []api.Event
	places  map[subject]int // of what each subject's event is in pending
	behind  bool
}

// subscribe registers before it returns; the subscription ends with ctx.
func (e *events) subscribe(ctx context.Context) *Subscription {
	s := &Subscription{exchanges: e.exchanges, places: map[subject]int{}, ready: make(chan struct{}, 1)}
	_, s.seen = e.exchanges.Changed(math.MaxUint64)
	e.change(func(subs []*Subscription) []*Subscription { return append(subs, s) })
	s.leave = func() {
		e.change(func(subs []*Subscription) []*Subscription {
			return slices.DeleteFunc(subs, func(o *Subscription) bool { return o == s })
		})
	}
	context.AfterFunc(ctx, s.leave)
	return s
}

// change replaces subs; f gets a copy.
func (e *events) change(f func([]*Subscription) []*Subscription) {
	e.mu.Lock()
	defer e.mu.Unlock()
	subs := f(slices.Clone(e.followers()))
	e.subs.Store(&subs)
}

func (e *events) followers() []*Subscription {
	if subs := e.subs.Load(); subs != nil {
		return *subs
	}
	return nil
}

func (e *events) publish(event api.Event) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, s := range e.followers() {
		s.put(event)
	}
}

// exchanged tells that an exchange has changed. It is called twice a request
// and more, and takes no lock.
func (e *events) exchanged() {
	for _, s := range e.followers() {
		if !s.exchanged.Load() && s.exchanged.CompareAndSwap(false, true) {
			s.wake()
		}
	}
}

func (s *Subscription) wake() {
	select {
	case s.ready <- struct{}{}:
	default:
	}
}

func (s *Subscription) put(event api.Event) {
	about := subjectOf(event)
	s.mu.Lock()
	defer s.mu.Unlock()
	if place, ok := s.places[about]; ok {
		s.pending[place] = event
		return // it was said that something is pending
	}
	if len(s.pending) >= maxPending {
		s.behind = true
		return
	}
	s.places[about] = len(s.pending)
	s.pending = append(s.pending, event)
	s.wake()
}

// Next waits until there is news and returns all of it, oldest subject first.
// The error is ctx's, or says that too much was not taken in time.
func (s *Subscription) Next(ctx context.Context) ([]api.Event, error) {
	for {
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-s.ready:
		}
		batch, err := s.take()
		if len(batch) > 0 || err != nil {
			return batch, err
		}
	}
}

// take is all that is pending, and what has changed in the request log.
func (s *Subscription) take() ([]api.Event, error) {
	s.mu.Lock()
	batch, behind := s.pending, s.behind
	s.pending = nil
	clear(s.places)
	s.mu.Unlock()
	if behind {
		s.leave()
		return nil, errBehind
	}
	if !s.exchanged.Swap(false) { // before the log is read, so that nothing is missed
		return batch, nil
	}
	var changed []api.Exchange
	changed, s.seen = s.exchanges.Changed(s.seen)
	now := time.Now()
	batch = slices.Grow(batch, len(changed))
	for i := range changed {
		batch = append(batch, api.Event{Kind: api.EventExchange, Time: now, Exchange: &changed[i]})
	}
	return batch, nil
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
		return subject{kind: "injection", engine: e.Injection.Sandbox.Engine, name: e.Injection.Sandbox.Name, more: string(e.Injection.Step), state: e.Injection.State}
	case e.Port != nil:
		return subject{kind: "port", engine: e.Port.Sandbox.Engine, name: e.Port.Sandbox.Name, number: uint64(e.Port.Port.Port)}
	case e.Sandbox != nil:
		return subject{kind: "sandbox", engine: e.Sandbox.Engine, name: e.Sandbox.Name}
	case e.Link != nil:
		return subject{kind: "link", more: e.Link.ID}
	case e.Engine != nil:
		return subject{kind: "engine", name: e.Engine.Name}
	}
	return subject{kind: string(e.Kind)}
}

// now is the event with its time.
func now(e api.Event) api.Event {
	e.Time = time.Now()
	return e
}
