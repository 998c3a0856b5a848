package tui

import (
	"context"
	"fmt"
	"slices"

	tea "github.com/charmbracelet/bubbletea"

	"daemon-proxy/core/api"
)

// newPort is a port that just came up, while the note about it is shown.
type newPort struct {
	ref  api.Ref
	card api.PortCard
	note int // the age of the note
	// waits: an error stands where the note will be.
	waits bool
}

// tellPort says that a port came up and which keys look at it.
func (m *model) tellPort(ref api.Ref, card api.PortCard) tea.Cmd {
	if m.note.failed { // it is told once the error is read
		m.newPort = newPort{ref: ref, card: card, waits: true}
		return nil
	}
	words := m.portNews(ref, card)
	if !m.keys.readOnly {
		words += fmt.Sprintf("   %s preview   %s open", m.keys.key("new-preview"), m.keys.key("open-new-port"))
	}
	cmd := m.say(words)
	if cmd != nil {
		m.newPort = newPort{ref: ref, card: card, note: m.noteAge}
	}
	return cmd
}

func (m *model) portNews(ref api.Ref, card api.PortCard) string {
	name := cardName(card)
	if card.Service == "unknown" {
		name = "" // it did not say
	}
	if name != "" {
		name += " "
	}
	return fmt.Sprintf("%s: %d %sis up", ref, card.Port.Port, name)
}

// portNewsShown says whether the note about a new port of the chosen sandbox can be read now.
func (m *model) portNewsShown() bool {
	return m.newPort.note == m.noteAge && m.newPort.ref == m.list.chosen && m.newPort.card.Port.Port != 0 && m.note.text != "" && !m.note.failed
}

// openNewPort opens the port that just came up, by a link that it has or a new one.
func (m *model) openNewPort() tea.Cmd {
	ref, card := m.newPort.ref, m.newPort.card
	links := m.world.linksOf(ref, m.options.Now())
	if i := slices.IndexFunc(links, func(l api.Link) bool { return l.Port == card.Port.Port }); i >= 0 {
		return m.open(m.world.pageURL(links[i]), m.linkName(links[i]))
	}
	backend, request := m.do.backend, api.LinkRequest{Port: card.Port.Port, Sandbox: ref.String(), Label: suggestedLabel(card)}
	return m.do.do(quickly, func(ctx context.Context) tea.Msg {
		link, err := backend.CreateLink(ctx, request)
		return createdMsg{nil, link, true, err}
	})
}
