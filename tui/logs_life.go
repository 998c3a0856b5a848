package tui

import (
	"time"

	tea "github.com/charmbracelet/bubbletea"

	"daemon-proxy/core/api"
)

// life identifies one run of the source of a log; zero: it does not run.
type life struct {
	id    string
	since time.Time
	runs  bool
}

// lifeNow returns the current life of the source: a container or a daemon whose
// log can be read. This program always runs.
func (p *logs) lifeNow() life {
	source := p.currentSource()
	s, ok := p.world.Sandbox(p.ref)
	switch {
	case source == api.LogProgram:
		return life{runs: true}
	case !ok, p.world.EngineLost(), s.Container != api.ContainerRunning, source == api.LogDaemon &&
		s.Daemon.State != api.DaemonHealthy:
		return life{}
	}
	return life{s.ID, s.Started, true}
}

// revive opens the log again when its source has restarted: once for each life,
// however soon that log ends, and not while the user reads the previous one.
func (p *logs) revive() tea.Cmd {
	if now := p.lifeNow(); now != p.life {
		p.life, p.restarted = now, p.restarted || now.runs
	}
	if !p.restarted || !p.life.runs || p.ended == nil || p.paused {
		return nil
	}
	return p.reopen()
}

// retry reopens a log that has ended, at the user's request. It does not if the
// log is paused, or if the engine is lost and the log would be empty.
func (p *logs) retry() tea.Cmd {
	if p.ended == nil || p.paused || p.currentSource() != api.LogProgram && p.world.EngineLost() {
		return nil
	}
	return p.reopen()
}
