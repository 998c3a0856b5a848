package form

import (
	"errors"
	"fmt"
	"math"
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
	"daemon-proxy/tui/text"
	"daemon-proxy/tui/world"
)

// HandleKey implements an overlay.
func (f *Form) HandleKey(key tea.KeyMsg) (tea.Cmd, bool) {
	f.problem = ""
	switch key.String() {
	case "esc":
		return nil, true
	case "enter":
		return f.create(false), false
	case "ctrl+o":
		return f.create(true), false
	case "tab":
		f.focus = (f.focus + 1) % fields
		return nil, false
	case "shift+tab":
		f.focus = (f.focus + fields - 1) % fields
		return nil, false
	case "up", "down", "pgup", "pgdown":
		f.move(map[string]draw.Motion{"up": draw.Up, "down": draw.Down, "pgup": draw.PageUp,
			"pgdown": draw.PageDown}[key.String()])
		return nil, false
	}
	switch f.focus {
	case fieldLabel:
		before := f.label.Value()
		f.label, _ = f.label.Update(key)
		f.touched = f.touched || f.label.Value() != before
		return nil, false
	case fieldLives:
		return f.livesKey(key), false
	}
	return f.portKey(key), false
}

// move moves in the list of ports, whichever field is focused.
func (f *Form) move(to draw.Motion) {
	f.focus = fieldPort
	f.cursor.Move(to)
	f.suggest()
}

// portKey handles a key in the list of ports. A digit begins a typed port.
func (f *Form) portKey(key tea.KeyMsg) tea.Cmd {
	name := key.String()
	s, _ := f.World.Sandbox(f.ref)
	switch {
	case name == "left" || name == "right":
		return f.livesKey(key)
	case name == "o":
		return f.create(true)
	case name == "backspace" || digits(key):
		if !f.onOther() {
			f.other.SetValue("")
			f.cursor.Put(len(f.cards))
			f.suggest()
		}
		f.other, _ = f.other.Update(key)
	case name == "j":
		f.move(draw.Down)
	case name == "k":
		f.move(draw.Up)
	case name == "g", name == "home":
		f.move(draw.ToTop)
	case name == "G", name == "end":
		f.move(draw.ToBottom)
	case name == f.Key("vnc"):
		if card, ok := f.card(); ok && card.Service == "vnc" {
			return f.wants("vnc", true)
		}
	case name == f.Key("inject") && world.Injectable(s):
		return f.wants("inject", false)
	case name == f.Key("container") && s.Container != api.ContainerRunning:
		return f.wants("container", false)
	case name == f.Key("refresh"):
		return f.ask()
	}
	return nil
}

func digits(key tea.KeyMsg) bool {
	return key.Type == tea.KeyRunes && len(key.Runes) > 0 &&
		!slices.ContainsFunc(key.Runes, func(r rune) bool { return r < '0' || r > '9' })
}

func (f *Form) wants(action string, closes bool) tea.Cmd {
	msg := ActionMsg{f, f.ref, action, closes}
	return func() tea.Msg { return msg }
}

func (f *Form) livesKey(key tea.KeyMsg) tea.Cmd {
	if key.String() == "o" { // no duration contains an o
		return f.create(true)
	}
	f.lives.handle(key)
	return nil
}

// ttlChoice is the lifetime of a link: one of livesSome, or a typed one.
type ttlChoice struct {
	at    int // in livesSome; len(livesSome): the typed one
	typed textinput.Model
}

// ttlChoices are the usual times; 0 is until revoked.
var ttlChoices = [...]time.Duration{0, 15 * time.Minute, time.Hour, 8 * time.Hour, 24 * time.Hour}

func newTTLChoice(d time.Duration) ttlChoice {
	c := ttlChoice{typed: draw.NewInput(12)}
	if c.at = slices.Index(ttlChoices[:], d); c.at < 0 {
		c.at = len(ttlChoices)
		c.typed.SetValue(format.TTL(d))
	}
	return c
}

func (c *ttlChoice) handle(key tea.KeyMsg) {
	switch key.String() {
	case "left":
		c.at = max(0, c.at-1)
	case "right":
		c.at = min(len(ttlChoices), c.at+1)
	case "backspace":
		if c.at == len(ttlChoices) {
			c.typed, _ = c.typed.Update(key)
		}
	default:
		if key.Type == tea.KeyRunes &&
			!slices.ContainsFunc(key.Runes, func(r rune) bool { return !strings.ContainsRune("0123456789smhdw", r) }) {
			c.at = len(ttlChoices)
			c.typed, _ = c.typed.Update(key)
		}
	}
}

// seconds returns the choice for a request.
func (c *ttlChoice) seconds() (int64, error) {
	if c.at < len(ttlChoices) {
		return int64(ttlChoices[c.at] / time.Second), nil
	}
	d, err := parseTime(c.typed.Value())
	return int64(d / time.Second), err
}

// parseTime reads "90m", "1h30m", "2d" or "1w"; a bare number is minutes.
func parseTime(s string) (time.Duration, error) {
	wrong := errors.New("type how long the link is valid: 90m, 1h30m, 2d")
	if s = strings.ToLower(strings.TrimSpace(s)); s == "" {
		return 0, wrong
	}
	units := map[rune]time.Duration{'s': time.Second, 'm': time.Minute, 'h': time.Hour, 'd': 24 * time.Hour,
		'w': 7 * 24 * time.Hour}
	total, number := time.Duration(0), ""
	for _, r := range s + " " {
		unit, known := units[r]
		switch {
		case r >= '0' && r <= '9':
			number += string(r)
			continue
		case r == ' ' && number == "":
			continue
		case r == ' ' && total == 0:
			unit = time.Minute
		case !known || number == "":
			return 0, wrong
		}
		n, err := strconv.ParseInt(number, 10, 32)
		if err != nil || n > int64(math.MaxInt64/2/unit) {
			return 0, wrong
		}
		total, number = total+time.Duration(n)*unit, ""
	}
	if total <= 0 || total > 100*365*24*time.Hour {
		return 0, fmt.Errorf("%s is not a time that a link can live: a second to a hundred years", s)
	}
	return total, nil
}

// SuggestedLabel returns the port's label in the devcontainer, else a short word
// from what answers there.
func SuggestedLabel(card api.PortCard) string {
	if card.Label != "" {
		return text.Clean(card.Label) // an input drops what Clean replaces
	}
	if card.Service == "vnc" {
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
