package server

import (
	"context"
	"sync"

	"daemon-proxy/core/proxy"
)

// streams are the WebSockets and event streams under way, which end with the
// server. The zero value has none.
type streams struct {
	mu      sync.Mutex
	closing bool
	open    map[*context.CancelCauseFunc]struct{}
	empty   chan struct{} // closed by the last one that goes; nil: nobody waits
}

func (s *streams) add(cancel *context.CancelCauseFunc) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closing {
		(*cancel)(proxy.ErrGoingAway)
	}
	if s.open == nil {
		s.open = map[*context.CancelCauseFunc]struct{}{}
	}
	s.open[cancel] = struct{}{}
}

func (s *streams) remove(cancel *context.CancelCauseFunc) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.open, cancel)
	if s.empty != nil && len(s.open) == 0 {
		close(s.empty)
		s.empty = nil
	}
}

// wait returns when there are none, or ctx has ended.
func (s *streams) wait(ctx context.Context) {
	s.mu.Lock()
	if len(s.open) == 0 {
		s.mu.Unlock()
		return
	}
	if s.empty == nil {
		s.empty = make(chan struct{})
	}
	empty := s.empty
	s.mu.Unlock()
	select {
	case <-empty:
	case <-ctx.Done():
	}
}

// end ends all of them, and those that are added later.
func (s *streams) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closing = true
	for cancel := range s.open {
		(*cancel)(proxy.ErrGoingAway)
	}
}
