package sandbox

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"daemon-proxy/core/api"
	"daemon-proxy/core/sandbox/source"
)

// decideWithin is what an engine gets to answer before mode "auto" means the host.
const decideWithin = 3 * time.Second

// decision is what mode "auto" has come to mean.
type decision struct {
	mode    atomic.Value // string; nothing until decided
	once    sync.Once
	settled chan struct{}
	retry   chan struct{} // asks for another try of the engine, now
}

// mode is "docker" or "host", or "auto" while that is not decided.
func (s *Sandboxes) mode() string {
	if mode, ok := s.decision.mode.Load().(string); ok {
		return mode
	}
	return s.o.Config.Mode
}

// Mode is "docker" or "host"; "auto" until the engine has answered or was
// given up. From "host" it becomes "docker" when an engine comes later.
func (s *Sandboxes) Mode() string { return s.mode() }

// Settled is closed once the engine has answered for the first time, or has
// not for 3 s: who asks for a sandbox before waits, so that it need not guess.
func (s *Sandboxes) Settled() <-chan struct{} { return s.decision.settled }

// RetryEngine looks for the engine now instead of at the next retry, or lists
// its containers anew while it is there.
func (s *Sandboxes) RetryEngine(ctx context.Context) error {
	if s.o.Source == nil {
		return nil
	}
	if s.Engine().State == "connected" {
		return s.relist(ctx)
	}
	select {
	case s.decision.retry <- struct{}{}:
	default:
	}
	return nil
}

// beginDecision decides what needs no engine, sees to it that the rest is
// decided in time, and begins to follow the ports of the watched sandbox. Once
// ctx has ended the result waits for all of it.
func (s *Sandboxes) beginDecision(ctx context.Context) (end func()) {
	var ports sync.WaitGroup
	ports.Go(func() { s.ports.Follow(ctx, s.pace.often) })
	if s.o.Source == nil || s.o.Config.Mode == "host" {
		s.decide("host")
		s.want(api.Host)
	}
	if s.o.Source == nil {
		s.settle()
		return ports.Wait
	}
	timer := time.AfterFunc(decideWithin, func() {
		if ctx.Err() == nil && s.Engine().State == "connecting" {
			s.engineIs("lost", "", api.NewProblem(api.CodeEngineUnreachable,
				"the engine at "+s.o.Source.Endpoint()+" accepts connections but has not answered for "+decideWithin.String(),
				"check whether it is overloaded: "+s.o.Source.Hint(source.HintCheck, "")+"; daemon-proxy keeps trying"), 0)
		}
	})
	return func() {
		timer.Stop()
		s.settle()
		ports.Wait()
	}
}

func (s *Sandboxes) settle() { s.decision.once.Do(func() { close(s.decision.settled) }) }

// decideBy draws the conclusion from a state of the engine.
func (s *Sandboxes) decideBy(state string) {
	switch {
	case state == "connected":
		s.decide("docker")
	case s.mode() == "auto":
		s.decide("host")
		s.want(api.Host)
	}
	s.settle()
}

// decide says what mode "auto" means, and so which sandbox is the default one.
func (s *Sandboxes) decide(mode string) {
	if s.o.Config.Mode != "auto" || s.mode() == mode {
		return
	}
	s.telling.Lock()
	defer s.telling.Unlock()
	s.mu.Lock()
	s.decision.mode.Store(mode)
	if mode == "host" {
		s.log.Warn("no engine answers: the ports of this machine are previewed until one does")
	}
	var changed []api.Sandbox
	host := s.boxes[api.Host]
	if host.Default != (mode == "host") {
		host.Default = mode == "host"
		changed = append(changed, host.snapshot())
	}
	name := s.o.Config.ContainerName
	if name != "" && mode == "docker" {
		b := s.boxFor(s.ref(name))
		if b.Container == "" {
			b.Container = api.ContainerMissing
		}
		b.Default, b.wanted = true, true
		changed = append(changed, b.snapshot())
	}
	s.mu.Unlock()
	for i := range changed {
		s.emit(api.Event{Kind: api.EventSandbox, Sandbox: &changed[i]})
	}
	if name != "" && mode == "docker" {
		s.keep(s.ref(name))
	}
}
