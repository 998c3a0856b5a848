package tui

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"daemon-proxy/core/api"
	"daemon-proxy/tui/text"
)

// injectionSteps are the steps in their order, what is said of one that is
// still to come, and the word in the list while it runs.
var injectionSteps = []struct {
	step          api.InjectionStep
	ahead, inList string
}{
	{api.StepInspect, "looking at the container", "checking"},
	{api.StepAdopt, "does a daemon answer already?", "checking"},
	{api.StepPrepare, "preparing the binary", "preparing"},
	{api.StepCopy, "copying the binary", "copying"},
	{api.StepStart, "starting it", "starting"},
	{api.StepWait, "waiting for it to answer", "waiting"},
}

// progress is an injection in two words: "copying", "62 %".
func (in *injection) progress() (word, percent string) {
	word = "injecting"
	if len(in.steps) == 0 {
		return word, ""
	}
	last := in.steps[len(in.steps)-1]
	for _, s := range injectionSteps {
		if s.step == last.Step {
			word = s.inList
		}
	}
	if last.Step == api.StepCopy && last.Total > 0 {
		percent = fmt.Sprintf("%d %%", last.Bytes*100/last.Total)
	}
	return word, percent
}

// injectionLines draws an injection under way, one line a step.
func (p *overview) injectionLines(in *injection) []string {
	l := p.look
	lines := []string{"", l.ink.Title.Paint("injecting the daemon"), ""}
	for _, s := range injectionSteps {
		i := slices.IndexFunc(in.steps, func(n api.Injection) bool { return n.Step == s.step })
		if i < 0 {
			lines = append(lines, l.ink.Dim.Paint(l.glyph.None+" "+s.ahead))
			continue
		}
		lines = append(lines, p.stepLine(in, in.steps[i], s.ahead))
	}
	if p.readOnly {
		return lines
	}
	return append(lines, "", l.ink.Key.Paint(p.key("back"))+" cancel, nothing is kept")
}

func (p *overview) stepLine(in *injection, n api.Injection, ahead string) string {
	l := p.look
	words := ahead
	if n.Detail != "" {
		words = text.Clean(n.Detail)
	}
	switch n.State {
	case "done", "skipped":
		return l.ink.Good.Paint(l.glyph.Done) + " " + words
	case "failed":
		return l.ink.Bad.Paint(l.glyph.Bad) + " " + words
	}
	line := l.ink.Busy.Paint(l.glyph.Busy) + " " + words
	if n.Step != api.StepCopy || n.Total <= 0 {
		return line
	}
	figures := fmt.Sprintf(" %s / %s", size(n.Bytes), size(n.Total))
	if took := in.news.Sub(in.copying); took > 100*time.Millisecond {
		figures += fmt.Sprintf("  %s/s", size(int64(float64(n.Bytes)/took.Seconds())))
	}
	return line + "  " + l.bar(float64(n.Bytes)/float64(n.Total), max(8, min(30, p.width-text.Width(line)-text.Width(figures)-4))) + figures
}

// bar is a share from 0 to 1, in halves of a cell.
func (l *look) bar(share float64, width int) string {
	halves := max(0, min(2*width, int(share*float64(2*width))))
	full, half := halves/2, halves%2
	return l.ink.Busy.Paint(strings.Repeat(l.glyph.Bar, full)+strings.Repeat(l.glyph.BarHalf, half)) +
		l.ink.Dim.Paint(strings.Repeat(l.glyph.BarRest, width-full-half))
}

// failureLines draw how an injection ended that failed, and what can be done.
func (p *overview) failureLines(problem *api.Problem) []string {
	l := p.look
	lines := []string{""}
	mark := l.glyph.Bad + " "
	for part := range strings.Lines(problem.Error()) { // its last words may be several lines
		for _, s := range text.Wrap(text.Clean(strings.TrimRight(part, "\r\n")), p.width-4) {
			lines = append(lines, l.ink.Bad.Paint(mark+s))
			mark = "  "
		}
	}
	if problem.Hint != "" {
		for i, s := range text.Wrap(text.Clean(problem.Hint), p.width-10) {
			label := "       "
			if i == 0 {
				label = "  try: "
			}
			lines = append(lines, l.ink.Dim.Paint(label)+s)
		}
	}
	return append(lines, "", fmt.Sprintf("  %s try again   %s full log   %s dismiss",
		l.ink.Key.Paint(p.key("inject")), l.ink.Key.Paint(p.key("logs")), l.ink.Key.Paint(p.key("back"))), "")
}
