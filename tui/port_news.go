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

// newPort is a port that has just opened, while the note about it is shown.
type newPort struct {
	card  api.PortCard
	note  int            // the age of the note
	waits []api.PortCard // shown once the current error is dismissed
}

type portNews struct {
	*ui
	newPort newPort
}

func portWords(card api.PortCard) string {
	name := format.Card(card)
	if card.Service == "unknown" {
		name = "" // it did not say
	}
	if name != "" {
		name += " "
	}
	return fmt.Sprintf("%s: %d %sis up", card.Sandbox, card.Port.Port, name)
}

// tell reports that ports have opened, including those that wait: the name of one
// and the number of the others. noteLines adds the keys, as they act on the
// selected sandbox.
func (p *portNews) tell(cards []api.PortCard) tea.Cmd {
	for _, old := range p.newPort.waits {
		if !slices.ContainsFunc(cards,
			func(c api.PortCard) bool { return c.Sandbox == old.Sandbox && c.Port.Port == old.Port.Port }) {
			cards = append(cards, old)
		}
	}
	if p.notes.note.failed {
		p.newPort = newPort{waits: cards}
		return nil
	}
	now := newPort{card: slices.MaxFunc(cards,
		func(a, b api.PortCard) int { return cmp.Compare(p.worth(a), p.worth(b)) })}
	words := portWords(now.card)
	if more := len(cards) - 1; more > 0 {
		words += fmt.Sprintf(" and %s more", format.Thousands(more))
	}
	cmd := p.notes.say(words)
	now.note = p.notes.age
	p.newPort = now
	return cmd
}

// worth is higher if a browser can show the port, and for the selected sandbox.
func (p *portNews) worth(card api.PortCard) int {
	n := 0
	if world.ForBrowser(card) {
		n += 2
	}
	if card.Sandbox == p.list.Selected {
		n++
	}
	return n
}

// shown reports whether the note about a new port of the selected sandbox is visible.
func (p *portNews) shown() bool {
	return p.newPort.note == p.notes.age && p.newPort.card.Sandbox == p.list.Selected &&
		p.newPort.card.Port.Port != 0 && p.notes.note.text != "" && !p.notes.note.failed
}

// openNew opens the port that has just opened, with an existing or a new link.
func (p *portNews) openNew() tea.Cmd {
	card := p.newPort.card
	ref := card.Sandbox
	links := p.World.LinksOf(ref, p.Now())
	if i := slices.IndexFunc(links, func(l api.Link) bool { return l.Port == card.Port.Port }); i >= 0 {
		return p.open(p.World.PageURL(links[i]), p.linkName(links[i]))
	}
	backend, request := p.do.backend,
		api.LinkRequest{Port: card.Port.Port, Sandbox: ref.Long(), Label: form.SuggestedLabel(card)}
	return p.Do(pane.Quick, func(ctx context.Context) tea.Msg {
		link, err := backend.CreateLink(ctx, request)
		return form.CreatedMsg{Link: link, Open: true, Err: err}
	})
}
