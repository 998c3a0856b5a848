package ports

import (
	"context"
	"sync"
	"time"

	"daemon-proxy/core/api"
)

// Watch sets the sandboxes in which Follow reports ports that begin to listen.
// It returns those that were not watched before.
func (p *Ports) Watch(refs []api.Ref) (fresh []api.Ref) {
	watched := make(map[api.Ref]bool, len(refs))
	for _, ref := range refs {
		if !watched[ref] && !p.Watched(ref) {
			fresh = append(fresh, ref)
		}
		watched[ref] = true
	}
	p.watched.Store(&watched)
	select {
	case p.kick <- struct{}{}:
	default:
	}
	return fresh
}

// Watched reports whether ref is a watched sandbox.
func (p *Ports) Watched(ref api.Ref) bool {
	watched := p.watched.Load()
	return watched != nil && (*watched)[ref]
}

// Follow lists the ports of the watched sandboxes at that interval, until ctx
// ends, and reports those that begin to listen. Ports in the first list of a
// sandbox are not reported.
func (p *Ports) Follow(ctx context.Context, every time.Duration) {
	known := map[api.Ref]map[int]bool{}
	var tick <-chan time.Time // nil while nothing is watched
	timer := time.NewTimer(every)
	timer.Stop()
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-p.kick:
		case <-tick:
		}
		watched := p.watched.Load()
		if watched == nil || len(*watched) == 0 {
			tick = nil
			continue
		}
		p.compareAll(ctx, *watched, known)
		timer.Reset(every)
		tick = timer.C
	}
}

// compareAll compares all watched sandboxes at once: one whose daemon hangs does
// not delay the others.
func (p *Ports) compareAll(ctx context.Context, watched map[api.Ref]bool, known map[api.Ref]map[int]bool) {
	var mu sync.Mutex
	var group sync.WaitGroup
	for ref := range watched {
		mu.Lock() // the first may be done
		before := known[ref]
		mu.Unlock()
		group.Go(func() {
			t, err := p.o.Target(ref)
			if err != nil {
				return
			}
			if now := p.compare(ctx, t, before); now != nil {
				mu.Lock()
				defer mu.Unlock()
				known[ref] = now
			}
		})
	}
	group.Wait()
}

// compare lists the ports of a sandbox and reports those that are new. It
// returns them all, or nil if they cannot be listed; before is the previous list,
// nil for the first.
func (p *Ports) compare(ctx context.Context, t Target, before map[int]bool) map[int]bool {
	ports, err := p.list(ctx, t)
	if err != nil {
		return nil // the health of the sandbox shows what is wrong
	}
	now := make(map[int]bool, len(ports))
	var fresh []api.Port
	shown, _ := p.filter(t, ports)
	for _, port := range shown {
		now[port.Port] = true
		if before != nil && !before[port.Port] && !port.Daemon {
			fresh = append(fresh, port)
		}
	}
	if len(fresh) == 0 {
		return now
	}
	for _, card := range identifyAll(ctx, t, fresh, nil) {
		p.o.OnEvent(api.Event{Kind: api.EventPort, Port: &card})
	}
	file := p.file(t.Ref)
	file.mu.Lock()
	file.at = time.Time{} // the next call of Cards lists the ports again
	file.mu.Unlock()
	return now
}
