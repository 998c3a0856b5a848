package tui

import (
	"fmt"
	"log/slog"

	tea "github.com/charmbracelet/bubbletea"

	"daemon-proxy/core/api"
	"daemon-proxy/tui/dialog"
	"daemon-proxy/tui/pane"
	"daemon-proxy/tui/system"
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
	pane.Env
	*stage
	options  Options
	do       commands
	log      *slog.Logger
	notes    *notes
	overlays overlays
	outage   outage
	frame    string // the last drawn screen; empty after a change
}

// selected is the sandbox that actions are about.
func (u *ui) selected() (api.Sandbox, bool) { return u.World.Sandbox(u.list.Selected) }

// changed makes the next View redraw the screen.
func (u *ui) changed() { u.frame = "" }

// coreName names the core in a sentence.
func (u *ui) coreName() string {
	if a := u.options.Attached; a != nil && a.Name != "" {
		return a.Name
	}
	return "the core"
}

// engineLost reports whether the engine of the listed containers is lost.
func (u *ui) engineLost() bool { return u.World.EngineLost() && u.World.Containers() > 0 }

// toPanes passes a message to all panes that listen, and to the overlays.
func (u *ui) toPanes(msg tea.Msg) tea.Cmd {
	var cmds []tea.Cmd
	take := func(p any) {
		if p, ok := p.(pane.Listener); ok {
			cmds = append(cmds, p.HandleMsg(msg))
		}
	}
	for _, p := range u.panes {
		take(p)
	}
	for _, o := range u.overlays {
		take(o)
	}
	return tea.Batch(cmds...)
}

// ask asks a question; if the answer is yes, it runs cmd.
func (u *ui) ask(title, yes string, cmd tea.Cmd, lines ...string) tea.Cmd {
	u.overlays.push(&dialog.Confirm{Look: u.Look, Title: title, Lines: lines, Yes: yes, No: "no", Then: cmd})
	return nil
}

func (u *ui) linkName(l api.Link) string {
	if u.World.IsDesktop(l) {
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
