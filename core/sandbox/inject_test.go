package sandbox

import (
	"context"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"daemon-proxy/core/api"
	"daemon-proxy/core/daemon"
	"daemon-proxy/core/docker/enginetest"
	"daemon-proxy/core/reach"
	"daemon-proxy/core/sandbox/source"
	"daemon-proxy/core/toolbox"
)

func TestTheBuiltInDaemonIsInjectedWhereThereIsAShell(t *testing.T) {
	t.Parallel()
	name, id := shellBox(t, enginetest.RunOptions{})
	d := builtIn(t, name)
	var steps []api.Injection
	require.NoError(t, d.Inject(t.Context(), d.ref(name), func(e api.Injection) { steps = append(steps, e) }))
	box := d.get(name)
	require.Equal(t, daemon.KindBuiltIn, box.Daemon.Kind)
	require.True(t, box.Daemon.Started)
	require.NotZero(t, box.Daemon.LatencyMS)
	require.Equal(t, "http://"+box.Address+":2280", box.Daemon.URL)
	require.Len(t, processes(t, id, "daemon-proxy"), 1)
	require.Contains(t, d.asks(name, "/port"), "2280")

	last := steps[len(steps)-1]
	require.True(t, last.Finished)
	require.Equal(t, api.DaemonHealthy, last.Daemon.State)
	var order []api.InjectionStep
	for _, e := range steps {
		require.Equal(t, d.ref(name), e.Sandbox)
		if len(order) == 0 || order[len(order)-1] != e.Step {
			order = append(order, e.Step)
		}
	}
	require.Equal(t, []api.InjectionStep{api.StepInspect, api.StepAdopt, api.StepPrepare, api.StepCopy, api.StepStart, api.StepWait}, order)
}

func TestTheBuiltInDaemonIsInjectedWhereThereIsNoShell(t *testing.T) {
	t.Parallel()
	name, _ := bareBox(t, enginetest.RunOptions{}, nil)
	d := builtIn(t, name)
	require.Equal(t, daemon.KindBuiltIn, d.inject(name).Daemon.Kind)
	require.JSONEq(t, `{"dir":"/workspace"}`, d.asks(name, "/work-dir"))
}

func TestADaemonThatAnswersIsAdoptedAndNoneStartedBesideIt(t *testing.T) {
	t.Parallel()
	name, id := shellBox(t, enginetest.RunOptions{})
	daytona(t, name, "", nil).inject(name)
	before := processes(t, id, "daytona")
	require.Len(t, before, 1)

	second := builtIn(t, name)
	box := second.inject(name)
	require.Equal(t, daemon.KindDaytona, box.Daemon.Kind)
	require.Equal(t, "v0.190.0", box.Daemon.Version)
	require.False(t, box.Daemon.Started, "it was found, not started")
	require.Equal(t, before, processes(t, id, "daytona"))
	require.Empty(t, processes(t, id, "daemon-proxy"))

	err := second.StopDaemon(t.Context(), second.ref(name))
	require.ErrorContains(t, err, "not started by this program")
}

func TestManyWhoInjectAtOnceGetOneDaemon(t *testing.T) {
	t.Parallel()
	name, id := shellBox(t, enginetest.RunOptions{})
	d := builtIn(t, name)
	const many = 20
	errs := make(chan error, many)
	var finals sync.Map
	for i := range many {
		go func() {
			errs <- d.Inject(t.Context(), d.ref(name), func(e api.Injection) {
				if e.Finished {
					finals.Store(i, true)
				}
			})
		}()
	}
	for range many {
		require.NoError(t, <-errs)
	}
	count := 0
	finals.Range(func(any, any) bool { count++; return true })
	require.Equal(t, many, count, "each is told the end")
	require.Len(t, processes(t, id, "daemon-proxy"), 1)
	starts := d.told(func(e api.Event) bool {
		return e.Injection != nil && e.Injection.Step == api.StepStart && e.Injection.State == "done"
	})
	require.Len(t, starts, 1)
}

func TestADaemonWhoseSecretIsLostIsReplaced(t *testing.T) {
	t.Parallel()
	for _, shell := range []bool{true, false} {
		t.Run(map[bool]string{true: "shell", false: "no shell"}[shell], func(t *testing.T) {
			t.Parallel()
			name, _ := bareBoxOrShell(t, shell)
			first := builtIn(t, name)
			first.inject(name)
			require.NoError(t, first.Close(t.Context()))
			second := builtIn(t, name)
			require.True(t, second.inject(name).Daemon.Started)
			second.asks(name, "/port")
			box := second.get(name)
			old := daemon.NewClient(reach.Direct(0, box.Address), second.o.Config.Port, first.keys.secret(box.ID))
			answer, err := old.Do(t.Context(), "GET", "/port", 100)
			require.NoError(t, err)
			require.Equal(t, 401, answer.Status, "the old secret opens it still")
		})
	}
}

func TestTwoProgramsDoNotTakeADaemonFromEachOtherForEver(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	f.list = []source.Container{f.container("box")}
	var secret atomic.Value
	f.serve = func(w http.ResponseWriter, r *http.Request) bool {
		box, err := toolbox.New(toolbox.Options{Secret: fmt.Sprint(secret.Load()), Version: "v1"})
		if err == nil {
			box.ServeHTTP(w, r)
			box.Close()
		}
		return err == nil
	}
	d := f.desk(t, func(*Options) {})
	d.pace = pace{often: look, seldom: look, firstRetry: look, maxRetry: look}
	secret.Store(d.keys.secret(f.list[0].ID))
	d.run()
	d.becomes("box", api.DaemonHealthy)
	secret.Store("another's")
	require.Equal(t, api.CodePortTaken, d.becomes("box", api.DaemonFailed).Daemon.LastError.Code)
	_, err := d.Upstream(d.ref("box"))
	require.ErrorContains(t, err, "another daemon-proxy")
	require.Never(t, func() bool { return d.get("box").Daemon.State != api.DaemonFailed }, 200*time.Millisecond, look)
}

func bareBoxOrShell(t *testing.T, shell bool) (name, id string) {
	t.Helper()
	if shell {
		return shellBox(t, enginetest.RunOptions{})
	}
	return bareBox(t, enginetest.RunOptions{}, nil)
}

func TestAProgramWithTheSameStateAdoptsItsDaemon(t *testing.T) {
	t.Parallel()
	name, id := shellBox(t, enginetest.RunOptions{})
	first := builtIn(t, name)
	first.inject(name)
	before := processes(t, id, "daemon-proxy")
	second := builtIn(t, name, func(o *Options) { o.StateDir = first.o.StateDir })
	require.True(t, second.inject(name).Daemon.Started, "whoever knows the secret started it")
	second.asks(name, "/port")
	require.Equal(t, before, processes(t, id, "daemon-proxy"))
}

func TestOnlyProcessesOfTheDaemonsOwnFileAreEnded(t *testing.T) {
	t.Parallel()
	name, id := shellBox(t, enginetest.RunOptions{})
	// Its name in the process list is the daemon's, its file is not.
	sh(t, id, `printf '#!/bin/sh\nwhile :; do sleep 1; done\n' >/tmp/daemon-proxy; chmod +x /tmp/daemon-proxy; /tmp/daemon-proxy >/dev/null 2>&1 &`)
	before := processes(t, id, "daemon-proxy")
	require.Len(t, before, 1)
	first := builtIn(t, name)
	first.inject(name)
	require.NoError(t, first.Close(t.Context()))
	builtIn(t, name).inject(name) // replaces it
	require.Contains(t, processes(t, id, "daemon-proxy"), before[0])
}

func TestAWorkingDirectoryThatIsMissingIsMade(t *testing.T) {
	t.Parallel()
	name, id := shellBox(t, enginetest.RunOptions{})
	d := builtIn(t, name, func(o *Options) { o.Config.WorkDir = "/made/for/it" })
	d.inject(name)
	require.JSONEq(t, `{"dir":"/made/for/it"}`, d.asks(name, "/work-dir"))
	require.Equal(t, "0", sh(t, id, "stat -c %u /made/for/it"))
}

func TestAWorkingDirectoryThatIsAFileIsNamed(t *testing.T) {
	t.Parallel()
	name, id := shellBox(t, enginetest.RunOptions{})
	d := builtIn(t, name, func(o *Options) { o.Config.WorkDir = "/etc/passwd" })
	require.Contains(t, d.fails(name, api.CodeWorkDir).Detail, "/etc/passwd")
	require.Empty(t, processes(t, id, "daemon-proxy"))
}

func TestTheStagedCopyIsWholeAndAlone(t *testing.T) {
	t.Parallel()
	name, _ := shellBox(t, enginetest.RunOptions{})
	d := daytona(t, name, "gen115", nil)
	d.inject(name)
	entries, err := filepath.Glob(filepath.Join(d.o.CacheDir, "binaries", "*"))
	require.NoError(t, err)
	hidden, err := filepath.Glob(filepath.Join(d.o.CacheDir, "binaries", ".*"))
	require.NoError(t, err)
	require.Empty(t, hidden)
	require.Len(t, entries, 1)
	require.True(t, strings.HasPrefix(filepath.Base(entries[0]), "daemon-"))
}

func TestWhoGoesAwayDoesNotCancelWhatAnotherWaitsFor(t *testing.T) {
	t.Parallel()
	name, _ := shellBox(t, enginetest.RunOptions{})
	hold := &holding{Source: enginetest.Require(t), reached: make(chan struct{}), release: make(chan struct{})}
	d := builtIn(t, name, func(o *Options) { o.Source = hold })
	leaving, leave := context.WithCancel(t.Context())
	first := make(chan error, 1)
	go func() { first <- d.Inject(leaving, d.ref(name), nil) }()
	<-hold.reached
	second := make(chan error, 1)
	joined := make(chan struct{})
	var once sync.Once
	go func() {
		second <- d.Inject(t.Context(), d.ref(name), func(api.Injection) { once.Do(func() { close(joined) }) })
	}()
	<-joined
	leave()
	require.ErrorIs(t, <-first, &api.Problem{Code: api.CodeCancelled})
	close(hold.release)
	require.NoError(t, <-second)
	require.Equal(t, api.DaemonHealthy, d.get(name).Daemon.State)
}

func TestAFollowerThatStandsStillHoldsNobodyUp(t *testing.T) {
	t.Parallel()
	name, _ := shellBox(t, enginetest.RunOptions{})
	d := builtIn(t, name)
	stuck, release := make(chan struct{}), make(chan struct{})
	slow := make(chan error, 1)
	var once sync.Once
	go func() {
		slow <- d.Inject(t.Context(), d.ref(name), func(api.Injection) {
			once.Do(func() { close(stuck) })
			<-release
		})
	}()
	<-stuck
	require.NoError(t, d.Inject(t.Context(), d.ref(name), nil))
	close(release)
	require.NoError(t, <-slow)
}
