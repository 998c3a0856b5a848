package tui

import (
	"context"
	"fmt"

	tea "github.com/charmbracelet/bubbletea"

	"daemon-proxy/core/api"
	"daemon-proxy/tui/format"
	"daemon-proxy/tui/world"
)

func (m *model) previews() *previews { return m.panes[tabPreviews].(*previews) }

func previewActions() []action {
	this := func(m *model) any { l, _ := m.chosenLink(); return l.ID }
	return []action{
		{id: "new-preview", keys: []string{"n"}, short: "preview", desc: "create a preview: a link to a port of the sandbox", group: groupPreviews, in: onSandbox, changes: true,
			when: func(m *model) bool { _, ok := m.chosen(); return ok }, run: (*model).newPreview},
		{id: "open-new-port", keys: []string{"o"}, desc: "open the port that just came up (while its note is shown)", group: groupPreviews, in: onSandbox, changes: true,
			when: func(m *model) bool { return m.portNewsShown() && !m.keys.readOnly }, run: (*model).openNewPort,
			about: func(m *model) any { return fmt.Sprint(m.newPort.card.Sandbox, m.newPort.card.Port.Port) }},
		{id: "open", keys: []string{"o"}, short: "open", desc: "open the preview in the browser", group: groupPreviews, in: onSandbox, when: (*model).hasLink, about: this, run: (*model).openLink},
		{id: "open-preview", keys: []string{"enter"}, desc: "open the preview in the browser", group: groupPreviews, in: inPreviews, when: (*model).hasLink, about: this, run: (*model).openLink},
		{id: "copy", keys: []string{"y"}, short: "copy", desc: "copy the preview's URL", group: groupPreviews, in: onSandbox, when: (*model).hasLink, about: this, run: (*model).copyLink},
		{id: "revoke", keys: []string{"d"}, short: "revoke", desc: "revoke the preview (asks first)", group: groupPreviews, in: onSandbox, changes: true, when: (*model).hasLink, about: this, run: (*model).askRevoke},
		{id: "share", keys: []string{"Q"}, short: "phone", desc: "show the preview on a phone: a QR code, and a network listener while it is shown", group: groupPreviews, in: onSandbox, changes: true,
			when: (*model).hasLink, about: this, run: (*model).askShare},
	}
}

// chosenLink is the link that o, y, d and Q are about: the one at the cursor
// of the previews, else the newest of the sandbox. It works.
func (m *model) chosenLink() (api.Link, bool) {
	now := m.options.Now()
	if m.place() == inPreviews {
		l, ok := m.previews().chosen()
		return l, ok && world.Works(l, now)
	}
	links := m.world.LinksOf(m.list.chosen, now)
	if len(links) == 0 {
		return api.Link{}, false
	}
	return links[0], true
}

func (m *model) hasLink() bool {
	_, ok := m.chosenLink()
	return ok
}

// linkName names a link for people.
func (m *model) linkName(l api.Link) string {
	if m.world.IsDesktop(l) {
		return "the desktop of " + l.SandboxName
	}
	return fmt.Sprintf("port %d of %s", l.Port, l.SandboxName)
}

func (m *model) openLink() tea.Cmd {
	l, ok := m.chosenLink()
	if !ok {
		return nil
	}
	return m.open(m.world.PageURL(l), m.linkName(l))
}

func (m *model) copyLink() tea.Cmd {
	l, ok := m.chosenLink()
	if !ok {
		return nil
	}
	return m.copyURL(l)
}

func (m *model) copyURL(l api.Link) tea.Cmd {
	url := m.world.PageURL(l)
	return m.copy(url, "Preview copied: "+url)
}

func (m *model) askRevoke() tea.Cmd {
	l, ok := m.chosenLink()
	if !ok {
		return nil
	}
	backend := m.do.backend
	title := fmt.Sprintf("Revoke the preview of port %d of %s?", l.Port, l.SandboxName)
	if l.Label != "" {
		title = fmt.Sprintf("Revoke %q, the preview of port %d of %s?", l.Label, l.Port, l.SandboxName)
	}
	effect := "The link stops working for everyone who has it. A new preview gets another link."
	switch n := len(m.world.Sockets[l.ID]); {
	case n == 1:
		effect = "1 socket is open on it and will be closed. " + effect
	case n > 1:
		effect = format.Count(n, "socket") + " are open on it and will be closed. " + effect
	}
	return m.confirmThen(title, effect, "revoke",
		m.do.act(quickly, fmt.Sprintf("revoke the preview of port %d", l.Port), fmt.Sprintf("revoked: port %d of %s", l.Port, l.SandboxName),
			func(ctx context.Context) error { return backend.RevokeLink(ctx, l.ID) }))
}
