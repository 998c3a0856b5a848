package logs

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
	"daemon-proxy/tui/text"
	"daemon-proxy/tui/world"
)

var box = api.Sandbox{Ref: api.Ref{Engine: "default", Name: "my-sandbox"}, ID: "abc", Container: api.ContainerRunning,
	Daemon: api.Daemon{State: api.DaemonHealthy}}

// silent is a core whose engine does not answer for a log.
type silent struct{}

func (silent) Logs(ctx context.Context, _ api.Ref, _ string, _ int, _ bool) (io.ReadCloser, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

func newPane(t *testing.T) *Pane {
	t.Helper()
	w := world.New()
	w.ApplyEngines([]api.EngineStatus{{Name: "default", State: "connected"}}, 0)
	w.ApplyList([]api.Sandbox{box}, 0)
	key := func(action string) string { return action }
	return New(pane.Env{Look: draw.New("dark", false), World: w, Key: key, Calls: pane.Calls{Ctx: t.Context()}},
		silent{})
}

// shown is the visible pane of a sandbox; its commands are not run.
func shown(t *testing.T) *Pane {
	t.Helper()
	p := newPane(t)
	p.Show(box.Ref, 75, 35, true)
	p.loading = false
	return p
}

func numbered(from, n int, more string) []line {
	lines := make([]line, n)
	for i := range lines {
		lines[i] = newLine(fmt.Sprintf("line %d %s", from+i, more))
	}
	return lines
}

// A batch of the longest lines is what a screen update may cost ten times over.
func TestALogThatFloodsDoesNotStallTheScreen(t *testing.T) {
	t.Parallel()
	p := shown(t)
	flood := slices.Repeat(numbered(0, 1, strings.Repeat("ä\x1b[32mé\x1b[0m ", longestLine/12)), pendingLines)
	for name, filter := range map[string]string{"all": "", "a filter": "line 0"} {
		p.filter.SetValue(filter)
		p.refilter()
		least := time.Hour // what the machine was busy with otherwise does not count
		for range 8 {
			begun := time.Now()
			p.HandleMsg(streamMsg{opened: p.opened, stream: &stream{}, lines: flood})
			least = min(least, time.Since(begun))
		}
		require.Less(t, least, 80*time.Millisecond, name)
	}
	require.LessOrEqual(t, len(p.lines), linesKept+linesOver)
}

func TestOfALogTheNewestLinesAreKept(t *testing.T) {
	t.Parallel()
	p := shown(t)
	p.filter.SetValue("7")
	for from := 0; from < 3*linesKept; from += 700 {
		p.HandleMsg(streamMsg{opened: p.opened, stream: &stream{}, lines: numbered(from, 700, "")})
		if from == 2*linesKept/700*700 {
			p.Move(draw.Up)
		}
		require.Less(t, len(p.lines), linesKept+linesOver)
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
	p := shown(t)
	p.HandleMsg(streamMsg{opened: p.opened, stream: &stream{}, lines: numbered(0, linesKept, "")})
	p.Move(draw.Up)
	was := p.View(true)[1]
	p.HandleMsg(streamMsg{opened: p.opened, stream: &stream{}, lines: numbered(linesKept, linesOver, "")})
	require.Len(t, p.lines, linesKept)
	require.Equal(t, was, p.View(true)[1])
	require.Equal(t, linesOver, p.missed)
}

func TestAFilterOfALogSeesNoColours(t *testing.T) {
	t.Parallel()
	p := shown(t)
	p.filter.SetValue("Ready")
	p.HandleMsg(streamMsg{opened: p.opened, stream: &stream{},
		lines: []line{newLine("\x1b[32mREA\x1b[0mDY"), newLine("\x1b[31mm"), newLine("other")}})
	require.Equal(t, []int{0}, p.shown)
}

func TestWhatWaitsOfALogIsBounded(t *testing.T) {
	t.Parallel()
	for what, line := range map[string]string{"lines": "x", "bytes": strings.Repeat("x", 3*longestLine)} {
		s := &stream{ctx: t.Context(), ready: make(chan struct{}, 1)}
		const n = 3 * pendingLines
		s.read(strings.NewReader(strings.Repeat(line+"\n", n)))
		msg := s.next(1)().(streamMsg)
		total := 0
		for _, l := range msg.lines {
			total += len(l.shown)
		}
		require.LessOrEqual(t, len(msg.lines), pendingLines, what)
		require.LessOrEqual(t, total, pendingBytes, what)
		require.Equal(t, n, len(msg.lines)+msg.skipped, what)
		require.ErrorIs(t, msg.ended, errEnded)
		require.NotEmpty(t, msg.lines)
	}
}

func TestALogThatDoesNotOpenSaysSo(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newPane(t)
		open := p.Show(box.Ref, 80, 10, true)
		begun := time.Now()
		p.HandleMsg(open())
		require.Equal(t, pane.Quick, time.Since(begun))
		require.Contains(t, strings.Join(p.View(true), "\n"), "did not open within 15s   try: leave this tab")
	})
}

// What a log says with line breaks taken out, and without what stands above.
func said(p *Pane) string {
	var b strings.Builder
	for _, row := range p.View(true)[1:] {
		b.WriteString(strings.TrimSpace(ansi.Strip(row)))
	}
	return b.String()
}

func TestLongLinesOfALogAreWrapped(t *testing.T) {
	t.Parallel()
	p := shown(t)
	p.Show(box.Ref, 50, 11, true)
	long := func(i int) string { return fmt.Sprintf("begin%d-%s-end%d", i, strings.Repeat("x", 30*i), i) }
	var lines []line
	for i := range 10 {
		lines = append(lines, newLine(long(i)))
	}
	p.HandleMsg(streamMsg{opened: p.opened, stream: &stream{}, lines: lines})
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
	p.HandleMsg(streamMsg{opened: p.opened, stream: &stream{}, lines: []line{newLine(long(20))}})
	require.Equal(t, was, p.View(true)[1:], "paused, it stays")
	require.Equal(t, 1, p.missed)
	p.Move(draw.Down)
	p.Move(draw.Up)
	require.Equal(t, was, p.View(true)[1:], "rows, not lines")
	p.Move(draw.PageUp)
	p.Move(draw.PageDown)
	require.Equal(t, was, p.View(true)[1:])

	p.Move(draw.ToBottom)
	p.ToggleWrap()
	require.Contains(t, p.View(true)[10], "begin20-xxx")
	require.Contains(t, p.View(true)[10], "…")
	require.NotContains(t, said(p), "end20")
	p.ToggleWrap()
	require.Contains(t, said(p), "-end20")
}

func TestAFilterOfAPausedLogKeepsItsPlace(t *testing.T) {
	t.Parallel()
	p := shown(t)
	p.HandleMsg(streamMsg{opened: p.opened, stream: &stream{}, lines: numbered(0, 1000, strings.Repeat("long ", 50))})
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
	p := shown(t)
	s := &stream{ctx: t.Context(), ready: make(chan struct{}, 1)}
	s.read(strings.NewReader(strings.Repeat(strings.Repeat("ä", 45_000)+"\n"+strings.Repeat("\x1b[31mx\x1b[1m",
		10_000)+"\n", 20)))
	msg := s.next(p.opened)().(streamMsg)
	require.True(t, strings.HasSuffix(msg.lines[0].shown, "ää (cut)"))
	msg.stream, msg.ended = &stream{}, nil
	least := time.Hour
	for range 8 {
		begun := time.Now()
		p.HandleMsg(msg)
		p.Move(draw.PageUp)
		_ = p.View(true)
		p.Move(draw.ToBottom)
		least = min(least, time.Since(begun))
	}
	require.Less(t, least, 500*time.Millisecond)
	check(t, p)
}

// check draws a pane: no row is wider than it, and none moves the terminal's cursor.
func check(t *testing.T, p *Pane) {
	t.Helper()
	rows := p.View(true)
	require.NotEmpty(t, rows)
	for _, row := range rows {
		require.LessOrEqual(t, text.Width(row), p.width, "%q", row)
		for _, r := range ansi.Strip(row) {
			require.False(t, r < 0x20 || r >= 0x7f && r < 0xa0, "control character %q in %q", r, row)
		}
	}
}

func FuzzView(f *testing.F) {
	f.Add(uint8(76), uint8(20), "web\x1b[2J", "日本語👨\u200d👩\u200d👧", "y")
	f.Add(uint8(20), uint8(3), "\xff\x00\u202e", "a\nb", "a")
	f.Add(uint8(60), uint8(15), "क्षि", strings.Repeat("long", 100), "")
	f.Add(uint8(32), uint8(15), "क", strings.Repeat("long", 82)+strings.Repeat("-", 17), "")
	f.Fuzz(func(t *testing.T, width, height uint8, a, b, filter string) {
		p := shown(t)
		p.Show(box.Ref, max(5, int(width)), int(height), true)
		p.HandleMsg(streamMsg{opened: p.opened, lines: []line{newLine(a), newLine(b)},
			ended: &api.Problem{Detail: a, Hint: b}})
		for _, to := range []draw.Motion{draw.Up, draw.PageUp, draw.ToTop, draw.Down, draw.ToBottom} {
			p.Move(to)
			check(t, p)
		}
		p.filter.SetValue(filter)
		p.refilter()
		p.ToggleWrap()
		check(t, p)
	})
}
