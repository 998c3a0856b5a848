package ports

import (
	"context"
	"time"

	"daemon-proxy/core/api"
)

// Watch sets the sandbox in which Follow reports ports that begin to listen;
// the zero Ref: none. It reports whether the watched sandbox changed.
func (p *Ports) Watch(ref api.Ref) (changed bool) {
	if p.Watched(ref) {
		return false
	}
	p.watched.Store(&ref)
	select {
	case p.kick <- struct{}{}:
	default:
	}
	return true
}

// Watched reports whether ref is the watched sandbox.
func (p *Ports) Watched(ref api.Ref) bool {
	current := p.watched.Load()
	return current != nil && *current == ref
}

// Follow lists the ports of the watched sandbox at that interval, until ctx
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
		ref := p.watched.Load()
		if ref == nil || *ref == (api.Ref{}) {
			tick = nil
			continue
		}
		if t, err := p.o.Target(*ref); err == nil {
			p.compare(ctx, t, known)
		}
		timer.Reset(every)
		tick = timer.C
	}
}

// compare lists the ports of a sandbox and reports those that are new.
func (p *Ports) compare(ctx context.Context, t Target, known map[api.Ref]map[int]bool) {
	ports, err := p.list(ctx, t)
	if err != nil {
		return // the health of the sandbox shows what is wrong
	}
	before, listed := known[t.Ref]
	now := make(map[int]bool, len(ports))
	var fresh []api.Port
	shown, _ := p.filter(t, ports)
	for _, port := range shown {
		now[port.Port] = true
		if listed && !before[port.Port] && !port.Daemon {
			fresh = append(fresh, port)
		}
	}
	known[t.Ref] = now
	if len(fresh) == 0 {
		return
	}
	for _, card := range identifyAll(ctx, t, fresh, nil) {
		p.o.OnEvent(api.Event{Kind: api.EventPort, Port: &card})
	}
	file := p.file(t.Ref)
	file.mu.Lock()
	file.at = time.Time{} // the next call of Cards lists the ports again
	file.mu.Unlock()
}
