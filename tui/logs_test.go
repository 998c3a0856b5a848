package tui

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/charmbracelet/x/ansi"
	"github.com/stretchr/testify/require"

	"daemon-proxy/core/api"
	"daemon-proxy/tui/draw"
	"daemon-proxy/tui/pane"
	"daemon-proxy/tui/world"
)

// logsShown is the logs pane of a screen whose commands are not run.
func logsShown(t *testing.T) (*model, *logs) {
	t.Helper()
	m := still(t, 120, 40, newFake(), nil)
	m.goTo(tabLogs)
	p := m.logs()
	p.loading = false
	return m, p
}

func logLines(from, n int, more string) []logLine {
	lines := make([]logLine, n)
	for i := range lines {
		lines[i] = newLogLine(fmt.Sprintf("line %d %s", from+i, more))
	}
	return lines
}

// A batch of the longest lines is what a screen update may cost ten times over.
func TestALogThatFloodsDoesNotStallTheScreen(t *testing.T) {
	t.Parallel()
	m, p := logsShown(t)
	flood := slices.Repeat(logLines(0, 1, strings.Repeat("ä\x1b[32mé\x1b[0m ", longestLine/12)), pendingLines)
	for name, filter := range map[string]string{"all": "", "a filter": "line 0"} {
		p.filter.SetValue(filter)
		p.refilter()
		least := time.Hour // what the machine was busy with otherwise does not count
		for range 8 {
			begun := time.Now()
			m.Update(logMsg{opened: p.opened, stream: &logStream{}, lines: flood})
			least = min(least, time.Since(begun))
		}
		require.Less(t, least, 80*time.Millisecond, name)
	}
	require.LessOrEqual(t, len(p.lines), logKept+logOver)
}

func TestOfALogTheNewestLinesAreKept(t *testing.T) {
	t.Parallel()
	m, p := logsShown(t)
	p.filter.SetValue("7")
	for from := 0; from < 3*logKept; from += 700 {
		m.Update(logMsg{opened: p.opened, stream: &logStream{}, lines: logLines(from, 700, "")})
		if from == 2*logKept/700*700 {
			p.Move(draw.Up)
		}
		require.Less(t, len(p.lines), logKept+logOver)
	}
	total := p.skipped + len(p.lines)
	require.Equal(t, fmt.Sprintf("line %d ", total-1), p.lines[len(p.lines)-1].shown)
	require.Equal(t, fmt.Sprintf("line %d ", p.skipped), p.lines[0].shown)
	var want []int
	for i, line := range p.lines {
		if strings.Contains(line.plain, "7") {
			want = append(want, i)
		}
	}
	require.Equal(t, want, p.shown)
}

func TestAPausedLogStaysAtItsPlace(t *testing.T) {
	t.Parallel()
	m, p := logsShown(t)
	m.Update(logMsg{opened: p.opened, stream: &logStream{}, lines: logLines(0, logKept, "")})
	p.Move(draw.Up)
	was := p.View(true)[1]
	m.Update(logMsg{opened: p.opened, stream: &logStream{}, lines: logLines(logKept, logOver, "")})
	require.Len(t, p.lines, logKept)
	require.Equal(t, was, p.View(true)[1])
	require.Equal(t, logOver, p.missed)
}

func TestAFilterOfALogSeesNoColours(t *testing.T) {
	t.Parallel()
	m, p := logsShown(t)
	p.filter.SetValue("Ready")
	m.Update(logMsg{opened: p.opened, stream: &logStream{},
		lines: []logLine{newLogLine("\x1b[32mREA\x1b[0mDY"), newLogLine("\x1b[31mm"), newLogLine("other")}})
	require.Equal(t, []int{0}, p.shown)
}

func TestWhatWaitsOfALogIsBounded(t *testing.T) {
	t.Parallel()
	for what, line := range map[string]string{"lines": "x", "bytes": strings.Repeat("x", 3*longestLine)} {
		s := &logStream{ctx: t.Context(), ready: make(chan struct{}, 1)}
		const n = 3 * pendingLines
		s.read(strings.NewReader(strings.Repeat(line+"\n", n)))
		msg := s.next(1)().(logMsg)
		total := 0
		for _, l := range msg.lines {
			total += len(l.shown)
		}
		require.LessOrEqual(t, len(msg.lines), pendingLines, what)
		require.LessOrEqual(t, total, pendingBytes, what)
		require.Equal(t, n, len(msg.lines)+msg.skipped, what)
		require.ErrorIs(t, msg.ended, errLogEnded)
		require.NotEmpty(t, msg.lines)
	}
}

// muteLogs is a core whose engine does not answer for a log.
type muteLogs struct{ *fake }

func (muteLogs) Logs(ctx context.Context, _ api.Ref, _ string, _ int, _ bool) (io.ReadCloser, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

func TestALogThatDoesNotOpenSaysSo(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newLogs(draw.New("dark", false), &world.World{}, pane.Calls{Ctx: t.Context()}, muteLogs{newFake()}, nil)
		p.SetSize(80, 10)
		open := p.Show(boxRef, true)
		begun := time.Now()
		p.HandleMsg(open())
		require.Equal(t, pane.Quick, time.Since(begun))
		require.Contains(t, strings.Join(p.View(true), "\n"), "did not open within 15s   try: leave this tab")
	})
}

// withLogs is a screen with the logs of my-sandbox.
func withLogs(t *testing.T, n int, end bool) *screen {
	t.Helper()
	f := newFake()
	f.logs, f.logsEnd = "", end
	for i := range n {
		f.logs += fmt.Sprintf("line %d of %d\n", i, n)
	}
	s := loaded(t, f, 120, 20, nil)
	s.press("4")
	s.shows(fmt.Sprintf("line %d of", n-1))
	return s
}

func (s *screen) logs() *logs { return s.m.logs() }

func TestTheLogOfTheContainerTheDaemonAndThisProgram(t *testing.T) {
	t.Parallel()
	s := withLogs(t, 3, false)
	for i, source := range []string{api.LogDaemon, api.LogProgram, api.LogContainer} {
		s.press("t")
		s.until(source+" is asked for", func() bool { return len(s.f.calls("Logs")) == i+2 })
		require.Equal(t, fmt.Sprintf("Logs my-sandbox %s %d true", source, logTail), s.f.calls("Logs")[i+1])
		s.shows("line 2 of 3")
		require.Len(t, s.logs().lines, 3, "of one log only")
	}
}

func TestALogFollowsUntilItIsScrolled(t *testing.T) {
	t.Parallel()
	s := withLogs(t, 100, false)
	s.shows("following")
	s.logs().stream.put("one more", nil)
	s.shows("one more")
	s.press("up", "pgup")
	s.shows("PAUSED +0 · f follow")
	first := s.logs().View(true)[1]
	for i := range 7 {
		s.logs().stream.put(fmt.Sprint("late ", i), nil)
	}
	s.shows("PAUSED +7")
	require.Equal(t, first, s.logs().View(true)[1])
	require.NotContains(t, s.text(), "late")
	s.press("f")
	s.shows("following", "late 6")
	s.press("f")
	s.shows("PAUSED +0")
	s.press("up", "G")
	s.shows("following")

	for range 3 * pendingLines {
		s.logs().stream.put("flood", nil)
	}
	s.shows("flood", "earlier lines left out")
	require.Positive(t, s.logs().skipped)
}

func TestAFilterOfALog(t *testing.T) {
	t.Parallel()
	s := withLogs(t, 50, false)
	s.press("/")
	s.word("LINE 4")
	s.shows("11 of 50", "line 4 of", "line 49 of")
	require.NotContains(t, s.text(), "line 39 of")
	s.press("enter")
	s.logs().stream.put("line 400", nil)
	s.logs().stream.put("another", nil)
	s.shows("12 of 52", "line 400")
	require.NotContains(t, s.text(), "another")
	s.press("/")
	s.word("x")
	s.shows("no line matches", "0 of 52")
	s.press("esc")
	s.shows("another", "line 39 of")
}

func TestTheEndOfALogIsSaid(t *testing.T) {
	t.Parallel()
	s := withLogs(t, 3, true)
	s.shows("the log ends: nothing more is written", "ended")

	f := newFake()
	f.fail["Logs"] = &api.Problem{Detail: "there is no such container", Hint: "R"}
	s = loaded(t, f, 120, 20, nil)
	s.press("4")
	s.shows("the log ends: there is no such container   try: R")
}

func TestLogsAreAsDrawn(t *testing.T) {
	t.Parallel()
	desk := func() *fake {
		f := newFake()
		f.logs = "listening on 3000\n\x1b[32mGET /api/users " + strings.Repeat("long ", 60) + "\x1b[0mend\n" +
			strings.Repeat("/a/path/of/a/bundle", 40) + "\nlast line\n"
		return f
	}
	const windows = "80x24 120x40 120x30-ascii 120x30-mono"
	drawn(t, "logs", windows, desk, func(s *screen) {
		s.press("4")
		s.shows("last line")
	})
	drawn(t, "logs-empty", "80x24", func() *fake { f := newFake(); f.logs = ""; return f }, func(s *screen) {
		s.press("4")
		s.shows("nothing was written yet")
	})
}

// What a log says with line breaks taken out, and without what stands above.
func said(p *logs) string {
	var b strings.Builder
	for _, row := range p.View(true)[1:] {
		b.WriteString(strings.TrimSpace(ansi.Strip(row)))
	}
	return b.String()
}

func TestLongLinesOfALogAreWrapped(t *testing.T) {
	t.Parallel()
	m, p := logsShown(t)
	p.SetSize(50, 11)
	long := func(i int) string { return fmt.Sprintf("begin%d-%s-end%d", i, strings.Repeat("x", 30*i), i) }
	var lines []logLine
	for i := range 10 {
		lines = append(lines, newLogLine(long(i)))
	}
	m.Update(logMsg{opened: p.opened, stream: &logStream{}, lines: lines})
	require.True(t, strings.HasSuffix(said(p), "-end9"), "the end is followed")
	require.Contains(t, said(p), long(9))
	require.Len(t, p.View(true), 11)

	whole := "" // every row in turn
	p.Move(draw.ToTop)
	require.True(t, strings.HasPrefix(said(p), "begin0-"))
	for range 100 {
		whole += strings.TrimSpace(p.View(true)[1])
		p.Move(draw.Down)
		if !p.paused {
			break
		}
	}
	for i := range 8 {
		require.Contains(t, whole, long(i))
	}
	require.False(t, p.paused, "at the end it follows")

	p.Move(draw.Up)
	p.Move(draw.Up)
	was := p.View(true)[1:]
	m.Update(logMsg{opened: p.opened, stream: &logStream{}, lines: []logLine{newLogLine(long(20))}})
	require.Equal(t, was, p.View(true)[1:], "paused, it stays")
	require.Equal(t, 1, p.missed)
	p.Move(draw.Down)
	p.Move(draw.Up)
	require.Equal(t, was, p.View(true)[1:], "rows, not lines")
	p.Move(draw.PageUp)
	p.Move(draw.PageDown)
	require.Equal(t, was, p.View(true)[1:])

	p.Move(draw.ToBottom)
	p.toggleWrap()
	require.Contains(t, p.View(true)[10], "begin20-xxx")
	require.Contains(t, p.View(true)[10], "…")
	require.NotContains(t, said(p), "end20")
	p.toggleWrap()
	require.Contains(t, said(p), "-end20")
}

func TestAFilterOfAPausedLogKeepsItsPlace(t *testing.T) {
	t.Parallel()
	m, p := logsShown(t)
	m.Update(logMsg{opened: p.opened, stream: &logStream{}, lines: logLines(0, 1000, strings.Repeat("long ", 50))})
	p.Move(draw.ToTop)
	for range 20 {
		p.Move(draw.PageDown)
	}
	was := p.lines[p.shown[p.top]]
	for _, filter := range []string{"line", ""} {
		p.filter.SetValue(filter)
		p.refilter()
		require.Equal(t, was, p.lines[p.shown[p.top]])
	}
	p.filter.SetValue("line 9")
	p.refilter()
	require.Contains(t, said(p), "line 9")
}

// 90,000 letters, of which a line keeps the first, and the same with colours.
func TestVeryLongLinesOfALogAreDrawnAtOnce(t *testing.T) {
	t.Parallel()
	m, p := logsShown(t)
	s := &logStream{ctx: t.Context(), ready: make(chan struct{}, 1)}
	s.read(strings.NewReader(strings.Repeat(strings.Repeat("ä", 45_000)+"\n"+strings.Repeat("\x1b[31mx\x1b[1m",
		10_000)+"\n", 20)))
	msg := s.next(p.opened)().(logMsg)
	require.True(t, strings.HasSuffix(msg.lines[0].shown, "ää (cut)"))
	msg.stream, msg.ended = &logStream{}, nil
	least := time.Hour
	for range 8 {
		begun := time.Now()
		m.Update(msg)
		p.Move(draw.PageUp)
		m.changed()
		_ = m.View()
		p.Move(draw.ToBottom)
		least = min(least, time.Since(begun))
	}
	require.Less(t, least, 500*time.Millisecond)
	check(t, m)
}

func TestTheFullLogOfAFailureIsTheOneThatSaysWhy(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		step         api.InjectionStep
		daemon, want string
	}{
		"the daemon ran and says why": {api.StepWait, "last words of the daemon\n", "last words of the daemon"},
		"the daemon left no words":    {api.StepWait, "", "the program says why"},
		"the daemon did not run":      {api.StepCopy, "words of an earlier daemon\n", "the program says why"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFake()
			f.logsOf = map[string]string{api.LogDaemon: test.daemon,
				api.LogProgram: strings.Repeat("before\n", 100) + "the program says why\n"}
			told := make(chan struct{})
			f.injecting = func(_ context.Context, ref api.Ref) error {
				f.push(api.Event{Kind: api.EventInjection, Time: clock,
					Injection: &api.Injection{Sandbox: ref, Step: test.step, State: "failed"}})
				<-told
				return &api.Problem{Detail: "it failed"}
			}
			s := loaded(t, f, 120, 30, nil)
			s.press("j", "j", "i")
			s.shows("│ ✕ ")
			close(told)
			s.shows("4 full log")
			s.press("4")
			s.shows(test.want)
		})
	}
}
