package inspect

import (
	"slices"
	"strings"
	"time"

	tea "github.com/charmbracelet/bubbletea"

	"daemon-proxy/tui/draw"
)

// scroller scrolls a sheet, folds its sections and finds text in it.
type scroller struct {
	sheet
	height  int
	top     int
	other   int   // the top of the side that is not focused
	paused  bool  // new frames are not followed
	before  int64 // how many frames there were at the pause
	find    draw.FilterLine
	found   []foundLine // the lines with the text to find
	atFound int
}

// EndFind ends a search, if there is one.
func (s *scroller) EndFind() bool {
	if s.find.Value() == "" {
		return false
	}
	s.find.SetValue("")
	s.search()
	return true
}

// The lines above the text: times, and the line to find with while it is used.
func (s *scroller) textHeight() int {
	if s.finding() {
		return max(1, s.height-4)
	}
	return max(1, s.height-3)
}

func (s *scroller) finding() bool { return s.find.Typing || s.find.Value() != "" }

// Move scrolls; of two sections side by side it scrolls the focused one, unless
// all of it is visible.
func (s *scroller) Move(to draw.Motion) {
	page := s.textHeight()
	if s.split() && s.columns[s.At] <= page && s.columns[1-s.At] > page {
		s.focus(1 - s.At)
	}
	s.scroll(map[draw.Motion]int{draw.Up: -1, draw.Down: 1, draw.PageUp: -page, draw.PageDown: page,
		draw.ToTop: -len(s.lines), draw.ToBottom: len(s.lines)}[to])
}

func (s *scroller) scroll(by int) {
	end := max(0, s.length()-s.textHeight())
	s.top = max(0, min(end, s.top+by))
	if by != 0 {
		s.pause(s.top < end)
	}
	if s.HasFrames() && !s.paused {
		s.top = end
	}
	if s.split() {
		s.other = max(0, min(s.columns[1-s.At]-s.textHeight(), s.other))
	}
}

// HasFrames reports whether there are frames.
func (s *scroller) HasFrames() bool { return s.titles[sectionFrames] > 0 }

func (s *scroller) pause(on bool) {
	if on && !s.paused {
		s.before = s.Exchange().Frames
	}
	s.paused = on
}

// Follow follows the newest frames, or pauses.
func (s *scroller) Follow() { s.pause(!s.paused); s.scroll(0) }

// frameAtTop returns the time of the frame at the top of the screen, and how many
// of its lines are above; the time is zero if the frames are not paused.
func (s *scroller) frameAtTop() (at time.Time, above int) {
	i, found := slices.BinarySearch(s.frames, s.top)
	if !found {
		i--
	}
	if !s.paused || i < 0 {
		return at, 0
	}
	return s.seen.detail.Frames[i].Time, s.top - s.frames[i]
}

func (s *scroller) length() int {
	if s.split() {
		return s.columns[s.At]
	}
	return len(s.lines)
}

// tops returns the first visible lines on the left and on the right.
func (s *scroller) tops() (left, right int) {
	switch {
	case !s.split():
		return s.top, s.top
	case s.At == sectionRequest:
		return s.top, s.other
	}
	return s.other, s.top
}

// focus focuses a section; two that are side by side keep their positions.
func (s *scroller) focus(at section) {
	if s.At == at {
		return
	}
	if s.split() {
		s.top, s.other = s.other, s.top
	}
	s.At = at
	s.layOut()
}

// NextSection focuses the next section; after the last, the first.
func (s *scroller) NextSection() {
	next := (s.At + 1) % sections
	for s.titles[next] < 0 && next != s.At {
		next = (next + 1) % sections
	}
	s.focus(next)
	if !s.split() {
		s.scroll(s.titles[next] - s.top)
	}
}

// Fold folds or unfolds a section.
func (s *scroller) Fold(at section) {
	if s.seen == nil {
		return
	}
	s.focus(at)
	s.folded[at], s.other = !s.folded[at], 0
	s.layOut()
	s.reveal(s.titles[at])
}

// Click handles a click inside the frame: on a title it folds the section, on the
// other one of two sections it focuses that.
func (s *scroller) Click(x, y int) {
	above := s.height - 2 - s.textHeight()
	left, right := s.tops()
	onRight := s.beside() && x > s.columnWidth()+1
	tops := [sections]int{left, right, s.top}
	for at := sections - 1; at >= 0 && y >= above; at-- {
		if s.titles[at] == tops[at]+y-above &&
			(at == sectionFrames || !s.beside() || onRight == (at == sectionResponse)) {
			s.Fold(at)
			return
		}
	}
	if s.split() {
		s.focus(map[bool]section{false: sectionRequest, true: sectionResponse}[onRight])
	}
}

// reveal scrolls to a line if it is not visible.
func (s *scroller) reveal(line int) {
	if line < s.top || line >= s.top+s.textHeight() {
		s.scroll(line - s.textHeight()/3 - s.top)
	}
}

// ToggleWrap wraps long headers, or cuts them to a line again.
func (s *scroller) ToggleWrap() { s.wrapped = !s.wrapped; s.layOut() }

// foundLine is a line that contains the text, and its section if two are side by
// side.
type foundLine struct {
	line int
	at   section
}

// StartFind unfolds all sections and headers: the text may be in any.
func (s *scroller) StartFind() {
	s.wrapped, s.folded = true, [sections]bool{}
	s.find.Start()
	s.layOut()
}

// Typing reports whether a text to find is being typed.
func (s *scroller) Typing() bool { return s.find.Typing }

// HandleKey handles a key while the text to find is being typed.
func (s *scroller) HandleKey(key tea.KeyMsg) {
	switch key.String() {
	case "up":
		s.FindNext(-1)
		return
	case "down":
		s.FindNext(1)
		return
	}
	s.find.Handle(key)
	s.search()
	s.FindNext(0)
}

// search finds the lines that contain the text; case is ignored.
func (s *scroller) search() {
	s.found = s.found[:0]
	want := strings.ToLower(s.find.Value())
	for i := range s.lines {
		switch line := &s.lines[i]; {
		case want == "":
		case s.split():
			if line.left.holds(want) {
				s.found = append(s.found, foundLine{i, sectionRequest})
			}
			if line.right.holds(want) {
				s.found = append(s.found, foundLine{i, sectionResponse})
			}
		case line.left.holds(want) || line.right.holds(want):
			s.found = append(s.found, foundLine{i, s.At})
		}
	}
	s.atFound = min(s.atFound, max(0, len(s.found)-1))
	s.scroll(0)
}

// FindNext shows the next match (1), the previous one (-1), or the first one from
// the top of the screen on (0).
func (s *scroller) FindNext(by int) {
	n := len(s.found)
	if n == 0 {
		return
	}
	if by == 0 {
		left, right := s.tops()
		tops := [sections]int{left, right, s.top}
		s.atFound = max(0, slices.IndexFunc(s.found, func(f foundLine) bool { return f.line >= tops[f.at] }))
	}
	s.atFound = ((s.atFound+by)%n + n) % n
	s.focus(s.found[s.atFound].at)
	s.reveal(s.found[s.atFound].line)
}

// layOut lays out the sheet and searches it again.
func (s *scroller) layOut() { s.sheet.layOut(); s.search() }
