package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"daemon-proxy/core"
	"daemon-proxy/core/api"
	"daemon-proxy/core/certs"
	"daemon-proxy/core/client"
	"daemon-proxy/core/config"
	"daemon-proxy/core/logging"
	"daemon-proxy/core/version"
)

const (
	// aliveWithin is how long the core of this machine may take to answer, and
	// farWithin a core that was named.
	aliveWithin = 3 * time.Second
	farWithin   = 10 * time.Second
	// engineWithin is how long a core of one's own may look for the engine.
	engineWithin = 10 * time.Second
	// daemonsWithin is how long it then may ask the containers for their daemons.
	daemonsWithin = 3 * time.Second
	// serverEnv names the core to talk to.
	serverEnv = "DAEMON_PROXY_URL"
)

// exitCodes is said by --help of every client command.
const exitCodes = `Exit codes: 0 success; 1 failure; 2 invalid flags, variables or configuration; 3 no
daemon-proxy is running, and this command needs one.`

// own says what a client command does where no core runs.
type own int

const (
	ownNone       own = iota // it says so
	ownContainers            // it starts one for itself, without the links
	ownLinks                 // it starts one for itself
)

// remote is what a client command works with.
type remote struct {
	*client.Client
	out    io.Writer
	json   bool
	config config.Config
	// container is what a command without a sandbox's name means; empty: the
	// server decides.
	container string
	// stderr is for what a person should know beside the output.
	stderr io.Writer
	// serves: the command serves the previews of a core that ssh reaches.
	serves bool
	// far is the way to the core, if one was named.
	far *far
}

// servesPreviews marks a client command that creates or opens links.
const servesPreviews = "serves previews"

// noCoreError reports that no core is running.
type noCoreError struct{ what string }

func (e noCoreError) Error() string {
	return e.what + " needs a running daemon-proxy, and none is running here"
}

// Hint is the next thing to try.
func (noCoreError) Hint() string {
	return "start it with daemon-proxy, or name one with --server or " + serverEnv
}

// hintedError is an error with the next thing to try, and its exit code.
type hintedError struct {
	error
	hint string
	code int
}

// Unwrap is the error itself.
func (e hintedError) Unwrap() error { return e.error }

// hints are what to do at a terminal where the server's own hint is for programs.
var hints = map[string]string{
	api.CodeUnauthorized: "set " + keyEnv + ", or " + keyFileEnv + " to a file that has it, to the API key of that " +
		"server (SECURITY_API_KEY and security.api_key count too)",
	api.CodeDaemonPort:     "add --allow-daemon-port if that is what you want",
	api.CodeUnknownSandbox: "daemon-proxy sandboxes lists them",
}

// atTheTerminal adds what a person can do about an error of a call.
func atTheTerminal(err error) error {
	if op, ok := errors.AsType[*net.OpError](err); ok && op.Op == "dial" {
		return hintedError{err, "start daemon-proxy there, or correct --server or " + serverEnv, exitNoCore}
	}
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return hintedError{err, "trust the authority that signed it, or set SSL_CERT_FILE to its file", exitFailed}
	}
	if problem, ok := errors.AsType[*api.Problem](err); ok && hints[problem.Code] != "" {
		return hintedError{err, hints[problem.Code], exitFailed}
	}
	return err
}

// clientCommand returns a command that talks to a core: the one of --server or
// DAEMON_PROXY_URL, else the one that runs on this machine, else its own.
func clientCommand(use, short string, needs own,
	run func(ctx context.Context, r *remote, args []string) error) *cobra.Command {
	var server string
	var asJSON bool
	cmd := &cobra.Command{Use: use, Short: short, Long: short + ".\n\n" + exitCodes, Args: noArgs}
	config.BindFlags(cmd.Flags())
	shown := map[string]bool{"config": true, "docker-host": true, "docker-context": true, "docker-engines": true}
	cmd.Flags().VisitAll(hideUnless(shown))
	cmd.Flags().StringVar(&server, "server", "",
		"daemon-proxy to talk to: a URL, or ssh://[user@]host[:port] (environment: "+serverEnv+
			"; default: the one running here)")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON, in the form of the HTTP API")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		cfg, err := config.Load(config.Options{Flags: cmd.Flags()})
		if err != nil {
			return err
		}
		if server == "" {
			server = os.Getenv(serverEnv)
		}
		outliveReaders()
		r := &remote{out: cmd.OutOrStdout(), stderr: cmd.ErrOrStderr(), json: asJSON, config: cfg,
			serves: cmd.Annotations[servesPreviews] != ""}
		end, err := r.connect(cmd.Context(), server, needs, cmd.CommandPath())
		if err != nil {
			return err
		}
		return errors.Join(atTheTerminal(run(cmd.Context(), r, args)), end())
	}
	return cmd
}

// connect finds the core to talk to; end ends it if it is one's own.
func (r *remote) connect(ctx context.Context, server string, needs own, command string) (end func() error, err error) {
	nothing := func() error { return nil }
	if server != "" {
		if r.far, err = openFar(ctx, server, farOptions{Config: r.config, Previews: r.serves, Stderr: r.stderr}); err != nil {
			return nil, err
		}
		r.Client = r.far.Client
		if r.far.Done == nil { // over ssh, the greeting was checked
			if err := r.far.check(ctx); err != nil {
				return nil, errors.Join(err, r.far.Close())
			}
		}
		if r.far.Own {
			_ = r.awaitEngine(ctx) // the command itself meets what is wrong with it
		}
		return r.far.Close, nil
	}
	if r.Client, err = runningCore(ctx, r.config); r.Client != nil || err != nil {
		return nothing, err
	}
	if needs == ownNone || r.config.Daemon.Mode == "host" {
		return nil, noCoreError{command}
	}
	return r.startOwn(ctx, needs)
}

// clientOf returns a client of the core at url, with that API key; for the core
// that core.json names, with the key of its run.
func clientOf(url, key string, cfg config.Config) (*client.Client, error) {
	keyOf := func() string {
		running, ok := core.ReadRunning(cfg.StateDir)
		if ok && running.Key != "" && strings.TrimSuffix(url, "/") == running.URL {
			return running.Key // which that core accepts, whatever its configuration
		}
		return key
	}
	options, err := trusting(url, cfg.StateDir, []client.Option{client.WithAPIKeyOf(keyOf)})
	if err != nil {
		return nil, err
	}
	c, err := client.New(url, options...)
	if err != nil {
		return nil, usageError{err}
	}
	return c, nil
}

// runningCore returns a client of the core that runs on this machine, nil if
// none does. The error may be that it speaks another protocol, or hangs.
func runningCore(ctx context.Context, cfg config.Config) (*client.Client, error) {
	running, ok := core.ReadRunning(cfg.StateDir)
	if !ok {
		return nil, nil
	}
	c, err := clientOf(running.URL, cfg.Security.APIKey, cfg)
	if err != nil {
		return nil, err
	}
	asking, stop := context.WithTimeout(ctx, aliveWithin)
	defer stop()
	err = c.Check(asking)
	switch {
	case err == nil:
		return c, nil
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case errors.Is(err, &api.Problem{Code: api.CodeProtocolMismatch}):
		return nil, err
	case asking.Err() != nil && lives(running.PID):
		return nil, api.NewProblem(api.CodeCoreUnreachable, fmt.Sprintf("the core at %s (process %d) has not answered for %v",
			running.URL, running.PID, aliveWithin),
			"repeat the command, or end that process; daemon-proxy --standalone starts a second core")
	}
	return nil, nil // a crash left core.json behind
}

// lives reports whether there is such a process.
func lives(pid int) bool {
	process, err := os.FindProcess(pid)
	if err != nil {
		return false
	}
	defer func() { _ = process.Release() }()
	return !errors.Is(process.Signal(syscall.Signal(0)), os.ErrProcessDone)
}

// trusting adds the authority that a core of this user may have created.
func trusting(url, stateDir string, options []client.Option) ([]client.Option, error) {
	if !strings.HasPrefix(url, "https:") {
		return options, nil
	}
	pool, err := certs.Pool(stateDir)
	return append(options, client.WithRootCAs(pool)), err
}

// startOwn runs a core for the time of the command. It injects nothing by
// itself, listens where nobody looks, and says nothing.
func (r *remote) startOwn(ctx context.Context, needs own) (end func() error, err error) {
	cfg := r.config
	r.container, cfg.Daemon.ContainerName = cfg.Daemon.ContainerName, ""
	cfg.Daemon.Mode, cfg.Daemon.StopOnExit = "docker", false
	cfg.Server.Host, cfg.Server.PublicURL, cfg.Server.TLS = "127.0.0.1", "", config.TLS{Mode: "off"}
	if cfg.Server.Port, err = freeLoopbackPort(); err != nil {
		return nil, err
	}
	folder, err := os.MkdirTemp("", "daemon-proxy-")
	if err != nil {
		return nil, err
	}
	if needs != ownLinks {
		cfg.Preview.StateFile = filepath.Join(folder, "links.db")
	}
	self, err := os.Executable()
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(folder))
	}
	running, cancel := context.WithCancel(context.WithoutCancel(ctx))
	c, err := core.Start(running, core.Options{Config: cfg, Version: version.String(), Executable: self, Unlisted: true,
		Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		cancel()
		return nil, errors.Join(err, os.RemoveAll(folder))
	}
	end = func() error {
		cancel()
		return errors.Join(c.Wait(), os.RemoveAll(folder))
	}
	if r.Client, err = client.New(c.URL(), client.WithAPIKey(c.Key())); err == nil && needs != ownLinks {
		err = r.awaitEngine(ctx)
	}
	if err != nil {
		return nil, errors.Join(err, end())
	}
	return end, nil
}

// awaitEngine waits until the containers are known and were asked for their
// daemons, or why they are not.
func (r *remote) awaitEngine(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, engineWithin)
	defer cancel()
	var connected time.Time
	for tick := time.NewTicker(20 * time.Millisecond); ; {
		list, err := r.SandboxList(ctx)
		switch {
		case err != nil:
			return err
		case len(list.Engines) == 0: // host mode
			return nil
		case !slices.ContainsFunc(list.Engines, func(e api.EngineStatus) bool { return e.Error == nil }):
			return list.Engine.Error
		case !slices.ContainsFunc(list.Engines, func(e api.EngineStatus) bool { return e.State == "connecting" }):
			if connected.IsZero() {
				connected = time.Now()
			}
			if !unasked(list.Sandboxes) || time.Since(connected) > daemonsWithin {
				return nil
			}
		}
		select {
		case <-ctx.Done():
			return api.NewProblem(api.CodeEngineUnreachable,
				"the Docker engine does not answer", "check --docker-host and --docker-context")
		case <-tick.C:
		}
	}
}

// unasked reports whether a running container was not asked for its daemon yet.
func unasked(boxes []api.Sandbox) bool {
	return slices.ContainsFunc(boxes, func(s api.Sandbox) bool {
		return s.Container == api.ContainerRunning && s.Daemon.State == api.DaemonUnknown
	})
}

func freeLoopbackPort() (int, error) {
	var lc net.ListenConfig
	l, err := lc.Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}

// sandbox is the sandbox that a command means: the first argument, else the default.
func (r *remote) sandbox(ctx context.Context, args []string) (api.Ref, error) {
	if len(args) > 0 {
		if args[0] == "" { // an unset variable, which must not mean the default
			return api.Ref{}, api.NewProblem(api.CodeUnknownSandbox, "the sandbox's name is empty",
				"list the names with daemon-proxy sandboxes")
		}
		return api.ParseRef(args[0]), nil
	}
	if r.container != "" {
		return api.ParseRef(r.container), nil
	}
	status, err := r.DaemonStatus(ctx, api.Ref{})
	return api.ParseRef(status.Sandbox), err
}

// document prints an answer of the API.
func (r *remote) document(v any) error { return printJSON(r.out, v, "  ") }

// line prints an answer of the API on one line.
func (r *remote) line(v any) error { return printJSON(r.out, v, "") }

// table prints rows under a head; what came from outside cannot steer the terminal.
func (r *remote) table(rows ...[]string) error {
	w := tabwriter.NewWriter(r.out, 0, 0, 2, ' ', 0)
	for _, row := range rows {
		for i, cell := range row {
			if i > 0 {
				fmt.Fprint(w, "\t")
			}
			fmt.Fprint(w, logging.Printable(cell))
		}
		fmt.Fprintln(w)
	}
	return w.Flush()
}

// hideUnless hides the flags of a command that are not shown: every key of the
// configuration may be given, but few matter to a client.
func hideUnless(shown map[string]bool) func(*pflag.Flag) {
	return func(f *pflag.Flag) { f.Hidden = !shown[f.Name] }
}
