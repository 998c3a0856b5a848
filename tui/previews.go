package tui

import (
	"context"
	"fmt"
	"time"

	tea "github.com/charmbracelet/bubbletea"

	"daemon-proxy/core/api"
	"daemon-proxy/tui/text"
)

// previews is the third tab: the links of a sandbox.
type previews struct {
	look  *look
	world *world
	do    commands
	now   func() time.Time

	width, height int
	ref           api.Ref
	cursor        cursor
}

func newPreviews(l *look, w *world, do commands, now func() time.Time) *previews {
	return &previews{look: l, world: w, do: do, now: now}
}

func previewActions() []action {
	return []action{
		{id: "open", keys: []string{"o"}, short: "open", desc: "open the preview in the browser", group: groupPreviews, in: onSandbox, when: (*model).hasLink, run: (*model).openLink},
		{id: "open-preview", keys: []string{"enter"}, desc: "open the preview in the browser", group: groupPreviews, in: inPreviews, when: (*model).hasLink, run: (*model).openLink},
		{id: "copy", keys: []string{"y"}, short: "copy", desc: "copy the preview's URL", group: groupPreviews, in: onSandbox, when: (*model).hasLink, run: (*model).copyLink},
		{id: "revoke", keys: []string{"d"}, short: "revoke", desc: "revoke the preview", group: groupPreviews, in: onSandbox, changes: true, when: (*model).hasLink, run: (*model).askRevoke},
	}
}

func (m *model) askRevoke() tea.Cmd {
	l, ok := m.chosenLink()
	if !ok {
		return nil
	}
	backend := m.do.backend
	return m.confirmThen(fmt.Sprintf("Revoke the preview of port %d of %s?", l.Port, l.SandboxName), "Whoever has the link sees nothing any more. A new link is a different one.", "revoke",
		m.do.act(quickly, "revoke", "revoked", func(ctx context.Context) error { return backend.RevokeLink(ctx, l.ID) }))
}

func (p *previews) SetSize(width, height int) { p.width, p.height = width, height }

func (p *previews) Show(ref api.Ref, _ bool) tea.Cmd {
	p.ref = ref
	return nil
}

func (p *previews) chosen() (api.Link, bool) {
	links := p.world.linksOf(p.ref, p.now())
	p.cursor.resize(len(links), p.height)
	if len(links) == 0 {
		return api.Link{}, false
	}
	return links[p.cursor.at], true
}

func (p *previews) HandleMsg(tea.Msg) tea.Cmd    { return nil }
func (p *previews) Typing() bool                 { return false }
func (p *previews) HandleKey(tea.KeyMsg) tea.Cmd { return nil }
func (p *previews) Click(int, int) tea.Cmd       { return nil }
func (p *previews) Foot() string                 { return "" }

func (p *previews) Move(to motion) tea.Cmd {
	p.cursor.move(to)
	return nil
}

func (p *previews) View(focused bool) []string {
	var out []string
	_, _ = p.chosen() // puts the cursor inside the list
	for i, l := range p.world.linksOf(p.ref, p.now()) {
		out = append(out, p.look.row(fmt.Sprintf("%-6d %s", l.Port, text.Clean(l.Label)), p.width, i == p.cursor.at, focused))
	}
	return out
}
