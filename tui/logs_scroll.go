package tui

import (
	tea "github.com/charmbracelet/bubbletea"

	"daemon-proxy/tui/draw"
	"daemon-proxy/tui/text"
)

// A log is scrolled by rows: a wrapped line has several. Only the visible lines
// are wrapped.

func (p *logs) textHeight() int { return max(1, p.height-1) }

// rows returns the rows of a shown line.
func (p *logs) rows(i int) []string {
	line := p.lines[p.shown[i]].shown
	if !p.wrapped {
		return []string{p.look.Cut(line, p.width-2)}
	}
	return text.Rows(line, p.width-2, 2)
}

// seen returns the visible rows.
func (p *logs) seen() []string {
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
func (p *logs) end() (top, above int) {
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

// scroll scrolls by rows and reports whether the end is visible; while following
// it stays there.
func (p *logs) scroll(by int) (atEnd bool) {
	p.above += by
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

// Move scrolls: moving up pauses, reaching the end follows again.
func (p *logs) Move(to draw.Motion) tea.Cmd {
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
	if atEnd := p.scroll(by); atEnd && by >= 0 && to != draw.ToTop {
		p.paused, p.missed = false, 0
		return p.revive()
	}
	return nil
}

func (p *logs) toggleWrap() tea.Cmd {
	p.wrapped, p.above = !p.wrapped, 0
	p.scroll(0)
	return nil
}
