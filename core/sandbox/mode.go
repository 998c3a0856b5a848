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
		d.wantHost()
	}
	d.settle()
}

// Lead makes these sandboxes, which followed, those with the default sandbox.
func (d *decision) Lead() {
	s := d.set
	s.follows.Store(false)
	s.mu.Lock()
	state := s.status.State
	s.mu.Unlock()
	switch {
	case s.o.Config.Mode == "docker":
		d.choose()
	case state == "connected" || state == "lost":
		d.decideBy(state)
	}
}

// decide sets what mode "auto" means.
func (d *decision) decide(mode string) {
	s := d.set
	if s.o.Config.Mode != "auto" || s.Mode() == mode {
		return
	}
	if mode == "host" {
		s.log.Warn("no engine answers: the ports of this machine are previewed until one does")
	}
	s.hostBox.update(func(b *box) { b.Default = mode == "host" })
	if mode == "docker" {
		d.choose()
	}
	s.mode.Store(mode)
	s.hostBox.set.mode.Store(mode)
}

// choose makes the configured container the default sandbox.
func (d *decision) choose() {
	s, name := d.set, d.set.defaultName()
	if name == "" {
		return
	}
	s.mu.Lock()
	b := s.boxFor(s.ref(name))
	s.mu.Unlock()
	b.update(func(b *box) {
		if b.Container == "" {
			b.Container = api.ContainerMissing
		}
		b.Default, b.state = true, b.state.next(asked)
	})
	s.keep(b.Ref)
}

// wantHost marks the host as needing a daemon, and starts monitoring it.
func (d *decision) wantHost() {
	host := d.set.hostBox
	host.set.mu.Lock()
	host.state = host.state.next(asked)
	host.set.mu.Unlock()
	host.set.keep(host.Ref)
}
