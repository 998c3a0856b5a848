// Package toolbox is the built-in daemon: an HTTP server inside a sandbox that
// forwards to the ports there, for people without a daytona binary. Its
// answers have the shapes of the Daytona daemon's:
//
//	GET  /version              {"version":"…","build":"…","uptime_seconds":…}, see version.Build
//	GET  /port                 {"ports":[…],"listeners":[{"port":…,"address":"…"}]}
//	GET  /port/{port}/in-use   {"isInUse":true}
//	GET  /work-dir             {"dir":"…"}
//	GET  /user-home-dir        {"dir":"…"}
//	ANY  /proxy/{port}/{path}  http://localhost:{port}/{path}, WebSockets too
//	POST /shutdown             ends it
//	GET  /challenge/v1/{nonce} {"proof":"…"}, see daemon.Proof
//
// Unlike that one, it is not open to everybody: except for /version and
// /challenge, a request must carry the secret that the daemon got in its
// environment, so that neither a neighbour on the network nor a web page can
// use it.
package toolbox

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"gopkg.in/natefinch/lumberjack.v2"

	"daemon-proxy/core/daemon"
	"daemon-proxy/core/proxy"
	"daemon-proxy/core/version"
)

// serviceDial bounds a connection to a service here. If nothing listens,
// it is refused at once; it takes long only if very many connect at a time.
const serviceDial = 30 * time.Second

// Options configure New and Serve.
type Options struct {
	// Secret is what every request must carry but GET /version and the challenge. Required.
	Secret string
	// Version is what /version answers.
	Version string
	// WorkDir is what /work-dir answers; empty: the current directory, or outside of
	// the sandbox, an error.
	WorkDir string
	// Logger gets a line for what goes wrong; nil: none.
	Logger *slog.Logger
	// Inside is the way into the sandbox, for a daemon that runs outside of it; nil:
	// it runs there.
	Inside Inside

	// Addr is where Serve listens: ":2280".
	Addr string
	// LogFile gets Serve's log, at most 2 files of 1 MB; empty or not
	// writable: standard output.
	LogFile string
}

// Toolbox is the daemon's handler. Use New.
type Toolbox struct {
	options  Options
	outside  bool // of the sandbox
	started  time.Time
	secret   [sha256.Size]byte
	proxy    *proxy.Proxy
	stopOnce sync.Once
	stopped  chan struct{} // closed by POST /shutdown
}

// New returns the handler; call Close when it is no longer used. It fails if
// there is no secret.
func New(options Options) (*Toolbox, error) {
	if options.Secret == "" {
		return nil, fmt.Errorf("the built-in daemon needs a secret in %s; daemon-proxy starts it, it is not meant to "+
			"be started by hand", daemon.SecretEnv)
	}
	if options.Logger == nil {
		options.Logger = slog.New(slog.DiscardHandler)
	}
	outside := options.Inside != nil
	if !outside {
		options.Inside = here{}
	}
	if options.WorkDir == "" && !outside {
		dir, err := os.Getwd()
		if err != nil {
			return nil, fmt.Errorf("find the working directory: %w", err)
		}
		options.WorkDir = dir
	}
	forwarder := proxy.New(proxy.Options{Logger: options.Logger, BodySilence: -1, DialTimeout: serviceDial})
	return &Toolbox{
		options: options, outside: outside, started: time.Now(), secret: sha256.Sum256([]byte(options.Secret)),
		proxy: forwarder, stopped: make(chan struct{}),
	}, nil
}

// Close drops the connections to services.
func (t *Toolbox) Close() { t.proxy.Close() }

// ServeHTTP answers one request. It routes on the bytes of the target, since
// decoding them would lose what the service must get.
func (t *Toolbox) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Server", daemon.ServerName)
	path, _, _ := strings.Cut(r.RequestURI, "?")
	if path == "/version" && r.Method == http.MethodGet {
		answer(w, http.StatusOK,
			map[string]any{"version": t.options.Version, "build": version.Build(), "uptime_seconds": time.Since(t.started).Seconds()})
		return
	}
	if nonce, ok := strings.CutPrefix(path, daemon.ChallengePath); ok && r.Method == http.MethodGet {
		t.challenge(w, r, nonce)
		return
	}
	if !t.authorized(r) {
		answer(w, http.StatusUnauthorized,
			map[string]string{"error": "this daemon serves only the daemon-proxy that started it"})
		return
	}
	w.Header().Set("X-Request-Id", rand.Text())
	if rest, ok := strings.CutPrefix(r.RequestURI, "/proxy/"); ok {
		t.forward(w, r, rest)
		return
	}
	switch r.Method + " " + path {
	case "GET /port":
		t.ports(r.Context(), w)
	case "GET /work-dir":
		if t.options.WorkDir == "" {
			outside(w)
			return
		}
		answer(w, http.StatusOK, map[string]string{"dir": t.options.WorkDir})
	case "GET /user-home-dir":
		if t.outside {
			outside(w)
			return
		}
		home, err := os.UserHomeDir()
		if err != nil {
			answer(w, http.StatusInternalServerError, map[string]string{"error": err.Error()})
			return
		}
		answer(w, http.StatusOK, map[string]string{"dir": home})
	case "POST /computeruse/start", "GET /computeruse/status", "GET /computeruse/process-status":
		answer(w, http.StatusServiceUnavailable, map[string]string{
			"message": "Computer-use functionality is not available",
			"details": "the built-in daemon has no desktop; start one in the container, with VNC on port 6080",
		})
	case "POST /shutdown":
		answer(w, http.StatusOK, map[string]bool{"stopping": true})
		t.stopOnce.Do(func() { close(t.stopped) })
	default:
		if port, ok := strings.CutPrefix(path, "/port/"); ok && r.Method == http.MethodGet {
			if port, ok := strings.CutSuffix(port, "/in-use"); ok {
				t.inUse(r.Context(), w, port)
				return
			}
		}
		http.Error(w, "404 page not found", http.StatusNotFound)
	}
}

// authorized reports whether the request carries the secret, in constant time.
func (t *Toolbox) authorized(r *http.Request) bool {
	given := r.Header[daemon.SecretHeader]
	if len(given) != 1 {
		return false
	}
	sum := sha256.Sum256([]byte(given[0]))
	return subtle.ConstantTimeCompare(sum[:], t.secret[:]) == 1
}

// outside answers a request for what only a daemon in the sandbox knows.
func outside(w http.ResponseWriter) {
	answer(w, http.StatusNotImplemented, map[string]string{
		"error": "this daemon runs outside of the sandbox: it reaches the ports there, but no files and no programs",
	})
}

func answer(w http.ResponseWriter, status int, value any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(value) // the client may have disconnected
}

// forward serves /proxy/{port}/{path}; rest is what follows "/proxy/".
func (t *Toolbox) forward(w http.ResponseWriter, r *http.Request, rest string) {
	end := strings.IndexAny(rest, "/?")
	if end < 0 {
		end = len(rest)
	}
	port, err := strconv.ParseUint(rest[:end], 10, 16)
	if err != nil || port == 0 || rest[0] == '0' || rest[0] == '+' {
		answer(w, http.StatusBadRequest, map[string]string{"error": "the port must be a number from 1 to 65535"})
		return
	}
	uri := rest[end:]
	if !strings.HasPrefix(uri, "/") {
		w.Header().Set("Location", "/proxy/"+rest[:end]+"/"+uri)
		w.WriteHeader(http.StatusMovedPermanently)
		return
	}
	number := strconv.FormatUint(port, 10)
	w.Header().Del("Server") // the service may set its own
	result, err := t.proxy.Forward(w, r, proxy.Target{
		Dial:          func(ctx context.Context) (net.Conn, error) { return t.options.Inside.Dial(ctx, int(port)) },
		Pool:          number,
		Authority:     "localhost:" + number,
		RequestURI:    uri,
		KeepForwarded: true,
		Header:        func(h http.Header) { delete(h, daemon.SecretHeader) },
	})
	switch {
	case result.Tunnel != nil:
		t.proxy.Go(func() { result.Tunnel(context.Background()) }) // Close ends it
	case err != nil:
		// To the caller, an empty 502 means that nothing listens there.
		t.options.Logger.Debug("not forwarded", "port", port, "error", err)
		w.Header().Set("Server", daemon.ServerName)
		w.Header().Set("Content-Length", "0")
		w.WriteHeader(http.StatusBadGateway)
	}
}

// Serve runs the daemon until ctx ends or POST /shutdown comes.
func Serve(ctx context.Context, options Options) error {
	out := io.Writer(os.Stdout)
	if options.LogFile != "" {
		if f, err := os.OpenFile(options.LogFile, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600); err == nil {
			_ = f.Close() // only to see whether it can be written
			log := &lumberjack.Logger{Filename: options.LogFile, MaxSize: 1, MaxBackups: 1}
			defer func() { _ = log.Close() }()
			out = log
		}
	}
	options.Logger = slog.New(slog.NewTextHandler(out, nil))
	t, err := New(options)
	if err != nil {
		return err
	}
	defer t.Close()
	var lc net.ListenConfig
	listener, err := lc.Listen(ctx, "tcp", options.Addr)
	if err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	options.Logger.Info("Starting toolbox server on port "+portOf(listener), "version", options.Version)
	return t.serve(ctx, listener)
}

func portOf(listener net.Listener) string {
	_, port, err := net.SplitHostPort(listener.Addr().String())
	if err != nil {
		return listener.Addr().String()
	}
	return port
}

// serve answers on listener until ctx ends or POST /shutdown arrives; open
// requests then have 5 s to end.
func (t *Toolbox) serve(ctx context.Context, listener net.Listener) error {
	server := proxy.NewServer(t, t.options.Logger)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	server.BaseContext = func(net.Listener) context.Context { return ctx }
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(listener) }()
	select {
	case err := <-ended:
		return fmt.Errorf("serve: %w", err)
	case <-ctx.Done():
	case <-t.stopped:
	}
	grace, done := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer done()
	err := server.Shutdown(grace)
	cancel() // ends what is still under way
	if err != nil {
		err = server.Close()
	}
	<-ended
	return err
}
