package tui

import (
	"errors"
	"strings"

	tea "github.com/charmbracelet/bubbletea"

	"daemon-proxy/core/api"
	"daemon-proxy/tui/dialog"
	"daemon-proxy/tui/system"
	"daemon-proxy/tui/text"
)

func (a *linkActions) afterOpen(msg openedMsg) tea.Cmd {
	if msg.err == nil {
		return a.notes.say("opened " + msg.label + ": " + msg.url)
	}
	why := "There is no browser here."
	if !errors.Is(msg.err, system.ErrNoBrowser) {
		a.log.Warn("the browser was not opened", "error", msg.err)
		why = "The browser did not open: " + strings.ReplaceAll(msg.err.Error(), "\n", "; ") + "."
	}
	s := &dialog.Text{Look: a.look, Title: text.Clean(msg.label),
		Intro: text.Clean(why) + " Copied, open it where there is one:", Body: text.Clean(msg.url)}
	s.Mouse, s.ToggleMouse = a.mouseKeys(), func() tea.Msg { return runMsg{action: "mouse"} }
	a.overlays.push(s)
	return a.copy(msg.url, "")
}

func (a *linkActions) afterCopy(msg copiedMsg) tea.Cmd {
	if errors.Is(msg.err, system.ErrTooLong) {
		msg.err = &api.Problem{Detail: msg.err.Error(),
			Hint: a.key("save-bodies") + " in the inspector saves the bodies of a request as files"}
	}
	if msg.err != nil {
		return a.notes.failWith("copy", msg.err)
	}
	if msg.what == "" {
		return nil
	}
	return a.notes.say(msg.what)
}
