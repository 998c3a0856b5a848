package core

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"daemon-proxy/core/api"
)

// maxPending bounds what a subscriber that does not read is owed.
const maxPending = 20_000

// events fans the event stream out. Publishing never waits for a subscriber:
// what one has not taken yet is kept for it with later news of the same thing
// replacing earlier news, so that a slow subscriber skips steps but always
// learns the last state of everything. Only when more than maxPending
// different things are waiting are further ones dropped, and counted.
type events struct {
	followed atomic.Bool // there is somebody to tell; else nothing is made to be told

	mu   sync.Mutex
	subs map[*Subscription]struct{}
}

// Subscription is one follower of the event stream.
type Subscription struct {
	mu      sync.Mutex
	pending []api.Event
	places  map[subject]int // of what each subject's event is in pending
	dropped uint64
	ready   chan struct{} // holds one element while something is pending
}

// subscribe registers before it returns; the subscription ends with ctx.
func (e *events) subscribe(ctx context.Context) *Subscription {
	s := &Subscription{places: map[subject]int{}, ready: make(chan struct{}, 1)}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.subs == nil {
		e.subs = map[*Subscription]struct{}{}
	}
	e.subs[s] = struct{}{}
	e.followed.Store(true)
	context.AfterFunc(ctx, func() {
		e.mu.Lock()
		defer e.mu.Unlock()
		delete(e.subs, s)
		e.followed.Store(len(e.subs) > 0)
	})
	return s
}

func (e *events) publish(event api.Event) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for s := range e.subs {
		s.put(event)
	}
}

// exchange publishes what happened to an exchange. It is called twice a
// request and more, and costs nothing where nobody follows.
func (e *events) exchange(x api.Exchange) {
	if !e.followed.Load() {
		return
	}
	told := x
	e.publish(now(api.Event{Kind: api.EventExchange, Exchange: &told}))
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
		s.dropped++
		return
	}
	s.places[about] = len(s.pending)
	s.pending = append(s.pending, event)
	select {
	case s.ready <- struct{}{}:
	default:
	}
}

// Next waits until there is news and returns all of it, oldest subject first.
// The error is ctx's.
func (s *Subscription) Next(ctx context.Context) ([]api.Event, error) {
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-s.ready:
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	batch := s.pending
	s.pending = nil
	clear(s.places)
	return batch, nil
}

// Dropped is how many events were lost because too many were pending.
func (s *Subscription) Dropped() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.dropped
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
	case e.Exchange != nil:
		return subject{kind: "exchange", number: e.Exchange.ID}
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
