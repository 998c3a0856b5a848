package tui

import (
	"context"

	tea "github.com/charmbracelet/bubbletea"

	"daemon-proxy/core/api"
	"daemon-proxy/tui/dialog"
	"daemon-proxy/tui/pane"
)

// enginesMsg is the list of engines.
type enginesMsg = answer[[]api.EngineChoice]

// openEngines lists the docker contexts.
func (u *ui) openEngines() tea.Cmd {
	backend, do, l, log := u.do.backend, u.do, u.Look, u.log
	p := dialog.NewPicker(l, "Engines", nil)
	p.Wait = "asking" + l.Glyph.Ellipsis
	p.Take = func(msg tea.Msg) ([]dialog.Choice, bool, error) {
		list, mine := msg.(enginesMsg)
		if !mine {
			return nil, false, nil
		}
		if list.err != nil {
			log.Error("an action failed", "action", "list the engines", "error", list.err)
		}
		var out []dialog.Choice
		for _, e := range list.value {
			right := e.Endpoint
			if e.Current {
				right += " " + l.Glyph.Healthy + " in use"
			}
			run := do.act(2*pane.Quick, "switch to engine "+e.Name, "engine "+e.Name,
				func(ctx context.Context) error { return backend.SwitchEngine(ctx, e.Name) })
			out = append(out, dialog.Choice{Words: e.Name, Right: right,
				Then: working("switching to engine "+e.Name, run)})
		}
		return out, true, list.err
	}
	u.overlays.push(p)
	return request(do, pane.Quick, backend.Engines)
}
