package dialog

import (
	"cmp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/charmbracelet/bubbles/textinput"
	tea "github.com/charmbracelet/bubbletea"
	"github.com/sahilm/fuzzy"

	"daemon-proxy/tui/draw"
	"daemon-proxy/tui/format"
	"daemon-proxy/tui/text"
)

// Picker is a list to choose one line from by typing a part of it: the palette
// of actions, and the engines.
type Picker struct {
	look   *draw.Look
	title  string
	All    []Choice
	found  []Choice
	input  textinput.Model
	cursor draw.Cursor
	Wait   string // shown until the choices arrive
	failed string // why there is nothing to choose
	// Take extracts the choices from a message; nil: none are awaited.
	Take func(msg tea.Msg) (choices []Choice, mine bool, err error)
}

// Choice is a line of a picker.
type Choice struct {
	Words string // its name
	About string // in its own column; it is cut in favour of Right
	Right string // at the right end: a key
	Then  tea.Cmd
}

// NewPicker returns a picker of one of these choices.
func NewPicker(l *draw.Look, title string, all []Choice) *Picker {
	p := &Picker{look: l, title: title, All: all, input: draw.NewInput(200)}
	p.search()
	return p
}

// search finds the lines that contain the typed text, best first, then those that
// contain its letters in that order.
func (p *Picker) search() {
	p.found = p.All
	if want := p.input.Value(); want != "" {
		type place struct{ line, at int }
		var plain []place
		var rest []Choice
		var words []string
		for i, c := range p.All {
			line := c.Words + " " + c.About
			if at := placeOf(line, want); at >= 0 {
				plain = append(plain, place{i, at})
				continue
			}
			rest, words = append(rest, c), append(words, line)
		}
		slices.SortStableFunc(plain, func(a, b place) int { return cmp.Compare(a.at, b.at) })
		p.found = nil
		for _, found := range plain {
			p.found = append(p.found, p.All[found.line])
		}
		for _, match := range fuzzy.Find(want, words) {
			p.found = append(p.found, rest[match.Index])
		}
	}
	p.cursor.Resize(len(p.found), p.cursor.Height)
}

// placeOf ranks the best occurrence of want in s, lower is better: the earliest at
// the start of a word, else the earliest; -1 if there is none.
func placeOf(s, want string) int {
	s, want = strings.ToLower(s), strings.ToLower(want)
	first := strings.Index(s, want)
	for at := first; at >= 0; {
		before, _ := utf8.DecodeLastRuneInString(s[:at])
		if at == 0 || !unicode.IsLetter(before) && !unicode.IsDigit(before) {
			return at
		}
		next := strings.Index(s[at+1:], want)
		if next < 0 {
			return len(s) + first
		}
		at += 1 + next
	}
	return -1
}

// HandleMsg implements an overlay.
func (p *Picker) HandleMsg(msg tea.Msg) tea.Cmd {
	if p.Take == nil {
		return nil
	}
	if choices, mine, err := p.Take(msg); mine {
		p.All, p.Wait, p.failed = choices, "", ""
		if err != nil {
			what, try := format.Explain(err)
			p.failed = text.Clean(strings.TrimSpace(what + "   " + try))
		}
		p.search()
	}
	return nil
}

// HandleKey implements an overlay.
func (p *Picker) HandleKey(key tea.KeyMsg) (tea.Cmd, bool) {
	switch key.String() {
	case "esc":
		return nil, true
	case "ctrl+p":
		p.cursor.Move(draw.Up)
	case "ctrl+n":
		p.cursor.Move(draw.Down)
	case "up", "down", "pgup", "pgdown":
		p.cursor.Move(draw.Motions[key.String()])
	case "enter":
		if p.cursor.At >= len(p.found) {
			return nil, true
		}
		return p.found[p.cursor.At].Then, true
	default:
		p.input, _ = p.input.Update(key)
		p.cursor.Put(0)
		p.search()
	}
	return nil, false
}

// View implements an overlay.
func (p *Picker) View(width, height int) []string {
	l := p.look
	width = min(width, 84)
	failed := l.Wrap(p.failed, width-5, "  ", l.Ink.Bad)
	rows := max(1, min(height-4, max(len(p.All), len(failed))))
	p.cursor.Resize(len(p.found), rows)
	lines := []string{l.Ink.Key.Paint(": ") + l.InputLine(p.input, width-4)}
	names := 0
	for _, c := range p.All {
		if c.About != "" {
			names = max(names, len(c.Words))
		}
	}
	from, to := p.cursor.Visible()
	for i := from; i < to; i++ {
		c := p.found[i]
		left, right := text.Clean(c.Words), "  "+text.Clean(c.Right)+" "
		if c.About != "" {
			left = l.Fit(left, names) + "  " + text.Clean(c.About)
		}
		lines = append(lines, l.Row(l.Ends(left, right, width-4), width-2, i == p.cursor.At, true))
	}
	switch {
	case p.Wait != "":
		lines = append(lines, l.Ink.Dim.Paint("  "+p.Wait))
	case p.failed != "":
		lines = append(lines, failed...)
	case len(p.found) == 0:
		lines = append(lines, l.Ink.Dim.Paint("  nothing matches"))
	}
	return l.Box(l.Ink.Title.Paint(p.title), l.Ink.Dim.Paint("enter choose   esc close"), lines, width, rows+3, true)
}
