package tui

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/charmbracelet/bubbles/textinput"
	tea "github.com/charmbracelet/bubbletea"

	"daemon-proxy/core/api"
	"daemon-proxy/tui/draw"
	"daemon-proxy/tui/format"
	"daemon-proxy/tui/text"
	"daemon-proxy/tui/world"
)

// newPreview is the form that makes a link: a port from the list of those that
// listen or one that is typed, a label, and how long the link lives.
type newPreview struct {
	look  *draw.Look
	world *world.World
	do    commands
	now   func() time.Time
	key   func(action string) string

	ref     api.Ref
	cards   []api.PortCard // without the daemon's
	daemons []int          // the daemon's ports
	cursor  draw.Cursor    // over cards and the line for another port
	wanted  int            // the port to stand at when the list comes; 0: whichever
	asked   int            // which answer is waited for: others are dropped
	loading bool
	err     error // why the ports are not known

	focus    formField
	other    textinput.Model
	label    textinput.Model
	touched  bool // the label is the person's own
	lives    livesChoice
	problem  string // why the last enter did nothing; stays until a key
	creating bool
}

// formField is where keys go.
type formField int

const (
	fieldPort formField = iota
	fieldLabel
	fieldLives
	fields
)

// formPortsMsg answers one question of one form.
type formPortsMsg struct {
	form  *newPreview
	asked int
	cards []api.PortCard
	err   error
}

// createdMsg is the link that a form asked for.
type createdMsg struct {
	form *newPreview // nil: none, a key asked for it at once
	link api.Link
	open bool
	err  error
}

// formWantsMsg is an action that a form asks for, on its sandbox only.
type formWantsMsg struct {
	form   *newPreview
	ref    api.Ref
	action string
	closes bool
}

// newPreview opens the form for the chosen sandbox. It stands at the port that
// just came up, or at that of the link in focus if that has ended.
func (m *model) newPreview() tea.Cmd {
	f := &newPreview{
		look: m.look, world: &m.world, do: m.do, now: m.options.Now, key: m.keys.key,
		ref: m.list.chosen, other: draw.NewInput(), label: draw.NewInput(), lives: newLives(time.Duration(m.world.Status.LinkTTLSeconds) * time.Second),
	}
	f.other.CharLimit, f.label.CharLimit = 5, 60
	if p := m.previews(); m.portNewsShown() {
		f.wanted = m.newPort.card.Port.Port
	} else if m.place() == inPreviews {
		if l, found := p.chosen(); found && !world.Works(l, f.now()) {
			f.wanted, f.touched = l.Port, l.Label != ""
			f.label.SetValue(text.Clean(l.Label))
			f.other.SetValue(strconv.Itoa(l.Port))
		}
	}
	if known := m.world.Ports[f.ref]; known.Cards != nil && known.Err == nil {
		f.take(known.Cards)
	}
	m.push(f)
	return f.ask()
}

// ask asks what listens, if there is a daemon that can tell.
func (f *newPreview) ask() tea.Cmd {
	s, ok := f.world.Sandbox(f.ref)
	if !ok || s.Daemon.State != api.DaemonHealthy {
		return nil // the view says so; events tell when there is one
	}
	f.loading, f.err = true, nil
	f.asked++
	asked, ref, backend := f.asked, f.ref, f.do.backend
	return f.do.do(quickly, func(ctx context.Context) tea.Msg {
		cards, err := backend.Ports(ctx, ref)
		return formPortsMsg{f, asked, cards, err}
	})
}

// HandleMsg implements overlay.
func (f *newPreview) HandleMsg(msg tea.Msg) tea.Cmd {
	switch msg := msg.(type) {
	case formPortsMsg:
		if msg.form != f || msg.asked != f.asked {
			return nil
		}
		f.loading, f.err = false, msg.err
		if msg.err == nil {
			f.take(msg.cards)
		}
	case eventsMsg, sandboxesMsg, injectedMsg:
		// A daemon may have come up meanwhile.
		if s, ok := f.world.Sandbox(f.ref); ok && s.Daemon.State == api.DaemonHealthy && f.cards == nil && !f.loading && f.err == nil {
			return f.ask()
		}
	case portsMsg:
		if msg.ref == f.ref && msg.err == nil && !f.loading {
			f.take(msg.cards)
		}
	}
	return nil
}

// take shows a new list, the same port chosen.
func (f *newPreview) take(cards []api.PortCard) {
	first := f.cards == nil
	at := f.wanted
	if card, ok := f.card(); ok && !first {
		at = card.Port.Port
	} else if !first {
		at = 0
	}
	onOther := !first && f.onOther()
	f.cards, f.daemons = []api.PortCard{}, nil
	for _, c := range cards {
		if c.Daemon {
			f.daemons = append(f.daemons, c.Port.Port)
			continue
		}
		f.cards = append(f.cards, c)
	}
	f.cursor.Resize(len(f.cards)+1, f.cursor.Height)
	i := slices.IndexFunc(f.cards, func(c api.PortCard) bool { return c.Port.Port == at })
	switch {
	case i >= 0 && first:
		f.other.SetValue("") // it is in the list
	case i < 0 && !first && !onOther: // it has closed; enter still means it
		f.other.SetValue(strconv.Itoa(at))
		f.cursor.Put(len(f.cards)) // the label stays too
		return
	case onOther, i < 0 && f.other.Value() != "":
		i = len(f.cards)
	case i < 0 && first:
		// What a browser can show, if there is any.
		i = slices.IndexFunc(f.cards, world.ForBrowser)
	}
	f.cursor.Put(max(0, i))
	f.suggest()
}

// card is the listening port at the cursor.
func (f *newPreview) card() (api.PortCard, bool) {
	if f.cursor.At >= len(f.cards) {
		return api.PortCard{}, false
	}
	return f.cards[f.cursor.At], true
}

func (f *newPreview) onOther() bool { return f.cursor.At >= len(f.cards) }

// suggest fills in the label that goes with the port, unless the person wrote one.
func (f *newPreview) suggest() {
	if f.touched {
		return
	}
	card, _ := f.card()
	f.label.SetValue(suggestedLabel(card))
	f.label.CursorEnd()
}

// port is the chosen one, or why it cannot be taken.
func (f *newPreview) port() (int, error) {
	if card, ok := f.card(); ok {
		return card.Port.Port, nil
	}
	s := f.other.Value()
	switch n, err := strconv.Atoi(s); {
	case s == "" && f.loading && f.cards == nil:
		return 0, errors.New("still looking for what listens; a port can be typed")
	case s == "":
		return 0, errors.New("type a port, 1 to 65535")
	case err != nil || n < 1 || n > 65535:
		return 0, fmt.Errorf("%s is not a port: 1 to 65535", s)
	case slices.Contains(f.daemons, n):
		return 0, fmt.Errorf("%d is the daemon's own: whoever had a link to it could do anything in the sandbox", n)
	default:
		return n, nil
	}
}

// create asks for the link.
func (f *newPreview) create(open bool) tea.Cmd {
	if f.creating {
		return nil
	}
	port, err := f.port()
	if err != nil {
		f.problem, f.focus = err.Error(), fieldPort
		return nil
	}
	ttl, err := f.lives.seconds()
	if err != nil {
		f.problem, f.focus = err.Error(), fieldLives
		return nil
	}
	f.creating = true
	backend := f.do.backend
	request := api.LinkRequest{Port: port, Sandbox: f.ref.String(), Label: strings.TrimSpace(f.label.Value()), TTLSeconds: &ttl}
	return f.do.do(quickly, func(ctx context.Context) tea.Msg {
		link, err := backend.CreateLink(ctx, request)
		return createdMsg{f, link, open, err}
	})
}

// afterCreate copies or opens a new link and closes its form; where there is
// none, the form stays and says why.
func (m *model) afterCreate(msg createdMsg) tea.Cmd {
	if msg.form != nil {
		msg.form.creating = false
	}
	if msg.err != nil {
		if msg.form == nil || !slices.Contains(m.overlays, overlay(msg.form)) {
			return m.failWith("make a preview", msg.err)
		}
		m.log.Error("an action failed", "action", "make a preview", "error", msg.err)
		what, try := format.Explain(msg.err)
		msg.form.problem = strings.TrimSpace(what + "   " + try)
		return nil
	}
	m.world.ApplyLink(msg.link)
	if msg.form != nil && !slices.Contains(m.overlays, overlay(msg.form)) { // it was left: nobody waits for the link
		return tea.Batch(m.do.links(), m.say("preview made: "+m.linkName(msg.link)))
	}
	if msg.form != nil {
		m.close(msg.form)
	}
	if p := m.previews(); m.world.LinkIsOf(msg.link, p.ref) {
		p.at = msg.link.ID
	}
	if msg.open {
		return tea.Batch(m.do.links(), m.open(m.world.PageURL(msg.link), m.linkName(msg.link)))
	}
	return tea.Batch(m.do.links(), m.copyURL(msg.link))
}

// formWants runs an action for a form if its sandbox is still the chosen one.
func (m *model) formWants(msg formWantsMsg) tea.Cmd {
	if msg.closes {
		m.close(msg.form)
	}
	a := m.keys.byID(msg.action)
	if a == nil || msg.ref != m.list.chosen || a.when != nil && !a.when(m) {
		return nil
	}
	return m.keys.run(m, a)
}
