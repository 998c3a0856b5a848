package tui

import (
	"time"

	tea "github.com/charmbracelet/bubbletea"

	"daemon-proxy/core/api"
)

// life is one run of what writes a log; the zero life is that it does not run.
type life struct {
	id    string
	since time.Time
	runs  bool
}

// lifeNow is that of the source: a container or a daemon that can be asked for
// its log. This program always runs.
func (p *logs) lifeNow() life {
	source := p.currentSource()
	s, ok := p.world.Sandbox(p.ref)
	switch {
	case source == api.LogProgram:
		return life{runs: true}
	case !ok, p.world.Engine.State == "lost", s.Container != api.ContainerRunning, source == api.LogDaemon &&
		s.Daemon.State != api.DaemonHealthy:
		return life{}
	}
	return life{s.ID, s.Started, true}
}

// revive opens the log of a new life where that of the last one has ended. It
// does so once for each, however soon a log ends, and not under the eyes of
// somebody who reads what the last one said.
func (p *logs) revive() tea.Cmd {
	if now := p.lifeNow(); now != p.life {
		p.life, p.anew = now, p.anew || now.runs
	}
	if !p.anew || !p.life.runs || p.ended == nil || p.paused {
		return nil
	}
	return p.reopen()
}

// retry opens a log that has ended again, because somebody wants it, but not
// one that is read; while the engine is lost there would be less to read than now.
func (p *logs) retry() tea.Cmd {
	if p.ended == nil || p.paused || p.currentSource() != api.LogProgram && p.world.Engine.State == "lost" {
		return nil
	}
	return p.reopen()
}
