package tui

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"daemon-proxy/core/api"
)

// TestMomentsAreAsDrawn draws what decides whether people like it and is not a tab of its own.
func TestMomentsAreAsDrawn(t *testing.T) {
	t.Parallel()
	inProcess(t, "two events become one")
	const windows = "120x30 80x24-ascii"
	drawn(t, "lost", "120x30-mono 80x24-ascii", newFake, func(s *screen) {
		lost, retry := s.f.engine, clock.Add(2500*time.Millisecond)
		lost.State, lost.Since, lost.RetryAt = "lost", clock.Add(-12*time.Second), &retry
		s.f.push(api.Event{Kind: api.EventEngine, Engine: &lost})
		s.shows("as last seen")
	})
	drawn(t, "injecting", windows, injectingFake, (*screen).startInjection)
	drawn(t, "quit", windows, injectingFake, func(s *screen) {
		s.f.add(api.Exchange{ID: 300, Start: clock, Method: "GET", Path: "/hmr", Status: 101, Sandbox: "my-sandbox",
			LinkID: "9qf", Kind: "preview", Protocol: "websocket", Live: true})
		s.startInjection() // its news comes after that of the socket
		s.press("q")
	})
	drawn(t, "failed", windows, func() *fake {
		f := newFake()
		f.fail["Inject"] = &api.Problem{Detail: "daemon ended at once with exit code 2\nits last words: DAYTONA_SANDBOX_ID is required", Hint: "set daemon.env.DAYTONA_SANDBOX_ID, or leave binary_source_path empty to use the built-in one"}
		return f
	}, func(s *screen) {
		s.press("down", "down", "i")
		s.shows("daemon ended at once")
		s.press("1")
	})
	drawn(t, "nodocker", windows, noDocker, func(s *screen) { s.press("1") })
	drawn(t, "nodocker-list", "80x24 60x15-ascii", noDocker, func(*screen) {})
	drawn(t, "nocontainers", windows, onlyTheMachine, func(s *screen) { s.press("1") })
	drawn(t, "nocontainers-list", "80x24 60x15-ascii", onlyTheMachine, func(*screen) {})
}

func TestTheDemoIsOfferedWhereThereIsNoContainer(t *testing.T) {
	t.Parallel()
	footer := func(f *fake) string {
		lines := strings.Split(loaded(t, f, 80, 24, nil).text(), "\n")
		return lines[len(lines)-1]
	}
	require.Contains(t, footer(onlyTheMachine()), "D demo")
	require.NotContains(t, footer(noDocker()), "demo", "there is nothing to run it on")
	require.NotContains(t, footer(newFake()), "demo", "there are containers to look at")
}

// noDocker is a desk whose engine refuses this user.
func noDocker() *fake {
	f := onlyTheMachine()
	f.engine = api.EngineStatus{Name: "default", State: "lost", Since: clock, Error: &api.Problem{
		Detail: "the Docker engine at unix:///var/run/docker.sock does not answer: permission denied: your user is not in the group docker",
		Hint:   "sudo usermod -aG docker $USER, then log in again",
	}}
	return f
}

// onlyTheMachine is a desk without containers.
func onlyTheMachine() *fake {
	f := newFake()
	f.sandboxes, f.links, f.exchanges, f.rates = f.sandboxes[:1], nil, nil, api.Rates{}
	return f
}

// injectingFake is a desk where an injection goes on until it is cancelled.
func injectingFake() *fake {
	f := newFake()
	f.injecting = func(ctx context.Context, _ api.Ref) error {
		<-ctx.Done()
		return ctx.Err()
	}
	return f
}

// startInjection brings an injection into web to the middle of the copy.
func (s *screen) startInjection() {
	s.t.Helper()
	s.press("down", "down", "i", "1")
	news := func(after time.Duration, n api.Injection) {
		n.Sandbox = webRef
		s.f.push(api.Event{Kind: api.EventInjection, Time: clock.Add(after), Injection: &n})
	}
	news(0, api.Injection{Step: api.StepInspect, State: "done",
		Detail: "container runs, linux/amd64, static binary fits"})
	news(0, api.Injection{Step: api.StepAdopt, State: "done", Detail: "no daemon answers on 172.17.0.3:2280"})
	news(0, api.Injection{Step: api.StepPrepare, State: "done", Detail: "binary staged"})
	news(0, api.Injection{Step: api.StepCopy, State: "running", Detail: "copying daytona v0.190", Bytes: 1,
		Total: 58_100_000})
	news(200*time.Millisecond,
		api.Injection{Step: api.StepCopy, State: "running", Detail: "copying daytona v0.190", Bytes: 36_200_000,
			Total: 58_100_000})
	s.shows("36.2 MB / 58.1 MB")
}
