package logs

import (
	"time"

	"daemon-proxy/core/api"
	"daemon-proxy/tui/world"
)

// life identifies one run of the source of a log; zero: it does not run.
type life struct {
	id    string
	since time.Time
	runs  bool
}

// lifeOf returns the current life of a source: a container or a daemon whose log
// can be read. This program always runs.
func lifeOf(w *world.World, ref api.Ref, source string) life {
	s, ok := w.Sandbox(ref)
	switch {
	case source == api.LogProgram:
		return life{runs: true}
	case !ok, w.Lost(ref), s.Container != api.ContainerRunning,
		source == api.LogDaemon && s.Daemon.State != api.DaemonHealthy:
		return life{}
	}
	return life{s.ID, s.Started, true}
}
