package sandbox

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"time"

	"daemon-proxy/core/api"
)

// secretHeader is core/toolbox's SecretHeader; core's tests hold them together.
const secretHeader = "X-Daemon-Proxy-Secret" //nolint:gosec // the name of a header, not a secret

// serverName is core/toolbox's ServerName.
const serverName = "daemon-proxy-toolbox"

// dialTimeout bounds a connection to a daemon.
const dialTimeout = time.Second

// Kinds of daemon.
const (
	kindBuiltIn = "built-in"
	kindDaytona = "daytona"
)

// Upstream is how to reach the daemon of ref. It does not connect: the error
// is an *api.Problem that tells what is known to be in the way.
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
	if b.Container != api.ContainerRunning { // whatever daemon it would use
		defer s.mu.Unlock()
		return Upstream{}, unusable(b)
	}
	owner, err := s.owner(b)
	if err != nil || owner.IsHost() {
		s.mu.Unlock()
		if err != nil {
			return Upstream{}, err
		}
		return s.host.upstream()
	}
	defer s.mu.Unlock()
	if err := unusable(owner); err != nil {
		return Upstream{}, err
	}
	return s.containerUpstream(owner), nil
}

// containerUpstream reaches the daemon of a container; mu is held.
func (s *Sandboxes) containerUpstream(b *box) Upstream {
	up := Upstream{
		Dial:      s.dialler(b.container.Addresses),
		Pool:      b.ID + " " + b.Address + " " + b.Started.String(),
		Authority: net.JoinHostPort(b.Address, strconv.Itoa(s.o.Config.Port)),
	}
	if b.Daemon.Kind == kindBuiltIn {
		secret := s.secretOf(b.ID)
		up.Header = func(h http.Header) { h[secretHeader] = []string{secret} }
	} else {
		up.Header = func(h http.Header) { delete(h, secretHeader) }
	}
	return up
}

// dialler connects to the daemon's port at the first address that answers.
func (s *Sandboxes) dialler(addresses []string) func(context.Context) (net.Conn, error) {
	port := strconv.Itoa(s.o.Config.Port)
	return func(ctx context.Context) (net.Conn, error) {
		ctx, cancel := context.WithTimeout(ctx, dialTimeout)
		defer cancel()
		var d net.Dialer
		var errs []error
		for _, address := range addresses {
			c, err := d.DialContext(ctx, "tcp", net.JoinHostPort(address, port))
			if err == nil {
				return c, nil
			}
			errs = append(errs, err)
		}
		return nil, errors.Join(errs...)
	}
}

// owner is the box whose network namespace b uses, b itself usually; mu is held.
func (s *Sandboxes) owner(b *box) (*box, error) {
	for range len(s.boxes) {
		switch {
		case b.container.HostNetwork:
			return s.boxes[api.Host], nil
		case b.container.SharesNetworkOf == "":
			return b, nil
		}
		id, found := b.container.SharesNetworkOf, false
		for _, other := range s.boxes {
			if other.ID == id && id != "" {
				b, found = other, true
				break
			}
		}
		if !found {
			return nil, problem(b.Ref, http.StatusServiceUnavailable, api.CodeSandboxMissing, "No network",
				fmt.Sprintf("%s uses the network of a container that is gone (%.12s)", b, id), "start that container again, or make this one anew")
		}
	}
	return nil, problem(b.Ref, http.StatusServiceUnavailable, api.CodeUnreachable, "No network", b.String()+" shares its network in a circle", "make the container anew")
}

func missing(ref api.Ref) *api.Problem {
	return problem(ref, http.StatusServiceUnavailable, api.CodeSandboxMissing, "No such container",
		fmt.Sprintf("the container %s does not exist", ref), "create it; it is picked up by itself")
}

// notRunning is the problem of a container that runs no processes; nil if it does.
func notRunning(ref api.Ref, state string) error {
	const status = http.StatusServiceUnavailable
	switch state {
	case api.ContainerRunning:
		return nil
	case api.ContainerMissing:
		return missing(ref)
	case api.ContainerPaused:
		return problem(ref, status, api.CodeSandboxPaused, "Sandbox paused", fmt.Sprintf("the container %s is paused", ref), "docker unpause "+ref.Name)
	case api.ContainerRestarting:
		return problem(ref, status, api.CodeSandboxBusy, "Sandbox restarting",
			fmt.Sprintf("the container %s is restarting", ref), "wait a moment; if it goes on, see docker logs "+ref.Name)
	case api.ContainerDead:
		return problem(ref, status, api.CodeSandboxStopped, "Sandbox removed", fmt.Sprintf("the container %s is being removed", ref), "choose another container, or make this one anew")
	}
	return problem(ref, status, api.CodeSandboxStopped, "Sandbox stopped",
		fmt.Sprintf("the container %s does not run (%s)", ref, state), "docker start "+ref.Name)
}

// unusable is why the daemon of b cannot be asked; nil if it may answer; mu is held.
func unusable(b *box) error {
	if p := b.Daemon.LastError; p != nil && b.Container == api.ContainerMissing {
		return p // it may only be that the engine does not answer
	}
	if err := notRunning(b.Ref, b.Container); err != nil {
		return err
	}
	if b.Daemon.State == api.DaemonHealthy {
		return nil
	}
	if p := b.Daemon.LastError; p != nil {
		return &api.Problem{Title: "The daemon does not run", Status: http.StatusServiceUnavailable, Code: api.CodeDaemonDown, Sandbox: b.String(),
			Detail: fmt.Sprintf("no daemon runs in %s: %s", b, p.Error()), Hint: p.Hint, Cause: p}
	}
	if b.Daemon.State == api.DaemonInjecting {
		return problem(b.Ref, http.StatusServiceUnavailable, api.CodeDaemonDown, "The daemon is starting", "the daemon in "+b.String()+" is being started", "try again in a moment")
	}
	if b.Daemon.State == api.DaemonEjecting {
		return busy(b)
	}
	return problem(b.Ref, http.StatusServiceUnavailable, api.CodeNoDaemon, "No daemon",
		"no daemon was put into "+b.String()+" yet", "POST /api/sandboxes/"+b.String()+"/inject")
}
