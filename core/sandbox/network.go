package sandbox

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"daemon-proxy/core/api"
	"daemon-proxy/core/carrier"
	"daemon-proxy/core/daemon"
	"daemon-proxy/core/reach"
	"daemon-proxy/core/sandbox/ports"
)

// own reports whether b has a network, and so a daemon, of its own; mu is held.
func (b *box) own() bool { return !b.onHost() && b.container.SharesNetworkOf == "" }

// onHost reports whether b uses the network of its engine's machine, as long as
// that is not known to be another one than this; mu is held.
func (b *box) onHost() bool {
	return b.container.HostNetwork && (b.away == "" || b.away != b.container.ID)
}

// networkOf returns the box whose network namespace b uses, usually b itself. If
// that one has host networking, its host need not be this machine; mu is held.
func (b *box) networkOf() (*box, error) {
	for range len(b.set.boxes) {
		if b.onHost() || b.own() {
			return b, nil
		}
		id, found := b.container.SharesNetworkOf, false
		for _, other := range b.set.boxes {
			if other.ID == id && id != "" {
				b, found = other, true
				break
			}
		}
		if !found {
			return nil, b.Problem(api.CodeSandboxMissing,
				fmt.Sprintf("%s uses the network of a container that is gone (%.12s)", b, id),
				"start that container again, or recreate this one")
		}
	}
	return nil, b.Problem(api.CodeUnreachable, b.String()+" has a circular network reference",
		"recreate the container")
}

// owner returns the box whose daemon b uses, usually b itself; mu is held.
func (b *box) owner() (*box, error) {
	b, err := b.networkOf()
	if err != nil || !b.onHost() {
		return b, err
	}
	if b.proof.id != b.ID {
		if p := b.Daemon.LastError; p != nil {
			return nil, p
		}
		return nil, unknown(b.Ref)
	}
	return b.set.hostBox, nil
}

// usersOf returns the other boxes that use the daemon of owner; mu is held.
func (s *set) usersOf(owner *box) (users []*box) {
	for _, b := range s.boxes {
		if used, err := b.owner(); b != owner && err == nil && used == owner {
			users = append(users, b)
		}
	}
	return users
}

// usesHost reports whether b uses the host's daemon; mu is held.
func (b *box) usesHost() bool {
	owner, err := b.owner()
	return err == nil && owner.onHost()
}

// reach connects to the ports of b, which has a daemon of its own or is the host;
// mu is held.
func (b *box) reach() reach.Reach {
	switch {
	case b.onHost():
		return reach.Direct(0, b.container.Addresses...)
	case b.place.key == "":
		return b.proof.reach()
	}
	return b.proof.reach().Until(b.place.ctx, b.place.key)
}

// upstream returns a client of the daemon of ref, and how to reach it; see
// Sandboxes.Upstream.
func (s *set) upstream(ref api.Ref) (daemon.Client, Upstream, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	b := s.boxes[ref]
	if b == nil {
		return daemon.Client{}, Upstream{}, missing(ref)
	}
	b.used = time.Now()
	if b.Container != api.ContainerRunning { // whichever daemon it uses
		return daemon.Client{}, Upstream{}, b.unusable()
	}
	owner, err := b.owner()
	switch {
	case err != nil:
	case owner.onHost():
		return s.host.upstream()
	default:
		if err = owner.unusable(); err == nil && owner.place.key == "" {
			err = unknown(owner.Ref)
		}
	}
	if err != nil {
		return daemon.Client{}, Upstream{}, err
	}
	way, secret := owner.reach(), ""
	if owner.Daemon.Kind == daemon.KindBuiltIn {
		secret = s.keys.secret(owner.ID)
	}
	client := daemon.NewClient(way, s.o.Config.Port, secret)
	served := owner.proof.served
	if served != nil {
		client = served.client
	}
	up := newUpstream(client, way.Key)
	up.Until = owner.place.ctx
	if owner.proof.bridge != nil {
		up.DialTimeout = carrier.StartWithin // it may have to be started first
		up.Port = func(ctx context.Context, port int) (net.Conn, error) {
			if served != nil && port == s.o.Config.Port {
				return nil, servedOutside(ref)
			}
			conn, err := way.Dial(ctx, port)
			if _, ok := errors.AsType[*carrier.PortError](err); ok {
				err = portClosed(ref, port).Because(err)
			}
			return conn, err
		}
	}
	return client, up, nil
}

// client returns a client of the daemon of ref.
func (s *set) client(ref api.Ref) (daemon.Client, error) {
	client, _, err := s.upstream(ref)
	return client, err
}

func (s *set) portsOptions() ports.Options {
	return ports.Options{Target: s.target, OnEvent: s.emit, DaemonPort: s.o.Config.Port}
}

// target describes ref to package ports: its daemon, which must have been found,
// and how to reach its ports.
func (s *set) target(ref api.Ref) (ports.Target, error) {
	client, err := s.client(ref)
	if err != nil {
		return ports.Target{}, err
	}
	daemonPort, _ := s.host.current()
	t := ports.Target{Ref: ref, Daemon: client, Own: []int{s.o.OwnPort, daemonPort}}
	s.mu.Lock()
	defer s.mu.Unlock()
	if b := s.boxes[ref]; b != nil {
		t.Labels = b.Labels
		if owner, err := b.owner(); err == nil {
			t.Reach, t.OnHost = owner.reach(), owner.onHost()
		}
	}
	return t, nil
}
