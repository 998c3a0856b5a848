package tui

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	tea "github.com/charmbracelet/bubbletea"

	"daemon-proxy/core/api"
	"daemon-proxy/tui/dialog"
	"daemon-proxy/tui/form"
	"daemon-proxy/tui/format"
	"daemon-proxy/tui/pane"
	"daemon-proxy/tui/system"
	"daemon-proxy/tui/text"
	"daemon-proxy/tui/world"
)

type linkActions struct {
	*ui
	news      *portNews
	mouseKeys func() []string
}

// current returns the link for o, y, d and Q, which works: the one at the cursor
// of the previews, else the newest of the sandbox.
func (a *linkActions) current() (api.Link, bool) {
	now := a.Now()
	if a.place() == inPreviews {
		l, ok := a.previews().Selected()
		return l, ok && world.Works(l, now)
	}
	links := a.World.LinksOf(a.list.Selected, now)
	if len(links) == 0 {
		return api.Link{}, false
	}
	return links[0], true
}

func (a *linkActions) hasLink() bool { _, ok := a.current(); return ok }

// onCurrent returns an action on the current link.
func (a *linkActions) onCurrent(run func(api.Link) tea.Cmd) func() tea.Cmd {
	return func() tea.Cmd {
		if l, ok := a.current(); ok {
			return run(l)
		}
		return nil
	}
}

func (a *linkActions) openLink(l api.Link) tea.Cmd { return a.open(a.World.PageURL(l), a.linkName(l)) }

func (a *linkActions) copyURL(l api.Link) tea.Cmd {
	url := a.World.PageURL(l)
	return a.copy(url, "Preview copied: "+url)
}

func (a *linkActions) askRevoke(l api.Link) tea.Cmd {
	backend := a.do.backend
	title := fmt.Sprintf("Revoke the preview of port %d of %s?", l.Port, l.SandboxName)
	if l.Label != "" {
		title = fmt.Sprintf("Revoke %q, the preview of port %d of %s?", l.Label, l.Port, l.SandboxName)
	}
	effect := "The link stops working for everyone who has it. A new preview gets another link."
	switch n := a.World.Sockets(l.ID); {
	case n == 1:
		effect = "1 socket is open on it and will be closed. " + effect
	case n > 1:
		effect = format.Count(n, "socket") + " are open on it and will be closed. " + effect
	}
	return a.ask(title, "revoke", a.do.act(pane.Quick, fmt.Sprintf("revoke the preview of port %d", l.Port),
		fmt.Sprintf("revoked: port %d of %s", l.Port, l.SandboxName),
		func(ctx context.Context) error { return backend.RevokeLink(ctx, l.ID) }), effect)
}

// newPreview opens the form for the selected sandbox. It selects the port that
// has just opened, or that of the selected link if the link has ended.
func (a *linkActions) newPreview() tea.Cmd {
	f := form.New(a.Env, a.do.backend, a.list.Selected)
	if a.news.shown() {
		f.StartAt(a.news.newPort.card.Port.Port)
	} else if a.place() == inPreviews {
		if l, found := a.previews().Selected(); found && !world.Works(l, a.Now()) {
			f.StartWith(l)
		}
	}
	a.overlays.push(f)
	return f.Load()
}

// afterCreate copies or opens a new link and closes its form. On failure the form
// stays and shows the reason.
func (a *linkActions) afterCreate(msg form.CreatedMsg) tea.Cmd {
	open := msg.Form != nil && slices.Contains(a.overlays, overlay(msg.Form))
	if open {
		msg.Form.Created(msg.Err)
	}
	switch {
	case msg.Err != nil && !open:
		return a.notes.failWith("make a preview", msg.Err)
	case msg.Err != nil:
		a.log.Error("an action failed", "action", "make a preview", "error", msg.Err)
		return a.notes.doubt(msg.Err)
	}
	a.World.ApplyLink(msg.Link)
	switch {
	case open:
		a.overlays.close(msg.Form)
	case msg.Form != nil: // the form was closed meanwhile
		return tea.Batch(a.do.links(), a.notes.say("preview made: "+a.linkName(msg.Link)))
	}
	a.previews().Select(msg.Link)
	if msg.Open {
		return tea.Batch(a.do.links(), a.openLink(msg.Link))
	}
	return tea.Batch(a.do.links(), a.copyURL(msg.Link))
}

func (a *linkActions) afterOpen(msg openedMsg) tea.Cmd {
	if msg.err == nil {
		return a.notes.say("opened " + msg.label + ": " + msg.url)
	}
	why := "There is no browser here."
	if !errors.Is(msg.err, system.ErrNoBrowser) {
		a.log.Warn("the browser was not opened", "error", msg.err)
		why = "The browser did not open: " + strings.ReplaceAll(msg.err.Error(), "\n", "; ") + "."
	}
	s := &dialog.Text{Look: a.Look, Title: text.Clean(msg.label),
		Intro: text.Clean(why) + " Copied, open it where there is one:", Body: text.Clean(msg.url)}
	s.Mouse, s.ToggleMouse = a.mouseKeys(), func() tea.Msg { return runMsg{action: "mouse"} }
	a.overlays.push(s)
	return a.copy(msg.url, "")
}

func (a *linkActions) afterCopy(msg copiedMsg) tea.Cmd {
	if errors.Is(msg.err, system.ErrTooLong) {
		msg.err = &api.Problem{Detail: msg.err.Error(),
			Hint: a.Key("save-bodies") + " in the inspector saves the bodies of a request as files"}
	}
	if msg.err != nil {
		return a.notes.failWith("copy", msg.err)
	}
	if msg.what == "" {
		return nil
	}
	return a.notes.say(msg.what)
}
