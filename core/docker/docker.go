// Package docker is a source of sandboxes (core/sandbox/source): one Docker
// engine, 20.10 or newer, or Podman 4.3 or newer through its Docker-compatible
// API. No other package imports the Docker client. The engine is found as the
// docker CLI finds it.
//
// What it promises:
//   - Every call that fails because of the engine returns an *api.Problem of
//     code engine_unreachable with the real cause; a container that does not
//     exist is one of code sandbox_missing. Other errors of the engine are
//     wrapped, so that github.com/containerd/errdefs still classifies them.
//   - Contents are streamed, never held whole in memory.
//   - Every call ends when its context does.
//
// It knows nothing of daemons or sandboxes, keeps no list of containers and
// does not reconnect a broken event stream.
package docker

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"time"

	"github.com/docker/docker/api/types/versions"
	"github.com/docker/docker/client"

	"daemon-proxy/core/api"
	"daemon-proxy/core/sandbox/source"
)

// minAPIVersion is Docker 20.10, the oldest supported engine.
const minAPIVersion = "1.41"

// pingTimeout bounds Ping.
const pingTimeout = 10 * time.Second

// Options choose the engine. The zero value chooses the one that `docker ps` uses.
type Options struct {
	// Host is an endpoint such as "unix:///var/run/docker.sock",
	// "tcp://10.0.0.5:2376" or "ssh://user@host". Empty: by Context.
	Host string
	// Context is the name of a docker context or of another engine in Contexts.
	// Empty: DOCKER_HOST, else DOCKER_CONTEXT, else the current context of the
	// docker CLI, else the default socket. If that does not exist either, the
	// Podman that CONTAINER_HOST or CONTAINER_CONNECTION names, else the only
	// engine that listens at a usual socket, else Podman's default connection.
	Context string

	// Env looks up an environment variable, "" if unset. Nil: os.Getenv.
	Env func(string) string
	// Home is the user's home folder. Empty: os.UserHomeDir.
	Home string
	// LookPath finds an executable. Nil: exec.LookPath.
	LookPath func(string) (string, error)
	// Logger gets debug lines on how the engine is reached. Nil: nobody.
	Logger *slog.Logger

	// defaultSocket is the path of the platform's default socket, or its address if
	// it has no path.
	defaultSocket string
	podmanRootful string // the path of the socket of a Podman that root runs
}

func (o Options) withDefaults() Options {
	if o.Env == nil {
		o.Env = environment
	}
	if o.Home == "" {
		o.Home, _ = os.UserHomeDir() // without one there is no docker CLI configuration either
	}
	if o.LookPath == nil {
		o.LookPath = exec.LookPath
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.defaultSocket == "" {
		o.defaultSocket = strings.TrimPrefix(client.DefaultDockerHost, "unix://")
	}
	if o.podmanRootful == "" {
		o.podmanRootful = podmanRootful
	}
	return o
}

// defaultHost is the platform's default socket in the form of DOCKER_HOST.
func (o Options) defaultHost() string {
	if strings.Contains(o.defaultSocket, "://") {
		return o.defaultSocket
	}
	return "unix://" + o.defaultSocket
}

var _ source.Source = (*Engine)(nil)

// Engine is one Docker engine. It is safe for concurrent use.
type Engine struct {
	helpers
	opts Options
	at   endpoint
	cli  *client.Client
	// dial opens a connection to the engine, below TLS. Its errors are *dialError.
	dial func(context.Context) (net.Conn, error)
	ssh  *sshRoute // nil: the engine is not reached by ssh

	negotiated  atomic.Bool   // the API version is negotiated
	negotiation chan struct{} // a mutex that can be waited for with a context
	libpod      atomic.Bool   // the engine is Podman
	modes       networkModes  // only used for Podman
	platforms   platforms
}

// Open finds the engine that opts choose. It reads files but does not connect,
// unless to find which engine there is in place of the default: see Ping. The
// error is an *api.Problem: a context that does not exist, an invalid endpoint,
// certificates that cannot be read.
func Open(opts Options) (*Engine, error) {
	opts = opts.withDefaults()
	end, err := resolve(opts)
	if err != nil {
		return nil, err
	}
	e := &Engine{opts: opts, at: end, negotiation: make(chan struct{}, 1)}
	e.helpers = helpers{e}

	transport := &http.Transport{
		TLSClientConfig: end.tls,
		IdleConnTimeout: 30 * time.Second,
		WriteBufferSize: 64 << 10, // copies into containers go out in pieces of this size

		MaxIdleConns: 6, MaxIdleConnsPerHost: 6,
	}
	httpClient := &http.Client{Transport: transport, CheckRedirect: client.CheckRedirect}
	clientHost := end.host
	if end.scheme == "ssh" {
		clientHost = "tcp://ssh" // never dialled: the connection is the ssh command's
	}
	e.cli, err = client.NewClientWithOpts(
		client.WithHTTPClient(httpClient),
		client.WithHost(clientHost),
		client.WithAPIVersionNegotiation(), // and no DOCKER_API_VERSION, which would switch it off
	)
	if err != nil {
		return nil, badEndpoint(end.host, err)
	}
	e.platforms.cli = e.cli
	// WithHost chose the dialer for the scheme; ours adds the error type.
	dial := transport.DialContext
	if end.scheme == "ssh" {
		e.ssh = newSSHRoute(end.ssh, opts.Logger)
		httpClient.Transport = &limited{httpClient.Transport, e.ssh}
		dial = func(ctx context.Context, _, _ string) (net.Conn, error) { return e.ssh.dial(ctx) }
	}
	e.dial = func(ctx context.Context) (net.Conn, error) {
		conn, err := dial(ctx, "tcp", end.address)
		if err != nil {
			return nil, &dialError{cause: err}
		}
		return conn, nil
	}
	transport.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) { return e.dial(ctx) }
	transport.Proxy = nil // an attached exec could not use it, so nothing does
	return e, nil
}

// Name is the engine's id: the docker context's name, "default" for the default
// socket, and api.EngineID of the address that DOCKER_HOST or Options.Host set.
func (e *Engine) Name() string { return e.at.name }

// Endpoint is the address in the form of DOCKER_HOST.
func (e *Engine) Endpoint() string { return e.at.host }

// Same reports whether other is the same engine, perhaps under another name.
func (e *Engine) Same(other *Engine) bool { return e.at.place() == other.at.place() }

// Close closes idle connections. Calls in progress end with their contexts, those
// over ssh at once.
func (e *Engine) Close() error {
	err := e.cli.Close()
	if e.ssh != nil {
		e.ssh.close()
	}
	return err
}

// Ping returns the engine's version, e.g. "20.10.24". It takes 10 s at most. The
// error is an *api.Problem of code engine_unreachable or cancelled.
func (e *Engine) Ping(ctx context.Context) (version string, err error) {
	ctx, cancel := context.WithTimeout(ctx, pingTimeout)
	defer cancel()
	if err := e.ready(ctx); err != nil {
		return "", err
	}
	if e.libpod.Load() { // for its version it would run half a dozen programs
		version, err := e.libpodVersion(ctx)
		if err != nil {
			return "", e.unreachable(err)
		}
		return version, nil
	}
	v, err := e.cli.ServerVersion(ctx)
	if err != nil {
		return "", e.unreachable(err)
	}
	e.platforms.setOwn(v)
	return v.Version, nil
}

// ready negotiates the API version and detects Podman once, before the first
// call: the client must not change the version while another call uses it.
func (e *Engine) ready(ctx context.Context) error {
	if e.negotiated.Load() {
		return nil
	}
	select {
	case e.negotiation <- struct{}{}:
		defer func() { <-e.negotiation }()
	case <-ctx.Done():
		return e.unreachable(ctx.Err())
	}
	if e.negotiated.Load() {
		return nil
	}
	ping, err := e.cli.Ping(ctx)
	if err != nil {
		return e.unreachable(err)
	}
	if ping.APIVersion == "" || versions.LessThan(ping.APIVersion, minAPIVersion) {
		return api.NewProblem(api.CodeEngineUnreachable,
			fmt.Sprintf("the Docker engine at %s is too old: its API version is %s, %s is needed",
				e.at.host, cmp.Or(ping.APIVersion, "unknown"), minAPIVersion),
			"upgrade the engine to Docker 20.10 or newer")
	}
	e.cli.NegotiateAPIVersionPing(ping)
	libpod, err := e.libpodVersion(ctx)
	if err != nil {
		return e.unreachable(err)
	}
	e.libpod.Store(libpod != "")
	e.negotiated.Store(true)
	return nil
}

// apiURL returns the path of an API call that the client has no function for.
func (e *Engine) apiURL(path string) string {
	full := strings.TrimSuffix(e.at.basePath, "/") + "/v" + e.cli.ClientVersion() + path
	return (&url.URL{Path: full}).String()
}
