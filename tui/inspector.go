package tui

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	tea "github.com/charmbracelet/bubbletea"

	"daemon-proxy/core/api"
	"daemon-proxy/tui/draw"
	"daemon-proxy/tui/format"
	"daemon-proxy/tui/world"
)

// inspector shows one exchange whole: times, headers, the captured beginning
// of the bodies, frames. It fills the screen between header and footer, and is
// laid out anew only when what it shows or its width changes.
type inspector struct {
	look  *draw.Look
	world *world.World
	now   func() time.Time
	key   func(action string) string

	id      uint64
	first   api.Exchange // as the list knew it, until the details come
	seen    *inspected
	failed  error
	asking  bool // for the details
	again   bool // something happened since
	width   int  // what lines are laid out for
	height  int
	lines   []inspectorLine
	top     int
	other   int     // the top of the side that is not in focus
	at      section // what folds, and scrolls if two stand side by side
	columns [2]int  // how many lines request and response have then
	folded  [sections]bool
	titles  [sections]int // the lines of the titles; -1: there is none
	wrapped bool          // long headers are shown whole
	frames  []int         // the line at which each frame begins
	paused  bool          // frames that come are not followed
	before  int64         // how many had come when that began
	find    draw.FilterLine
	found   []foundLine // what holds the text that is looked for
	atFound int
}

// section is a part of what is shown that can be folded to its title.
type section int

// The sections. Request and response stand side by side if there is room and
// both are open.
const (
	sectionRequest section = iota
	sectionResponse
	sectionFrames
	sections
)

// inspected is an exchange with its bodies made readable.
type inspected struct {
	detail            api.ExchangeDetail
	request, response shownBody
}

// inspectMsg brings the details of an exchange.
type inspectMsg struct {
	id   uint64
	seen *inspected
	err  error
}

// inspect opens an exchange, or the next one in the place of another.
func (p *requests) inspect(id uint64) tea.Cmd {
	i, ok := p.store.find(id) // the filter may not take it
	if !ok {
		return nil
	}
	next := &inspector{look: p.look, world: p.world, now: p.now, key: p.key, id: id, first: p.store.all[i], find: draw.NewFilterLine()}
	if before := p.inspector; before != nil {
		next.find = before.find // what was looked for is looked for here too
		next.at, next.folded, next.wrapped = before.at, before.folded, before.wrapped
	}
	p.inspector = next
	return tea.Batch(p.askInspection(), p.pollSoon())
}

func (p *requests) closeInspector() tea.Cmd {
	if in := p.inspector; in.find.Value() != "" {
		in.find.SetValue("")
		in.search()
		return nil
	}
	p.inspector = nil
	return p.pollSoon()
}

// askInspection asks for the details; the bodies are made readable beside the UI.
func (p *requests) askInspection() tea.Cmd {
	p.inspector.asking, p.inspector.again = true, false
	id, backend := p.inspector.id, p.do.backend
	return p.do.do(quickly, func(ctx context.Context) tea.Msg {
		d, err := backend.Exchange(ctx, id)
		if err != nil {
			return inspectMsg{id: id, err: err}
		}
		seen := &inspected{
			detail:   d,
			request:  readBody(d.RequestHeader, d.RequestBody, d.RequestCaptured, d.BytesIn),
			response: readBody(d.ResponseHeader, d.ResponseBody, d.ResponseCaptured, d.BytesOut),
		}
		switch {
		case len(d.Frames) > 0: // they are shown instead
			seen.request.note, seen.response.note = "", ""
		case d.Code != "" && d.ResponseHeader == nil:
			seen.response.note = "daemon-proxy answered this itself"
		}
		return inspectMsg{id: id, seen: seen}
	})
}

// inspectAgain asks for news of the exchange that is looked into.
func (p *requests) inspectAgain() tea.Cmd {
	if p.inspector == nil {
		return nil
	}
	if p.inspector.asking {
		p.inspector.again = true
		return nil
	}
	return p.askInspection()
}

func (p *requests) takeInspection(msg inspectMsg) tea.Cmd {
	in := p.inspector
	if in == nil || in.id != msg.id {
		return nil
	}
	in.asking, in.failed = false, msg.err
	if msg.err == nil {
		was, below := in.frameAtTop()
		in.seen = msg.seen
		in.layOut()
		if len(in.frames) > 0 && !was.IsZero() { // older frames went, what is looked at stays at its place
			now := slices.IndexFunc(msg.seen.detail.Frames, func(f api.Frame) bool { return !f.Time.Before(was) })
			in.top = in.frames[max(0, now)] + below
			in.scroll(0)
		}
	}
	if in.again {
		return p.askInspection()
	}
	return nil
}

func (in *inspector) exchange() api.Exchange {
	if in.seen != nil {
		return in.seen.detail.Exchange
	}
	return in.first
}

// The lines above the text: times, and the line to find with while it is used.
func (in *inspector) textHeight() int {
	if in.finding() {
		return max(1, in.height-4)
	}
	return max(1, in.height-3)
}

func (in *inspector) finding() bool { return in.find.Typing || in.find.Value() != "" }

// move scrolls; of two that stand side by side the one in focus, unless all of
// it can be seen.
func (in *inspector) move(to draw.Motion) {
	page := in.textHeight()
	if in.split() && in.columns[in.at] <= page && in.columns[1-in.at] > page {
		in.focus(1 - in.at)
	}
	in.scroll(map[draw.Motion]int{draw.Up: -1, draw.Down: 1, draw.PageUp: -page, draw.PageDown: page, draw.ToTop: -len(in.lines), draw.ToBottom: len(in.lines)}[to])
}

func (in *inspector) scroll(by int) {
	end := max(0, in.length()-in.textHeight())
	in.top = max(0, min(end, in.top+by))
	if by != 0 {
		in.pause(in.top < end)
	}
	if in.hasFrames() && !in.paused {
		in.top = end
	}
	if in.split() {
		in.other = max(0, min(in.columns[1-in.at]-in.textHeight(), in.other))
	}
}

// hasFrames says whether there are frames below, whose newest are followed.
func (in *inspector) hasFrames() bool { return in.titles[sectionFrames] > 0 }

func (in *inspector) pause(on bool) {
	if on && !in.paused {
		in.before = in.exchange().Frames
	}
	in.paused = on
}

// follow goes to the newest frame and those that come, or pauses there.
func (in *inspector) follow() {
	in.pause(!in.paused)
	in.scroll(0)
}

// frameAtTop is the time of the frame at the top of the screen, and how many
// lines of it are above; of frames that are not paused at it is zero.
func (in *inspector) frameAtTop() (at time.Time, above int) {
	i, found := slices.BinarySearch(in.frames, in.top)
	if !found {
		i--
	}
	if !in.paused || i < 0 {
		return at, 0
	}
	return in.seen.detail.Frames[i].Time, in.top - in.frames[i]
}

// length is how many lines there are to scroll.
func (in *inspector) length() int {
	if in.split() {
		return in.columns[in.at]
	}
	return len(in.lines)
}

// split says whether request and response stand side by side, nothing below
// them: each scrolls for itself then.
func (in *inspector) split() bool {
	return in.seen != nil && in.beside() && in.titles[sectionFrames] < 0
}

// tops are the first lines that are seen on the left and on the right.
func (in *inspector) tops() (left, right int) {
	switch {
	case !in.split():
		return in.top, in.top
	case in.at == sectionRequest:
		return in.top, in.other
	}
	return in.other, in.top
}

// focus goes to a section; of two that stand side by side each stays where it is.
func (in *inspector) focus(at section) {
	if in.at == at {
		return
	}
	if in.split() {
		in.top, in.other = in.other, in.top
	}
	in.at = at
	in.layOut()
}

// nextSection goes to the section below or beside, after the last to the first.
func (in *inspector) nextSection() {
	next := (in.at + 1) % sections
	for in.titles[next] < 0 && next != in.at {
		next = (next + 1) % sections
	}
	in.focus(next)
	if !in.split() {
		in.scroll(in.titles[next] - in.top)
	}
}

// fold folds or unfolds a section.
func (in *inspector) fold(at section) {
	if in.seen == nil {
		return
	}
	in.focus(at)
	in.folded[at], in.other = !in.folded[at], 0
	in.layOut()
	in.reveal(in.titles[at])
}

// click is at a cell of the frame's inside; one on a title folds, one beside
// the section in focus goes to the other.
func (in *inspector) click(x, y int) {
	above := in.height - 2 - in.textHeight()
	left, right := in.tops()
	onRight := in.beside() && x > in.columnWidth()+1
	tops := [sections]int{left, right, in.top}
	for at := sections - 1; at >= 0 && y >= above; at-- {
		if in.titles[at] == tops[at]+y-above && (at == sectionFrames || !in.beside() || onRight == (at == sectionResponse)) {
			in.fold(at)
			return
		}
	}
	if in.split() {
		in.focus(map[bool]section{false: sectionRequest, true: sectionResponse}[onRight])
	}
}

// reveal scrolls to a line that cannot be seen.
func (in *inspector) reveal(line int) {
	if line < in.top || line >= in.top+in.textHeight() {
		in.scroll(line - in.textHeight()/3 - in.top)
	}
}

// toggleWrap shows long headers whole, or cuts them to a line again.
func (in *inspector) toggleWrap() {
	in.wrapped = !in.wrapped
	in.layOut()
}

// saveBodies writes the captured bodies to new files, as they passed.
func (p *requests) saveBodies() tea.Cmd {
	in := p.inspector
	if in.seen == nil {
		return nil
	}
	d, dir, at, backend := in.seen.detail, p.dir, p.now().Format(fileTime), p.do.backend
	return p.do.do(quickly, func(ctx context.Context) tea.Msg {
		request, response, err := backend.Bodies(ctx, d.ID)
		if err != nil {
			return failMsg{"save the bodies", err}
		}
		var saved []string
		for _, part := range []struct {
			name   string
			body   []byte
			ending string
			whole  int64
		}{
			{"request", request, fileEnding(d.RequestHeader), d.BytesIn},
			{"response", response, fileEnding(d.ResponseHeader), d.BytesOut},
		} {
			if len(part.body) == 0 {
				continue
			}
			file, err := writeNew(dir, fmt.Sprintf("daemon-proxy-%s-%d-%s%s", at, d.ID, part.name, part.ending), part.body)
			if err != nil {
				return failMsg{"save the bodies", err}
			}
			if len(saved) > 0 {
				file = filepath.Base(file)
			}
			if int64(len(part.body)) < part.whole {
				file += " (its first " + format.Size(int64(len(part.body))) + ")"
			}
			saved = append(saved, file)
		}
		if saved == nil {
			return sayMsg("there is no body to save: empty, not captured, or discarded for later requests")
		}
		return sayMsg("saved in " + strings.Join(saved, " and "))
	})
}
