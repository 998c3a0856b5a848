package core

import (
	"context"
	"strconv"
	"sync"
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
	mu   sync.Mutex
	subs map[*Subscription]struct{}
}

// Subscription is one follower of the event stream.
type Subscription struct {
	mu      sync.Mutex
	order   []string
	pending map[string]api.Event
	dropped uint64
	ready   chan struct{} // holds one element while something is pending
}

// subscribe registers before it returns; the subscription ends with ctx.
func (e *events) subscribe(ctx context.Context) *Subscription {
	s := &Subscription{pending: map[string]api.Event{}, ready: make(chan struct{}, 1)}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.subs == nil {
		e.subs = map[*Subscription]struct{}{}
	}
	e.subs[s] = struct{}{}
	context.AfterFunc(ctx, func() {
		e.mu.Lock()
		defer e.mu.Unlock()
		delete(e.subs, s)
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

func (s *Subscription) put(event api.Event) {
	key := subject(event)
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.pending[key]; !ok {
		if len(s.order) >= maxPending {
			s.dropped++
			return
		}
		s.order = append(s.order, key)
	}
	s.pending[key] = event
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
	batch := make([]api.Event, len(s.order))
	for i, key := range s.order {
		batch[i] = s.pending[key]
	}
	s.order = nil
	clear(s.pending)
	return batch, nil
}

// Dropped is how many events were lost because too many were pending.
func (s *Subscription) Dropped() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.dropped
}

// subject names the thing that an event is about: a later event of the same
// subject makes an earlier one worthless.
func subject(e api.Event) string {
	switch {
	case e.Injection != nil:
		// Each step counts; within a step only the latest progress does.
		return "injection\x00" + e.Injection.Sandbox.Engine + "\x00" + e.Injection.Sandbox.Name + "\x00" + string(e.Injection.Step) + "\x00" + e.Injection.State
	case e.Port != nil:
		return "port\x00" + e.Port.Sandbox.Engine + "\x00" + e.Port.Sandbox.Name + "\x00" + strconv.Itoa(e.Port.Port.Port)
	case e.Sandbox != nil:
		return "sandbox\x00" + e.Sandbox.Engine + "\x00" + e.Sandbox.Name
	case e.Link != nil:
		return "link\x00" + e.Link.ID
	case e.Exchange != nil:
		return "exchange\x00" + strconv.FormatUint(e.Exchange.ID, 10)
	case e.Engine != nil:
		return "engine\x00" + e.Engine.Name
	}
	return string(e.Kind)
}

// now is the event with its time.
func now(e api.Event) api.Event {
	e.Time = time.Now()
	return e
}
