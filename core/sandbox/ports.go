package sandbox

import (
	"context"

	"daemon-proxy/core/api"
	"daemon-proxy/core/sandbox/ports"
)

func (s *Sandboxes) portsOptions() ports.Options {
	return ports.Options{Target: s.target, OnEvent: s.emit, DaemonPort: s.o.Config.Port}
}

// target describes ref to package ports: its daemon, which must have been found,
// and how to reach its ports.
func (s *Sandboxes) target(ref api.Ref) (ports.Target, error) {
	client, err := s.client(ref)
	if err != nil {
		return ports.Target{}, err
	}
	t := ports.Target{Ref: ref, Daemon: client, OnHost: s.Loopback(ref)}
	daemonPort, _ := s.host.current()
	t.Own = []int{s.o.OwnPort, daemonPort}
	s.mu.Lock()
	defer s.mu.Unlock()
	if b := s.boxes[ref]; b != nil {
		t.Labels = b.Labels
		if owner, err := b.owner(); err == nil {
			t.Reach = owner.reach()
		}
	}
	return t, nil
}

// Ports returns the TCP ports that something listens on in ref, sorted by number.
func (s *Sandboxes) Ports(ctx context.Context, ref api.Ref) ([]api.Port, error) {
	if err := s.EnsureHost(ref); err != nil {
		return nil, err
	}
	list, err := s.ports.List(ctx, ref)
	return list, wrap(ref, err)
}

// Cards returns the ports of ref with what answers there: see ports.Cards.
func (s *Sandboxes) Cards(ctx context.Context, ref api.Ref) ([]api.PortCard, error) {
	if err := s.EnsureHost(ref); err != nil {
		return nil, err
	}
	cards, err := s.ports.Cards(ctx, ref)
	return cards, wrap(ref, err)
}

// StartDesktop starts the VNC desktop of ref: see ports.StartDesktop.
func (s *Sandboxes) StartDesktop(ctx context.Context, ref api.Ref) error {
	if err := s.EnsureHost(ref); err != nil {
		return err
	}
	return wrap(ref, s.ports.StartDesktop(ctx, ref))
}

// Watch sets the watched sandboxes: their daemons are checked every 2 s, and a
// port that begins to listen there is reported as an event.
func (s *Sandboxes) Watch(refs []api.Ref) {
	for _, ref := range s.ports.Watch(refs) {
		s.keep(ref)
	}
}
