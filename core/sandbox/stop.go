package sandbox

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strconv"

	"daemon-proxy/core/api"
)

// StopDaemon ends the daemon of ref, if it is the built-in one or one that
// this program started. It is not brought back until it is asked for again.
func (s *Sandboxes) StopDaemon(ctx context.Context, ref api.Ref) error {
	if ref.IsHost() {
		return problem(ref, http.StatusConflict, api.CodeBadRequest, "The host's daemon stays", "the host is served from within this program", "end the program instead")
	}
	s.mu.Lock()
	b := s.boxes[ref]
	if b == nil {
		s.mu.Unlock()
		return missing(ref)
	}
	if b.injected != nil {
		s.mu.Unlock()
		return problem(ref, http.StatusConflict, api.CodeSandboxBusy, "Busy", "an injection into "+ref.String()+" is under way", "wait for its end")
	}
	kind, state, started, wanted, c := b.Daemon.Kind, b.Daemon.State, b.Daemon.Started, b.wanted, b.container
	b.wanted = false
	s.mu.Unlock()
	err := s.stop(ctx, ref, kind, state, started, &injection{s: s, ref: ref, ctx: ctx, c: c})
	s.mu.Lock()
	if err != nil {
		b.wanted = wanted
	}
	s.mu.Unlock()
	if err != nil {
		return asProblem(ref, err)
	}
	s.update(ref, func(b *box) {
		b.Daemon = api.Daemon{State: api.DaemonNone, Since: b.Daemon.Since}
	})
	s.log.Info("daemon stopped", "sandbox", ref.String())
	return nil
}

func (s *Sandboxes) stop(ctx context.Context, ref api.Ref, kind string, state api.DaemonState, started bool, in *injection) error {
	switch {
	case state != api.DaemonHealthy:
		return nil // it does not run; it is only not wanted any more
	case kind == kindBuiltIn:
		response, _, err := s.call(ctx, ref, http.MethodPost, "/shutdown") //nolint:bodyclose // call has read and closed it
		if err != nil {
			return fmt.Errorf("stop the daemon in %s: %w", ref, err)
		}
		if response.StatusCode != http.StatusOK {
			return fmt.Errorf("stop the daemon in %s: it answers %d", ref, response.StatusCode)
		}
		return nil
	case !started:
		return problem(ref, http.StatusConflict, api.CodeBadRequest, "Not ours", "the daemon in "+ref.String()+" was not started by this program", "stop it where it was started")
	}
	if err := in.killAll(in.ctx, "daytona"); err != nil {
		return &api.Problem{Title: "It cannot be stopped", Status: http.StatusConflict, Code: api.CodeBadRequest, Sandbox: ref.String(),
			Detail: fmt.Sprintf("the daemon in %s cannot be stopped: the image has no shell to do it", ref), Hint: "docker restart " + ref.Name, Cause: err}
	}
	return nil
}

// Ports are the TCP ports that something listens on in ref, by number.
func (s *Sandboxes) Ports(ctx context.Context, ref api.Ref) ([]api.Port, error) {
	response, body, err := s.call(ctx, ref, http.MethodGet, "/port") //nolint:bodyclose // call has read and closed it
	if err != nil {
		return nil, asProblem(ref, err)
	}
	var answer struct {
		Ports     []int
		Listeners []struct {
			Port    int
			Address string
		}
	}
	if response.StatusCode != http.StatusOK || json.Unmarshal(body, &answer) != nil {
		return nil, problem(ref, http.StatusBadGateway, api.CodeBadUpstream, "Bad answer",
			fmt.Sprintf("the daemon in %s answers GET /port with %d", ref, response.StatusCode), "see the daemon's log")
	}
	ports := []api.Port{}
	for _, port := range answer.Ports {
		p := api.Port{Port: port, Daemon: s.isDaemonPort(port)}
		for _, l := range answer.Listeners {
			if l.Port == port && (p.Address == "" || isUnspecified(l.Address)) {
				p.Address = l.Address
			}
		}
		ports = append(ports, p)
	}
	slices.SortFunc(ports, func(a, b api.Port) int { return a.Port - b.Port })
	return ports, nil
}

func isUnspecified(address string) bool {
	ip := net.ParseIP(address)
	return ip != nil && ip.IsUnspecified()
}

func (s *Sandboxes) isDaemonPort(port int) bool {
	return port == s.o.Config.Port || port == 2280 || port == 22220 || port == 22222 || port == 33333
}

// urlOf is where the daemon of b is, for showing; mu is held.
func (s *Sandboxes) urlOf(b *box) string {
	if b.IsHost() || b.Address == "" {
		return ""
	}
	return "http://" + net.JoinHostPort(b.Address, strconv.Itoa(s.o.Config.Port))
}
