package tui

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	tea "github.com/charmbracelet/bubbletea"

	"daemon-proxy/core/api"
	"daemon-proxy/tui/draw"
	"daemon-proxy/tui/format"
	"daemon-proxy/tui/pane"
	"daemon-proxy/tui/text"
	"daemon-proxy/tui/world"
)

const (
	logTail = 500    // past lines that are requested
	logKept = 10_000 // lines that are kept
	logOver = 1_000  // how many more there may be before the oldest are dropped
)

var logSources = []string{api.LogContainer, api.LogDaemon, api.LogProgram}

// logBackend is what the logs need from a core.
type logBackend interface {
	Logs(ctx context.Context, ref api.Ref, source string, tail int, follow bool) (io.ReadCloser, error)
}

// logs is the fourth tab: the log of the container, the daemon or this program.
// It is followed only while it is visible.
type logs struct {
	look    *draw.Look
	world   *world.World
	do      pane.Calls
	backend logBackend
	key     func(action string) string

	width, height int
	ref           api.Ref
	visible       bool
	source        int
	opened        int // number of the current opening; answers to earlier ones are dropped
	stream        *logStream
	stop          context.CancelFunc
	ended         error
	life          life // of the source, at the last check
	restarted     bool // the source restarted after the stream was opened
	loading       bool

	lines   []logLine
	skipped int
	shown   []int // the lines that match the filter
	wrapped bool  // long lines are wrapped
	top     int   // the first visible one of the shown lines
	above   int   // how many of its rows are above the screen
	paused  bool
	missed  int // lines since the pause
	filter  draw.FilterLine
}

func newLogs(l *draw.Look, w *world.World, do pane.Calls, backend logBackend, key func(string) string) *logs {
	return &logs{look: l, world: w, do: do, backend: backend, key: key, filter: draw.NewFilterLine(), wrapped: true,
		stop: func() {}}
}

func (p *logs) SetSize(width, height int) {
	p.width, p.height = width, height
	p.scroll(0)
}

func (p *logs) Show(ref api.Ref, visible bool) tea.Cmd {
	if ref == p.ref && visible == p.visible {
		return nil
	}
	p.ref, p.visible = ref, visible
	return p.reopen()
}

// reopen closes the current stream and opens that of the visible log.
func (p *logs) reopen() tea.Cmd {
	p.stop()
	p.stop, p.stream, p.ended, p.loading = func() {}, nil, nil, false
	p.opened++
	p.lines, p.shown, p.skipped, p.top, p.above, p.missed, p.paused = nil, nil, 0, 0, 0, 0, false
	p.life, p.restarted = p.lifeNow(), false
	if !p.visible || p.ref == (api.Ref{}) {
		return nil
	}
	p.loading = true
	ctx, stop := context.WithCancel(p.do.Ctx)
	p.stop = stop
	ref, source, opened, backend := p.ref, p.currentSource(), p.opened, p.backend
	return func() tea.Msg {
		// The log is followed until ctx ends; the deadline is only for opening it.
		deadline := time.AfterFunc(pane.Quick, stop)
		r, err := backend.Logs(ctx, ref, source, logTail, true)
		if !deadline.Stop() {
			if err == nil {
				r.Close()
			}
			err = &api.Problem{Detail: "the log did not open within " + format.Span(pane.Quick),
				Hint: "leave this tab and come back"}
		}
		if err != nil {
			return logMsg{opened: opened, ended: err}
		}
		return logMsg{opened: opened, stream: followLog(ctx, r)}
	}
}

// currentSource returns the selected source; the host has no container.
func (p *logs) currentSource() string {
	if p.ref.IsHost() {
		return api.LogProgram
	}
	return logSources[p.source]
}

func (p *logs) nextSource() tea.Cmd {
	p.source = (p.source + 1) % len(logSources)
	return p.reopen()
}

// noWordsMsg reports that the log of a failed daemon is empty or missing.
type noWordsMsg int

func (p *logs) follow() tea.Cmd {
	p.paused = !p.paused
	if p.paused {
		return nil
	}
	return p.Move(draw.ToBottom)
}

// HandleMsg implements pane.
func (p *logs) HandleMsg(msg tea.Msg) tea.Cmd {
	if opened, ok := msg.(noWordsMsg); ok && int(opened) == p.opened {
		p.source = slices.Index(logSources, api.LogProgram)
		return p.reopen()
	}
	m, ok := msg.(logMsg)
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

func (p *logs) add(lines []logLine, skipped int) {
	p.skipped += skipped
	before := len(p.shown)
	p.lines = append(p.lines, lines...)
	p.takeFrom(len(p.lines) - len(lines))
	if p.paused {
		p.missed += len(p.shown) - before
	}
	p.trim()
	p.scroll(0)
}

// takeFrom shows the lines from i on that match the filter.
func (p *logs) takeFrom(i int) {
	want := strings.ToLower(p.filter.Value())
	for ; i < len(p.lines); i++ {
		if strings.Contains(p.lines[i].plain, want) {
			p.shown = append(p.shown, i)
		}
	}
}

func (p *logs) refilter() {
	was := 0
	if p.top < len(p.shown) {
		was = p.shown[p.top]
	}
	p.shown = p.shown[:0]
	p.takeFrom(0)
	at, same := slices.BinarySearch(p.shown, was)
	if p.top = at; !same {
		p.above = 0
	}
	p.scroll(0)
}

// trim drops the oldest lines and keeps the visible ones in place.
func (p *logs) trim() {
	over := len(p.lines) - logKept
	if over < logOver {
		return
	}
	p.lines = slices.Clone(p.lines[over:])
	p.skipped += over
	gone, _ := slices.BinarySearch(p.shown, over)
	p.shown = slices.Delete(p.shown, 0, gone)
	for i := range p.shown {
		p.shown[i] -= over
	}
	if p.top -= gone; p.top < 0 {
		p.top, p.above = 0, 0
	}
}

func (p *logs) Typing() bool { return p.filter.Typing }

func (p *logs) HandleKey(key tea.KeyMsg) tea.Cmd {
	p.filter.Handle(key)
	p.refilter()
	return nil
}

func (p *logs) Foot() string {
	if p.skipped > 0 {
		return p.look.Ink.Dim.Paint(format.Thousands(p.skipped) + " earlier lines left out")
	}
	return ""
}

func (p *logs) View(bool) []string {
	l := p.look
	out := append([]string{p.head()}, p.seen()...)
	say := func(words string) {
		for _, s := range text.Wrap(words, max(1, p.width-2)) {
			out = append(out, " "+l.Ink.Dim.Paint(s))
		}
	}
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
func (p *logs) head() string {
	l := p.look
	left := ""
	for _, s := range logSources {
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
			p.key("log-follow") + " follow"
	} else if p.ended != nil {
		right = l.Ink.Dim.Paint("ended")
	}
	if p.filter.Value() != "" {
		right = fmt.Sprintf("%s of %s %s ", format.Thousands(len(p.shown)), format.Thousands(len(p.lines)),
			l.Glyph.Dot) + right
	}
	return l.Ends(left, right+" ", p.width)
}
