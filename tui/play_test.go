package tui

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"daemon-proxy/core/api"
	"daemon-proxy/tui/pane"
)

// TestMain lets the test binary be a UI on the fake core, for tests that need
// a real terminal around a process, and for people who want to look.
func TestMain(m *testing.M) {
	if os.Getenv("DAEMON_PROXY_PLAY") != "" {
		os.Exit(play())
	}
	time.Local = time.UTC // the golden screens show times of day
	// Bubble Tea's timers have no end but their own.
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("github.com/charmbracelet/bubbletea.Tick.func1"),
		goleak.IgnoreAnyFunction("github.com/charmbracelet/bubbletea.Every.func1"))
}

func play() int {
	f := newFake()
	f.injecting = func(ctx context.Context, ref api.Ref) error {
		step := func(s api.InjectionStep, state, detail string) api.Injection {
			return api.Injection{Sandbox: ref, Step: s, State: state, Detail: detail}
		}
		say := func(n api.Injection) { f.push(api.Event{Kind: api.EventInjection, Time: time.Now(), Injection: &n}) }
		say(step(api.StepInspect, "done", "container runs, linux/amd64, static binary fits"))
		say(step(api.StepAdopt, "done", "no daemon answers on 172.17.0.3:2280"))
		say(step(api.StepPrepare, "done", "binary staged"))
		for i := range int64(60) {
			n := step(api.StepCopy, "running", "copying daytona v0.190")
			n.Bytes, n.Total = i*1_000_000, 58_100_000
			say(n)
			if pane.Pause(ctx, 50*time.Millisecond) != nil {
				return ctx.Err()
			}
		}
		if ref.Name == "shop-db" {
			return &api.Problem{Detail: "daemon ended at once with exit code 2; its last words: DAYTONA_SANDBOX_ID is required", Hint: "set daemon.env.DAYTONA_SANDBOX_ID"}
		}
		f.mu.Lock()
		defer f.mu.Unlock()
		for i := range f.sandboxes {
			if f.sandboxes[i].Ref == ref {
				f.sandboxes[i].Daemon = api.Daemon{State: api.DaemonHealthy, Kind: "built-in", Started: true,
					Since: time.Now(), StartedAt: time.Now()}
			}
		}
		return nil
	}
	o := Options{}
	if file, err := os.Create(os.Getenv("DAEMON_PROXY_LOG")); err == nil {
		defer file.Close()
		o.Logger = slog.New(slog.NewTextHandler(file, nil))
	}
	switch os.Getenv("DAEMON_PROXY_PLAY") {
	case "still": // no traffic, and every age stays what it is
		f.rates = api.Rates{}
		o.Now = func() time.Time { return clock }
	case "panic in Update":
		f.fail["Attach"] = errors.New("no events")
		o.Logger = slog.New(panicking{o.Logger.Handler()})
	case "panic in View":
		o.Now = func() time.Time { panic("the clock is broken") }
	case "panic in a command":
		f.panics = true
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM) // as the program does
	defer stop()
	if err := Run(ctx, f, o); err != nil {
		println(err.Error(), "(the log is "+os.Getenv("DAEMON_PROXY_LOG")+")") // as the program does
		return 1
	}
	return 0
}

// panicking is a log that breaks whoever says that there are no events.
type panicking struct{ slog.Handler }

func (p panicking) Handle(ctx context.Context, r slog.Record) error {
	if r.Message == "no events from the core" {
		panic("the log is broken")
	}
	return p.Handler.Handle(ctx, r)
}
