package tui

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"daemon-proxy/core/api"
)

// severalEngines has a container web on two engines, a third engine that is lost,
// and a fourth without containers.
func severalEngines() *fake {
	f := newFake()
	retry := clock.Add(8 * time.Second)
	f.others = []api.EngineStatus{
		{Name: "dev-box", Endpoint: "ssh://dev-box", State: "connected", Version: "27.1+dfsg", Since: clock},
		{Name: "empty", Endpoint: "tcp://empty:2376", State: "connecting", Since: clock},
		{Name: "prod", Endpoint: "tcp://prod:2376", State: "lost", Since: clock.Add(-12 * time.Second), RetryAt: &retry,
			Error: api.NewProblem(api.CodeEngineUnreachable, "prod does not answer", "check the network")},
	}
	f.engines = append(f.engines[:1], api.EngineChoice{Name: "dev-box", Endpoint: "ssh://dev-box", Open: true},
		api.EngineChoice{Name: "empty", Endpoint: "tcp://empty:2376", Open: true}, api.EngineChoice{Name: "lab", Endpoint: "ssh://lab"},
		api.EngineChoice{Name: "prod", Endpoint: "tcp://prod:2376", Open: true})
	on := func(engine, name string, state api.DaemonState) {
		f.sandboxes = append(f.sandboxes, api.Sandbox{Ref: api.Ref{Engine: engine, Name: name}, Kind: "container",
			Container: "running", Daemon: api.Daemon{State: state, Version: "v0.190.0", LatencyMS: 19}})
	}
	on("dev-box", "web", api.DaemonHealthy)
	on("dev-box", "train", api.DaemonNone)
	on("prod", "api", api.DaemonHealthy)
	return f
}

func TestSeveralEnginesAreAsDrawn(t *testing.T) {
	t.Parallel()
	const windows = "80x24 120x40 120x30-mono 80x24-ascii"
	drawn(t, "engines", windows, severalEngines, func(s *screen) { s.shows("dev-box") })
	drawn(t, "engines-chosen", windows, severalEngines, func(s *screen) {
		s.press("E")
		s.shows("ssh://lab")
		s.press("down", "down", "down", "down")
		s.shows("prod does not answer")
	})
}

func TestEnginesAreOpenedAndClosedWithSpace(t *testing.T) {
	t.Parallel()
	f := severalEngines()
	s := loaded(t, f, 120, 40, nil)
	s.press("E")
	s.shows("[x] dev-box", "2 containers", "[ ] lab")
	s.press("down", "down", "space")
	s.until("it is closed", func() bool { return len(f.calls("CloseEngine empty")) == 1 })
	s.press("down", "space")
	s.until("it is opened", func() bool { return len(f.calls("OpenEngine lab")) == 1 })
	f.push(api.Event{Kind: api.EventEngine, Engine: &api.EngineStatus{Name: "lab", State: "connecting"}},
		api.Event{Kind: api.EventEngine, Engine: &api.EngineStatus{Name: "empty", State: api.EngineClosed}})
	s.shows("[x] lab", "[ ] empty")
	s.press("up", "up", "enter")
	s.until("it is the only one", func() bool { return len(f.calls("SwitchEngine dev-box")) == 1 })
	s.nothingOver()
}

func TestAContainerIsNamedWithItsEngineWhereItsGroupIsNotSeen(t *testing.T) {
	t.Parallel()
	f := severalEngines()
	s := loaded(t, f, 120, 40, nil)
	far := api.Ref{Engine: "dev-box", Name: "web"}
	s.m.list.Select(far)
	s.shows("dev-box/web")
	s.press("s")
	s.shows("Stop the container dev-box/web?")
	s.press("esc", "2")
	s.until("its requests are asked for", func() bool { return len(f.calls("Exchanges sandbox:dev-box/web")) > 0 })
	s.m.list.Select(api.Ref{Engine: "dev-box", Name: "train"})
	s.shows("train")
	require.NotContains(t, s.text(), "dev-box/train", "the name is unique")

	// An exchange of the other web is not one of this.
	s.m.list.Select(far)
	x := f.exchanges[0]
	x.ID, x.Ref, x.Sandbox, x.Path = 500, webRef, "default/web", "/of-the-other"
	y := x
	y.ID, y.Ref, y.Sandbox, y.Path = 501, far, "dev-box/web", "/of-this"
	f.add(x, y)
	s.shows("/of-this")
	require.NotContains(t, s.text(), "/of-the-other")
}

func TestALostEngineGreysItsOwnContainersOnly(t *testing.T) {
	t.Parallel()
	f := severalEngines()
	f.others = f.others[:1]
	s := loaded(t, f, 120, 40, nil)
	s.shows("2 engines", "27.1")
	lost := f.others[0]
	lost.State, lost.Error = "lost", api.NewProblem(api.CodeEngineUnreachable, "it is off", "switch it on")
	s.f.push(api.Event{Kind: api.EventEngine, Engine: &lost})
	s.shows("2 engines · ✕ dev-box lost")
	require.False(t, s.m.World.Lost(boxRef))
	require.True(t, s.m.World.Lost(api.Ref{Engine: "dev-box", Name: "web"}))
	for line := range strings.Lines(s.m.View()) {
		if strings.Contains(line, "train") {
			require.Contains(t, line, s.m.Ink.Dim.Paint("  ○ train")[:8], "it is grey")
		}
	}
	lost.State, lost.Error = "connected", nil
	s.f.push(api.Event{Kind: api.EventEngine, Engine: &lost})
	s.shows("engine dev-box back")
}
