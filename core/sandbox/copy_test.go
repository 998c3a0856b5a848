package sandbox

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"daemon-proxy/core/api"
	"daemon-proxy/core/docker/enginetest"
	"daemon-proxy/core/sandbox/source"
)

// holding is the real engine; the first copy into a container stands still in
// the middle until it is released or ends.
type holding struct {
	source.Source
	reached, release chan struct{}
	once             sync.Once
}

func (h *holding) CopyIn(ctx context.Context, id, dir string, tar io.Reader) error {
	held := false
	h.once.Do(func() { held = true })
	if !held {
		return h.Source.CopyIn(ctx, id, dir, tar)
	}
	return h.Source.CopyIn(ctx, id, dir, &heldReader{h: h, ctx: ctx, r: tar})
}

type heldReader struct {
	h    *holding
	ctx  context.Context
	r    io.Reader
	n    int
	held bool
}

func (r *heldReader) Read(p []byte) (int, error) {
	if r.n > 4<<20 && !r.held {
		r.held = true
		close(r.h.reached)
		select {
		case <-r.h.release:
		case <-r.ctx.Done():
			return 0, r.ctx.Err()
		}
	}
	n, err := r.r.Read(p)
	r.n += n
	return n, err
}

func TestACopyThatIsCancelledLeavesNothing(t *testing.T) {
	t.Parallel()
	for _, shell := range []bool{true, false} {
		t.Run(map[bool]string{true: "with rm", false: "without rm"}[shell], func(t *testing.T) {
			t.Parallel()
			name, id := bareBoxOrShell(t, shell)
			hold := &holding{Source: enginetest.Require(t), reached: make(chan struct{}), release: make(chan struct{})}
			d := builtIn(t, name, func(o *Options) { o.Source, o.Config.ContainerName = hold, "" })
			d.boxFor(d.ref(name))
			ctx, cancel := context.WithCancel(t.Context())
			result := make(chan error, 1)
			go func() { result <- d.Inject(ctx, d.ref(name), nil) }()
			<-hold.reached
			cancel()
			err := <-result
			require.ErrorIs(t, err, &api.Problem{Code: api.CodeCancelled})

			stat, err := hold.Stat(t.Context(), id, "/usr/local/bin/daemon-proxy")
			if shell {
				require.ErrorIs(t, err, fs.ErrNotExist)
			} else { // nothing can remove it there
				require.NoError(t, err)
				require.Zero(t, stat.Size)
				require.Zero(t, stat.Mode.Perm())
			}
			require.Equal(t, api.DaemonNone, d.get(name).Daemon.State, "it is as it was before")
			d.inject(name) // what is left is in nobody's way
		})
	}
}

// slow is an engine in whose containers programs take long to start, as over a
// thin line; it can be asked whether one was started.
type slow struct {
	*holding
	runs chan struct{} // closed by the first
	once sync.Once
}

func (s *slow) Run(ctx context.Context, id string, spec source.ExecSpec) ([]byte, int, error) {
	s.once.Do(func() { close(s.runs) })
	select {
	case <-time.After(2 * time.Second):
	case <-ctx.Done():
		return nil, 0, ctx.Err()
	}
	return s.Source.Run(ctx, id, spec)
}

func TestTheEndWaitsUntilInjectionsAreUndone(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(*desk) error{
		"of the person":  func(d *desk) error { return d.UndoInjections(t.Context()) },
		"of the program": func(d *desk) error { return d.Close(t.Context()) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			name, id := shellBox(t, enginetest.RunOptions{})
			e := &slow{runs: make(chan struct{}), holding: &holding{Source: enginetest.Require(t), reached: make(chan struct{}), release: make(chan struct{})}}
			d := builtIn(t, name, func(o *Options) { o.Source = e })
			result := make(chan error, 1)
			go func() { result <- d.Inject(context.Background(), d.ref(name), nil) }()
			<-e.reached
			require.NoError(t, end(d))
			<-e.runs // the half file was there to be taken away
			_, err := e.Stat(t.Context(), id, "/usr/local/bin/daemon-proxy")
			require.ErrorIs(t, err, fs.ErrNotExist)
			require.ErrorIs(t, <-result, &api.Problem{Code: api.CodeCancelled})
			require.ErrorIs(t, d.Inject(t.Context(), d.ref(name), nil), &api.Problem{Code: api.CodeCancelled}, "another one began")
		})
	}
}

func TestUndoingInjectionsEndsWithItsContext(t *testing.T) {
	t.Parallel()
	name, _ := shellBox(t, enginetest.RunOptions{})
	e := &slow{runs: make(chan struct{}), holding: &holding{Source: enginetest.Require(t), reached: make(chan struct{}), release: make(chan struct{})}}
	d := builtIn(t, name, func(o *Options) { o.Source = e })
	result := make(chan error, 1)
	go func() { result <- d.Inject(context.Background(), d.ref(name), nil) }()
	<-e.reached
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, d.UndoInjections(ctx), context.Canceled)
	require.ErrorIs(t, <-result, &api.Problem{Code: api.CodeCancelled})
}

func TestWhatWasCancelledIsNotInjectedBehindOnesBack(t *testing.T) {
	t.Parallel()
	name, id := shellBox(t, enginetest.RunOptions{})
	hold := &holding{Source: enginetest.Require(t), reached: make(chan struct{}), release: make(chan struct{})}
	d := builtIn(t, name, func(o *Options) { o.Source, o.Config.ContainerName = hold, "" })
	d.pace = pace{often: look, seldom: look, firstRetry: look, maxRetry: look}
	d.run()
	require.Eventually(t, func() bool { box, ok := d.Get(d.ref(name)); return ok && box.Daemon.State == api.DaemonNone }, soon, look)
	ctx, cancel := context.WithCancel(t.Context())
	result := make(chan error, 1)
	go func() { result <- d.Inject(ctx, d.ref(name), nil) }()
	<-hold.reached
	cancel()
	require.ErrorIs(t, <-result, &api.Problem{Code: api.CodeCancelled})
	require.Never(t, func() bool { return d.get(name).Daemon.State == api.DaemonInjecting }, 500*time.Millisecond, look)
	require.Empty(t, processes(t, id, "daemon-proxy"))
}

func TestWhatAPersonCancelsEndsForAllAndIsNotTriedAgain(t *testing.T) {
	t.Parallel()
	name, id := shellBox(t, enginetest.RunOptions{})
	hold := &holding{Source: enginetest.Require(t), reached: make(chan struct{}), release: make(chan struct{})}
	d := builtIn(t, name, func(o *Options) { o.Source = hold })
	d.pace = pace{often: look, seldom: look, firstRetry: look, maxRetry: look}
	d.run() // the program itself begins: it is the default sandbox
	<-hold.reached
	result, joined := make(chan error, 1), make(chan struct{})
	var once sync.Once
	go func() {
		result <- d.Inject(t.Context(), d.ref(name), func(api.Injection) { once.Do(func() { close(joined) }) })
	}()
	<-joined
	require.NoError(t, d.CancelInjection(t.Context(), d.ref(name)))
	require.ErrorIs(t, <-result, &api.Problem{Code: api.CodeCancelled})
	_, err := hold.Stat(t.Context(), id, "/usr/local/bin/daemon-proxy")
	require.ErrorIs(t, err, fs.ErrNotExist)
	require.Equal(t, api.DaemonNone, d.get(name).Daemon.State)
	require.Nil(t, d.get(name).Daemon.LastError)
	require.Never(t, func() bool { return d.get(name).Daemon.State != api.DaemonNone }, 500*time.Millisecond, look)

	close(hold.release)
	d.inject(name) // somebody asks again
	require.ErrorContains(t, d.CancelInjection(t.Context(), d.ref(name)), "is already running")
	require.Equal(t, api.DaemonHealthy, d.get(name).Daemon.State)
}

func TestProgressIsToldInBytes(t *testing.T) {
	t.Parallel()
	name, _ := shellBox(t, enginetest.RunOptions{})
	d := builtIn(t, name)
	info, err := os.Stat(d.o.Executable)
	require.NoError(t, err)
	d.inject(name)
	events := d.told(func(e api.Event) bool { return e.Injection != nil && e.Injection.Bytes > 0 })
	require.Greater(t, len(events), 1, "only the end was told")
	before := int64(0)
	for _, e := range events {
		require.Equal(t, info.Size(), e.Injection.Total)
		require.GreaterOrEqual(t, e.Injection.Bytes, before)
		before = e.Injection.Bytes
	}
	require.Equal(t, info.Size(), before)
}

func TestTheSameFileIsNotCopiedTwice(t *testing.T) {
	t.Parallel()
	name, id := shellBox(t, enginetest.RunOptions{})
	d := builtIn(t, name)
	d.inject(name)
	require.NoError(t, d.StopDaemon(t.Context(), d.ref(name)))
	before := sh(t, id, "stat -c %i /usr/local/bin/daemon-proxy")
	d.inject(name)
	require.Equal(t, before, sh(t, id, "stat -c %i /usr/local/bin/daemon-proxy"))
	skipped := d.told(func(e api.Event) bool {
		return e.Injection != nil && e.Injection.Step == api.StepCopy && e.Injection.State == "skipped"
	})
	require.Len(t, skipped, 1)
}

func TestAnotherReleaseOfTheDaemonIsReplaced(t *testing.T) {
	t.Parallel()
	name, id := shellBox(t, enginetest.RunOptions{})
	old := daytona(t, name, "gen102", nil)
	old.inject(name)
	require.NoError(t, old.StopDaemon(t.Context(), old.ref(name)))
	require.Empty(t, processes(t, id, "daytona"))
	require.Equal(t, "v0.115.0", daytona(t, name, "gen115", nil).inject(name).Daemon.Version)
}

func TestS14AForeignFileAtTheTargetIsNotReplaced(t *testing.T) {
	t.Parallel()
	script := "#!/bin/sh\n# wraps DAYTONA_ things: Starting toolbox server on port\nexec true\n"
	for label, file := range map[string]enginetest.File{
		"script":        {Data: []byte(script)},
		"other program": {Path: "/bin/busybox"},
		"one byte":      {Data: []byte("x")},
	} {
		t.Run(label, func(t *testing.T) {
			t.Parallel()
			name, id := bareBox(t, enginetest.RunOptions{}, map[string]enginetest.File{"/usr/local/bin/daemon-proxy": file})
			before := content(t, id, "/usr/local/bin/daemon-proxy")
			p := builtIn(t, name).fails(name, api.CodeForeignFile)
			require.Contains(t, p.Detail, "/usr/local/bin/daemon-proxy")
			require.Equal(t, before, content(t, id, "/usr/local/bin/daemon-proxy"))
		})
	}
}

func TestS14ALinkIsNotFollowed(t *testing.T) {
	t.Parallel()
	for label, files := range map[string]map[string]enginetest.File{
		"at the target":  {"/usr/local/bin/daemon-proxy": {Link: "/victim/file"}, "/victim/file": {Data: []byte("precious")}},
		"dangling":       {"/usr/local/bin/daemon-proxy": {Link: "/victim/new"}, "/victim/file": {Data: []byte("precious")}},
		"in its way":     {"/usr/local/bin": {Link: "/victim"}, "/victim/file": {Data: []byte("precious")}},
		"higher up":      {"/usr": {Link: "/victim"}, "/victim/file": {Data: []byte("precious")}},
		"file in folder": {"/usr/local/bin": {Data: []byte("precious")}, "/victim/file": {Data: []byte("precious")}},
	} {
		t.Run(label, func(t *testing.T) {
			t.Parallel()
			name, id := bareBox(t, enginetest.RunOptions{}, files)
			builtIn(t, name).fails(name, api.CodeForeignFile)
			require.Equal(t, "precious", content(t, id, "/victim/file"))
			e := enginetest.Require(t)
			for _, path := range []string{"/victim/daemon-proxy", "/victim/new", "/victim/local"} {
				_, err := e.Stat(t.Context(), id, path)
				require.ErrorIs(t, err, fs.ErrNotExist, path)
			}
		})
	}
}

func TestWhatAKilledProgramLeftInTheCacheIsRemoved(t *testing.T) {
	t.Parallel()
	name, _ := shellBox(t, enginetest.RunOptions{})
	d := daytona(t, name, "", nil)
	dir := filepath.Join(d.o.CacheDir, "binaries")
	require.NoError(t, os.MkdirAll(dir, 0o700))
	old, young := filepath.Join(dir, ".staging-1"), filepath.Join(dir, ".staging-2")
	require.NoError(t, errors.Join(os.WriteFile(old, []byte("half"), 0o600), os.WriteFile(young, []byte("half"), 0o600)))
	long := time.Now().Add(-2 * time.Hour)
	require.NoError(t, os.Chtimes(old, long, long))
	d.inject(name)
	require.NoFileExists(t, old)
	require.FileExists(t, young, "another program may be at work on it")
}

// readOnly is an engine that finds out only while it unpacks that it may not
// write, as Podman's does.
type readOnly struct{ source.Source }

func (readOnly) CopyIn(context.Context, string, string, io.Reader) error {
	return &fs.PathError{Op: "write", Path: "/", Err: syscall.EROFS}
}

func TestAnEngineThatMayNotWriteMeansAReadOnlyContainer(t *testing.T) {
	t.Parallel()
	name, _ := shellBox(t, enginetest.RunOptions{})
	d := builtIn(t, name, func(o *Options) { o.Source = readOnly{enginetest.Require(t)} })
	p := d.fails(name, api.CodeReadOnlyRoot)
	require.Contains(t, p.Detail, "its file system is read-only")
	require.Contains(t, p.Hint, "install_dir")
}
