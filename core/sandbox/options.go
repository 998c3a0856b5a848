package sandbox

import (
	"log/slog"
	"net/http"

	"daemon-proxy/core/api"
	"daemon-proxy/core/config"
	"daemon-proxy/core/sandbox/source"
)

// Options configure New.
type Options struct {
	// Source has the containers; nil: there is only the host.
	Source source.Source
	// Config is the section "daemon". Mode "auto" is like "docker" once the engine
	// has answered, and like "host" until then: see Settled.
	Config config.Daemon
	// HostDaemon returns the built-in daemon for the host, which this program
	// serves itself, given its secret.
	HostDaemon func(secret string) (http.Handler, error)
	// Executable is this program's own file, the built-in daemon of containers.
	Executable string
	// StateDir holds the key from which secrets are derived; CacheDir holds staged
	// binaries.
	StateDir, CacheDir string
	Logger             *slog.Logger
	// OwnPort is the port on which this program listens; it gets no card.
	OwnPort int
	// Reach is how containers may be reached: "direct" or "bridge"; otherwise
	// the program chooses.
	Reach string
	// OnEvent, unless it is nil, is called with every change, in order. It must not
	// block or call methods that change a sandbox.
	OnEvent func(api.Event)
	// OnGone, unless it is nil, is called in its own goroutine when the destination
	// that an Upstream's Pool identifies is gone.
	OnGone func(pool string)
}
