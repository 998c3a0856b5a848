package tui

import (
	"context"
	"fmt"

	"github.com/charmbracelet/bubbles/textinput"
	tea "github.com/charmbracelet/bubbletea"
	"github.com/sahilm/fuzzy"

	"daemon-proxy/core/api"
	"daemon-proxy/tui/text"
)

// picker is a list to choose one line from by typing a part of it: the palette
// of actions, and the engines.
type picker struct {
	look   *look
	title  string
	all    []choice
	found  []choice
	input  textinput.Model
	cursor cursor
	wait   string // what is waited for while there is nothing to choose
	// take makes the end of a message from the core into choices; nil: none is waited for.
	take func(msg tea.Msg) (choices []choice, mine bool)
}

// choice is a line of a picker.
type choice struct {
	words string
	right string // at the right end: a key
	run   tea.Cmd
}

func newPicker(l *look, title string, all []choice) *picker {
	p := &picker{look: l, title: title, all: all, input: newInput()}
	p.search()
	return p
}

func (p *picker) search() {
	p.found = p.all
	if want := p.input.Value(); want != "" {
		words := make([]string, len(p.all))
		for i := range p.all {
			words[i] = p.all[i].words
		}
		p.found = nil
		for _, match := range fuzzy.Find(want, words) {
			p.found = append(p.found, p.all[match.Index])
		}
	}
	p.cursor.resize(len(p.found), p.cursor.height)
}

// HandleMsg implements overlay.
func (p *picker) HandleMsg(msg tea.Msg) tea.Cmd {
	if p.take == nil {
		return nil
	}
	if choices, mine := p.take(msg); mine {
		p.all, p.wait = choices, ""
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
		p.cursor.move(up)
	case "down", "ctrl+n":
		p.cursor.move(down)
	case "pgup":
		p.cursor.move(pageUp)
	case "pgdown":
		p.cursor.move(pageDown)
	case "enter":
		if p.cursor.at >= len(p.found) {
			return nil, true
		}
		return p.found[p.cursor.at].run, true
	default:
		p.input, _ = p.input.Update(key)
		p.cursor.put(0)
		p.search()
	}
	return nil, false
}

// View implements overlay.
func (p *picker) View(width, height int) []string {
	l := p.look
	width = min(width, 84)
	rows := max(1, min(height-4, len(p.all)))
	p.cursor.resize(len(p.found), rows)
	lines := []string{l.ink.Key.Paint(": ") + l.inputLine(p.input, width-4)}
	from, to := p.cursor.seen()
	for i := from; i < to; i++ {
		c := p.found[i]
		lines = append(lines, l.row(l.ends(text.Clean(c.words), text.Clean(c.right)+" ", width-4), width-2, i == p.cursor.at, true))
	}
	switch {
	case p.wait != "":
		lines = append(lines, l.ink.Dim.Paint("  "+p.wait))
	case len(p.found) == 0:
		lines = append(lines, l.ink.Dim.Paint("  nothing matches"))
	}
	return l.box(l.ink.Title.Paint(p.title), l.ink.Dim.Paint("enter choose   esc close"), lines, width, rows+3, true)
}

// openPalette lists every action that can be run here now; the help has all.
func (m *model) openPalette() tea.Cmd {
	at := m.place()
	var choices []choice
	for i := range m.keys.actions {
		a := &m.keys.actions[i]
		if a.group != groupMove && m.keys.usable(m, a, at) {
			choices = append(choices, choice{words: fmt.Sprintf("%-13s %s", a.id, a.desc), right: shownKeys(a.keys), run: func() tea.Msg { return runMsg(a.id) }})
		}
	}
	m.push(newPicker(m.look, "Actions", choices))
	return nil
}

type enginesMsg []api.EngineChoice

// openEngines lists the docker contexts.
func (m *model) openEngines() tea.Cmd {
	backend, do, l := m.do.backend, m.do, m.look
	p := newPicker(l, "Engines", nil)
	p.wait = "asking" + l.glyph.Ellipsis
	p.take = func(msg tea.Msg) ([]choice, bool) {
		answer, mine := msg.(enginesMsg)
		if !mine {
			return nil, false
		}
		var out []choice
		for _, e := range answer {
			right := e.Endpoint
			if e.Current {
				right += " " + l.glyph.Healthy + " in use"
			}
			out = append(out, choice{words: e.Name, right: right, run: do.act(2*quickly, "switch to engine "+e.Name, "engine "+e.Name,
				func(ctx context.Context) error { return backend.SwitchEngine(ctx, e.Name) })})
		}
		return out, true
	}
	m.push(p)
	return do.do(quickly, func(ctx context.Context) tea.Msg {
		list, err := backend.Engines(ctx)
		if err != nil {
			return failMsg{"list the engines", err}
		}
		return enginesMsg(list)
	})
}
