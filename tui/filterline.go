package tui

import (
	"github.com/charmbracelet/bubbles/textinput"
	tea "github.com/charmbracelet/bubbletea"
)

// filterLine is a line that is typed into to filter a list or to find a text.
type filterLine struct {
	textinput.Model
	typing bool
}

func newFilterLine() filterLine { return filterLine{Model: newInput()} }

func (f *filterLine) start() {
	f.typing = true
	f.CursorEnd()
}

// handle takes a key: esc empties the line and ends the typing, enter and tab end it.
func (f *filterLine) handle(key tea.KeyMsg) {
	switch key.String() {
	case "esc":
		f.SetValue("")
		f.typing = false
	case "enter", "tab":
		f.typing = false
	default:
		f.Model, _ = f.Update(key) // its command is for a paste that nobody asked for
	}
}
