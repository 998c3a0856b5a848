package tui

import (
	"cmp"
	"context"
	"strings"
	"time"

	tea "github.com/charmbracelet/bubbletea"

	"daemon-proxy/core/api"
	"daemon-proxy/tui/draw"
	"daemon-proxy/tui/format"
	"daemon-proxy/tui/text"
)

// checkup is the screen of a diagnosis, which ends when it is closed.
type checkup struct {
	look   *draw.Look
	title  string
	cancel context.CancelFunc
	coming chan api.Finding // closed at the end of the diagnosis

	found []api.Finding
	ended bool
	err   error // why it ended early
	top   int   // the first line that is shown
	last  int   // what top is at most
}

type (
	// foundMsg brings a finding to its screen.
	foundMsg struct {
		of      *checkup
		finding api.Finding
	}
	// checkedMsg is the end of a diagnosis.
	checkedMsg struct {
		of  *checkup
		err error
	}
)

// newCheckup returns the screen, and the command that fills it with the findings of run.
func newCheckup(
	ctx context.Context, look *draw.Look, title string, run func(context.Context, func(api.Finding)) error,
) (*checkup, tea.Cmd) {
	ctx, cancel := context.WithCancel(ctx)
	c := &checkup{look: look, title: title, cancel: cancel, coming: make(chan api.Finding)}
	return c, tea.Batch(func() tea.Msg {
		defer close(c.coming)
		err := run(ctx, func(f api.Finding) {
			select {
			case c.coming <- f:
			case <-ctx.Done():
			}
		})
		return checkedMsg{c, err}
	}, c.next())
}

// next waits for the next finding.
func (c *checkup) next() tea.Cmd {
	return func() tea.Msg {
		f, more := <-c.coming
		if !more {
			return nil
		}
		return foundMsg{c, f}
	}
}

// HandleMsg implements pane.Listener.
func (c *checkup) HandleMsg(msg tea.Msg) tea.Cmd {
	switch msg := msg.(type) {
	case foundMsg:
		if msg.of == c {
			c.found, c.ended = append(c.found, msg.finding), msg.finding.Finished
			return c.next()
		}
	case checkedMsg:
		if msg.of == c {
			c.ended, c.err = true, msg.err
			c.cancel()
		}
	}
	return nil
}

// HandleKey implements overlay.
func (c *checkup) HandleKey(key tea.KeyMsg) (tea.Cmd, bool) {
	const atEnd = 1 << 20
	by, scrolls := map[string]int{"up": -1, "k": -1, "down": 1, "j": 1, "pgup": -10, "pgdown": 10, " ": 10,
		"home": -atEnd, "g": -atEnd, "end": atEnd, "G": atEnd}[key.String()]
	c.top = max(0, min(c.top+by, c.last))
	if !scrolls {
		c.cancel()
	}
	return nil, !scrolls
}

// lines returns a finding as it is shown.
func (c *checkup) lines(f api.Finding, width int) []string {
	l := c.look
	glyph, ink := l.Glyph.Done, l.Ink.Good
	switch f.State {
	case api.FoundFailed:
		glyph, ink = l.Glyph.Bad, l.Ink.Bad
	case api.FoundLoss:
		glyph, ink = l.Glyph.Warn, l.Ink.Busy
	case api.FoundSkipped:
		glyph, ink = l.Glyph.None, l.Ink.Dim
	}
	took := ""
	if f.DurationMS > 0 {
		took = format.Latency(time.Duration(f.DurationMS * float64(time.Millisecond)))
	}
	const left = 22
	var out []string
	add := func(words string, paint func(string) string) {
		for _, line := range text.Wrap(text.Clean(words), max(10, width-left-1)) {
			out = append(out, strings.Repeat(" ", left)+paint(line))
		}
	}
	add(f.Detail, func(s string) string { return s })
	for _, lost := range f.Lost {
		add("lost: "+lost, ink.Paint)
	}
	if f.Hint != "" {
		add(f.Hint, l.Ink.Accent.Paint)
	}
	head := " " + ink.Paint(glyph) + " " + l.Ink.Title.Paint(l.Fit(cmp.Or(text.Clean(f.Hop), "all"), 10)) + l.Right(took, 8) + " "
	out[0] = head + strings.TrimPrefix(out[0], strings.Repeat(" ", left))
	return out
}

// View implements overlay.
func (c *checkup) View(width, height int) []string {
	l := c.look
	width = min(width, 100)
	var lines []string
	for _, f := range c.found {
		lines = append(lines, c.lines(f, width-2)...)
	}
	switch {
	case c.err != nil:
		lines = append(lines, text.Indent(text.Wrap(text.Clean(c.err.Error()), width-4), " ")...)
	case !c.ended:
		lines = append(lines, " "+l.Ink.Busy.Paint(l.Glyph.Busy+" checking"+l.Glyph.Ellipsis))
	}
	rows := min(height, len(lines)+2) - 2
	follows := c.top == c.last // so that what comes is shown as well
	if c.last = len(lines) - rows; follows || c.top > c.last {
		c.top = c.last
	}
	foot := "esc closes"
	if rows < len(lines) {
		foot = format.Keys([]string{"up"}) + format.Keys([]string{"down"}) + " more   " + foot
	}
	return l.Box(l.Ink.Title.Paint(c.title), l.Ink.Dim.Paint(foot), lines[c.top:c.top+rows], width, rows+2, true)
}
