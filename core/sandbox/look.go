package sandbox

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"daemon-proxy/core/api"
)

// watching is what a front looks at.
type watching struct {
	ref  atomic.Pointer[api.Ref]
	kick chan struct{} // tells followPorts that ref changed
	// meant says whether a port of this machine is one that somebody chose, and
	// not one that a program got at random: those are not looked at unasked.
	meant func(port int) bool

	mu    sync.Mutex
	cards map[api.Ref]*cardFile
}

// Watch says which sandbox is looked at: its daemon is asked every 2 s, and a
// port that begins to listen there is told as an event. The zero Ref ends it.
func (s *Sandboxes) Watch(ref api.Ref) {
	if now := s.watching.ref.Load(); now != nil && *now == ref {
		return
	}
	s.watching.ref.Store(&ref)
	select {
	case s.watching.kick <- struct{}{}:
	default:
	}
	if ref != (api.Ref{}) {
		s.keep(ref)
	}
}

func (s *Sandboxes) isWatched(ref api.Ref) bool {
	now := s.watching.ref.Load()
	return now != nil && *now == ref
}

// followPorts tells of ports that begin to listen in the watched sandbox. What
// listens when it is looked at first is no news.
func (s *Sandboxes) followPorts(ctx context.Context) {
	known := map[api.Ref]map[int]bool{}
	var tick <-chan time.Time // nil while nothing is watched
	timer := time.NewTimer(s.pace.often)
	timer.Stop()
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.watching.kick:
		case <-tick:
		}
		ref := s.watching.ref.Load()
		if ref == nil || *ref == (api.Ref{}) {
			tick = nil
			continue
		}
		if now, ok := s.Get(*ref); ok && now.Daemon.State == api.DaemonHealthy {
			s.comparePorts(ctx, *ref, known)
		}
		timer.Reset(s.pace.often)
		tick = timer.C
	}
}

// comparePorts lists the ports of ref and tells of those that are new.
func (s *Sandboxes) comparePorts(ctx context.Context, ref api.Ref, known map[api.Ref]map[int]bool) {
	ports, err := s.Ports(ctx, ref)
	if err != nil {
		return // the health says what is wrong
	}
	before, listed := known[ref]
	now := make(map[int]bool, len(ports))
	var fresh []api.Port
	shown, _ := s.others(ref, ports)
	for _, p := range shown {
		now[p.Port] = true
		if listed && !before[p.Port] && !p.Daemon {
			fresh = append(fresh, p)
		}
	}
	known[ref] = now
	if len(fresh) == 0 {
		return
	}
	for _, card := range s.cardsOf(ctx, ref, fresh, nil) {
		s.emit(api.Event{Kind: api.EventPort, Port: &card})
	}
	file := s.cardFile(ref)
	file.mu.Lock()
	file.at = time.Time{} // the next list looks anew
	file.mu.Unlock()
}
