// Package ports finds out which TCP ports something listens on in a sandbox and
// what answers there, starts the sandbox's desktop, and reports ports that
// begin to listen in the watched sandboxes.
//
// It sends a service the request that a preview would send, through the daemon,
// and connects directly only if that failed. It does so rarely, and never on a
// port of this machine that the kernel assigned at random.
package ports

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"daemon-proxy/core/api"
	"daemon-proxy/core/daemon"
	"daemon-proxy/core/reach"
)

// Options configure New.
type Options struct {
	// Target returns the current state of a sandbox, or why its daemon cannot be
	// called.
	Target func(api.Ref) (Target, error)
	// OnEvent is called for each port that begins to listen in a watched sandbox.
	OnEvent func(api.Event)
	// DaemonPort is the daemon's port in every container.
	DaemonPort int
	// Chosen reports whether a port of this machine was chosen on purpose; nil
	// means below the range that Linux assigns at random.
	Chosen func(port int) bool
}

// Target is a sandbox whose ports are listed.
type Target struct {
	Ref    api.Ref
	Daemon daemon.Client
	// Reach is the way to its ports without the daemon.
	Reach  reach.Reach
	Labels map[string]string
	// OnHost is true if its ports are those of this machine.
	OnHost bool
	// Own are ports of this program, which are not listed.
	Own []int
}

// Ports serves all sandboxes of one source, and the host.
type Ports struct {
	o       Options
	watched atomic.Pointer[map[api.Ref]bool]
	kick    chan struct{} // receives when watched changes

	mu    sync.Mutex
	cards map[api.Ref]*cardFile
}

// New makes an empty set.
func New(o Options) *Ports {
	if o.Chosen == nil {
		random := firstRandom()
		o.Chosen = func(port int) bool { return port < random }
	}
	return &Ports{o: o, kick: make(chan struct{}, 1), cards: map[api.Ref]*cardFile{}}
}

// List returns the ports that something listens on in ref, sorted by number.
func (p *Ports) List(ctx context.Context, ref api.Ref) ([]api.Port, error) {
	t, err := p.o.Target(ref)
	if err != nil {
		return nil, err
	}
	return p.list(ctx, t)
}

func (p *Ports) list(ctx context.Context, t Target) ([]api.Port, error) {
	listeners, err := t.Daemon.Ports(ctx)
	if refusal, ok := errors.AsType[*daemon.StatusError](err); ok {
		return nil, t.Ref.Problem(api.CodeBadUpstream,
			fmt.Sprintf("the daemon in %s answers GET /port with %d", t.Ref, refusal.Status), "see the daemon's log")
	}
	if err != nil {
		return nil, err
	}
	ports := make([]api.Port, len(listeners))
	for i, l := range listeners {
		ports[i] = api.Port{Port: l.Port, Address: l.Address, Daemon: daemon.IsPort(l.Port, p.o.DaemonPort)}
	}
	return ports, nil
}

// firstRandom returns the first port of the range that Linux assigns to a
// program that listens on port 0.
func firstRandom() int {
	const usual = 32768
	text, err := os.ReadFile("/proc/sys/net/ipv4/ip_local_port_range")
	if err != nil {
		return usual
	}
	fields := strings.Fields(string(text))
	if len(fields) == 0 {
		return usual
	}
	first, err := strconv.Atoi(fields[0])
	if err != nil || first < 10_000 { // nearly every port is in the range
		return usual
	}
	return first
}

func earlier(a, b time.Time) time.Time {
	if !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}
