package tui

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	tea "github.com/charmbracelet/bubbletea"

	"daemon-proxy/core/api"
	"daemon-proxy/tui/form"
	"daemon-proxy/tui/format"
	"daemon-proxy/tui/pane"
	"daemon-proxy/tui/world"
)

// newPort is a port that just came up, while the note about it is shown.
type newPort struct {
	card  api.PortCard
	note  int            // the age of the note
	waits []api.PortCard // they are told once the error is read that stands where the note will be
}

// tellPorts says that ports came up, with those that wait to be told: of one its
// name, and how many others there are. Which keys look at it is for noteLines to
// say: they act on the chosen sandbox.
func (m *model) tellPorts(cards []api.PortCard) tea.Cmd {
	for _, old := range m.newPort.waits {
		if !slices.ContainsFunc(cards, func(c api.PortCard) bool { return c.Sandbox == old.Sandbox && c.Port.Port == old.Port.Port }) {
			cards = append(cards, old)
		}
	}
	if m.note.failed {
		m.newPort = newPort{waits: cards}
		return nil
	}
	now := newPort{card: slices.MaxFunc(cards, func(a, b api.PortCard) int { return cmp.Compare(m.newsWorth(a), m.newsWorth(b)) })}
	words := portNews(now.card)
	if more := len(cards) - 1; more > 0 {
		words += fmt.Sprintf(" and %s more", format.Thousands(more))
	}
	cmd := m.say(words)
	now.note = m.noteAge
	m.newPort = now
	return cmd
}

// newsWorth is higher for what a browser can show, and for the chosen sandbox.
func (m *model) newsWorth(card api.PortCard) int {
	n := 0
	if world.ForBrowser(card) {
		n += 2
	}
	if card.Sandbox == m.list.Selected {
		n++
	}
	return n
}

func portNews(card api.PortCard) string {
	name := format.Card(card)
	if card.Service == "unknown" {
		name = "" // it did not say
	}
	if name != "" {
		name += " "
	}
	return fmt.Sprintf("%s: %d %sis up", card.Sandbox, card.Port.Port, name)
}

// portNewsShown says whether the note about a new port of the chosen sandbox can be read now.
func (m *model) portNewsShown() bool {
	return m.newPort.note == m.noteAge && m.newPort.card.Sandbox == m.list.Selected && m.newPort.card.Port.Port != 0 && m.note.text != "" && !m.note.failed
}

// openNewPort opens the port that just came up, by a link that it has or a new one.
func (m *model) openNewPort() tea.Cmd {
	card := m.newPort.card
	ref := card.Sandbox
	links := m.world.LinksOf(ref, m.options.Now())
	if i := slices.IndexFunc(links, func(l api.Link) bool { return l.Port == card.Port.Port }); i >= 0 {
		return m.open(m.world.PageURL(links[i]), m.linkName(links[i]))
	}
	backend, request := m.do.backend, api.LinkRequest{Port: card.Port.Port, Sandbox: ref.String(), Label: form.SuggestedLabel(card)}
	return m.do.Do(pane.Quick, func(ctx context.Context) tea.Msg {
		link, err := backend.CreateLink(ctx, request)
		return form.CreatedMsg{Link: link, Open: true, Err: err}
	})
}
