package tui

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/charmbracelet/bubbles/textinput"
	tea "github.com/charmbracelet/bubbletea"
	"github.com/sahilm/fuzzy"

	"daemon-proxy/core/api"
	"daemon-proxy/tui/draw"
	"daemon-proxy/tui/format"
	"daemon-proxy/tui/text"
)

// picker is a list to choose one line from by typing a part of it: the palette
// of actions, and the engines.
type picker struct {
	look   *draw.Look
	title  string
	all    []choice
	found  []choice
	input  textinput.Model
	cursor draw.Cursor
	wait   string // what is waited for while there is nothing to choose
	failed string // why there is nothing to choose
	// take makes the end of a message from the core into choices; nil: none is waited for.
	take func(msg tea.Msg) (choices []choice, mine bool, err error)
}

// choice is a line of a picker.
type choice struct {
	words string // its name
	about string // in a column of its own; it gives way to what is right of it
	right string // at the right end: a key
	run   tea.Cmd
}

func newPicker(l *draw.Look, title string, all []choice) *picker {
	p := &picker{look: l, title: title, all: all, input: draw.NewInput()}
	p.search()
	return p
}

// search finds the lines with what is typed in them, best first, and then those
// that have its letters in that order.
func (p *picker) search() {
	p.found = p.all
	if want := p.input.Value(); want != "" {
		type place struct{ line, at int }
		var plain []place
		var rest []choice
		var words []string
		for i, c := range p.all {
			line := c.words + " " + c.about
			if at := placeOf(line, want); at >= 0 {
				plain = append(plain, place{i, at})
				continue
			}
			rest, words = append(rest, c), append(words, line)
		}
		slices.SortStableFunc(plain, func(a, b place) int { return cmp.Compare(a.at, b.at) })
		p.found = nil
		for _, found := range plain {
			p.found = append(p.found, p.all[found.line])
		}
		for _, match := range fuzzy.Find(want, words) {
			p.found = append(p.found, rest[match.Index])
		}
	}
	p.cursor.Resize(len(p.found), p.cursor.Height)
}

// placeOf is how far from the best place want is in s: the earliest one at the
// start of a word, else the earliest; -1 if it is nowhere.
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

// HandleMsg implements overlay.
func (p *picker) HandleMsg(msg tea.Msg) tea.Cmd {
	if p.take == nil {
		return nil
	}
	if choices, mine, err := p.take(msg); mine {
		p.all, p.wait, p.failed = choices, "", ""
		if err != nil {
			what, try := format.Explain(err)
			p.failed = text.Clean(strings.TrimSpace(what + "   " + try))
		}
		p.search()
	}
	return nil
}

// HandleKey implements overlay.
func (p *picker) HandleKey(key tea.KeyMsg) (tea.Cmd, bool) {
	switch key.String() {
	case "esc":
		return nil, true
	case "up", "ctrl+p":
		p.cursor.Move(draw.Up)
	case "down", "ctrl+n":
		p.cursor.Move(draw.Down)
	case "pgup":
		p.cursor.Move(draw.PageUp)
	case "pgdown":
		p.cursor.Move(draw.PageDown)
	case "enter":
		if p.cursor.At >= len(p.found) {
			return nil, true
		}
		return p.found[p.cursor.At].run, true
	default:
		p.input, _ = p.input.Update(key)
		p.cursor.Put(0)
		p.search()
	}
	return nil, false
}

// View implements overlay.
func (p *picker) View(width, height int) []string {
	l := p.look
	width = min(width, 84)
	var failed []string
	for _, part := range text.Wrap(p.failed, width-5) {
		failed = append(failed, "  "+l.Ink.Bad.Paint(part))
	}
	rows := max(1, min(height-4, max(len(p.all), len(failed))))
	p.cursor.Resize(len(p.found), rows)
	lines := []string{l.Ink.Key.Paint(": ") + l.InputLine(p.input, width-4)}
	names := 0
	for _, c := range p.all {
		if c.about != "" {
			names = max(names, len(c.words))
		}
	}
	from, to := p.cursor.Visible()
	for i := from; i < to; i++ {
		c := p.found[i]
		left, right := text.Clean(c.words), "  "+text.Clean(c.right)+" "
		if c.about != "" {
			left = l.Fit(left, names) + "  " + text.Clean(c.about)
		}
		lines = append(lines, l.Row(l.Ends(left, right, width-4), width-2, i == p.cursor.At, true))
	}
	switch {
	case p.wait != "":
		lines = append(lines, l.Ink.Dim.Paint("  "+p.wait))
	case p.failed != "":
		lines = append(lines, failed...)
	case len(p.found) == 0:
		lines = append(lines, l.Ink.Dim.Paint("  nothing matches"))
	}
	return l.Box(l.Ink.Title.Paint(p.title), l.Ink.Dim.Paint("enter choose   esc close"), lines, width, rows+3, true)
}

// openPalette lists every action that can be run here now; the help has all.
func (m *model) openPalette() tea.Cmd {
	at := m.place()
	var choices []choice
	for i := range m.keys.actions {
		a := &m.keys.actions[i]
		if a.group != groupMove && m.keys.usable(m, a, at) {
			offer := runMsg{a.id, m.about(a)}
			choices = append(choices, choice{words: a.id, about: a.desc, right: format.Keys(a.keys), run: func() tea.Msg { return offer }})
		}
	}
	m.push(newPicker(m.look, "Actions", choices))
	return nil
}

// runOffered runs an action of the palette on what it was offered for. The
// request is gone back to if newer ones came; whatever else has changed
// meanwhile is nothing that somebody meant.
func (m *model) runOffered(msg runMsg) tea.Cmd {
	a := m.keys.byID(msg.action)
	if a == nil {
		return nil
	}
	if id, isRequest := msg.about.(uint64); isRequest {
		m.requests().putOn(id)
	}
	if m.about(a) != msg.about {
		return m.tell(a.id + ": what it was offered for is not chosen any more")
	}
	return m.keys.run(m, a)
}

// enginesMsg is which engines there are, or why that is not known.
type enginesMsg struct {
	list []api.EngineChoice
	err  error
}

// openEngines lists the docker contexts.
func (m *model) openEngines() tea.Cmd {
	backend, do, l, log := m.do.backend, m.do, m.look, m.log
	p := newPicker(l, "Engines", nil)
	p.wait = "asking" + l.Glyph.Ellipsis
	p.take = func(msg tea.Msg) ([]choice, bool, error) {
		answer, mine := msg.(enginesMsg)
		if !mine {
			return nil, false, nil
		}
		if answer.err != nil {
			log.Error("an action failed", "action", "list the engines", "error", answer.err)
		}
		var out []choice
		for _, e := range answer.list {
			right := e.Endpoint
			if e.Current {
				right += " " + l.Glyph.Healthy + " in use"
			}
			run := do.act(2*quickly, "switch to engine "+e.Name, "engine "+e.Name, func(ctx context.Context) error { return backend.SwitchEngine(ctx, e.Name) })
			out = append(out, choice{words: e.Name, right: right, run: working("switching to engine "+e.Name, run)})
		}
		return out, true, answer.err
	}
	m.push(p)
	return do.do(quickly, func(ctx context.Context) tea.Msg {
		list, err := backend.Engines(ctx)
		return enginesMsg{list, err}
	})
}
