package tui

import (
	"slices"
	"strings"

	tea "github.com/charmbracelet/bubbletea"
)

// foundLine is a line that holds a text, and the section that it is in if two
// stand side by side.
type foundLine struct {
	line int
	at   section
}

// startFind opens all sections and headers: what is looked for may be in any.
func (in *inspector) startFind() {
	in.wrapped, in.folded = true, [sections]bool{}
	in.find.Start()
	in.layOut()
}

func (in *inspector) handleKey(key tea.KeyMsg) {
	switch key.String() {
	case "up":
		in.goToFound(-1)
		return
	case "down":
		in.goToFound(1)
		return
	}
	in.find.Handle(key)
	in.search()
	in.goToFound(0)
}

// search finds the lines that hold the text, whatever its case.
func (in *inspector) search() {
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
			in.found = append(in.found, foundLine{i, in.at})
		}
	}
	in.atFound = min(in.atFound, max(0, len(in.found)-1))
	in.scroll(0)
}

// goToFound shows the next place, the one before, or with 0 the first from the top of the screen.
func (in *inspector) goToFound(by int) {
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
