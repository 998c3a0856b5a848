package sandbox

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"time"

	"daemon-proxy/core/api"
	"daemon-proxy/core/daemon"
	"daemon-proxy/core/proxy"
	"daemon-proxy/core/reach"
	"daemon-proxy/core/sandbox/inject"
)

// host is this machine as a sandbox: its daemon is the built-in one, served by
// this program, or a daytona process.
type host struct {
	s *Sandboxes

	mu      sync.Mutex
	port    int    // of its daemon; 0: there is none yet
	secret  string // of the built-in one; empty: a daytona
	server  *http.Server
	command *exec.Cmd
	ended   chan struct{} // closed when command has ended
}

// loopback connects to the daemon of this machine; the caller's context limits
// the time that it may take.
var loopback = reach.Direct(0, "127.0.0.1")

// client returns a client of the daemon on a port of this machine.
func (h *host) client(port int, secret string) daemon.Client {
	return daemon.NewClient(loopback, port, secret)
}

// current returns the port of the host's daemon, 0 if there is none, and its secret.
func (h *host) current() (port int, secret string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.port, h.secret
}

// ensure starts the host's daemon if there is none.
func (h *host) ensure() error {
	if h.s.Mode() == "host" {
		if p := h.lastError(); p != nil {
			return p
		}
	}
	return h.s.Inject(h.s.ctx, api.Host, nil)
}

// upstream returns how to reach the host's daemon.
func (h *host) upstream() (Upstream, error) {
	port, secret := h.current()
	if port == 0 {
		return Upstream{}, unknown(api.Host)
	}
	client := h.client(port, secret)
	return Upstream{
		Dial: client.Dial, Pool: "host " + client.Host, Authority: client.Host, Header: client.Authorize, Loopback: true,
	}, nil
}

func (h *host) lastError() error {
	now, _ := h.s.Get(api.Host)
	if now.Daemon.State == api.DaemonFailed && now.Daemon.LastError != nil {
		return now.Daemon.LastError
	}
	return nil
}

// probe calls the host's daemon.
func (h *host) probe(ctx context.Context) (daemon.Info, error) {
	port, _ := h.current()
	if port == 0 {
		return daemon.Info{}, daemon.ErrRefused
	}
	return h.client(port, "").Version(ctx)
}

// runHost starts the daemon of the host, or adopts the one that answers.
func (in *injection) runHost() error {
	h := in.s.host
	port := in.s.o.Config.Port
	in.doing(api.StepAdopt, "is a daemon answering on %s?", loopback.Authority(port))
	if current, _ := h.current(); current != 0 {
		if f, err := h.client(current, "").Version(in.ctx); err == nil {
			in.adopt = f
			return nil
		}
	}
	f, err := h.client(port, "").Version(in.ctx)
	if err == nil && f.Kind == daemon.KindDaytona {
		in.did(api.StepAdopt, "a daytona answers already: adopted")
		in.s.log.Warn("a daytona runs on this machine: anyone on the network who can reach its port controls the machine",
			"port", port)
		in.adopt = f
		h.use(port, "")
		return nil
	}
	free := errors.Is(err, daemon.ErrRefused)
	if in.s.Mode() == "host" {
		path, err := h.binary()
		if err != nil {
			return err
		}
		if path != "" {
			return in.runDaytona(path, port, free)
		}
	}
	if !free {
		port = 0
	}
	return in.serveBuiltIn(port)
}

// binary returns the daytona to run on the host; empty: the built-in daemon.
func (h *host) binary() (string, error) {
	switch path := h.s.o.Config.Path; {
	case path != "" && !inject.IsFile(path):
		return "", problem(api.Host, api.CodeBinaryMissing, fmt.Sprintf("daemon.path: there is no file %s", path),
			"correct it (--daemon-path, DAEMON_PATH), or leave it empty to use the built-in daemon")
	case path != "":
		return path, nil
	case inject.IsFile(inject.DefaultDaytona):
		return inject.DefaultDaytona, nil
	}
	return "", nil
}

func (h *host) use(port int, secret string) {
	h.mu.Lock()
	h.port, h.secret = port, secret
	h.mu.Unlock()
	h.s.box(api.Host).update(func(b *box) { b.Daemon.URL = "http://" + loopback.Authority(port) })
}

// serveBuiltIn serves the built-in daemon in this program, reachable only from
// this machine, on that port or, if it is in use, on a free one.
func (in *injection) serveBuiltIn(port int) error {
	h := in.s.host
	h.mu.Lock()
	current, running := h.port, h.server != nil
	h.mu.Unlock()
	if running { // under load it may answer late; replacing it would cut all its connections
		f, err := h.client(current, "").Version(in.ctx)
		in.adopt = f
		return err
	}
	in.doing(api.StepStart, "serving the built-in daemon")
	secret := rand.Text()
	handler, err := in.s.o.HostDaemon(secret)
	if err != nil {
		return err
	}
	var lc net.ListenConfig
	listener, err := lc.Listen(in.ctx, "tcp", loopback.Authority(port))
	if err != nil {
		listener, err = lc.Listen(in.ctx, "tcp", loopback.Authority(0))
	}
	if err != nil {
		return fmt.Errorf("listen for the built-in daemon: %w", err)
	}
	server := proxy.NewServer(handler, in.s.log)
	server.BaseContext = func(net.Listener) context.Context { return in.s.ctx }
	h.mu.Lock()
	h.server = server
	h.mu.Unlock()
	context.AfterFunc(in.s.ctx, func() { _ = server.Close() }) // also if the program ended just now
	in.s.group.Go(func() {
		if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			in.s.log.Error("the host's daemon ended", "error", err)
		}
		h.mu.Lock()
		defer h.mu.Unlock()
		if h.server == server {
			h.server = nil
		}
	})
	port = listener.Addr().(*net.TCPAddr).Port
	h.use(port, secret)
	f, err := h.client(port, "").Version(in.ctx)
	in.adopt = f
	return err
}

// runDaytona runs a real daytona on this machine.
func (in *injection) runDaytona(path string, port int, free bool) error {
	if !free {
		return problem(api.Host, api.CodePortTaken,
			"something that is not a daemon uses "+loopback.Authority(port),
			"stop it; the Daytona daemon cannot use another port")
	}
	in.s.log.Warn("starting a daytona on this machine: anyone on the network who can reach its port controls the machine",
		"path", path, "port", port)
	in.doing(api.StepStart, "starting %s", path)
	workDirFlag, err := inject.KnowsWorkDir(api.Host, path)
	if err != nil {
		return err
	}
	dir := in.s.o.Config.WorkDir
	if dir == "" {
		if dir, err = os.Getwd(); err != nil {
			return err
		}
	}
	var args []string
	if workDirFlag {
		args = []string{"--work-dir", dir}
	}
	// A file, because the daemon may outlive this program and a broken pipe would end it.
	log := filepath.Join(in.s.o.StateDir, hostLog)
	output, err := os.OpenFile(log, os.O_CREATE|os.O_TRUNC|os.O_WRONLY|os.O_APPEND, 0o600) //nolint:gosec // in our own state folder
	if err != nil {
		return fmt.Errorf("the daemon's log: %w", err)
	}
	defer output.Close()
	command := exec.Command(path, args...) //nolint:gosec,noctx // the configured binary; it does not end with this call
	command.Dir, command.Stdout, command.Stderr = dir, output, output
	detach(command)
	command.Env = append(os.Environ(), "DAYTONA_SANDBOX_ID="+hostID(), "DAYTONA_PROJECT_DIR="+dir)
	for name, value := range in.s.o.Config.Env {
		command.Env = append(command.Env, name+"="+value)
	}
	if err := command.Start(); err != nil {
		return problem(api.Host, api.CodeNotExecutable, fmt.Sprintf("daemon.path: %v", err),
			"check the file and its mode")
	}
	h := in.s.host
	ended := make(chan struct{})
	h.mu.Lock()
	h.command, h.ended = command, ended
	h.mu.Unlock()
	context.AfterFunc(in.s.ctx, h.close) // also if the program ended just now
	go func() {                          // not in group: without daemon.stop_on_exit the daemon outlives the program
		defer close(ended)
		_ = command.Wait() // the probes notice its end
	}()
	return in.awaitHost(log, port, ended)
}

// hostLog is the log of a daytona on this machine, in the state folder.
const hostLog = "host-daemon.log"

func (in *injection) awaitHost(log string, port int, ended chan struct{}) error {
	ctx, cancel := context.WithTimeout(in.ctx, in.s.o.Config.StartupTimeout)
	defer cancel()
	poll := time.NewTicker(inject.PollEvery)
	defer poll.Stop()
	h := in.s.host
	for {
		select {
		case <-ended:
			return problem(api.Host, api.CodeDaemonExited,
				"the daemon on this machine ended at once; its last words: "+endOf(log),
				"see its own message, or leave daemon.path empty to use the built-in daemon")
		case <-ctx.Done():
			h.stop()
			if in.ctx.Err() != nil {
				return in.ctx.Err()
			}
			return problem(api.Host, api.CodeStartTimeout,
				"the daemon on this machine did not listen on "+loopback.Authority(port)+" in time; its last words: "+endOf(log),
				"raise daemon.startup_timeout")
		case <-poll.C:
			if f, err := h.client(port, "").Version(ctx); err == nil {
				f.Started = time.Now()
				in.adopt = f
				h.use(port, "")
				in.box.update(func(b *box) { b.Daemon.Started = true })
				return nil
			}
		}
	}
}

func hostID() string {
	name, err := os.Hostname()
	if err != nil {
		return filepath.Base(os.Args[0])
	}
	return name
}

// endOf returns the end of a log file as one printable line.
func endOf(log string) string {
	f, err := os.Open(log) //nolint:gosec // our own log
	if err != nil {
		return ""
	}
	defer f.Close()
	if info, err := f.Stat(); err == nil {
		_, _ = f.Seek(max(0, info.Size()-inject.KeepOutput), io.SeekStart) // an error shows in the next read
	}
	text, _ := io.ReadAll(io.LimitReader(f, inject.KeepOutput))
	return inject.Shown(text)
}

// close stops the server of the built-in daemon and, with daemon.stop_on_exit, a
// daytona that this program started.
func (h *host) close() {
	h.mu.Lock()
	server := h.server
	h.server = nil
	h.mu.Unlock()
	if server != nil {
		_ = server.Close() // the program ends
	}
	if h.s.o.Config.StopOnExit {
		h.stop()
	}
}

// stop ends a daytona that this program started.
func (h *host) stop() {
	h.mu.Lock()
	command, ended := h.command, h.ended
	h.command = nil
	h.mu.Unlock()
	if command == nil {
		return
	}
	_ = command.Process.Signal(os.Interrupt) // fails if it has ended
	select {
	case <-ended:
	case <-time.After(5 * time.Second):
		_ = command.Process.Kill()
		<-ended
	}
}
