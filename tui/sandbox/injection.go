package sandbox

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"daemon-proxy/core/api"
	"daemon-proxy/tui/format"
	"daemon-proxy/tui/pane"
	"daemon-proxy/tui/text"
	"daemon-proxy/tui/world"
)

// injectionView draws an injection in lines of a width.
type injectionView struct {
	pane.Env
	width int
}

// steps draws a running injection, one line a step.
func (p injectionView) steps(in *world.Injection) []string {
	l := p.Look
	lines := []string{"", l.Ink.Title.Paint("injecting the daemon"), ""}
	for _, s := range world.InjectionSteps {
		i := slices.IndexFunc(in.Steps, func(n api.Injection) bool { return n.Step == s.Step })
		if i < 0 {
			lines = append(lines, l.Ink.Dim.Paint(l.Glyph.None+" "+s.Ahead))
			continue
		}
		lines = append(lines, p.step(in, in.Steps[i], s.Ahead))
	}
	if p.World.ReadOnly() {
		return lines
	}
	return append(lines, "", l.Ink.Key.Paint(p.Key("back"))+" cancel, nothing is kept")
}

func (p injectionView) step(in *world.Injection, n api.Injection, ahead string) string {
	l := p.Look
	words := ahead
	if n.Detail != "" {
		words = text.Clean(n.Detail)
	}
	switch n.State {
	case "done", "skipped":
		return l.Ink.Good.Paint(l.Glyph.Done) + " " + words
	case "failed":
		return l.Ink.Bad.Paint(l.Glyph.Bad) + " " + words
	}
	line := l.Ink.Busy.Paint(l.Glyph.Busy) + " " + words
	if n.Step != api.StepCopy || n.Total <= 0 {
		return line
	}
	figures := fmt.Sprintf(" %s / %s", format.Size(n.Bytes), format.Size(n.Total))
	if took := in.News.Sub(in.Copying); took > 100*time.Millisecond {
		figures += fmt.Sprintf("  %s/s", format.Size(int64(float64(n.Bytes)/took.Seconds())))
	}
	return line + "  " + l.Bar(float64(n.Bytes)/float64(n.Total),
		max(8, min(30, p.width-text.Width(line)-text.Width(figures)-4))) + figures
}

func (p injectionView) failure(problem *api.Problem) []string {
	l := p.Look
	lines := []string{""}
	mark := l.Glyph.Bad + " "
	for part := range strings.Lines(problem.Error()) { // its last words may be several lines
		for _, s := range text.Wrap(text.Clean(strings.TrimRight(part, "\r\n")), p.width-4) {
			lines = append(lines, l.Ink.Bad.Paint(mark+s))
			mark = "  "
		}
	}
	if problem.Hint != "" {
		for i, s := range text.Wrap(text.Clean(problem.Hint), p.width-10) {
			label := "       "
			if i == 0 {
				label = "  try: "
			}
			lines = append(lines, l.Ink.Dim.Paint(label)+s)
		}
	}
	return append(lines, "", fmt.Sprintf("  %s try again   %s full log   %s dismiss",
		l.Ink.Key.Paint(p.Key("inject")), l.Ink.Key.Paint(p.Key("logs")), l.Ink.Key.Paint(p.Key("back"))), "")
}
