package tui

import (
	"context"
	"fmt"
	"slices"

	tea "github.com/charmbracelet/bubbletea"

	"daemon-proxy/core/api"
	"daemon-proxy/tui/form"
	"daemon-proxy/tui/format"
	"daemon-proxy/tui/pane"
	"daemon-proxy/tui/previews"
	"daemon-proxy/tui/world"
)

func (m *model) previews() *previews.Pane { return m.panes[tabPreviews].(*previews.Pane) }

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
		l, ok := m.previews().Selected()
		return l, ok && world.Works(l, now)
	}
	links := m.world.LinksOf(m.list.Selected, now)
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
		m.do.act(pane.Quick, fmt.Sprintf("revoke the preview of port %d", l.Port), fmt.Sprintf("revoked: port %d of %s", l.Port, l.SandboxName),
			func(ctx context.Context) error { return backend.RevokeLink(ctx, l.ID) }))
}

// newPreview opens the form for the selected sandbox. It starts at the port that
// just came up, or at that of the link in focus if that has ended.
func (m *model) newPreview() tea.Cmd {
	f := form.New(m.look, &m.world, m.do.Calls, m.do.backend, m.options.Now, m.keys.key, m.list.Selected)
	if m.portNewsShown() {
		f.StartAt(m.newPort.card.Port.Port)
	} else if m.place() == inPreviews {
		if l, found := m.previews().Selected(); found && !world.Works(l, m.options.Now()) {
			f.StartWith(l)
		}
	}
	m.push(f)
	return f.Load()
}

// afterCreate copies or opens a new link and closes its form; if there is no
// link, the form stays and says why.
func (m *model) afterCreate(msg form.CreatedMsg) tea.Cmd {
	open := msg.Form != nil && slices.Contains(m.overlays, overlay(msg.Form))
	if open {
		msg.Form.Created(msg.Err)
	}
	switch {
	case msg.Err != nil && !open:
		return m.failWith("make a preview", msg.Err)
	case msg.Err != nil:
		m.log.Error("an action failed", "action", "make a preview", "error", msg.Err)
		return nil
	}
	m.world.ApplyLink(msg.Link)
	switch {
	case open:
		m.close(msg.Form)
	case msg.Form != nil: // it was closed: nobody waits for the link
		return tea.Batch(m.do.links(), m.say("preview made: "+m.linkName(msg.Link)))
	}
	m.previews().Select(msg.Link)
	if msg.Open {
		return tea.Batch(m.do.links(), m.open(m.world.PageURL(msg.Link), m.linkName(msg.Link)))
	}
	return tea.Batch(m.do.links(), m.copyURL(msg.Link))
}

// formWants runs an action for a form if its sandbox is still the selected one.
func (m *model) formWants(msg form.ActionMsg) tea.Cmd {
	if msg.Closes {
		m.close(msg.Form)
	}
	a := m.keys.byID(msg.Action)
	if a == nil || msg.Ref != m.list.Selected || a.when != nil && !a.when(m) {
		return nil
	}
	return m.keys.run(m, a)
}
