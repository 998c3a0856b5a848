package tui

import (
	"context"

	tea "github.com/charmbracelet/bubbletea"

	"daemon-proxy/core/api"
	"daemon-proxy/tui/dialog"
	"daemon-proxy/tui/format"
	"daemon-proxy/tui/pane"
)

// openPalette lists every action that can be run here now; the help has all.
func (m *model) openPalette() tea.Cmd {
	at := m.place()
	var choices []dialog.Choice
	for i := range m.keys.actions {
		a := &m.keys.actions[i]
		if a.group != groupMove && m.keys.usable(m, a, at) {
			offer := runMsg{a.id, m.about(a)}
			choices = append(choices, dialog.Choice{Words: a.id, About: a.desc, Right: format.Keys(a.keys), Run: func() tea.Msg { return offer }})
		}
	}
	m.push(dialog.NewPicker(m.look, "Actions", choices))
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
		m.requests().Select(id)
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
	p := dialog.NewPicker(l, "Engines", nil)
	p.Wait = "asking" + l.Glyph.Ellipsis
	p.Take = func(msg tea.Msg) ([]dialog.Choice, bool, error) {
		answer, mine := msg.(enginesMsg)
		if !mine {
			return nil, false, nil
		}
		if answer.err != nil {
			log.Error("an action failed", "action", "list the engines", "error", answer.err)
		}
		var out []dialog.Choice
		for _, e := range answer.list {
			right := e.Endpoint
			if e.Current {
				right += " " + l.Glyph.Healthy + " in use"
			}
			run := do.act(2*pane.Quick, "switch to engine "+e.Name, "engine "+e.Name, func(ctx context.Context) error { return backend.SwitchEngine(ctx, e.Name) })
			out = append(out, dialog.Choice{Words: e.Name, Right: right, Run: working("switching to engine "+e.Name, run)})
		}
		return out, true, answer.err
	}
	m.push(p)
	return do.Do(pane.Quick, func(ctx context.Context) tea.Msg {
		list, err := backend.Engines(ctx)
		return enginesMsg{list, err}
	})
}
