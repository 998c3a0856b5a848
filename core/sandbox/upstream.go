package sandbox

import (
	"context"
	"net"
	"net/http"
	"time"

	"daemon-proxy/core/daemon"
)

// Upstream is how the daemon of a sandbox is reached.
type Upstream struct {
	// Dial connects to the daemon, which DialTimeout bounds; 0: a second.
	Dial        func(ctx context.Context) (net.Conn, error)
	DialTimeout time.Duration
	// Pool identifies the destination of Dial: connections of different pools must
	// not be mixed.
	Pool string
	// Authority is the Host header for the daemon.
	Authority string
	// Header adds the headers that the daemon requires: the built-in one's secret.
	Header func(http.Header)
	// Loopback is true if the sandbox's localhost is this machine's.
	Loopback bool
	// Until ends when the daemon is known to be gone; its cause is an
	// *api.Problem. nil: only the connections themselves show it.
	Until context.Context
	// Port connects to a port of the sandbox without the daemon; nil: only the daemon
	// does. The error is an *api.Problem of code port_closed if nothing listens.
	Port func(ctx context.Context, port int) (net.Conn, error)
}

// newUpstream returns an Upstream for a client of a daemon.
func newUpstream(client daemon.Client, pool string) Upstream {
	return Upstream{
		Dial: client.Dial, Pool: pool, Authority: client.Host, Header: client.Authorize,
	}
}

// place is the destination of a sandbox's requests: one start of one container,
// at the address at which its daemon was proved to be. Its context ends when that
// daemon is known to be gone, with the problem that new requests get as its cause.
// Pending requests would otherwise wait forever, because the network of a dead
// container does not answer, not even with a reset.
type place struct {
	key string // of the pool of connections; empty: there is no place
	ctx context.Context
	end context.CancelCauseFunc
}

// newPlace makes a place; onGone, unless it is nil, is called once it is left.
func newPlace(key string, onGone func(key string)) place {
	ctx, end := context.WithCancelCause(context.Background())
	if onGone != nil {
		context.AfterFunc(ctx, func() { onGone(key) })
	}
	return place{key, ctx, end}
}

// leave ends the place, if there is one.
func (p *place) leave(why error) {
	if p.end != nil {
		p.end(why)
	}
	*p = place{}
}
