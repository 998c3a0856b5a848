package form

import (
	"slices"

	tea "github.com/charmbracelet/bubbletea"

	"daemon-proxy/core/api"
	"daemon-proxy/tui/draw"
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
		f.move(draw.Motions[key.String()])
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
		if card, ok := f.card(); ok && card.IsDesktop() {
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
