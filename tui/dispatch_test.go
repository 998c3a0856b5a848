package tui

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"daemon-proxy/core/api"
)

func TestAKeyThatDoesNothingSaysWhy(t *testing.T) {
	t.Parallel()
	f := newFake()
	f.sandboxes = append(f.sandboxes,
		api.Sandbox{Ref: api.Ref{Engine: "default", Name: "held"}, Kind: "container", Container: api.ContainerPaused})
	found := f.sandboxes[1]
	found.Name, found.Daemon.Started, found.Default = "found", false, false
	f.sandboxes = append(f.sandboxes, found)
	ref := func(name string) api.Ref { return api.Ref{Engine: "default", Name: name} }
	for _, c := range []struct {
		at        api.Ref
		keys, why string
	}{
		{boxRef, "i", "a daemon is already running: my-sandbox"},
		{ref("found"), "x", "this program did not start the daemon, so it does not stop it: found"},
		{webRef, "x", "no daemon runs: web"},
		{webRef, "o", "web has no preview: n creates one"},
		{webRef, "2r", "there is no request here"},
		{ref("old"), "e", "the container exited with 137 (killed, perhaps out of memory): s starts it"},
		{ref("held"), "s", "the container is paused: docker unpause held"},
		{api.Host, "s", "this machine is not a container"},
	} {
		for _, readOnly := range []bool{false, true} {
			s := loaded(t, f, 120, 40, func(o *Options) { o.ReadOnly = readOnly })
			s.m.list.Select(c.at)
			s.press(strings.Split(c.keys, "")...)
			s.shows("! " + c.why)
			s.nothingOver()
		}
	}
}

func TestAPausedContainerIsUnpausedByDocker(t *testing.T) {
	t.Parallel()
	f := newFake()
	f.sandboxes[1].Container = api.ContainerPaused
	s := loaded(t, f, 120, 40, nil)
	s.shows("the container is paused   docker unpause my-sandbox")
	require.NotContains(t, s.text(), "s start")
	s.press("3")
	s.shows("cannot work while it is paused   docker unpause my-")
	s.press("n")
	s.shows("docker unpause my-sandbox; a link works as soon as")
}

// sees has a container come and waits for it, and so for all the news before it.
func (s *screen) sees(name string) {
	s.t.Helper()
	s.f.push(api.Event{Kind: api.EventSandbox,
		Sandbox: &api.Sandbox{Ref: api.Ref{Engine: "default", Name: name}, Container: "running"}})
	s.shows(" " + name + " ")
}

func TestRefreshSaysHowItEnded(t *testing.T) {
	t.Parallel()
	s := loaded(t, newFake(), 120, 40, nil)
	s.press("R")
	s.shows("✓ up to date")

	f := noDocker()
	s = loaded(t, f, 120, 40, nil)
	s.press("R")
	s.shows("trying the engine")
	retry, asked, lost := clock.Add(2*soon), f.engine, f.engine
	lost.RetryAt = &retry
	f.push(api.Event{Kind: api.EventEngine, Engine: &asked})
	s.sees("one")
	require.NotContains(t, s.text(), "✕ the Docker engine", "it is being asked")
	f.push(api.Event{Kind: api.EventEngine, Engine: &lost})
	s.shows("✕ the Docker engine at unix:///var/run/docker.sock does not answer", "try: sudo usermod")
	s.press("up")
	f.push(api.Event{Kind: api.EventEngine, Engine: &lost})
	s.sees("two")
	require.NotContains(t, s.text(), "✕ the Docker engine", "nobody asked for this one")
}

func TestTheFooterIsOfWhatHasTheKeys(t *testing.T) {
	t.Parallel()
	s := loaded(t, newFake(), 120, 40, nil)
	footer := func() string {
		lines := strings.Split(s.text(), "\n")
		return strings.TrimSpace(lines[len(lines)-1])
	}
	require.Contains(t, footer(), "v VNC")
	s.press("/")
	require.Equal(t, "enter keep  esc clear", footer())
	s.press("esc", "d")
	require.Empty(t, footer(), "the question has its own")
	s.press("esc")
	require.Contains(t, footer(), "v VNC")
}
