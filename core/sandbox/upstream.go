package sandbox

import (
	"context"
	"net"
	"net/http"

	"daemon-proxy/core/daemon"
)

// Upstream is how the daemon of a sandbox is reached.
type Upstream struct {
	// Dial connects to the daemon within a second, or fails.
	Dial func(ctx context.Context) (net.Conn, error)
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
}

// newUpstream returns an Upstream for a client of a daemon.
func newUpstream(client daemon.Client, pool string) Upstream {
	return Upstream{
		Dial: client.Dial, Pool: pool, Authority: client.Host, Header: client.Authorize,
	}
}
