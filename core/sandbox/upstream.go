package sandbox

import (
	"fmt"
	"net/http"
	"time"

	"daemon-proxy/core/api"
	"daemon-proxy/core/daemon"
	"daemon-proxy/core/reach"
)

// callTimeout bounds a short call to an engine, dialTimeout a connection.
const callTimeout, dialTimeout = time.Second, time.Second

// EnsureHost starts the daemon of the host if ref uses it and there is none.
// Daemons in containers are started only by Inject.
func (s *Sandboxes) EnsureHost(ref api.Ref) error {
	if port, _ := s.host.current(); port != 0 {
		return nil
	}
	s.mu.Lock()
	b := s.boxes[ref]
	uses := b != nil && b.Container == api.ContainerRunning && b.usesHost()
	s.mu.Unlock()
	if !uses {
		return nil
	}
	return s.host.ensure()
}

// Upstream returns how to reach the daemon of ref. It neither connects nor starts
// anything. The error is an *api.Problem if the daemon is known not to be usable.
func (s *Sandboxes) Upstream(ref api.Ref) (Upstream, error) {
	if ref.IsHost() {
		return s.host.upstream()
	}
	s.mu.Lock()
	b := s.boxes[ref]
	if b == nil {
		s.mu.Unlock()
		return Upstream{}, missing(ref)
	}
	b.used = time.Now()
	if b.Container != api.ContainerRunning { // whichever daemon it uses
		defer s.mu.Unlock()
		return Upstream{}, b.unusable()
	}
	owner, err := b.owner()
	if err != nil || owner.IsHost() {
		s.mu.Unlock()
		if err != nil {
			return Upstream{}, err
		}
		return s.host.upstream()
	}
	defer s.mu.Unlock()
	if err := owner.unusable(); err != nil {
		return Upstream{}, err
	}
	if owner.place.key == "" {
		return Upstream{}, unknown(owner.Ref)
	}
	return owner.containerUpstream(), nil
}

// Loopback reports whether the localhost of ref is this machine's. It starts nothing.
func (s *Sandboxes) Loopback(ref api.Ref) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	b := s.boxes[ref]
	return b != nil && b.usesHost()
}

// usesHost reports whether b uses the host's daemon; mu is held.
func (b *box) usesHost() bool {
	owner, err := b.owner()
	return err == nil && owner.IsHost()
}

// reach connects to the ports of b, which has a daemon of its own; it is the zero
// Reach unless that daemon was found there. Every Reach of a sandbox is made here;
// mu is held.
func (b *box) reach() reach.Reach {
	switch {
	case b.IsHost():
		return reach.Direct(0, loopback.Host, "::1")
	case b.proof.address == "":
		return reach.Reach{}
	case b.place.key == "":
		return reach.Direct(dialTimeout, b.proof.address)
	}
	return reach.Direct(dialTimeout, b.proof.address).Until(b.place.ctx, b.place.key)
}

// containerUpstream returns how to reach the daemon of a container; mu is held.
func (b *box) containerUpstream() Upstream {
	way, secret := b.reach(), ""
	if b.Daemon.Kind == daemon.KindBuiltIn {
		secret = b.set.keys.secret(b.ID)
	}
	client := daemon.NewClient(way, b.set.o.Config.Port, secret)
	return Upstream{
		Dial: client.Dial, Pool: way.Key, Authority: client.Host, Header: client.Authorize, Until: b.place.ctx,
	}
}

// client returns a client of the daemon of ref.
func (s *Sandboxes) client(ref api.Ref) (daemon.Client, error) {
	up, err := s.Upstream(ref)
	if err != nil {
		return daemon.Client{}, err
	}
	h := http.Header{}
	up.Header(h)
	return daemon.Client{Dial: up.Dial, Host: up.Authority, Secret: h.Get(daemon.SecretHeader)}, nil
}

// owner returns the box whose daemon b uses, usually b itself; mu is held.
func (b *box) owner() (*box, error) {
	b, err := b.networkOf()
	if err != nil || !b.container.HostNetwork {
		return b, err
	}
	if b.proof.id != b.ID {
		if p := b.Daemon.LastError; p != nil {
			return nil, p
		}
		return nil, unknown(b.Ref)
	}
	return b.set.boxes[api.Host], nil
}

// networkOf returns the box whose network namespace b uses, usually b itself. If
// that one has host networking, its host need not be this machine; mu is held.
func (b *box) networkOf() (*box, error) {
	for range len(b.set.boxes) {
		if b.container.HostNetwork || b.container.SharesNetworkOf == "" {
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
			return nil, problem(b.Ref, api.CodeSandboxMissing,
				fmt.Sprintf("%s uses the network of a container that is gone (%.12s)", b, id),
				"start that container again, or recreate this one")
		}
	}
	return nil, problem(b.Ref, api.CodeUnreachable, b.String()+" has a circular network reference",
		"recreate the container")
}

// unusable returns why the daemon of b cannot be called; nil if it may answer; mu
// is held.
func (b *box) unusable() error {
	if p := b.Daemon.LastError; p != nil && b.Container == api.ContainerMissing {
		return p // perhaps that the engine does not answer
	}
	if err := b.set.why.notRunning(b.Ref, b.Container); err != nil {
		return err
	}
	if b.Daemon.State == api.DaemonHealthy {
		return nil
	}
	if p := b.Daemon.LastError; p != nil && p.Code == api.CodeUnreachable {
		return p
	}
	if p := b.Daemon.LastError; p != nil {
		return problem(b.Ref, api.CodeDaemonDown,
			fmt.Sprintf("no daemon runs in %s: %s", b, p.Error()), p.Hint).Because(p)
	}
	if b.Daemon.State == api.DaemonInjecting {
		return problem(b.Ref, api.CodeDaemonDown, "the daemon in "+b.String()+" is being started",
			"try again in a moment")
	}
	if b.Daemon.State == api.DaemonEjecting {
		return busy(b)
	}
	detail := "no daemon has been injected into " + b.String() + " yet"
	if b.ended != "" {
		detail = "the daemon in " + b.String() + " " + b.ended
	}
	return problem(b.Ref, api.CodeNoDaemon, detail, "POST /api/sandboxes/"+b.String()+"/inject")
}
