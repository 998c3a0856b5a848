package draw

import (
	"strings"

	"github.com/charmbracelet/bubbles/textinput"
	tea "github.com/charmbracelet/bubbletea"
	"github.com/charmbracelet/x/ansi"

	"daemon-proxy/tui/text"
)

// FilterLine is an input to filter a list or to find a text.
type FilterLine struct {
	textinput.Model
	Typing bool
}

// NewFilterLine returns an empty line.
func NewFilterLine() FilterLine { return FilterLine{Model: NewInput(200)} }

// Start begins the typing.
func (f *FilterLine) Start() { f.Typing = true; f.CursorEnd() }

// Handle handles a key: esc clears the line and ends the typing, enter and tab end it.
func (f *FilterLine) Handle(key tea.KeyMsg) {
	switch key.String() {
	case "esc":
		f.SetValue("")
		f.Typing = false
	case "enter", "tab":
		f.Typing = false
	default:
		f.Model, _ = f.Update(key) // its command is only for pasting
	}
}

// NewInput returns an input of at most limit characters. InputLine draws it.
func NewInput(limit int) textinput.Model {
	input := textinput.New()
	input.Prompt = ""
	input.CharLimit = limit
	input.Focus()
	return input
}

// InputLine draws an input with its cursor, without blinking. If it is too long,
// text before the cursor is cut first, so that the cursor is visible.
func (l *Look) InputLine(input textinput.Model, width int) string {
	value, at := []rune(input.Value()), input.Position()
	under, rest := " ", ""
	if at < len(value) {
		under, rest = text.Clean(string(value[at])), text.Clean(string(value[at+1:]))
	}
	if l.ASCII {
		under = text.ASCII(under)
	}
	before, room := text.Clean(string(value[:at])), width-text.Width(under)
	if over := text.Width(before) - room; over > 0 {
		// One more: of a wide character that is cut in its middle, all stays.
		before = ansi.TruncateLeft(before, over+text.Width(l.Glyph.Ellipsis)+1, l.Glyph.Ellipsis)
	}
	return l.Fit(before+"\x1b[7m"+under+"\x1b[27m"+l.Fit(rest, room-text.Width(before)), width)
}

// Field draws an input of width cells, underlined to its end; only the focused
// one has a cursor.
func (l *Look) Field(input textinput.Model, width int, focused bool) string {
	if focused {
		return l.InputLine(input, width)
	}
	value := text.Clean(input.Value())
	if text.Width(value) >= width {
		return l.Fit(value, width)
	}
	return value + l.Ink.Dim.Paint(strings.Repeat("_", width-text.Width(value)))
}
