package tui

import (
	"github.com/charmbracelet/bubbles/textinput"
	tea "github.com/charmbracelet/bubbletea"
	"github.com/charmbracelet/x/ansi"

	"daemon-proxy/tui/text"
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

// newInput is a line that is typed into. It is drawn by inputLine.
func newInput() textinput.Model {
	input := textinput.New()
	input.Prompt = ""
	input.CharLimit = 200
	input.Focus()
	return input
}

// inputLine draws an input with its cursor, without blinking. What there is no
// room for is left out before the cursor first: the place where one types is seen.
func (l *look) inputLine(input textinput.Model, width int) string {
	value, at := []rune(input.Value()), input.Position()
	under, rest := " ", ""
	if at < len(value) {
		under, rest = text.Clean(string(value[at])), text.Clean(string(value[at+1:]))
	}
	if l.ascii {
		under = text.ASCII(under)
	}
	before, room := text.Clean(string(value[:at])), width-text.Width(under)
	if over := text.Width(before) - room; over > 0 {
		// One more: of a wide character that is cut in its middle, all stays.
		before = ansi.TruncateLeft(before, over+text.Width(l.glyph.Ellipsis)+1, l.glyph.Ellipsis)
	}
	return l.fit(before+"\x1b[7m"+under+"\x1b[27m"+l.fit(rest, room-text.Width(before)), width)
}
