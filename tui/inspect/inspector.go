// Package inspect shows one exchange in full: times, headers, the captured
// beginning of the bodies, frames.
package inspect

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
	"daemon-proxy/tui/pane"
	"daemon-proxy/tui/save"
)

// Inspector shows one exchange in full. It fills the screen between header and
// footer. Its layout is computed only when its content or width changes.
type Inspector struct {
	pane.Env
	sheet
	backend Backend
	ID      uint64
	first   api.Exchange // from the list, until the details arrive
	failed  error
	asking  bool // for the details
	again   bool // ask again after the answer
	height  int
	top     int
	other   int   // the top of the side that is not focused
	paused  bool  // new frames are not followed
	before  int64 // how many frames there were at the pause
	find    draw.FilterLine
	found   []foundLine // the lines with the text to find
	atFound int
}

// section is a part that can be folded to its title.
type section int

// The sections. Request and response are side by side if there is room and both
// are open.
const (
	sectionRequest section = iota
	sectionResponse
	sectionFrames
	sections
)

// details is an exchange with readable bodies.
type details struct {
	detail            api.ExchangeDetail
	request, response shownBody
}

// Msg brings the details of an exchange.
type Msg struct {
	id   uint64
	seen *details
	err  error
}

// Backend is what the inspector needs from a core.
type Backend interface {
	Exchange(ctx context.Context, id uint64) (api.ExchangeDetail, error)
	Bodies(ctx context.Context, id uint64) (request, response []byte, err error)
}

// New returns an empty inspector; Next makes one for an exchange.
func New(env pane.Env, backend Backend) *Inspector {
	return &Inspector{Env: env, sheet: sheet{look: env.Look}, backend: backend, find: draw.NewFilterLine()}
}

// Next returns the inspector of another exchange, with the same search and the
// same sections folded.
func (in *Inspector) Next(x api.Exchange) *Inspector {
	next := New(in.Env, in.backend)
	next.ID, next.first, next.find = x.ID, x, in.find
	next.At, next.folded, next.wrapped = in.At, in.folded, in.wrapped
	return next
}

// EndFind ends a search, if there is one.
func (in *Inspector) EndFind() bool {
	if in.find.Value() == "" {
		return false
	}
	in.find.SetValue("")
	in.search()
	return true
}

// Ask requests the details; the command also makes the bodies readable.
func (in *Inspector) Ask() tea.Cmd {
	in.asking, in.again = true, false
	id, backend := in.ID, in.backend
	return in.Do(pane.Quick, func(ctx context.Context) tea.Msg {
		d, err := backend.Exchange(ctx, id)
		if err != nil {
			return Msg{id: id, err: err}
		}
		return Msg{id: id, seen: inspect(d)}
	})
}

// inspect makes the bodies of an exchange readable.
func inspect(d api.ExchangeDetail) *details {
	seen := &details{
		detail:   d,
		request:  readBody(d.RequestHeader, d.RequestBody, d.RequestCaptured, d.BytesIn),
		response: readBody(d.ResponseHeader, d.ResponseBody, d.ResponseCaptured, d.BytesOut),
	}
	switch {
	case len(d.Frames) > 0: // the frames are shown instead
		seen.request.note, seen.response.note = "", ""
	case d.Code != "" && d.ResponseHeader == nil:
		seen.response.note = "daemon-proxy answered this itself"
	}
	return seen
}

// Refresh requests the details again, once the pending answer has arrived.
func (in *Inspector) Refresh() tea.Cmd {
	if in.asking {
		in.again = true
		return nil
	}
	return in.Ask()
}

// HandleMsg takes the details, unless they are of another exchange.
func (in *Inspector) HandleMsg(msg Msg) tea.Cmd {
	if in.ID != msg.id {
		return nil
	}
	in.asking, in.failed = false, msg.err
	if msg.err == nil {
		was, below := in.frameAtTop()
		in.seen = msg.seen
		in.layOut()
		if len(in.frames) > 0 && !was.IsZero() { // keep the visible frames in place when older ones are dropped
			now := slices.IndexFunc(msg.seen.detail.Frames, func(f api.Frame) bool { return !f.Time.Before(was) })
			in.top = in.frames[max(0, now)] + below
			in.scroll(0)
		}
	}
	if in.again {
		return in.Ask()
	}
	return nil
}

// Exchange returns the inspected exchange, as far as it is known.
func (in *Inspector) Exchange() api.Exchange {
	if in.seen != nil {
		return in.seen.detail.Exchange
	}
	return in.first
}

// The lines above the text: times, and the line to find with while it is used.
func (in *Inspector) textHeight() int {
	if in.finding() {
		return max(1, in.height-4)
	}
	return max(1, in.height-3)
}

func (in *Inspector) finding() bool { return in.find.Typing || in.find.Value() != "" }

// Move scrolls; of two sections side by side it scrolls the focused one, unless
// all of it is visible.
func (in *Inspector) Move(to draw.Motion) {
	page := in.textHeight()
	if in.split() && in.columns[in.At] <= page && in.columns[1-in.At] > page {
		in.focus(1 - in.At)
	}
	in.scroll(map[draw.Motion]int{draw.Up: -1, draw.Down: 1, draw.PageUp: -page, draw.PageDown: page,
		draw.ToTop: -len(in.lines), draw.ToBottom: len(in.lines)}[to])
}

func (in *Inspector) scroll(by int) {
	end := max(0, in.length()-in.textHeight())
	in.top = max(0, min(end, in.top+by))
	if by != 0 {
		in.pause(in.top < end)
	}
	if in.HasFrames() && !in.paused {
		in.top = end
	}
	if in.split() {
		in.other = max(0, min(in.columns[1-in.At]-in.textHeight(), in.other))
	}
}

// HasFrames reports whether there are frames.
func (in *Inspector) HasFrames() bool { return in.titles[sectionFrames] > 0 }

func (in *Inspector) pause(on bool) {
	if on && !in.paused {
		in.before = in.Exchange().Frames
	}
	in.paused = on
}

// Follow follows the newest frames, or pauses.
func (in *Inspector) Follow() {
	in.pause(!in.paused)
	in.scroll(0)
}

// frameAtTop returns the time of the frame at the top of the screen, and how many
// of its lines are above; the time is zero if the frames are not paused.
func (in *Inspector) frameAtTop() (at time.Time, above int) {
	i, found := slices.BinarySearch(in.frames, in.top)
	if !found {
		i--
	}
	if !in.paused || i < 0 {
		return at, 0
	}
	return in.seen.detail.Frames[i].Time, in.top - in.frames[i]
}

// length returns the number of lines to scroll.
func (in *Inspector) length() int {
	if in.split() {
		return in.columns[in.At]
	}
	return len(in.lines)
}

// tops returns the first visible lines on the left and on the right.
func (in *Inspector) tops() (left, right int) {
	switch {
	case !in.split():
		return in.top, in.top
	case in.At == sectionRequest:
		return in.top, in.other
	}
	return in.other, in.top
}

// focus focuses a section; two that are side by side keep their positions.
func (in *Inspector) focus(at section) {
	if in.At == at {
		return
	}
	if in.split() {
		in.top, in.other = in.other, in.top
	}
	in.At = at
	in.layOut()
}

// NextSection focuses the next section; after the last, the first.
func (in *Inspector) NextSection() {
	next := (in.At + 1) % sections
	for in.titles[next] < 0 && next != in.At {
		next = (next + 1) % sections
	}
	in.focus(next)
	if !in.split() {
		in.scroll(in.titles[next] - in.top)
	}
}

// Fold folds or unfolds a section.
func (in *Inspector) Fold(at section) {
	if in.seen == nil {
		return
	}
	in.focus(at)
	in.folded[at], in.other = !in.folded[at], 0
	in.layOut()
	in.reveal(in.titles[at])
}

// Click handles a click inside the frame: on a title it folds the section, on the
// other one of two sections it focuses that.
func (in *Inspector) Click(x, y int) {
	above := in.height - 2 - in.textHeight()
	left, right := in.tops()
	onRight := in.beside() && x > in.columnWidth()+1
	tops := [sections]int{left, right, in.top}
	for at := sections - 1; at >= 0 && y >= above; at-- {
		if in.titles[at] == tops[at]+y-above &&
			(at == sectionFrames || !in.beside() || onRight == (at == sectionResponse)) {
			in.Fold(at)
			return
		}
	}
	if in.split() {
		in.focus(map[bool]section{false: sectionRequest, true: sectionResponse}[onRight])
	}
}

// reveal scrolls to a line if it is not visible.
func (in *Inspector) reveal(line int) {
	if line < in.top || line >= in.top+in.textHeight() {
		in.scroll(line - in.textHeight()/3 - in.top)
	}
}

// ToggleWrap wraps long headers, or cuts them to a line again.
func (in *Inspector) ToggleWrap() {
	in.wrapped = !in.wrapped
	in.layOut()
}

// SaveBodies writes the captured bodies to new files, as they were transferred.
func (in *Inspector) SaveBodies(dir string) tea.Cmd {
	if in.seen == nil {
		return nil
	}
	d, at, backend := in.seen.detail, in.Now().Format(save.TimeFormat), in.backend
	return in.Do(pane.Quick, func(ctx context.Context) tea.Msg {
		request, response, err := backend.Bodies(ctx, d.ID)
		if err != nil {
			return pane.FailMsg{Action: "save the bodies", Err: err}
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
			file, err := save.New(dir, fmt.Sprintf("daemon-proxy-%s-%d-%s%s", at, d.ID, part.name, part.ending),
				part.body)
			if err != nil {
				return pane.FailMsg{Action: "save the bodies", Err: err}
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
			return pane.SayMsg("there is no body to save: empty, not captured, or discarded for later requests")
		}
		return pane.SayMsg("saved in " + strings.Join(saved, " and "))
	})
}

// layOut lays out the sheet and searches it again.
func (in *Inspector) layOut() {
	in.sheet.layOut()
	in.search()
}
