// Package form has the form that makes a link.
package form

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/charmbracelet/bubbles/textinput"
	tea "github.com/charmbracelet/bubbletea"
	"github.com/charmbracelet/x/ansi"

	"daemon-proxy/core/api"
	"daemon-proxy/tui/draw"
	"daemon-proxy/tui/format"
	"daemon-proxy/tui/pane"
	"daemon-proxy/tui/text"
	"daemon-proxy/tui/world"
)

// Form makes a link: it has the port, listed or typed, the label, and the lifetime
// of the link.
type Form struct {
	pane.Env
	backend Backend
	ref     api.Ref
	cards   []api.PortCard // without the daemon's
	daemons []int          // the daemon's ports
	cursor  draw.Cursor    // over cards and the line for another port
	wanted  int            // the port to select when the list arrives; 0: any
	asked   int            // number of the last request; answers to earlier ones are dropped
	loading bool
	err     error // why the ports are unknown

	focus    formField
	other    textinput.Model
	label    textinput.Model
	touched  bool // the label was edited
	lives    ttlChoice
	problem  string // why enter failed; shown until the next key
	creating bool
}

// Backend is what the form needs from a core.
type Backend interface {
	Ports(ctx context.Context, ref api.Ref) ([]api.PortCard, error)
	CreateLink(ctx context.Context, request api.LinkRequest) (api.Link, error)
}

// formField is where keys go.
type formField int

const (
	fieldPort formField = iota
	fieldLabel
	fieldLives
	fields
)

// portsMsg is the answer to one request of one form.
type portsMsg struct {
	form  *Form
	asked int
	cards []api.PortCard
	err   error
}

// CreatedMsg is the outcome of making a link.
type CreatedMsg struct {
	Form *Form // nil: made by a key without a form
	Link api.Link
	Open bool
	Err  error
}

// ActionMsg is an action that a form requests, on its sandbox only.
type ActionMsg struct {
	Form   *Form
	Ref    api.Ref
	Action string
	Closes bool
}

// New returns the form of a sandbox.
func New(env pane.Env, backend Backend, ref api.Ref) *Form {
	return &Form{Env: env, backend: backend, ref: ref, other: draw.NewInput(5), label: draw.NewInput(60),
		lives: newTTLChoice(time.Duration(env.World.Status().LinkTTLSeconds) * time.Second)}
}

// StartAt selects a port once it is in the list.
func (f *Form) StartAt(port int) { f.wanted = port }

// StartWith fills in the port and the label of a link.
func (f *Form) StartWith(l api.Link) {
	f.wanted, f.touched = l.Port, l.Label != ""
	f.label.SetValue(text.Clean(l.Label))
	f.other.SetValue(strconv.Itoa(l.Port))
}

// Load shows the known ports and requests the current ones.
func (f *Form) Load() tea.Cmd {
	if known := f.World.Ports(f.ref); known.Cards != nil && known.Err == nil {
		f.take(known.Cards)
	}
	return f.ask()
}

// Created handles the outcome of a creation while the form is still open.
func (f *Form) Created(err error) {
	f.creating = false
	if err != nil {
		what, try := format.Explain(err)
		f.problem = strings.TrimSpace(what + "   " + try)
	}
}

// ask requests the ports, if there is a daemon.
func (f *Form) ask() tea.Cmd {
	s, ok := f.World.Sandbox(f.ref)
	if !ok || s.Daemon.State != api.DaemonHealthy {
		return nil // the view shows that; events report a new daemon
	}
	f.loading, f.err = true, nil
	f.asked++
	asked, ref, backend := f.asked, f.ref, f.backend
	return f.Do(pane.Quick, func(ctx context.Context) tea.Msg {
		cards, err := backend.Ports(ctx, ref)
		return portsMsg{f, asked, cards, err}
	})
}

// HandleMsg implements an overlay.
func (f *Form) HandleMsg(msg tea.Msg) tea.Cmd {
	switch msg := msg.(type) {
	case portsMsg:
		if msg.form != f || msg.asked != f.asked {
			return nil
		}
		f.loading, f.err = false, msg.err
		if msg.err == nil {
			f.take(msg.cards)
		}
	default:
		// A daemon may have come up in the meantime.
		if s, ok := f.World.Sandbox(f.ref); ok && s.Daemon.State == api.DaemonHealthy && f.cards == nil &&
			!f.loading && f.err == nil {
			return f.ask()
		}
	case pane.PortsMsg:
		if msg.Ref == f.ref && msg.Err == nil && !f.loading {
			f.take(msg.Cards)
		}
	}
	return nil
}

// take shows a new list and keeps the port selected.
func (f *Form) take(cards []api.PortCard) {
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
	case i < 0 && !first && !onOther: // it has closed, but stays the chosen port
		f.other.SetValue(strconv.Itoa(at))
		f.cursor.Put(len(f.cards)) // the label stays too
		return
	case onOther, i < 0 && f.other.Value() != "":
		i = len(f.cards)
	case i < 0 && first:
		// Prefer a port that a browser can show.
		i = slices.IndexFunc(f.cards, world.ForBrowser)
	}
	f.cursor.Put(max(0, i))
	f.suggest()
}

// card returns the listening port at the cursor.
func (f *Form) card() (api.PortCard, bool) {
	if f.cursor.At >= len(f.cards) {
		return api.PortCard{}, false
	}
	return f.cards[f.cursor.At], true
}

func (f *Form) onOther() bool { return f.cursor.At >= len(f.cards) }

// suggest fills in a label for the port, unless the user edited it.
func (f *Form) suggest() {
	if f.touched {
		return
	}
	card, _ := f.card()
	f.label.SetValue(SuggestedLabel(card))
	f.label.CursorEnd()
}

// port returns the chosen port, or why it is invalid.
func (f *Form) port() (int, error) {
	if card, ok := f.card(); ok {
		return card.Port.Port, nil
	}
	s := f.other.Value()
	switch n, err := strconv.Atoi(s); {
	case s == "" && f.loading && f.cards == nil:
		return 0, errors.New("still looking for ports; you can type one")
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

func (f *Form) create(open bool) tea.Cmd {
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
	backend := f.backend
	request := api.LinkRequest{Port: port, Sandbox: f.ref.Long(), Label: strings.TrimSpace(f.label.Value()),
		TTLSeconds: &ttl}
	return f.Do(pane.Quick, func(ctx context.Context) tea.Msg {
		link, err := backend.CreateLink(ctx, request)
		return CreatedMsg{f, link, open, err}
	})
}

// SuggestedLabel returns the port's label in the devcontainer, else a short word
// from what answers there.
func SuggestedLabel(card api.PortCard) string {
	if card.Label != "" {
		return text.Clean(card.Label) // an input drops what Clean replaces
	}
	if card.IsDesktop() {
		return world.VNCLabel
	}
	name := ansi.Strip(card.Name)
	for _, between := range []string{" + ", " - ", " | ", " · ", " — ", " – ", ": "} {
		name, _, _ = strings.Cut(name, between)
	}
	var b strings.Builder
	for _, r := range strings.ToLower(name) {
		switch {
		case b.Len() >= 24:
		case unicode.IsLetter(r) || unicode.IsDigit(r):
			b.WriteRune(r)
		case b.Len() > 0 && !strings.HasSuffix(b.String(), "-"):
			b.WriteByte('-')
		}
	}
	return strings.Trim(b.String(), "-")
}
