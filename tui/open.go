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

type (
	// openedMsg and copiedMsg are how that went.
	openedMsg struct {
		url, label string
		err        error
	}
	copiedMsg struct {
		what string
		err  error
	}
)

// open opens url in a browser; where there is none it is copied and shown whole.
func (m *model) open(url, label string) tea.Cmd {
	browse := m.options.Browse
	return func() tea.Msg {
		// One that runs on has opened it; how it ends is nobody's concern.
		return openedMsg{url, label, system.Briefly(system.BrowserTimeout, nil, func() error { return browse(url) })}
	}
}

func (m *model) afterOpen(msg openedMsg) tea.Cmd {
	if msg.err == nil {
		return m.say("opened " + msg.label + ": " + msg.url)
	}
	why := "There is no browser here."
	if !errors.Is(msg.err, system.ErrNoBrowser) {
		m.log.Warn("the browser was not opened", "error", msg.err)
		why = "The browser did not open: " + strings.ReplaceAll(msg.err.Error(), "\n", "; ") + "."
	}
	s := &dialog.Text{Look: m.look, Title: text.Clean(msg.label), Intro: text.Clean(why) + " Copied, open it where there is one:", Body: text.Clean(msg.url)}
	if mouse := m.keys.byID("mouse"); mouse != nil {
		s.Mouse, s.ToggleMouse = mouse.keys, func() tea.Msg { return runMsg{action: "mouse"} }
	}
	m.push(s)
	return m.copy(msg.url, "")
}

// copy puts s into the clipboards; what names it for the note.
func (m *model) copy(s, what string) tea.Cmd {
	clip := m.options.Copy
	return func() tea.Msg { return copiedMsg{what, clip(s)} }
}

func (m *model) afterCopy(msg copiedMsg) tea.Cmd {
	if errors.Is(msg.err, system.ErrTooLong) {
		msg.err = &api.Problem{Detail: msg.err.Error(), Hint: m.keys.key("save-bodies") + " in the inspector saves the bodies of a request as files"}
	}
	if msg.err != nil {
		return m.failWith("copy", msg.err)
	}
	if msg.what == "" {
		return nil
	}
	return m.say(msg.what)
}
