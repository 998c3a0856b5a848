package sandbox

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"daemon-proxy/core/api"
	"daemon-proxy/core/sandbox/source"
)

// decideWithin is how long an engine may take to answer before mode "auto" means
// the host.
const decideWithin = 3 * time.Second

// decision is what mode "auto" currently means.
type decision struct {
	mode    atomic.Value // string; nothing until decided
	once    sync.Once
	settled chan struct{}
	retry   chan struct{} // requests an immediate retry of the engine
}

// Mode returns "docker" or "host"; "auto" until the engine has answered or timed
// out. "host" becomes "docker" when an engine answers later.
func (s *Sandboxes) Mode() string {
	if mode, ok := s.engine.decision.mode.Load().(string); ok {
		return mode
	}
	return s.o.Config.Mode
}

// Settled is closed once the engine has answered for the first time, or has not
// answered for 3 s. Callers that need a sandbox earlier wait for it.
func (s *Sandboxes) Settled() <-chan struct{} { return s.engine.decision.settled }

// RetryEngine connects to the engine now instead of at the next retry; if it is
// connected, it lists the containers again.
func (s *Sandboxes) RetryEngine(ctx context.Context) error {
	if s.o.Source == nil {
		return nil
	}
	if s.Engine().State == "connected" {
		return s.engine.relist(ctx)
	}
	select {
	case s.engine.decision.retry <- struct{}{}:
	default:
	}
	return nil
}

// begin decides the mode if that needs no engine, starts the timer for an engine
// that does not answer, and follows the ports of the watched sandboxes. The result
// must be called once ctx has ended; it waits for all of that.
func (f *engine) begin(ctx context.Context) (end func()) {
	var ports sync.WaitGroup
	ports.Go(func() { f.set.ports.Follow(ctx, f.set.pace.often) })
	if f.set.o.Source == nil || f.set.o.Config.Mode == "host" {
		f.decide("host")
		f.want(api.Host)
	}
	if f.set.o.Source == nil {
		f.settle()
		return ports.Wait
	}
	timer := time.AfterFunc(decideWithin, func() {
		if ctx.Err() == nil && f.set.Engine().State == "connecting" {
			f.setStatus("lost", "", api.NewProblem(api.CodeEngineUnreachable,
				"the engine at "+f.set.o.Source.Endpoint()+" accepts connections but has not answered for "+decideWithin.String(),
				"check whether it is overloaded: "+f.set.o.Source.Hint(source.HintCheck, "")+"; daemon-proxy keeps trying"), 0)
		}
	})
	return func() {
		timer.Stop()
		f.settle()
		ports.Wait()
	}
}

func (f *engine) settle() { f.decision.once.Do(func() { close(f.decision.settled) }) }

// decideBy decides the mode by a state of the engine.
func (f *engine) decideBy(state string) {
	switch {
	case state == "connected":
		f.decide("docker")
	case f.set.Mode() == "auto":
		f.decide("host")
		f.want(api.Host)
	}
	f.settle()
}

// decide sets what mode "auto" means, and so which sandbox is the default one.
func (f *engine) decide(mode string) {
	if f.set.o.Config.Mode != "auto" || f.set.Mode() == mode {
		return
	}
	f.set.eventMu.Lock()
	defer f.set.eventMu.Unlock()
	f.set.mu.Lock()
	f.decision.mode.Store(mode)
	if mode == "host" {
		f.set.log.Warn("no engine answers: the ports of this machine are previewed until one does")
	}
	var changed []api.Sandbox
	host := f.set.boxes[api.Host]
	if host.Default != (mode == "host") {
		host.Default = mode == "host"
		changed = append(changed, host.snapshot())
	}
	name := f.set.o.Config.ContainerName
	if name != "" && mode == "docker" {
		b := f.set.boxFor(f.set.ref(name))
		if b.Container == "" {
			b.Container = api.ContainerMissing
		}
		b.Default, b.state = true, b.state.next(asked)
		changed = append(changed, b.snapshot())
	}
	f.set.mu.Unlock()
	for i := range changed {
		f.set.emit(api.Event{Kind: api.EventSandbox, Sandbox: &changed[i]})
	}
	if name != "" && mode == "docker" {
		f.set.keep(f.set.ref(name))
	}
}

// want marks a sandbox as needing a daemon, and starts monitoring it.
func (f *engine) want(ref api.Ref) {
	f.set.mu.Lock()
	b := f.set.boxFor(ref)
	b.state = b.state.next(asked)
	f.set.mu.Unlock()
	f.set.keep(ref)
}
