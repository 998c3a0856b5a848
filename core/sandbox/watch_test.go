package sandbox

import (
	"context"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"daemon-proxy/core/api"
	"daemon-proxy/core/docker/enginetest"
	"daemon-proxy/core/sandbox/inject"
	"daemon-proxy/core/sandbox/source"
)

func TestARestartedContainerGetsItsDaemonBackAtTheNewAddress(t *testing.T) {
	t.Parallel()
	e := enginetest.Require(t)
	network := enginetest.Network(t, "")
	name, id := shellBox(t, enginetest.RunOptions{Network: network})
	d := builtIn(t, name)
	d.run()
	before := d.becomes(name, api.DaemonHealthy)
	require.NoError(t, e.StopContainer(t.Context(), id, 0))
	stopped := d.becomes(name, api.DaemonStopped)
	require.Empty(t, stopped.Address)
	shellBox(t, enginetest.RunOptions{Network: network}) // takes the address
	require.NoError(t, e.StartContainer(t.Context(), id))
	began := time.Now()
	after := d.becomes(name, api.DaemonHealthy)
	t.Logf("healthy %v after the start", time.Since(began))
	require.NotEqual(t, before.Address, after.Address)
	require.Contains(t, after.Daemon.URL, after.Address)
	require.Equal(t, before.ID, after.ID)
	d.asks(name, "/port")
}

func TestAContainerMadeAnewUnderItsNameGetsADaemon(t *testing.T) {
	t.Parallel()
	name, id := shellBox(t, enginetest.RunOptions{})
	d := builtIn(t, name)
	d.run()
	before := d.becomes(name, api.DaemonHealthy)
	enginetest.Remove(t, id)
	d.becomes(name, api.DaemonStopped)
	// An engine that takes its time to remove it says "dead" first.
	require.Eventually(t, func() bool { return d.get(name).Container == api.ContainerMissing }, soon, look)
	require.Equal(t, api.CodeSandboxMissing, d.get(name).Daemon.LastError.Code)
	enginetest.Run(t, enginetest.Busybox(t), enginetest.RunOptions{Name: name})
	after := d.becomes(name, api.DaemonHealthy)
	require.NotEqual(t, before.ID, after.ID)
	d.asks(name, "/port")
}

func TestAKilledDaemonIsDownWithItsLastWordsAndComesBack(t *testing.T) {
	t.Parallel()
	name, id := shellBox(t, enginetest.RunOptions{})
	d := daytona(t, name, "", nil)
	d.run()
	d.becomes(name, api.DaemonHealthy)
	pids := processes(t, id, "daytona")
	require.Len(t, pids, 1)
	sh(t, id, "echo 'out of cheese' >>"+inject.LogName+"; kill -9 "+pids[0])
	require.Eventually(t, func() bool {
		after := processes(t, id, "daytona")
		return len(after) == 1 && after[0] != pids[0]
	}, soon, look)
	d.becomes(name, api.DaemonHealthy)
	down := d.told(func(e api.Event) bool {
		return e.Sandbox != nil && e.Sandbox.Name == name && e.Sandbox.Daemon.State == api.DaemonDown
	})
	require.NotEmpty(t, down)
	last := down[0].Sandbox.Daemon.LastError
	require.Equal(t, api.CodeDaemonDown, last.Code)
	require.Contains(t, last.Detail, "out of cheese")
	require.Contains(t, last.Detail, name)
}

func TestADaemonThatCannotComeBackFailsWithTheReason(t *testing.T) {
	t.Parallel()
	file := enginetest.StaticGo(t, "./testdata/daytona")
	files := enginetest.BusyboxFiles(t)
	files["/usr/local/bin/daytona"] = enginetest.File{Path: file}
	enginetest.Require(t)
	name := enginetest.Name(t)
	id := enginetest.Run(t, enginetest.Import(t, files, []string{`CMD ["/bin/sleep", "100000"]`, "ENV PATH=/bin"}), enginetest.RunOptions{Name: name})
	d := builtIn(t, name, func(o *Options) { o.Config.InjectionMode = "direct" })
	d.run()
	d.becomes(name, api.DaemonHealthy)
	sh(t, id, "mv /usr/local/bin/daytona /tmp/away; kill -9 $(pidof daytona)")
	require.Equal(t, api.CodeBinaryMissing, d.becomes(name, api.DaemonFailed).Daemon.LastError.Code)
	_, err := d.Upstream(d.ref(name))
	require.ErrorIs(t, err, &api.Problem{Code: api.CodeDaemonDown})
	require.ErrorContains(t, err, "/usr/local/bin/daytona")
	sh(t, id, "mv /tmp/away /usr/local/bin/daytona")
	d.becomes(name, api.DaemonHealthy)
}

func TestAContainerThatIsRemovedLeavesTheList(t *testing.T) {
	t.Parallel()
	name, id := shellBox(t, enginetest.RunOptions{})
	d := builtIn(t, "another")
	d.run()
	d.becomes(name, api.DaemonNone)
	d.inject(name)
	enginetest.Remove(t, id)
	gone := func(e api.Event) bool { return e.Kind == api.EventRemoved && e.Sandbox.Name == name }
	require.Eventually(t, func() bool { return len(d.told(gone)) == 1 }, soon, look)
	require.Never(t, func() bool { _, ok := d.Get(d.ref(name)); return ok }, 300*time.Millisecond, look)
}

// holdingInspect is the real engine, but what it says of a container is old
// when it comes.
type holdingInspect struct {
	source.Source
	reached, release chan struct{}
	once             sync.Once
}

func (h *holdingInspect) Inspect(ctx context.Context, name string) (source.Container, error) {
	c, err := h.Source.Inspect(ctx, name)
	h.once.Do(func() { close(h.reached) })
	<-h.release
	return c, err
}

func TestAContainerThatIsRemovedWhileItIsInjectedLeavesTheList(t *testing.T) {
	t.Parallel()
	name, id := shellBox(t, enginetest.RunOptions{})
	hold := &holdingInspect{Source: enginetest.Require(t), reached: make(chan struct{}), release: make(chan struct{})}
	d := builtIn(t, "another", func(o *Options) { o.Source = hold })
	d.run()
	d.becomes(name, api.DaemonNone)
	result := make(chan error, 1)
	go func() { result <- d.Inject(t.Context(), d.ref(name), nil) }()
	<-hold.reached
	enginetest.Remove(t, id)
	require.Eventually(t, func() bool { box, ok := d.Get(d.ref(name)); return ok && box.Container == api.ContainerMissing }, soon, look)
	close(hold.release)
	require.Error(t, <-result)
	require.Eventually(t, func() bool { _, ok := d.Get(d.ref(name)); return !ok }, soon, look)
}

// removedAtStart is the real engine, from which a container goes just before
// a daemon is started in it.
type removedAtStart struct {
	source.Source
	remove func()
}

func (r *removedAtStart) Start(ctx context.Context, id string, spec source.ExecSpec) (source.Process, error) {
	r.remove()
	return r.Source.Start(ctx, id, spec)
}

func TestAContainerThatIsRemovedInTheMiddleOfAnInjectionSaysSo(t *testing.T) {
	t.Parallel()
	name, id := shellBox(t, enginetest.RunOptions{})
	e := &removedAtStart{enginetest.Require(t), func() { enginetest.Remove(t, id) }}
	d := builtIn(t, "another", func(o *Options) { o.Source = e })
	d.run()
	d.becomes(name, api.DaemonNone)
	err := d.Inject(t.Context(), d.ref(name), nil)
	require.ErrorIs(t, err, &api.Problem{Code: api.CodeSandboxMissing})
	require.ErrorContains(t, err, "was removed while the daemon was put into it")
	require.NotContains(t, api.AsProblem(err).Hint, "docker start")
}

func TestAStoppedDaemonStaysStoppedUntilItIsAskedFor(t *testing.T) {
	t.Parallel()
	for kind, make := range map[string]func(name string) *desk{
		"daemon-proxy": func(name string) *desk { return builtIn(t, name) },
		"daytona":      func(name string) *desk { return daytona(t, name, "", nil) },
	} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			name, id := shellBox(t, enginetest.RunOptions{})
			d := make(name)
			d.pace = pace{often: look, seldom: look, firstRetry: look, maxRetry: 100 * time.Millisecond}
			d.run()
			d.becomes(name, api.DaemonHealthy)
			require.NoError(t, d.StopDaemon(t.Context(), d.ref(name)))
			require.Equal(t, api.DaemonNone, d.get(name).Daemon.State)
			_, err := d.Upstream(d.ref(name))
			require.ErrorContains(t, err, "the daemon in "+name+" was stopped")
			require.Eventually(t, func() bool { return len(processes(t, id, kind)) == 0 }, soon, look)
			for began := time.Now(); time.Since(began) < 500*time.Millisecond; time.Sleep(100 * time.Millisecond) {
				require.Empty(t, processes(t, id, kind))
			}
			require.Empty(t, d.told(func(e api.Event) bool {
				return e.Sandbox != nil && e.Sandbox.Name == name && e.Sandbox.Daemon.State == api.DaemonDown
			}), "a daemon that was stopped did not go down")
			d.inject(name)
		})
	}
}

func TestDaemonsAreStoppedAtTheEndIfTheyAreToBe(t *testing.T) {
	t.Parallel()
	for _, stop := range []bool{true, false} {
		t.Run(map[bool]string{true: "stop_on_exit", false: "default"}[stop], func(t *testing.T) {
			t.Parallel()
			name, id := shellBox(t, enginetest.RunOptions{})
			d := builtIn(t, name, func(o *Options) { o.Config.StopOnExit = stop })
			d.inject(name)
			require.NoError(t, d.Close(t.Context()))
			if stop {
				require.Eventually(t, func() bool { return len(processes(t, id, "daemon-proxy")) == 0 }, soon, look)
			} else {
				require.Len(t, processes(t, id, "daemon-proxy"), 1)
			}
		})
	}
}

func TestTheOnlyRunningContainerIsTheDefault(t *testing.T) {
	t.Parallel()
	fake := newFake(t)
	d := fake.desk(t, func(o *Options) { o.Config.ContainerName = "" })
	_, err := d.Resolve("")
	require.ErrorIs(t, err, &api.Problem{Code: api.CodeSandboxRequired})
	fake.set(fake.container("one"))
	d.run()
	require.Eventually(t, func() bool { ref, err := d.Resolve(""); return err == nil && ref.Name == "one" }, soon, look)
	two := fake.container("two")
	fake.set(fake.container("one"), two)
	require.Eventually(t, func() bool { _, ok := d.Get(d.ref("two")); return ok }, soon, look)
	_, err = d.Resolve("")
	require.ErrorIs(t, err, &api.Problem{Code: api.CodeSandboxRequired})
	var names []string
	for _, box := range d.List() {
		names = append(names, box.String())
	}
	require.True(t, slices.Equal([]string{"host", "one", "two"}, names), names)
}
