package sandbox

import (
	"context"
	"log/slog"
	"net"
	"net/http"

	"daemon-proxy/core/api"
	"daemon-proxy/core/config"
	"daemon-proxy/core/sandbox/source"
)

// Options configure New.
type Options struct {
	// Source has the containers; nil: there is only the host.
	Source source.Source
	// Follows is true if the default sandbox is among other sandboxes, until Lead.
	Follows bool
	// Config is the section "daemon". Mode "auto" is like "docker" once the engine
	// has answered, and like "host" until then: see Settled.
	Config config.Daemon
	// HostDaemon returns the built-in daemon for the host, which this program
	// serves itself, given its secret.
	HostDaemon func(secret string) (http.Handler, error)
	// BoxDaemon returns a built-in daemon for one container, which this program
	// serves itself, given its secret, the container's working directory, if that is
	// known, and the way to its ports. nil: there is none, and so no helper either.
	BoxDaemon func(secret, workDir string, inside Inside) (BoxDaemon, error)
	// Executable is this program's own file, the built-in daemon of containers for which
	// it does not contain the small program.
	Executable string
	// StateDir holds the key from which secrets are derived; CacheDir holds staged
	// binaries.
	StateDir, CacheDir string
	Logger             *slog.Logger
	// OwnPort is the port on which this program listens; it gets no card.
	OwnPort int
	// Reach is how containers may be reached: "direct", "bridge" or "helper";
	// otherwise the program chooses.
	Reach string
	// Helper is when a container gets a helper instead of a daemon: "always" or
	// "never"; otherwise where no daemon can be put into it.
	Helper string
	// Brief: the program runs only for a moment, or beside another one. Daemons of other
	// builds are replaced only by an injection that was asked for.
	Brief bool
	// OnEvent, unless it is nil, is called with every change, in order. It must not
	// block or call methods that change a sandbox.
	OnEvent func(api.Event)
	// OnGone, unless it is nil, is called in its own goroutine when the destination
	// that an Upstream's Pool identifies is gone.
	OnGone func(pool string)
}

// Inside is the way to the ports of a container.
type Inside interface {
	// Dial connects to a port on the container's loopback.
	Dial(ctx context.Context, port int) (net.Conn, error)
	// Listeners returns the lines of /proc/net/tcp and /proc/net/tcp6 there that are
	// about what listens.
	Listeners(ctx context.Context) ([]byte, error)
}

// BoxDaemon is a built-in daemon that this program serves.
type BoxDaemon interface {
	http.Handler
	Close()
}
