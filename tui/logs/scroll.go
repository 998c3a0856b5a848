package logs

import (
	"slices"
	"strings"

	"daemon-proxy/tui/draw"
	"daemon-proxy/tui/pane"
	"daemon-proxy/tui/text"
)

const (
	linesKept = 10_000
	linesOver = 1_000 // how many more there may be before the oldest are dropped
)

// scroll is a log that is scrolled by rows: a wrapped line has several. Only the
// visible lines are wrapped.
type scroll struct {
	pane.Env
	width, height int
	filter        draw.FilterLine
	wrapped       bool // long lines are wrapped

	lines   []line
	skipped int   // lines that were dropped
	shown   []int // the lines that match the filter
	top     int   // the first visible one of the shown lines
	above   int   // how many of its rows are above the screen
	paused  bool
	missed  int // lines since the pause
}

func (p *scroll) clear() {
	p.lines, p.shown, p.skipped, p.top, p.above, p.missed, p.paused = nil, nil, 0, 0, 0, 0, false
}

func (p *scroll) add(lines []line, skipped int) {
	p.skipped += skipped
	before := len(p.shown)
	p.lines = append(p.lines, lines...)
	p.showFrom(len(p.lines) - len(lines))
	if p.paused {
		p.missed += len(p.shown) - before
	}
	p.trim()
	p.by(0)
}

// showFrom shows the lines from i on that match the filter.
func (p *scroll) showFrom(i int) {
	want := strings.ToLower(p.filter.Value())
	for ; i < len(p.lines); i++ {
		if strings.Contains(p.lines[i].plain, want) {
			p.shown = append(p.shown, i)
		}
	}
}

func (p *scroll) refilter() {
	was := 0
	if p.top < len(p.shown) {
		was = p.shown[p.top]
	}
	p.shown = p.shown[:0]
	p.showFrom(0)
	at, same := slices.BinarySearch(p.shown, was)
	if p.top = at; !same {
		p.above = 0
	}
	p.by(0)
}

// trim drops the oldest lines and keeps the visible ones in place.
func (p *scroll) trim() {
	over := len(p.lines) - linesKept
	if over < linesOver {
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

func (p *scroll) textHeight() int { return max(1, p.height-1) }

func (p *scroll) rows(i int) []string {
	line := p.lines[p.shown[i]].shown
	if !p.wrapped {
		return []string{p.Cut(line, p.width-2)}
	}
	return text.Rows(line, p.width-2, 2)
}

func (p *scroll) rowsInView() []string {
	var out []string
	skip := p.above
	for i := p.top; i < len(p.shown) && len(out) < p.textHeight(); i++ {
		for _, row := range p.rows(i)[skip:] {
			out = append(out, " "+row)
		}
		skip = 0
	}
	return out[:min(len(out), p.textHeight())]
}

// end returns the position at which the last row is at the bottom.
func (p *scroll) end() (top, above int) {
	room := p.textHeight()
	for i := len(p.shown) - 1; i >= 0; i-- {
		n := len(p.rows(i))
		if n >= room {
			return i, n - room
		}
		room -= n
	}
	return 0, 0
}

// by scrolls by rows and reports whether the end is visible; while following it
// stays there.
func (p *scroll) by(rows int) (atEnd bool) {
	p.above += rows
	for p.above < 0 && p.top > 0 {
		p.top--
		p.above += len(p.rows(p.top))
	}
	p.above = max(0, p.above)
	for p.top < len(p.shown) && p.above >= len(p.rows(p.top)) {
		p.above -= len(p.rows(p.top))
		p.top++
	}
	top, above := p.end()
	if atEnd = !p.paused || p.top > top || p.top == top && p.above >= above; atEnd {
		p.top, p.above = top, above
	}
	return atEnd
}

// to scrolls: moving up pauses, reaching the end follows again. It reports whether
// the log is followed from there.
func (p *scroll) to(to draw.Motion) (following bool) {
	page := p.textHeight()
	by := map[draw.Motion]int{draw.Up: -1, draw.Down: 1, draw.PageUp: -page, draw.PageDown: page}[to]
	if top, above := p.end(); (by < 0 || to == draw.ToTop) && top+above > 0 {
		p.paused = true
	}
	switch to {
	case draw.ToTop:
		p.top, p.above = 0, 0
	case draw.ToBottom:
		p.paused = false
	}
	if atEnd := p.by(by); !atEnd || by < 0 || to == draw.ToTop {
		return false
	}
	p.paused, p.missed = false, 0
	return true
}
