// Package logs is the fourth tab: the log of the container, the daemon or this
// program. It is followed only while it is visible.
package logs

import (
	"context"
	"fmt"
	"io"
	"slices"
	"time"

	tea "github.com/charmbracelet/bubbletea"

	"daemon-proxy/core/api"
	"daemon-proxy/tui/draw"
	"daemon-proxy/tui/format"
	"daemon-proxy/tui/pane"
	"daemon-proxy/tui/text"
)

var sources = []string{api.LogContainer, api.LogDaemon, api.LogProgram}

// Backend is what the logs need from a core.
type Backend interface {
	Logs(ctx context.Context, ref api.Ref, source string, tail int, follow bool) (io.ReadCloser, error)
}

// Pane is the fourth tab.
type Pane struct {
	scroll
	backend Backend

	ref       api.Ref
	visible   bool
	source    int
	unsure    bool // whether the daemon's log has the cause of a failure
	opened    int  // number of the current opening; answers to earlier ones are dropped
	stream    *stream
	stop      context.CancelFunc
	ended     error
	life      life // of the source, at the last check
	restarted bool // the source restarted after the stream was opened
	loading   bool
}

// New returns the pane.
func New(env pane.Env, backend Backend) *Pane {
	lines := scroll{Env: env, filter: draw.NewFilterLine(), wrapped: true}
	return &Pane{scroll: lines, backend: backend, stop: func() {}}
}

// Show implements pane.Pane.
func (p *Pane) Show(ref api.Ref, width, height int, visible bool) tea.Cmd {
	p.width, p.height = width, height
	p.by(0)
	if ref == p.ref && visible == p.visible {
		return nil
	}
	p.ref, p.visible = ref, visible
	return p.reopen()
}

// reopen closes the current stream and opens that of the visible log.
func (p *Pane) reopen() tea.Cmd {
	p.stop()
	p.stop, p.stream, p.ended, p.loading = func() {}, nil, nil, false
	p.opened++
	p.clear()
	p.life, p.restarted = lifeOf(p.World, p.ref, p.currentSource()), false
	if !p.visible || p.ref == (api.Ref{}) {
		return nil
	}
	p.loading = true
	ctx, stop := context.WithCancel(p.Ctx)
	p.stop = stop
	ref, source, opened, backend := p.ref, p.currentSource(), p.opened, p.backend
	open := func() tea.Msg {
		// The log is followed until ctx ends; the deadline is only for opening it.
		deadline := time.AfterFunc(pane.Quick, stop)
		r, err := backend.Logs(ctx, ref, source, tail, true)
		if !deadline.Stop() {
			if err == nil {
				r.Close()
			}
			err = &api.Problem{Detail: "the log did not open within " + format.Span(pane.Quick),
				Hint: "leave this tab and come back"}
		}
		if err != nil {
			return streamMsg{opened: opened, ended: err}
		}
		return streamMsg{opened: opened, stream: follow(ctx, r)}
	}
	if !p.unsure {
		return open
	}
	p.unsure = false
	return tea.Batch(open, p.Do(pane.Quick, func(ctx context.Context) tea.Msg {
		r, err := backend.Logs(ctx, ref, api.LogDaemon, 1, false)
		if err != nil {
			return noWordsMsg(opened)
		}
		defer r.Close()
		if n, _ := io.ReadFull(r, make([]byte, 1)); n == 0 {
			return noWordsMsg(opened)
		}
		return nil
	}))
}

// noWordsMsg reports that the log of a failed daemon is empty or missing.
type noWordsMsg int

// ShowCause selects the log with the cause of a failed injection, before the pane
// is shown: the daemon's if it ran and wrote something, else this program's.
func (p *Pane) ShowCause(ran bool) {
	p.unsure = ran
	p.source = slices.Index(sources, map[bool]string{true: api.LogDaemon, false: api.LogProgram}[ran])
}

// revive opens the log again when its source has restarted: once for each life,
// however soon that log ends, and not while the user reads the previous one.
func (p *Pane) revive() tea.Cmd {
	if now := lifeOf(p.World, p.ref, p.currentSource()); now != p.life {
		p.life, p.restarted = now, p.restarted || now.runs
	}
	if !p.restarted || !p.life.runs || p.ended == nil || p.paused {
		return nil
	}
	return p.reopen()
}

// Retry reopens a log that has ended, at the user's request. It does not if the
// log is paused, or if the engine is lost and the log would be empty.
func (p *Pane) Retry() tea.Cmd {
	if p.ended == nil || p.paused || p.currentSource() != api.LogProgram && p.World.Lost(p.ref) {
		return nil
	}
	return p.reopen()
}

// currentSource returns the selected source; the host has no container.
func (p *Pane) currentSource() string {
	if p.ref.IsHost() {
		return api.LogProgram
	}
	return sources[p.source]
}

// NextSource switches to the next source.
func (p *Pane) NextSource() tea.Cmd {
	p.source = (p.source + 1) % len(sources)
	return p.reopen()
}

// Follow follows the log, or pauses.
func (p *Pane) Follow() tea.Cmd {
	p.paused = !p.paused
	if p.paused {
		return nil
	}
	return p.Move(draw.ToBottom)
}

// Move implements pane.Pane.
func (p *Pane) Move(to draw.Motion) tea.Cmd {
	if p.to(to) {
		return p.revive()
	}
	return nil
}

// ToggleWrap wraps long lines, or cuts them at the edge.
func (p *Pane) ToggleWrap() tea.Cmd {
	p.wrapped, p.above = !p.wrapped, 0
	p.by(0)
	return nil
}

// HandleMsg implements pane.Listener.
func (p *Pane) HandleMsg(msg tea.Msg) tea.Cmd {
	if opened, ok := msg.(noWordsMsg); ok && int(opened) == p.opened {
		p.source = slices.Index(sources, api.LogProgram)
		return p.reopen()
	}
	m, ok := msg.(streamMsg)
	switch {
	case !ok:
		return p.revive()
	case m.opened != p.opened:
		return nil // of a previous log
	}
	p.loading = false
	if m.stream != nil {
		p.stream = m.stream
	}
	p.add(m.lines, m.skipped)
	if m.ended != nil {
		p.ended = m.ended
		return p.revive()
	}
	return p.stream.next(p.opened)
}

// StartFilter starts typing a filter.
func (p *Pane) StartFilter() tea.Cmd { p.filter.Start(); return nil }

// Typing implements pane.Typist.
func (p *Pane) Typing() bool { return p.filter.Typing }

// HandleKey implements pane.Typist.
func (p *Pane) HandleKey(key tea.KeyMsg) tea.Cmd {
	p.filter.Handle(key)
	p.refilter()
	return nil
}

// Foot implements pane.Footed.
func (p *Pane) Foot() string {
	if p.skipped > 0 {
		return p.Ink.Dim.Paint(format.Thousands(p.skipped) + " earlier lines left out")
	}
	return ""
}

// View implements pane.Pane.
func (p *Pane) View(bool) []string {
	l := p.Look
	out := append([]string{p.head()}, p.rowsInView()...)
	say := func(words string) { out = append(out, l.Wrap(words, max(1, p.width-2), " ", l.Ink.Dim)...) }
	switch {
	case p.loading:
		say("loading" + l.Glyph.Ellipsis)
	case p.ended != nil && len(out) < p.height:
		what, try := format.Explain(p.ended)
		if try != "" {
			what += "   try: " + try
		}
		say(text.Clean("the log ends: " + what))
	case len(p.lines) == 0:
		say("nothing was written yet")
	case len(p.shown) == 0:
		say("no line matches")
	}
	return out
}

// head shows the source, the filter, and whether the log is followed.
func (p *Pane) head() string {
	l := p.Look
	left := ""
	for _, s := range sources {
		if s == p.currentSource() {
			s = l.Ink.Cursor.Paint(" " + s + " ")
		} else {
			s = l.Ink.Dim.Paint(" " + s + " ")
		}
		left += s
	}
	switch {
	case p.filter.Typing:
		left += "  " + l.Ink.Key.Paint("/ ") + l.InputLine(p.filter.Model, 30)
	case p.filter.Value() != "":
		left += "  " + l.Ink.Key.Paint("/ ") + text.Clean(p.filter.Value())
	}
	right := l.Ink.Good.Paint("following")
	if p.paused {
		right = l.Ink.Busy.Paint(fmt.Sprintf("PAUSED +%d", p.missed)) + " " + l.Glyph.Dot + " " +
			p.Key("log-follow") + " follow"
	} else if p.ended != nil {
		right = l.Ink.Dim.Paint("ended")
	}
	if p.filter.Value() != "" {
		right = fmt.Sprintf("%s of %s %s ", format.Thousands(len(p.shown)), format.Thousands(len(p.lines)),
			l.Glyph.Dot) + right
	}
	return l.Ends(left, right+" ", p.width)
}
