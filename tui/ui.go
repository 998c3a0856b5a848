package tui

import (
	"fmt"
	"log/slog"

	tea "github.com/charmbracelet/bubbletea"

	"daemon-proxy/core/api"
	"daemon-proxy/tui/dialog"
	"daemon-proxy/tui/draw"
	"daemon-proxy/tui/pane"
	"daemon-proxy/tui/system"
	"daemon-proxy/tui/world"
)

type (
	// openedMsg and copiedMsg are the outcomes of opening and copying.
	openedMsg struct {
		url, label string
		err        error
	}
	copiedMsg struct {
		what string
		err  error
	}
)

// ui is what actions and views share: the core, the world, the panes on the
// screen, and the overlays.
type ui struct {
	*stage
	options  Options
	do       commands
	look     *draw.Look
	key      func(action string) string // the key of an action
	log      *slog.Logger
	world    *world.World
	notes    *notes
	overlays overlays
	frame    string // the last drawn screen; empty after a change
}

// selected is the sandbox that actions are about.
func (u *ui) selected() (api.Sandbox, bool) { return u.world.Sandbox(u.list.Selected) }

// changed makes the next View redraw the screen.
func (u *ui) changed() { u.frame = "" }

// engineLost reports whether the engine of the listed containers is lost.
func (u *ui) engineLost() bool {
	return u.world.EngineLost() && u.world.Containers() > 0
}

// toPanes passes a message to all panes that listen, and to the overlays.
func (u *ui) toPanes(msg tea.Msg) tea.Cmd {
	var cmds []tea.Cmd
	for _, p := range u.panes {
		if p, ok := p.(pane.Listener); ok {
			cmds = append(cmds, p.HandleMsg(msg))
		}
	}
	for _, o := range u.overlays {
		cmds = append(cmds, o.HandleMsg(msg))
	}
	return tea.Batch(cmds...)
}

// confirmThen asks for confirmation before it runs cmd.
func (u *ui) confirmThen(title, effect, yes string, cmd tea.Cmd) tea.Cmd {
	u.overlays.push(&dialog.Confirm{Look: u.look, Title: title, Lines: []string{effect}, Yes: yes, No: "no", Run: cmd})
	return nil
}

// linkName returns the name of a link in texts.
func (u *ui) linkName(l api.Link) string {
	if u.world.IsDesktop(l) {
		return "the desktop of " + l.SandboxName
	}
	return fmt.Sprintf("port %d of %s", l.Port, l.SandboxName)
}

// open opens url in a browser; without one, it copies url and shows all of it.
func (u *ui) open(url, label string) tea.Cmd {
	browse := u.options.Browse
	return func() tea.Msg {
		// A browser that still runs has opened it; its exit status does not matter.
		return openedMsg{url, label, system.Briefly(system.BrowserTimeout, nil, func() error { return browse(url) })}
	}
}

// copy copies s to the clipboards; what names it in the note.
func (u *ui) copy(s, what string) tea.Cmd {
	clip := u.options.Copy
	return func() tea.Msg { return copiedMsg{what, clip(s)} }
}
