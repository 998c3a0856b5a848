package inspect

import (
	"slices"
	"strings"

	tea "github.com/charmbracelet/bubbletea"
)

// foundLine is a line that contains the text, and its section if two are side by
// side.
type foundLine struct {
	line int
	at   section
}

// StartFind unfolds all sections and headers: the text may be in any.
func (in *Inspector) StartFind() {
	in.wrapped, in.folded = true, [sections]bool{}
	in.find.Start()
	in.layOut()
}

// Typing reports whether a text to find is being typed.
func (in *Inspector) Typing() bool { return in.find.Typing }

// HandleKey handles a key while the text to find is being typed.
func (in *Inspector) HandleKey(key tea.KeyMsg) {
	switch key.String() {
	case "up":
		in.FindNext(-1)
		return
	case "down":
		in.FindNext(1)
		return
	}
	in.find.Handle(key)
	in.search()
	in.FindNext(0)
}

// search finds the lines that contain the text; case is ignored.
func (in *Inspector) search() {
	in.found = in.found[:0]
	want := strings.ToLower(in.find.Value())
	for i := range in.lines {
		switch line := &in.lines[i]; {
		case want == "":
		case in.split():
			if line.left.holds(want) {
				in.found = append(in.found, foundLine{i, sectionRequest})
			}
			if line.right.holds(want) {
				in.found = append(in.found, foundLine{i, sectionResponse})
			}
		case line.left.holds(want) || line.right.holds(want):
			in.found = append(in.found, foundLine{i, in.At})
		}
	}
	in.atFound = min(in.atFound, max(0, len(in.found)-1))
	in.scroll(0)
}

// FindNext shows the next match (1), the previous one (-1), or the first one from
// the top of the screen on (0).
func (in *Inspector) FindNext(by int) {
	n := len(in.found)
	if n == 0 {
		return
	}
	if by == 0 {
		left, right := in.tops()
		tops := [sections]int{left, right, in.top}
		in.atFound = max(0, slices.IndexFunc(in.found, func(f foundLine) bool { return f.line >= tops[f.at] }))
	}
	in.atFound = ((in.atFound+by)%n + n) % n
	in.focus(in.found[in.atFound].at)
	in.reveal(in.found[in.atFound].line)
}
