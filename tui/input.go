package tui

import (
	"context"
	"strings"
	"time"
	"unicode"

	tea "github.com/charmbracelet/bubbletea"

	"daemon-proxy/tui/dialog"
	"daemon-proxy/tui/draw"
	"daemon-proxy/tui/format"
	"daemon-proxy/tui/pane"
)

// twice is how soon a second ctrl+c ends the program whatever it asks.
const twice = 2 * time.Second

// takeKey passes a key to what is on top: an overlay, a line that is typed
// into, or the action table.
func (m *model) takeKey(key tea.KeyMsg) tea.Cmd {
	if key.Type == tea.KeyRunes && len(key.Runes) > 1 && !key.Paste {
		if strings.HasPrefix(string(key.Runes), "11;rgb") {
			return nil // the terminal says its background, too late for theme.Choose
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
	if !m.note.failed {
		return m.useKey(key, false)
	}
	m.note = note{} // an error stays until a key is pressed
	cmd := m.useKey(key, true)
	if m.newPort.waits != nil {
		cmd = tea.Batch(cmd, m.tellPorts(nil))
	}
	return cmd
}

// useKey is takeKey for one key; wasFailed says that it has taken an error away.
func (m *model) useKey(key tea.KeyMsg, wasFailed bool) tea.Cmd {
	name := format.KeyName(key)
	if name == "ctrl+c" {
		return m.interrupt()
	}
	if m.layout.small && !m.asksToQuit() {
		if a := m.keys.find(m, name, m.place()); a != nil && a.id == "quit" {
			return m.quit()
		}
		return nil
	}
	var cmd tea.Cmd
	p := m.inFocus()
	switch {
	case len(m.overlays) > 0:
		return m.keyToOverlay(key)
	case pane.IsTyping(p):
		cmd = p.(pane.Typist).HandleKey(key)
	case wasFailed && name == "esc": // that key has done its work
	default:
		if a := m.keys.find(m, name, m.place()); a != nil {
			cmd = m.keys.run(m, a)
		} else {
			cmd = m.inVain(name)
		}
	}
	return tea.Batch(cmd, m.arrange())
}

// mostPasted is more than any line that is typed into takes.
const mostPasted = 1000

// pasted is what is taken of a paste, which may be a whole file: its beginning,
// as one line without control characters.
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

func (m *model) keyToOverlay(key tea.KeyMsg) tea.Cmd {
	top := m.overlays[len(m.overlays)-1]
	cmd, done := top.HandleKey(key)
	if done {
		m.close(top)
	}
	return cmd
}

// push lays an overlay over all else.
func (m *model) push(o overlay) { m.overlays = append(m.overlays, o) }

func (m *model) close(o overlay) {
	for i := range m.overlays {
		if m.overlays[i] == o {
			m.overlays = append(m.overlays[:i:i], m.overlays[i+1:]...)
			return
		}
	}
}

// interrupt is ctrl+c: like quit, and the second one within a moment asks nothing.
func (m *model) interrupt() tea.Cmd {
	now := m.options.Now()
	if m.leaving || now.Sub(m.interrupted) < twice {
		return tea.Quit
	}
	m.interrupted = now
	return m.quit()
}

// takeMouse passes wheel and clicks to what is under the pointer.
func (m *model) takeMouse(mouse tea.MouseMsg) tea.Cmd {
	if m.layout.small || mouse.Action != tea.MouseActionPress {
		return nil
	}
	m.list.ForgetLost()
	wheel, isWheel := map[tea.MouseButton]draw.Motion{tea.MouseButtonWheelUp: draw.Up, tea.MouseButtonWheelDown: draw.Down}[mouse.Button]
	if len(m.overlays) > 0 {
		if isWheel {
			return m.keyToOverlay(tea.KeyMsg{Type: map[draw.Motion]tea.KeyType{draw.Up: tea.KeyUp, draw.Down: tea.KeyDown}[wheel]})
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
		if tab := m.tabAt(mouse.X); tab >= 0 {
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
		return tea.Batch(tea.EnableMouseCellMotion, m.say("mouse on"))
	}
	return tea.Batch(tea.DisableMouse, m.say("mouse off: text can be selected"))
}

// back is esc where nothing lies over the panes.
func (m *model) back() tea.Cmd {
	ref := m.list.Selected
	in := m.world.Injections[ref]
	switch {
	case m.listFocused && m.list.ClearFilter():
	case in != nil && !in.Finished && m.atOverview() && !m.keys.readOnly:
		return m.cancelInjection(ref)
	case in != nil && in.Problem != nil && m.atOverview():
		delete(m.world.Injections, ref)
	default:
		m.listFocused = true
	}
	return nil
}

// atOverview says whether the overview can be seen.
func (m *model) atOverview() bool { return m.tab == tabOverview && (m.layout.wide || !m.listFocused) }

func (m *model) quit() tea.Cmd {
	work, loss := m.underWay()
	if work == "" {
		return tea.Quit
	}
	if m.asksToQuit() || m.leaving {
		return nil
	}
	after := "Daemons that run go on and are found again next time."
	if m.world.Status.StopOnExit {
		after = "The daemons that this program started end too (daemon.stop_on_exit)."
	}
	m.quitting = &dialog.Confirm{
		Look: m.look, Title: "Quit?", Lines: []string{work, loss, after},
		Yes: "quit", No: "stay", Run: func() tea.Msg { return leaveMsg{} }, YesKey: "y", NoKey: "n",
	}
	m.push(m.quitting)
	return nil
}

// asksToQuit says whether the question is on top.
func (m *model) asksToQuit() bool {
	return len(m.overlays) > 0 && m.overlays[len(m.overlays)-1] == m.quitting
}

// leaveMsg says that the person wants to quit whatever runs.
type leaveMsg struct{}

// leave quits when the injections are undone, as the question has promised.
func (m *model) leave() tea.Cmd {
	if m.leaving || m.world.InjectionCount() == 0 {
		return tea.Quit
	}
	m.leaving = true
	m.push(&dialog.Undoing{Look: m.look})
	backend := m.do.backend
	return m.do.Do(pane.Quick, func(ctx context.Context) tea.Msg {
		_ = backend.UndoInjections(ctx) // the core logs what it could not undo
		return tea.Quit()
	})
}

// underWay is what runs and what quitting does to it; empty if nothing does.
func (m *model) underWay() (work, loss string) {
	injections, previews, sockets := m.world.InjectionCount(), len(m.world.Sockets), 0
	for _, open := range m.world.Sockets {
		sockets += len(open)
	}
	form := func(n int, one, more string) string {
		if n == 1 {
			return one
		}
		return more
	}
	var works, losses []string
	if injections > 0 {
		works = append(works, format.Count(injections, "injection")+form(injections, " runs", " run"))
		losses = append(losses, "undoes "+form(injections, "the injection", "the injections"))
	}
	if sockets > 0 {
		works = append(works, format.Count(previews, "preview")+form(previews, " is", " are")+" being watched by "+format.Count(sockets, "open socket"))
		losses = append(losses, "closes "+form(sockets, "the socket", "the sockets"))
	}
	if works == nil {
		return "", ""
	}
	return strings.Join(works, " and ") + ".", "Quitting " + strings.Join(losses, " and ") + "."
}

// refresh looks at everything anew and says how that ended; of an engine that is
// lost an event tells.
func (m *model) refresh() tea.Cmd {
	m.trying = m.world.Engine.State == "lost"
	trying, did, backend := "refreshing", "up to date", m.do.backend
	if m.trying {
		trying, did = "trying the engine", ""
	}
	retry := m.do.act(pane.Quick, "try the engine", did, backend.RetryEngine)
	m.portsRound++
	m.askingPorts = false
	return tea.Batch(tea.ClearScreen, m.tell(trying+m.look.Glyph.Ellipsis), tea.Sequence(retry, m.do.snapshot()), m.askPorts(), m.logs().retry())
}

// tried says how it ended that an engine was asked again.
func (m *model) tried() tea.Cmd {
	e := m.world.Engine
	if !m.trying || e.State == "lost" && e.RetryAt == nil { // it is being asked
		return nil
	}
	m.trying = false
	switch {
	case e.State != "lost":
		return nil // that it is back is said anyway
	case e.Error == nil:
		return m.fail("the engine does not answer", "")
	}
	return m.fail(e.Error.Error(), e.Error.Hint)
}
