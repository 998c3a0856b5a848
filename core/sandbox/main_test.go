package sandbox

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"daemon-proxy/core/api"
	"daemon-proxy/core/config"
	"daemon-proxy/core/docker/enginetest"
	"daemon-proxy/core/sandbox/source"
	"daemon-proxy/core/toolbox"
	"daemon-proxy/core/wiretest"
)

const (
	soon = time.Minute // whatever must come, on a busy machine
	look = 10 * time.Millisecond
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// desk is a set of sandboxes with the events that it told.
type desk struct {
	*Sandboxes
	t *testing.T
	o Options

	noted  sync.Mutex // not "mu", which is that of the Sandboxes
	events []api.Event
}

// opened makes the sandboxes of a desk; change may alter the options. Without
// an engine of its own it gets the real one.
func opened(t *testing.T, change func(*Options)) *desk {
	t.Helper()
	d := &desk{t: t}
	d.o = Options{
		Config: config.Defaults().Daemon, StateDir: t.TempDir(), CacheDir: t.TempDir(), OnEvent: d.note,
		Logger: slog.New(slog.NewTextHandler(wiretest.Log{T: t}, &slog.HandlerOptions{Level: slog.LevelDebug})),
		HostDaemon: func(secret string) (http.Handler, error) {
			return toolbox.New(toolbox.Options{Secret: secret, Version: "test"})
		},
	}
	d.o.BoxDaemon = func(secret, workDir string, inside Inside) (BoxDaemon, error) {
		return toolbox.New(toolbox.Options{Secret: secret, Version: "test", WorkDir: workDir, Inside: inside})
	}
	d.o.Config.Mode = "docker"
	change(&d.o)
	if d.o.Source == nil {
		d.o.Source = enginetest.Require(t)
	}
	var err error
	d.Sandboxes, err = New(d.o)
	require.NoError(t, err)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), soon)
		defer cancel()
		require.NoError(t, d.Close(ctx))
	})
	return d
}

// builtIn are sandboxes that inject this program into the container name.
func builtIn(t *testing.T, name string, changes ...func(*Options)) *desk {
	t.Helper()
	return opened(t, func(o *Options) {
		o.Config.ContainerName = name
		o.Executable = enginetest.StaticGo(t, "daemon-proxy/cmd/toolbox")
		for _, change := range changes {
			change(o)
		}
	})
}

// daytona are sandboxes that inject the fake daytona of a generation ("" is
// the newest) with variables that make it misbehave.
func daytona(t *testing.T, name, generation string, env map[string]string, changes ...func(*Options)) *desk {
	t.Helper()
	return opened(t, func(o *Options) {
		o.Config.ContainerName = name
		o.Config.BinarySourcePath = enginetest.StaticGo(t, "./testdata/daytona", generation)
		o.Config.Env = env
		for _, change := range changes {
			change(o)
		}
	})
}

// run follows the engine until the test ends.
func (d *desk) run() {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		d.Run(ctx)
	}()
	d.t.Cleanup(func() {
		cancel()
		<-ended
	})
}

func (d *desk) note(e api.Event) {
	d.noted.Lock()
	defer d.noted.Unlock()
	d.events = append(d.events, e)
}

// told are the events so far that fit.
func (d *desk) told(fits func(api.Event) bool) []api.Event {
	d.noted.Lock()
	defer d.noted.Unlock()
	var list []api.Event
	for _, e := range d.events {
		if fits(e) {
			list = append(list, e)
		}
	}
	return list
}

// inject injects and expects a healthy daemon.
func (d *desk) inject(name string) api.Sandbox {
	d.t.Helper()
	require.NoError(d.t, d.Inject(d.t.Context(), d.ref(name), nil))
	box := d.get(name)
	require.Equal(d.t, api.DaemonHealthy, box.Daemon.State)
	require.Nil(d.t, box.Daemon.LastError)
	return box
}

// fails injects and expects a problem of that code, which names the sandbox,
// has a next step and is kept as the last error.
func (d *desk) fails(name, code string) *api.Problem {
	d.t.Helper()
	err := d.Inject(d.t.Context(), d.ref(name), nil)
	require.Error(d.t, err)
	p, ok := err.(*api.Problem) //nolint:errorlint // the promise is that it is one
	require.True(d.t, ok, "%T", err)
	require.Equal(d.t, code, p.Code, p.Detail)
	require.NotEmpty(d.t, p.Hint)
	require.NotEmpty(d.t, p.Title)
	require.Equal(d.t, name, p.Sandbox)
	if box, ok := d.Get(d.ref(name)); ok {
		require.Equal(d.t, p, box.Daemon.LastError)
	}
	return p
}

func (d *desk) get(name string) api.Sandbox {
	d.t.Helper()
	box, ok := d.Get(d.ref(name))
	require.True(d.t, ok, name)
	return box
}

// becomes waits for a state of the daemon.
func (d *desk) becomes(name string, state api.DaemonState) api.Sandbox {
	d.t.Helper()
	require.Eventually(d.t, func() bool {
		box, ok := d.Get(d.ref(name))
		return ok && box.Daemon.State == state
	}, soon, look, "the daemon in %s is not %s", name, state)
	return d.get(name)
}

// asks calls the daemon as a request would; the answer must be 200.
func (d *desk) asks(name, path string) string {
	d.t.Helper()
	client, err := d.client(d.ref(name))
	require.NoError(d.t, err)
	answer, err := client.Do(d.t.Context(), http.MethodGet, path, 1<<20)
	require.NoError(d.t, err)
	require.Equal(d.t, http.StatusOK, answer.Status, string(answer.Body))
	return string(answer.Body)
}

// shellBox runs a container that has a shell and the usual small programs.
func shellBox(t *testing.T, o enginetest.RunOptions) (name, id string) {
	t.Helper()
	enginetest.Require(t)
	o.Name = enginetest.Name(t)
	return o.Name, enginetest.Run(t, enginetest.Busybox(t), o)
}

// sleeper is the only file of an image without a shell.
const sleeper = `package main
import ("os"; "os/signal"; "syscall")
func main() { c := make(chan os.Signal, 1); signal.Notify(c, syscall.SIGTERM); <-c }`

// bareBox runs a container whose image has no shell, no /tmp, nothing; more
// are files that it has nonetheless.
func bareBox(t *testing.T, o enginetest.RunOptions, more map[string]enginetest.File) (name, id string) {
	t.Helper()
	enginetest.Require(t)
	files := map[string]enginetest.File{"/app": {Path: enginetest.StaticGoSource(t, sleeper)}}
	for path, file := range more {
		files[path] = file
	}
	o.Name = enginetest.Name(t)
	return o.Name, enginetest.Run(t, enginetest.Import(t, files, []string{`CMD ["/app"]`}), o)
}

// sh runs a script in a container and returns what it wrote.
func sh(t *testing.T, id, script string) string {
	t.Helper()
	out, code, err := enginetest.Require(t).Run(t.Context(), id, source.ExecSpec{Cmd: []string{"/bin/sh", "-c", script}, User: "0"})
	require.NoError(t, err)
	require.Zero(t, code, string(out))
	return strings.TrimSpace(string(out))
}

// processes are the pids in a container of the programs of that name.
func processes(t *testing.T, id, name string) []string {
	t.Helper()
	return strings.Fields(sh(t, id, "pidof "+name+" || true"))
}

// content is a file of a container.
func content(t *testing.T, id, path string) string {
	t.Helper()
	file, _, err := enginetest.Require(t).CopyOut(t.Context(), id, path)
	require.NoError(t, err)
	defer file.Close()
	text, err := io.ReadAll(file)
	require.NoError(t, err)
	return string(text)
}
