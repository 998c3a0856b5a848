package tui

import (
	"strings"
	"unicode"

	tea "github.com/charmbracelet/bubbletea"

	"daemon-proxy/tui/draw"
	"daemon-proxy/tui/format"
	"daemon-proxy/tui/pane"
)

// takeKey passes a key to the top overlay, to a pane that is being typed in, or
// to the action table.
func (m *model) takeKey(key tea.KeyMsg) tea.Cmd {
	if key.Type == tea.KeyRunes && len(key.Runes) > 1 && !key.Paste {
		if strings.HasPrefix(string(key.Runes), "11;rgb") {
			return nil // the terminal reports its background, too late for theme.Choose
		}
		var cmds []tea.Cmd // keys that came in one read are one message
		for _, r := range key.Runes {
			cmds = append(cmds, m.takeKey(tea.KeyMsg{Type: tea.KeyRunes, Runes: []rune{r}, Alt: key.Alt}))
		}
		return tea.Batch(cmds...)
	}
	m.list.ForgetLost()
	if key.Paste {
		key.Runes = pasted(key.Runes)
	}
	if !m.notes.dismiss() { // an error stays until a key is pressed
		return m.useKey(key, false)
	}
	cmd := m.useKey(key, true)
	if m.news.newPort.waits != nil {
		cmd = tea.Batch(cmd, m.news.tell(nil))
	}
	return cmd
}

// useKey is takeKey for one key; wasFailed is true if the key dismissed an error.
func (m *model) useKey(key tea.KeyMsg, wasFailed bool) tea.Cmd {
	name := format.KeyName(key)
	if name == "ctrl+c" {
		return m.quitter.interrupt()
	}
	if m.layout.small && !m.quitter.asking() {
		if a := m.dispatch.find(name, m.place()); a != nil && a.id == "quit" {
			return m.quitter.quit()
		}
		return nil
	}
	var cmd tea.Cmd
	p := m.inFocus()
	switch {
	case len(m.overlays) > 0:
		return m.overlays.handleKey(key)
	case pane.IsTyping(p):
		cmd = p.(pane.Typist).HandleKey(key)
	case wasFailed && name == "esc": // that key has done its work
	default:
		if a := m.dispatch.find(name, m.place()); a != nil {
			cmd = m.dispatch.run(a)
		} else {
			cmd = m.dispatch.inVain(name)
		}
	}
	return tea.Batch(cmd, m.arrange())
}

// mostPasted is more than any input accepts.
const mostPasted = 1000

// pasted returns the part of a paste that is used: its beginning, as one line
// without control characters. A paste may be a whole file.
func pasted(runes []rune) []rune {
	line := strings.Trim(string(runes[:min(len(runes), mostPasted)]), "\r\n")
	return []rune(strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\t':
			return ' '
		case unicode.IsControl(r):
			return -1
		}
		return r
	}, line))
}

// takeMouse passes the wheel and clicks to the pane under the pointer.
func (m *model) takeMouse(mouse tea.MouseMsg) tea.Cmd {
	if m.layout.small || mouse.Action != tea.MouseActionPress {
		return nil
	}
	m.list.ForgetLost()
	wheel, isWheel := map[tea.MouseButton]draw.Motion{tea.MouseButtonWheelUp: draw.Up,
		tea.MouseButtonWheelDown: draw.Down}[mouse.Button]
	if len(m.overlays) > 0 {
		if isWheel {
			return m.overlays.handleKey(tea.KeyMsg{Type: map[draw.Motion]tea.KeyType{draw.Up: tea.KeyUp,
				draw.Down: tea.KeyDown}[wheel]})
		}
		return nil
	}
	if m.place() == inInspector {
		switch {
		case isWheel:
			return m.requests().Move(wheel)
		case mouse.Button == tea.MouseButtonLeft:
			return m.requests().Click(mouse.X-1, mouse.Y-2)
		}
		return nil
	}
	p, r := pane.Pane(m.list), m.layout.list
	if m.layout.detail.has(mouse.X, mouse.Y) {
		p, r = m.front(), m.layout.detail
	} else if !r.has(mouse.X, mouse.Y) {
		return nil
	}
	var cmd tea.Cmd
	switch {
	case isWheel:
		cmd = p.Move(wheel)
	case mouse.Button != tea.MouseButtonLeft:
		return nil
	case mouse.Y == r.y && (p != pane.Pane(m.list) || !m.layout.wide):
		if tab := m.head.tabAt(mouse.X); tab >= 0 {
			return m.goTo(tab)
		}
	default:
		m.focus(p == pane.Pane(m.list))
		if x, y := mouse.X-r.x-1, mouse.Y-r.y-1; x >= 0 && y >= 0 && x < r.w-2 && y < r.h-2 {
			if p, ok := p.(pane.Clickable); ok {
				cmd = p.Click(x, y)
			}
		}
	}
	return tea.Batch(cmd, m.arrange())
}

func (m *model) toggleMouse() tea.Cmd {
	m.mouse = !m.mouse
	if m.mouse {
		return tea.Batch(tea.EnableMouseCellMotion, m.notes.say("mouse on"))
	}
	return tea.Batch(tea.DisableMouse, m.notes.say("mouse off: text can be selected"))
}

// back handles esc when there is no overlay.
func (m *model) back() tea.Cmd {
	ref := m.list.Selected
	in := m.World.Injection(ref)
	switch {
	case m.listFocused && m.list.ClearFilter():
	case in != nil && !in.Finished && m.atOverview() && !m.World.ReadOnly():
		return m.sandboxes.cancelInjection(ref)
	case in != nil && in.Problem != nil && m.atOverview():
		m.World.DismissInjection(ref)
	default:
		m.listFocused = true
	}
	return nil
}
