package sandbox

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"daemon-proxy/core/api"
	"daemon-proxy/core/docker"
	"daemon-proxy/core/sandbox/source"
)

func TestADaemonIsAskedAtItsPaceAndOnlyChangesAreTold(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	f.list = []source.Container{f.container("box")}
	d := f.desk(t, func(*Options) {})
	d.pace = pace{often: 2 * time.Millisecond, seldom: time.Hour, firstRetry: look, maxRetry: look}
	d.run()
	d.becomes("box", api.DaemonHealthy)
	asked, told := f.asked.Load(), len(d.sandboxEvents("box"))
	require.Eventually(t, func() bool { return f.asked.Load() > asked+100 }, soon, look)
	events := d.sandboxEvents("box")
	for i := told; i < len(events); i++ {
		a, b := events[i-1].Sandbox, events[i].Sandbox
		require.False(t, sameLatency(a.Daemon.LatencyMS, b.Daemon.LatencyMS, false), "an event was told though nothing shown changed: %v %v", a.Daemon, b.Daemon)
	}

	box := d.get("box")
	require.Len(t, box.Daemon.LatencyHistory, history)
	require.Equal(t, box.Daemon.LatencyMS, box.Daemon.LatencyHistory[history-1])
	require.NotZero(t, box.Daemon.LatencyMS)

	next := "v2"
	f.version.Store(&next)
	require.Eventually(t, func() bool { return d.get("box").Daemon.Version == "v2" }, soon, look)
	require.Eventually(t, func() bool {
		events := d.sandboxEvents("box")
		return events[len(events)-1].Sandbox.Daemon.Version == "v2"
	}, soon, look)
}

func TestASandboxThatNobodyUsesIsAskedSeldom(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	f.list = []source.Container{f.container("idle")}
	d := f.desk(t, func(*Options) {})
	d.pace = pace{often: 2 * time.Millisecond, seldom: time.Hour, firstRetry: look, maxRetry: look}
	d.run()
	d.becomes("idle", api.DaemonHealthy)
	require.Never(t, func() bool { return f.asked.Load() > 2 }, 300*time.Millisecond, look)
	_, err := d.Upstream(d.ref("idle")) // a request goes there
	require.NoError(t, err)
	d.keep(d.ref("idle"))
	require.Eventually(t, func() bool { return f.asked.Load() > 20 }, soon, look)
}

func TestADaemonThatIsGoneIsAskedWithBackOff(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	d := f.desk(t, func(o *Options) { o.Config.ContainerName = "" })
	d.pace = pace{often: time.Millisecond, seldom: time.Millisecond, firstRetry: 20 * time.Millisecond, maxRetry: 160 * time.Millisecond}
	f.list = []source.Container{f.container("box")}
	d.run()
	d.becomes("box", api.DaemonHealthy)
	// It says it is something else: answered at once, and never by a daemon.
	nobody := ""
	f.version.Store(&nobody)
	d.becomes("box", api.DaemonDown)
	f.mu.Lock()
	f.times = nil
	f.mu.Unlock()
	require.Eventually(t, func() bool { f.mu.Lock(); defer f.mu.Unlock(); return len(f.times) > 7 }, soon, look)
	f.mu.Lock()
	times := f.times
	f.mu.Unlock()
	// 20, 40, 80 and then 160 ms; a busy machine may note the first one late.
	require.Greater(t, times[7].Sub(times[0]), 500*time.Millisecond)
	back := "v3"
	f.version.Store(&back)
	d.becomes("box", api.DaemonHealthy)
}

func TestADaemonThatIsLateOnceIsNotDown(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	f.list = []source.Container{f.container("box")}
	d := f.desk(t, func(o *Options) { o.Config.ContainerName = "" })
	d.pace = pace{often: look, seldom: look, firstRetry: look, maxRetry: look}
	d.run()
	d.becomes("box", api.DaemonHealthy)
	f.silent.Store(true)
	require.Eventually(t, func() bool {
		samples := d.get("box").Daemon.LatencyHistory
		return samples[len(samples)-1] == 0
	}, soon, look)
	require.Equal(t, api.DaemonHealthy, d.get("box").Daemon.State)
	_, err := d.Upstream(d.ref("box"))
	require.NoError(t, err)
	d.becomes("box", api.DaemonDown)
	f.silent.Store(false)
	d.becomes("box", api.DaemonHealthy)
}

func TestAnEngineThatIsLostIsNamedAndFoundAgain(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	f.list = []source.Container{f.container("box")}
	d := f.desk(t, func(*Options) {})
	d.run()
	d.becomes("box", api.DaemonHealthy)
	require.Equal(t, "connected", d.Engine().State)
	f.breaks(errors.New("pipe burst"))
	require.Eventually(t, func() bool { return d.Engine().State == "lost" }, soon, look)
	lost := d.Engine().Error
	require.Equal(t, api.CodeEngineUnreachable, lost.Code)
	require.NotEmpty(t, lost.Hint)
	retries := d.told(func(e api.Event) bool { return e.Engine != nil && e.Engine.State == "lost" })
	require.NotEmpty(t, retries)
	for _, e := range retries {
		require.NotNil(t, e.Engine.RetryAt, "when it is asked again is not said")
		require.WithinDuration(t, time.Now(), *e.Engine.RetryAt, maxRetryEngine)
	}
	require.Equal(t, api.DaemonHealthy, d.get("box").Daemon.State, "the daemon needs no engine")
	f.breaks(nil)
	require.Eventually(t, func() bool { return d.Engine().State == "connected" && d.Engine().Error == nil }, soon, look)
	require.Nil(t, d.Engine().RetryAt)
}

// An engine that does not answer has not said that the container is missing.
func TestAContainerOfAnEngineThatDoesNotAnswerIsNotCalledMissing(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	f.list = []source.Container{f.container("box")}
	f.broken = errors.New("pipe burst")
	d := f.desk(t, func(*Options) {})
	d.run()
	unreachable := &api.Problem{Code: api.CodeEngineUnreachable}
	require.Eventually(t, func() bool {
		_, err := d.Upstream(d.ref("box"))
		return errors.Is(err, unreachable)
	}, soon, look)
	require.ErrorIs(t, d.get("box").Daemon.LastError, unreachable)
	f.breaks(nil)
	require.Nil(t, d.becomes("box", api.DaemonHealthy).Daemon.LastError)
}

func TestAWantedDaemonOfAStoppedContainerSaysWhy(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	f.list = []source.Container{f.container("box")}
	d := f.desk(t, func(*Options) {})
	d.run()
	d.becomes("box", api.DaemonHealthy)
	stopped, other := f.container("box"), f.container("other")
	stopped.State, other.State = api.ContainerExited, api.ContainerExited
	f.set(stopped, other)
	last := d.becomes("box", api.DaemonStopped).Daemon.LastError
	require.ErrorIs(t, last, &api.Problem{Code: api.CodeSandboxStopped})
	require.Equal(t, "fake start box", last.Hint)
	require.Nil(t, d.becomes("other", api.DaemonStopped).Daemon.LastError, "nobody asked for a daemon there")
	f.set(f.container("box"))
	require.Nil(t, d.becomes("box", api.DaemonHealthy).Daemon.LastError)
}

func TestHowAContainerEndedIsTold(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	f.list = []source.Container{f.container("box")}
	d := f.desk(t, func(*Options) {})
	d.run()
	require.Nil(t, d.becomes("box", api.DaemonHealthy).ExitCode)
	for _, code := range []int{137, 0} { // it may have run so shortly that nobody saw it
		ended := f.container("box")
		ended.State, ended.ExitCode = api.ContainerExited, &code
		f.set(ended)
		require.Eventually(t, func() bool {
			return len(d.told(func(e api.Event) bool {
				return e.Sandbox != nil && e.Sandbox.ExitCode != nil && *e.Sandbox.ExitCode == code
			})) > 0
		}, soon, look)
	}
	require.Zero(t, d.get("box").Started, "lists do not say it")
	before := time.Now()
	f.set(f.container("box"))
	box := d.becomes("box", api.DaemonHealthy)
	require.Nil(t, box.ExitCode)
	require.WithinRange(t, box.Started, before, time.Now())
}

func TestAContainerCalledHostCanBeTheDefault(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"host", "container:host"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFake(t)
			f.list = []source.Container{f.container("host")}
			d := f.desk(t, func(o *Options) { o.Config.ContainerName = name })
			d.run()
			require.True(t, d.becomes("host", api.DaemonHealthy).Default)
			ref, err := d.Resolve("")
			require.NoError(t, err)
			require.Equal(t, "container:host", ref.String())
		})
	}
}

// Its network's owner has a daemon, but nothing of its own runs behind it.
func TestAStoppedContainerThatSharesANetworkIsStopped(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	owner, guest := f.container("box"), f.container("guest")
	guest.State, guest.Addresses, guest.SharesNetworkOf = api.ContainerExited, nil, owner.ID
	f.list = []source.Container{owner, guest}
	d := f.desk(t, func(*Options) {})
	d.run()
	d.becomes("box", api.DaemonHealthy)
	_, err := d.Upstream(d.ref("guest"))
	require.ErrorIs(t, err, &api.Problem{Code: api.CodeSandboxStopped})
}

// logged is a log that a test reads.
type logged struct {
	mu    sync.Mutex
	lines []string
}

func (l *logged) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lines = append(l.lines, string(b))
	return len(b), nil
}

// having are the lines with text in them.
func (l *logged) having(text string) (list []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, line := range l.lines {
		if strings.Contains(line, text) {
			list = append(list, line)
		}
	}
	return list
}

func TestTheLogTellsOfAnAdoptedDaemonAndCallsNoEndAnError(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	f.list = []source.Container{f.container("box")}
	log := &logged{}
	d := f.desk(t, func(o *Options) { o.Logger = slog.New(slog.NewTextHandler(log, nil)) })
	d.run()
	d.becomes("box", api.DaemonHealthy)
	require.Eventually(t, func() bool { return len(log.having("daemon healthy")) == 1 }, soon, look)
	require.Contains(t, log.having("daemon healthy")[0], "version=v1")

	f.silent.Store(true)
	asked := f.asked.Load()
	ctx, cancel := context.WithCancel(t.Context())
	result := make(chan error, 1)
	go func() { result <- d.Inject(ctx, d.ref("box"), nil) }()
	require.Eventually(t, func() bool { return f.asked.Load() > asked }, soon, look)
	cancel()
	require.Error(t, <-result)
	require.Len(t, log.having("injection cancelled"), 1)
	require.Empty(t, log.having("level=ERROR"))
}

func TestAnEngineThatDoesNotAnswerIsTheProblemOfAnInjection(t *testing.T) {
	t.Parallel()
	e, err := docker.Open(docker.Options{Host: "unix://" + t.TempDir() + "/nobody.sock"})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, e.Close()) })
	d := opened(t, func(o *Options) { o.Source, o.Config.ContainerName = e, "box" })
	d.fails("box", api.CodeEngineUnreachable)

	late := &api.Problem{Code: api.CodeEngineUnreachable, Title: "late", Hint: "wait", Cause: context.DeadlineExceeded}
	require.Equal(t, api.CodeEngineUnreachable, asProblem(d.ref("box"), late).Code, "what the engine said was hidden by its cause")
}

func TestACancelledProbeIsNoTakenPort(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	f.silent.Store(true)
	f.list = []source.Container{f.container("box")}
	d := f.desk(t, func(o *Options) { o.Config.ContainerName = "" })
	d.boxFor(d.ref("box"))
	ctx, cancel := context.WithCancel(t.Context())
	result := make(chan error, 1)
	go func() { result <- d.Inject(ctx, d.ref("box"), nil) }()
	require.Eventually(t, func() bool { return f.asked.Load() > 0 }, soon, look)
	cancel()
	require.ErrorIs(t, <-result, &api.Problem{Code: api.CodeCancelled})
}

func TestALatencyThatLooksDifferentIsTold(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	f.list = []source.Container{f.container("box")}
	var slow atomic.Bool
	f.serve = func(_ http.ResponseWriter, r *http.Request) bool {
		if slow.Load() {
			select {
			case <-time.After(50 * time.Millisecond):
			case <-r.Context().Done():
			}
		}
		return false
	}
	d := f.desk(t, func(*Options) {})
	d.pace.often = 10 * time.Millisecond
	d.run()
	d.becomes("box", api.DaemonHealthy)
	slow.Store(true)
	require.Eventually(t, func() bool {
		return len(d.told(func(e api.Event) bool { return e.Sandbox != nil && e.Sandbox.Daemon.LatencyMS >= 50 })) > 0
	}, soon, look)
}

func TestLatenciesAreComparedAsCloselyAsTheyAreFollowed(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		a, b    float64
		closely bool
		same    bool
	}{
		{1.1, 1.2, false, true}, {1.1, 1.2, true, false}, {1.11, 1.13, true, true}, {1.1, 4.9, false, true},
		{13.1, 13.3, true, true}, {13, 14, true, false}, {0, 1, false, false}, {0, 0, false, true}, {1.1, 5, false, false},
		{20, 39, false, true}, {20, 40, false, false}, {40, 20, false, false}, {0.2, 0.4, true, false}, {9.9, 10, true, false},
	} {
		require.Equal(t, c.same, sameLatency(c.a, c.b, c.closely), "%v", c)
	}
}

func TestALookThatBeganBeforeAStopChangesNothing(t *testing.T) {
	t.Parallel()
	for what, answers := range map[string]bool{"it answers late": true, "it answers no more": false} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			f := newFake(t)
			f.list, f.age = []source.Container{f.container("box")}, "5"
			var held atomic.Bool
			asked, stopped := make(chan struct{}), make(chan struct{})
			f.serve = func(w http.ResponseWriter, _ *http.Request) bool {
				if !held.CompareAndSwap(true, false) {
					return false
				}
				close(asked)
				<-stopped
				if answers {
					_, _ = io.WriteString(w, `{"version":"v1"}`)
				} else if conn, _, err := http.NewResponseController(w).Hijack(); err == nil {
					_ = conn.Close()
				}
				return true
			}
			d := f.desk(t, func(o *Options) { o.Config.ContainerName = "" })
			d.pace = pace{often: time.Hour, seldom: time.Hour, firstRetry: time.Hour, maxRetry: time.Hour}
			d.run()
			d.becomes("box", api.DaemonHealthy)
			held.Store(true)
			d.keep(d.ref("box"))
			<-asked
			require.NoError(t, d.StopDaemon(t.Context(), d.ref("box")))
			require.Equal(t, api.DaemonNone, d.get("box").Daemon.State)
			told := len(d.sandboxEvents("box"))
			none := ""
			f.version.Store(&none) // for a look that begins now
			close(stopped)
			require.Never(t, func() bool { return len(d.sandboxEvents("box")) > told }, 300*time.Millisecond, look)
			require.Equal(t, api.DaemonNone, d.get("box").Daemon.State)
		})
	}
}
