package sandbox

import (
	"bufio"
	"context"
	"errors"
	"io"
	"io/fs"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"daemon-proxy/core/api"
	"daemon-proxy/core/docker/enginetest"
	"daemon-proxy/core/logging/lineartest"
	"daemon-proxy/core/sandbox/inject"
	"daemon-proxy/core/sandbox/source"
)

// requireProblem expects a problem of that code with a next step.
func requireProblem(t *testing.T, err error, code string) *api.Problem {
	t.Helper()
	p, ok := errors.AsType[*api.Problem](err)
	require.True(t, ok, "%v", err)
	require.Equal(t, code, p.Code, p.Detail)
	require.NotEmpty(t, p.Hint)
	return p
}

// absent expects that a container does not have a file.
func absent(t *testing.T, id, path string) {
	t.Helper()
	_, err := enginetest.Require(t).Stat(t.Context(), id, path)
	require.ErrorIs(t, err, fs.ErrNotExist, path)
}

func TestContainersAreStartedAndStopped(t *testing.T) {
	t.Parallel()
	name, _ := shellBox(t, enginetest.RunOptions{})
	d := builtIn(t, name, func(o *Options) { o.Config.ContainerName = "" })
	d.run()
	is := func(state string) func() bool {
		return func() bool {
			box, ok := d.Get(d.ref(name))
			return ok && box.Container == state
		}
	}
	require.Eventually(t, is(api.ContainerRunning), soon, look)
	require.NoError(t, d.StartContainer(t.Context(), d.ref(name)), "it runs already")
	require.NoError(t, d.StopContainer(t.Context(), d.ref(name)))
	require.Eventually(t, is(api.ContainerExited), soon, look)
	require.NoError(t, d.StopContainer(t.Context(), d.ref(name)), "it has stopped already")
	requireProblem(t, errorOf(d.Shell(t.Context(), d.ref(name), 80, 24)), api.CodeSandboxStopped)
	require.NoError(t, d.StartContainer(t.Context(), d.ref(name)))
	require.Eventually(t, is(api.ContainerRunning), soon, look)

	requireProblem(t, d.StopContainer(t.Context(), api.Host), api.CodeBadRequest)
	requireProblem(t, d.StartContainer(t.Context(), d.ref("no-such-container")), api.CodeSandboxMissing)
	requireProblem(t, d.StartContainer(t.Context(), api.Ref{Engine: "other", Name: name}), api.CodeSandboxMissing)
}

func errorOf(_ any, err error) error { return err }

func TestEjectLeavesNothing(t *testing.T) {
	t.Parallel()
	name, id := shellBox(t, enginetest.RunOptions{})
	d := builtIn(t, name, func(o *Options) { o.Config.ContainerName = "" })
	d.run()
	require.Eventually(t, func() bool { _, ok := d.Get(d.ref(name)); return ok }, soon, look)
	d.inject(name)
	sh(t, id, "touch /tmp/daemon-proxy-daemon-2026-01-01T00-00-00.000.log /tmp/other.log")
	require.NotEmpty(t, processes(t, id, "daemon-proxy"))

	require.NoError(t, d.Eject(t.Context(), d.ref(name)))
	require.Equal(t, api.DaemonNone, d.get(name).Daemon.State)
	require.Eventually(t, func() bool { return len(processes(t, id, "daemon-proxy")) == 0 }, soon, look)
	require.Equal(t, "other.log", sh(t, id, "ls /tmp"))
	absent(t, id, "/usr/local/bin/daemon-proxy")
	require.NoError(t, d.Eject(t.Context(), d.ref(name)), "there is nothing left to take out")
	d.inject(name) // and it can come back
	requireProblem(t, d.Eject(t.Context(), api.Host), api.CodeBadRequest)
}

// A working directory is removed with the daemon that it was made for, also by
// another run of the program; what has something in it, or was there, stays.
func TestS60EjectRemovesTheWorkingDirectoryThatWasMade(t *testing.T) {
	t.Parallel()
	name, id := shellBox(t, enginetest.RunOptions{})
	eject := func(dir string, between func()) {
		t.Helper()
		first := builtIn(t, name, func(o *Options) { o.Config.WorkDir = dir })
		first.inject(name)
		require.NoError(t, first.Close(t.Context()), "it would inject again what goes down")
		require.NotEmpty(t, sh(t, id, "ls -d "+dir))
		between()
		second := builtIn(t, name, func(o *Options) { o.Config.ContainerName, o.StateDir = "", first.o.StateDir })
		second.run()
		second.becomes(name, api.DaemonHealthy)
		require.NoError(t, second.Eject(t.Context(), second.ref(name)))
		absent(t, id, "/usr/local/bin/"+".daemon-proxy-made")
	}
	there := func(path string) string { return sh(t, id, "ls -d "+path+" 2>/dev/null || true") }

	eject("/made/for/it", func() {})
	require.Empty(t, there("/made"), "what was made on the way, too")
	eject("/used", func() { sh(t, id, "touch /used/file") })
	require.NotEmpty(t, there("/used/file"))
	sh(t, id, "mkdir -p /mine/part")
	eject("/mine", func() { sh(t, id, "rmdir /mine/part") })
	require.NotEmpty(t, there("/mine"), "it was there before")
	eject("/mine/below", func() {})
	require.NotEmpty(t, there("/mine"), "it was there before")
	require.Empty(t, there("/mine/below"))
}

// A note that another container wrote, by a volume or an image, is not this one's.
func TestS60EjectHeedsNoNoteOfAnotherContainer(t *testing.T) {
	t.Parallel()
	name, id := shellBox(t, enginetest.RunOptions{})
	sh(t, id, "mkdir -p /usr/local/bin /mine && printf 'another\n/mine\n' >/usr/local/bin/"+".daemon-proxy-made")
	d := builtIn(t, name, func(o *Options) { o.Config.ContainerName = "" })
	d.run()
	require.Eventually(t, func() bool { _, ok := d.Get(d.ref(name)); return ok }, soon, look)
	require.NoError(t, d.Eject(t.Context(), d.ref(name)))
	require.NotEmpty(t, sh(t, id, "ls -d /mine"))
	absent(t, id, "/usr/local/bin/"+".daemon-proxy-made")
}

// heldRm is the real engine; the removal of files waits until it is released.
type heldRm struct {
	source.Source
	reached, release chan struct{}
}

func (h *heldRm) Run(ctx context.Context, id string, spec source.ExecSpec) ([]byte, int, error) {
	if strings.Contains(strings.Join(spec.Cmd, " "), "rm -f") {
		close(h.reached)
		<-h.release
	}
	return h.Source.Run(ctx, id, spec)
}

func TestASandboxIsBusyUntilItIsEjected(t *testing.T) {
	t.Parallel()
	name, _ := shellBox(t, enginetest.RunOptions{})
	hold := &heldRm{enginetest.Require(t), make(chan struct{}), make(chan struct{})}
	d := builtIn(t, name, func(o *Options) { o.Source = hold })
	d.inject(name)
	result := make(chan error, 1)
	go func() { result <- d.Eject(t.Context(), d.ref(name)) }()
	<-hold.reached
	require.Equal(t, api.DaemonEjecting, d.get(name).Daemon.State)
	for _, refused := range []error{d.Inject(t.Context(), d.ref(name), nil), d.Eject(t.Context(), d.ref(name)), d.StopDaemon(t.Context(), d.ref(name))} {
		require.ErrorContains(t, requireProblem(t, refused, api.CodeSandboxBusy), "is being removed")
	}
	_, err := d.Upstream(d.ref(name))
	requireProblem(t, err, api.CodeSandboxBusy)
	close(hold.release)
	require.NoError(t, <-result)
	require.Equal(t, api.DaemonNone, d.get(name).Daemon.State)
}

func TestEjectWithoutRmEmptiesAndSaysSo(t *testing.T) {
	t.Parallel()
	name, id := bareBox(t, enginetest.RunOptions{}, nil)
	d := builtIn(t, name, func(o *Options) { o.Config.ContainerName = "" })
	d.run()
	require.Eventually(t, func() bool { _, ok := d.Get(d.ref(name)); return ok }, soon, look)
	d.inject(name)
	p := requireProblem(t, d.Eject(t.Context(), d.ref(name)), api.CodeEmptied)
	require.Contains(t, p.Detail, "/usr/local/bin/daemon-proxy")
	require.Empty(t, content(t, id, "/usr/local/bin/daemon-proxy"))
	d.inject(name) // what is empty may be written over
}

func TestEjectLeavesWhatIsNotOurs(t *testing.T) {
	t.Parallel()
	name, id := shellBox(t, enginetest.RunOptions{})
	sh(t, id, "mkdir -p /usr/local/bin && echo mine >/usr/local/bin/daemon-proxy && echo theirs >/usr/local/bin/daytona")
	d := builtIn(t, name, func(o *Options) { o.Config.ContainerName = "" })
	d.run()
	require.Eventually(t, func() bool { _, ok := d.Get(d.ref(name)); return ok }, soon, look)
	require.NoError(t, d.Eject(t.Context(), d.ref(name)))
	require.Equal(t, "mine\n", content(t, id, "/usr/local/bin/daemon-proxy"))
	require.Equal(t, "theirs\n", content(t, id, "/usr/local/bin/daytona"))
}

func TestAShellHasATerminalOfItsSize(t *testing.T) {
	t.Parallel()
	name, _ := shellBox(t, enginetest.RunOptions{})
	d := builtIn(t, name, func(o *Options) { o.Config.ContainerName = "" })
	shell, err := d.Shell(t.Context(), d.ref(name), 91, 17)
	require.NoError(t, err)
	defer shell.Close()
	_, err = io.WriteString(shell, "stty size; exit 7\n")
	require.NoError(t, err)
	text, err := io.ReadAll(shell)
	require.NoError(t, err)
	require.Contains(t, string(text), "17 91")
}

func TestNoShellIsSaid(t *testing.T) {
	t.Parallel()
	name, _ := bareBox(t, enginetest.RunOptions{}, nil)
	d := builtIn(t, name, func(o *Options) { o.Config.ContainerName = "" })
	p := requireProblem(t, errorOf(d.Shell(t.Context(), d.ref(name), 80, 24)), api.CodeNoShell)
	require.Equal(t, name, p.Sandbox)
}

func TestADaemonsLogIsReadAndFollowed(t *testing.T) {
	t.Parallel()
	name, id := shellBox(t, enginetest.RunOptions{})
	d := builtIn(t, name, func(o *Options) { o.Config.ContainerName = "" })
	d.run()
	require.Eventually(t, func() bool { _, ok := d.Get(d.ref(name)); return ok }, soon, look)
	requireProblem(t, errorOf(d.DaemonLog(t.Context(), d.ref(name), 10, false)), api.CodeNoLog)
	d.inject(name)
	log, err := d.DaemonLog(t.Context(), d.ref(name), 10, false)
	require.NoError(t, err)
	text, err := io.ReadAll(log)
	require.NoError(t, err)
	require.Contains(t, string(text), "Starting toolbox server")

	ctx, cancel := context.WithTimeout(t.Context(), soon)
	defer cancel()
	sh(t, id, "echo one >>"+inject.LogName+"; echo two >>"+inject.LogName)
	log, err = d.DaemonLog(ctx, d.ref(name), 1, true)
	require.NoError(t, err)
	defer log.Close()
	lines := bufio.NewScanner(log)
	next := func() string {
		require.True(t, lines.Scan(), "%v", lines.Err())
		return lines.Text()
	}
	require.Equal(t, "two", next(), "the last line alone")
	sh(t, id, "echo three >>"+inject.LogName)
	require.Equal(t, "three", next())
	sh(t, id, "echo four >"+inject.LogName) // as when it is rotated
	require.Equal(t, "four", next())
	require.NoError(t, log.Close())

	out, err := d.ContainerLog(t.Context(), d.ref(name), 10, false)
	require.NoError(t, err)
	require.NoError(t, out.Close())
}

func TestWhatAnOutputHasBeyondItsLastState(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("abcdefg\n", 400)
	require.Equal(t, "c", string(since([]byte("ab"), []byte("abc"))))
	require.Equal(t, "new\n", string(since([]byte(long), []byte(long[800:]+"new\n"))))
	require.Equal(t, "zzz", string(since([]byte("ab"), []byte("zzz"))))
	require.Empty(t, since([]byte("ab"), []byte("ab")))
}

func TestS43AnOutputIsComparedInLinearTime(t *testing.T) {
	t.Parallel()
	for _, unit := range []string{"a", " ", "\xff", "{"} {
		lineartest.Run(t, "", unit, "", func(s string) { since([]byte(s+"x"), []byte("y"+s)) })
	}
}
