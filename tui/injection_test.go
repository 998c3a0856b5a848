package tui

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"daemon-proxy/core/api"
)

func TestAnInjectionShowsItsStepsAndEscCancelsIt(t *testing.T) {
	t.Parallel()
	f := newFake()
	ended := make(chan error, 1)
	f.injecting = func(ctx context.Context, ref api.Ref) error {
		<-ctx.Done()
		ended <- ctx.Err()
		return ctx.Err()
	}
	s := loaded(t, f, 120, 40, nil)
	s.press("down", "down", "i")
	f.push(
		api.Event{Kind: api.EventInjection, Time: clock,
			Injection: &api.Injection{Sandbox: webRef, Step: api.StepInspect, State: "done",
				Detail: "linux/amd64, static binary fits"}},
		api.Event{Kind: api.EventInjection, Time: clock,
			Injection: &api.Injection{Sandbox: webRef, Step: api.StepCopy, State: "running",
				Detail: "copying daytona", Bytes: 1, Total: 58_100_000}},
	)
	s.shows("static binary fits")
	f.push(api.Event{Kind: api.EventInjection, Time: clock.Add(time.Second),
		Injection: &api.Injection{Sandbox: webRef, Step: api.StepCopy, State: "running", Detail: "copying daytona",
			Bytes: 36_200_000, Total: 58_100_000}})
	s.shows("36.2 MB / 58.1 MB", "36.2 MB/s", "copying  62 %")
	s.press("q")
	s.shows("Quit?", "1 injection runs")
	s.press("enter") // stay is in focus
	require.False(t, s.quit)
	s.press("esc")
	s.until("it is cancelled", func() bool { return len(ended) > 0 })
	require.ErrorIs(t, <-ended, context.Canceled)
	require.Equal(t, []string{"CancelInjection web"}, f.calls("CancelInjection"))
	s.shows("web: cancelled, nothing was kept")
	s.hides("copying")
	f.push(api.Event{Kind: api.EventInjection, Time: clock,
		Injection: &api.Injection{Sandbox: webRef, Step: api.StepCopy, State: "running", Detail: "late"}},
		api.Event{Kind: api.EventSandbox,
			Sandbox: &api.Sandbox{Ref: api.Ref{Engine: "default", Name: "another"}, Container: "running"}})
	s.shows("another")
	require.NotContains(t, s.text(), "copying", "news from before the end comes too late")
}

func TestEscCancelsAnInjectionThatBeganElsewhere(t *testing.T) {
	t.Parallel()
	begun := api.Event{Kind: api.EventInjection, Time: clock,
		Injection: &api.Injection{Sandbox: boxRef, Step: api.StepCopy, State: "running", Detail: "copying daytona"}}
	s := loaded(t, newFake(), 120, 40, nil)
	s.f.push(begun)
	s.shows("copying daytona", "esc cancel, nothing is kept")
	s.press("esc")
	s.shows("my-sandbox: cancelled, nothing was kept")
	require.Equal(t, []string{"CancelInjection my-sandbox"}, s.f.calls("CancelInjection"))
	s.f.push(api.Event{Kind: api.EventInjection, Time: clock,
		Injection: &api.Injection{Sandbox: boxRef, Step: api.StepCopy, State: "failed", Finished: true,
			Error: &api.Problem{Code: api.CodeCancelled, Detail: "the injection was cancelled"}}},
		api.Event{Kind: api.EventSandbox,
			Sandbox: &api.Sandbox{Ref: boxRef, Kind: "container", Container: "running",
				Daemon: api.Daemon{State: api.DaemonNone}}})
	s.shows("none   i inject")
	require.NotContains(t, s.text(), "the injection was cancelled")

	looking := loaded(t, newFake(), 120, 40, func(o *Options) { o.ReadOnly = true })
	looking.f.push(begun)
	looking.shows("copying daytona")
	require.NotContains(t, looking.text(), "cancel, nothing")
	looking.press("esc")
	looking.settle()
	require.Empty(t, looking.f.calls("CancelInjection"))
}

func TestEscClearsTheFilterBeforeItCancels(t *testing.T) {
	t.Parallel()
	s := loaded(t, newFake(), 120, 40, nil)
	s.press("/")
	s.word("my-sand")
	s.press("enter")
	s.f.push(api.Event{Kind: api.EventInjection, Time: clock,
		Injection: &api.Injection{Sandbox: boxRef, Step: api.StepCopy, State: "running", Detail: "copying daytona"}})
	s.shows("copying daytona", "esc shows all")
	s.press("esc")
	require.NotContains(t, s.text(), "hidden")
	s.shows("esc cancel, nothing is kept")
	require.Empty(t, s.f.calls("CancelInjection"))
	s.press("esc")
	s.until("it is cancelled", func() bool { return len(s.f.calls("CancelInjection")) == 1 })
}

func TestAFailedInjectionSaysWhatToTry(t *testing.T) {
	t.Parallel()
	f := newFake()
	f.fail["Inject"] = &api.Problem{Detail: "daemon ended at once with exit code 2",
		Hint: "set daemon.env.DAYTONA_SANDBOX_ID"}
	s := loaded(t, f, 120, 40, nil)
	s.press("down", "down", "i")
	s.shows("daemon ended at once with exit code 2", "try: set daemon.env.DAYTONA_SANDBOX_ID", "try again")
	require.Equal(t, 2, strings.Count(s.text(), "daemon ended at once"), "in the overview and above the footer")
	s.press("down")
	require.NotContains(t, s.text(), "daemon ended at once", "a key takes the error line away")
}

func TestADaemonThatIsTriedAgainSaysWhen(t *testing.T) {
	t.Parallel()
	s := loaded(t, newFake(), 120, 40, nil)
	at := clock.Add(20 * time.Second)
	failed := s.f.sandboxes[1]
	failed.Daemon = api.Daemon{State: api.DaemonFailed,
		LastError: &api.Problem{Code: api.CodePortTaken, Detail: "port 2280 is taken"}, RetryAt: &at}
	before := failed.Daemon // what the last event of the injection holds comes later, for the sandbox stands in the place of its first
	before.RetryAt = nil
	s.f.push(api.Event{Kind: api.EventSandbox, Sandbox: &failed},
		api.Event{Kind: api.EventInjection, Time: clock,
			Injection: &api.Injection{Sandbox: boxRef, Step: api.StepAdopt, State: "failed", Finished: true,
				Error: failed.Daemon.LastError, Daemon: &before}})
	s.shows("✕ my-sandbox", "failed   port taken", "failed, next try at "+at.Local().Format("15:04:05"))
}

func TestASandboxThatIsEjectedSaysSo(t *testing.T) {
	t.Parallel()
	s := loaded(t, newFake(), 120, 40, nil)
	ejecting := s.f.sandboxes[1]
	ejecting.Daemon = api.Daemon{State: api.DaemonEjecting}
	s.f.push(api.Event{Kind: api.EventSandbox, Sandbox: &ejecting})
	s.shows("my-sandbox ", " ejecting ", "ejecting: it is being taken out")
	s.press("i")
	s.settle()
	require.Empty(t, s.f.calls("Inject"))

	late := &api.Problem{Code: api.CodeCancelled, Detail: "the engine has not finished in time",
		Cause: context.DeadlineExceeded}
	s.m.notes.failWith("eject from my-sandbox", late)
	s.shows("eject from my-sandbox: the engine has not finished in time")
}
