package tui

import (
	"errors"
	"fmt"

	tea "github.com/charmbracelet/bubbletea"

	"daemon-proxy/core/api"
	"daemon-proxy/tui/text"
)

type (
	// openMsg asks for a URL to be opened; panes send it.
	openMsg struct{ url, label string }
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
	return func() tea.Msg { return openedMsg{url, label, browse(url)} }
}

func (m *model) afterOpen(msg openedMsg) tea.Cmd {
	if msg.err == nil {
		return m.say("opened " + msg.label + ": " + msg.url)
	}
	why := "There is no browser here."
	if !errors.Is(msg.err, errNoBrowser) {
		m.log.Warn("the browser was not opened", "error", msg.err)
		why = "The browser did not open: " + msg.err.Error()
	}
	m.push(&shown{look: m.look, title: text.Clean(msg.label), intro: text.Clean(why) + " Copied, open it where there is one:", whole: text.Clean(msg.url)})
	return m.copy(msg.url, "")
}

// copy puts s into the clipboards; what names it for the note.
func (m *model) copy(s, what string) tea.Cmd {
	clip := m.options.Copy
	return func() tea.Msg { return copiedMsg{what, clip(s)} }
}

func (m *model) afterCopy(msg copiedMsg) tea.Cmd {
	if msg.err != nil {
		return m.failWith("copy", msg.err)
	}
	if msg.what == "" {
		return nil
	}
	return m.say(msg.what)
}

// chosenLink is the link that o, y and d are about: the one at the cursor of
// the previews, else the newest of the sandbox.
func (m *model) chosenLink() (api.Link, bool) {
	if p, ok := m.panes[tabPreviews].(*previews); ok && m.place() == inPreviews {
		return p.chosen()
	}
	links := m.world.linksOf(m.list.chosen, m.options.Now())
	if len(links) == 0 {
		return api.Link{}, false
	}
	return links[0], true
}

func (m *model) hasLink() bool {
	_, ok := m.chosenLink()
	return ok
}

func (m *model) openLink() tea.Cmd {
	l, ok := m.chosenLink()
	if !ok {
		return nil
	}
	if l.Port == vncPort && l.Label == vncLabel {
		return m.open(m.desktopURL(l), "the desktop of "+l.SandboxName)
	}
	return m.open(m.linkURL(l), fmt.Sprintf("port %d of %s", l.Port, l.SandboxName))
}

func (m *model) copyLink() tea.Cmd {
	l, ok := m.chosenLink()
	if !ok {
		return nil
	}
	url := m.linkURL(l)
	return m.copy(url, "Preview copied: "+url)
}

// saying is say as a command, for what is shown only when a command runs.
func (m *model) saying(s string) tea.Cmd {
	return func() tea.Msg { return sayMsg(s) }
}

// sayMsg asks for a note; panes send it.
type sayMsg string

// failMsg asks for an error line; panes send it.
type failMsg struct {
	action string
	err    error
}
