package sandbox

import (
	"sync"

	"daemon-proxy/core/api"
)

// decision is what mode "auto" means, and so which sandbox is the default one.
type decision struct {
	set     *set
	once    sync.Once
	settled chan struct{} // closed once
}

// Settled is closed once the engine has answered for the first time, or has not
// answered for 3 s. Callers that need a sandbox earlier wait for it.
func (d *decision) Settled() <-chan struct{} { return d.settled }

func (d *decision) settle() { d.once.Do(func() { close(d.settled) }) }

// decideBy decides the mode by a state of the engine.
func (d *decision) decideBy(state string) {
	switch {
	case state == "connected":
		d.decide("docker")
	case d.set.Mode() == "auto":
		d.decide("host")
		d.want(api.Host)
	}
	d.settle()
}

// decide sets what mode "auto" means.
func (d *decision) decide(mode string) {
	s := d.set
	if s.o.Config.Mode != "auto" || s.Mode() == mode {
		return
	}
	s.eventMu.Lock()
	defer s.eventMu.Unlock()
	s.mu.Lock()
	s.mode.Store(mode)
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
		b.Default, b.state = true, b.state.next(asked)
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

// want marks a sandbox as needing a daemon, and starts monitoring it.
func (d *decision) want(ref api.Ref) {
	d.set.mu.Lock()
	b := d.set.boxes[ref]
	b.state = b.state.next(asked)
	d.set.mu.Unlock()
	d.set.keep(ref)
}
