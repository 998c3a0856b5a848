package tui

import (
	"context"

	tea "github.com/charmbracelet/bubbletea"

	"daemon-proxy/core/api"
	"daemon-proxy/tui/dialog"
	"daemon-proxy/tui/pane"
)

// enginesMsg is the list of engines, or why it is unknown.
type enginesMsg struct {
	list []api.EngineChoice
	err  error
}

// openEngines lists the docker contexts.
func (u *ui) openEngines() tea.Cmd {
	backend, do, l, log := u.do.backend, u.do, u.look, u.log
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
			run := do.act(2*pane.Quick, "switch to engine "+e.Name, "engine "+e.Name,
				func(ctx context.Context) error { return backend.SwitchEngine(ctx, e.Name) })
			out = append(out, dialog.Choice{Words: e.Name, Right: right,
				Run: working("switching to engine "+e.Name, run)})
		}
		return out, true, answer.err
	}
	u.overlays.push(p)
	return do.Do(pane.Quick, func(ctx context.Context) tea.Msg {
		list, err := backend.Engines(ctx)
		return enginesMsg{list, err}
	})
}
