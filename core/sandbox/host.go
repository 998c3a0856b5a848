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
	"daemon-proxy/core/sandbox/source"
)

// host is this machine, as a source of one sandbox, and the daemon on it: the
// built-in one, served by this program, or a daytona process.
type host struct {
	o     Options
	life  context.Context // of the program
	group *sync.WaitGroup // what Close waits for

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

// Name returns the Engine of api.Host.
func (h *host) Name() string { return api.Host.Engine }

// List returns this machine.
func (h *host) List(context.Context) ([]source.Container, error) {
	return []source.Container{{
		Name: api.Host.Name, State: api.ContainerRunning, Platform: inject.HostPlatform(),
		HostNetwork: true, Addresses: []string{loopback.Host, "::1"},
	}}, nil
}

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

// upstream returns a client of the host's daemon, and how to reach it.
func (h *host) upstream() (daemon.Client, Upstream, error) {
	port, secret := h.current()
	if port == 0 {
		return daemon.Client{}, Upstream{}, unknown(api.Host)
	}
	client := h.client(port, secret)
	up := newUpstream(client, "host "+client.Host)
	up.Loopback = true
	return client, up, nil
}

// probe calls the host's daemon.
func (h *host) probe(ctx context.Context) (daemon.Info, error) {
	port, _ := h.current()
	if port == 0 {
		return daemon.Info{}, daemon.ErrRefused
	}
	return h.client(port, "").Version(ctx)
}

// use makes the daemon on a port the host's.
func (h *host) use(port int, secret string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.port, h.secret = port, secret
}

// binary returns the daytona to run on the host; empty: the built-in daemon.
func (h *host) binary() (string, error) {
	switch path := h.o.Config.Path; {
	case path != "" && !inject.IsFile(path):
		return "", api.Host.Problem(api.CodeBinaryMissing, fmt.Sprintf("daemon.path: there is no file %s", path),
			"correct it (--daemon-path, DAEMON_PATH), or leave it empty to use the built-in daemon")
	case path != "":
		return path, nil
	case inject.IsFile(inject.DefaultDaytona):
		return inject.DefaultDaytona, nil
	}
	return "", nil
}

// serves reports whether this program serves the host's daemon.
func (h *host) serves() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.server != nil
}

// serve serves the built-in daemon in this program, reachable only from this
// machine, on that port or, if it is in use, on a free one.
func (h *host) serve(ctx context.Context, port int) (at int, secret string, err error) {
	secret = rand.Text()
	handler, err := h.o.HostDaemon(secret)
	if err != nil {
		return 0, "", err
	}
	var lc net.ListenConfig
	listener, err := lc.Listen(ctx, "tcp", loopback.Authority(port))
	if err != nil {
		listener, err = lc.Listen(ctx, "tcp", loopback.Authority(0))
	}
	if err != nil {
		return 0, "", fmt.Errorf("listen for the built-in daemon: %w", err)
	}
	server := proxy.NewServer(handler, h.o.Logger)
	server.BaseContext = func(net.Listener) context.Context { return h.life }
	h.mu.Lock()
	h.server = server
	h.mu.Unlock()
	context.AfterFunc(h.life, func() { _ = server.Close() }) // also if the program ended just now
	h.group.Go(func() {
		if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			h.o.Logger.Error("the host's daemon ended", "error", err)
		}
		h.mu.Lock()
		defer h.mu.Unlock()
		if h.server == server {
			h.server = nil
		}
	})
	return listener.Addr().(*net.TCPAddr).Port, secret, nil
}

// hostLog is the log of a daytona on this machine, in the state folder.
const hostLog = "host-daemon.log"

// launch starts a daytona on this machine. The channel is closed when it has ended.
func (h *host) launch(path string) (ended chan struct{}, err error) {
	workDirFlag, err := inject.KnowsWorkDir(api.Host, path)
	if err != nil {
		return nil, err
	}
	dir := h.o.Config.WorkDir
	if dir == "" {
		if dir, err = os.Getwd(); err != nil {
			return nil, err
		}
	}
	var args []string
	if workDirFlag {
		args = []string{"--work-dir", dir}
	}
	// A file, because the daemon may outlive this program and a broken pipe would end it.
	output, err := os.OpenFile(filepath.Join(h.o.StateDir, hostLog),
		os.O_CREATE|os.O_TRUNC|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, fmt.Errorf("the daemon's log: %w", err)
	}
	defer output.Close()
	command := exec.Command(path, args...) //nolint:gosec,noctx // the configured binary; it does not end with this call
	command.Dir, command.Stdout, command.Stderr = dir, output, output
	detach(command)
	command.Env = append(os.Environ(), "DAYTONA_SANDBOX_ID="+hostID(), "DAYTONA_PROJECT_DIR="+dir)
	for name, value := range h.o.Config.Env {
		command.Env = append(command.Env, name+"="+value)
	}
	if err := command.Start(); err != nil {
		return nil, api.Host.Problem(api.CodeNotExecutable, fmt.Sprintf("daemon.path: %v", err),
			"check the file and its mode")
	}
	ended = make(chan struct{})
	h.mu.Lock()
	h.command, h.ended = command, ended
	h.mu.Unlock()
	context.AfterFunc(h.life, h.close) // also if the program ended just now
	go func() {                        // not in group: without daemon.stop_on_exit the daemon outlives the program
		defer close(ended)
		_ = command.Wait() // the probes notice its end
	}()
	return ended, nil
}

func hostID() string {
	name, err := os.Hostname()
	if err != nil {
		return filepath.Base(os.Args[0])
	}
	return name
}

// lastWords returns the end of the log of a daytona on this machine.
func (h *host) lastWords() string {
	f, err := os.Open(filepath.Join(h.o.StateDir, hostLog))
	if err != nil {
		return ""
	}
	defer f.Close()
	if info, err := f.Stat(); err == nil {
		_, _ = f.Seek(max(0, info.Size()-inject.KeepOutput), io.SeekStart) // an error shows in the next read
	}
	text, _ := io.ReadAll(io.LimitReader(f, inject.KeepOutput))
	return inject.LastWords(text)
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
	if h.o.Config.StopOnExit {
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
