package tui

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	tea "github.com/charmbracelet/bubbletea"

	"daemon-proxy/core/api"
	"daemon-proxy/tui/format"
	"daemon-proxy/tui/pane"
	"daemon-proxy/tui/phone"
)

// sharedFor is the lifetime of a link that is made for a phone.
const sharedFor = time.Hour

type (
	// shareMsg begins to share a link after the user's confirmation.
	shareMsg struct {
		link    api.Link
		newLink bool // make a new link that expires
	}
	// sharedMsg brings the listener for the screen.
	sharedMsg struct {
		screen *phone.Screen
		link   api.Link
		share  api.Share
		err    error
	}
)

func (a *linkActions) askShare(l api.Link) tea.Cmd {
	opens := "This opens a second listener on the address of " + a.Machine + " in its network. " +
		"Whoever is on that network and has the link can look at this port, and at nothing else, " +
		"until you close the screen with the code"
	path := "The link is served by its path there: a page that insists on absolute paths may look different than here."
	title := fmt.Sprintf("Show port %d of %s on a phone?", l.Port, l.SandboxName)
	share := func() tea.Msg { return shareMsg{link: l, newLink: l.ExpiresAt == nil} }
	if l.ExpiresAt != nil {
		return a.ask(title, "show the code", share, opens+" or the link expires ("+format.Lifetime(l, a.Now())+").", "",
			path)
	}
	return a.ask(title, "make a link for "+format.TTL(sharedFor)+" and show it", share, opens+" or the link expires.", "",
		"Only a link that expires can be shared on a network, and this one is valid until it is revoked. "+
			"You can make a second one that is valid for "+format.TTL(sharedFor)+".", "", path)
}

// share opens the listener and the screen that keeps it open.
func (a *linkActions) share(msg shareMsg) tea.Cmd {
	ctx, cancel := context.WithCancel(a.Ctx)
	p := phone.New(a.Env, a.copy, cancel, msg.link, a.linkName(msg.link))
	a.overlays.push(p)
	if !a.notes.note.failed {
		a.notes.note = note{}
	}
	backend := a.do.backend
	return func() tea.Msg {
		// The listener ends with ctx; the deadline is only for the answer.
		deadline := time.AfterFunc(pane.Quick, cancel)
		link, err := msg.link, error(nil)
		if msg.newLink {
			ttl := int64(sharedFor / time.Second)
			link, err = backend.CreateLink(ctx,
				api.LinkRequest{Port: link.Port, Sandbox: cmp.Or(link.Sandbox.Long(), link.SandboxName), Label: link.Label, TTLSeconds: &ttl,
					Fence: &link.Fence, StripPrefix: &link.StripPrefix})
		}
		var share api.Share
		if err == nil {
			share, err = backend.Share(ctx, link.ID)
		}
		if !deadline.Stop() && err == nil {
			err = errors.New("it took too long to open the listener")
		}
		if err != nil {
			cancel()
		}
		return sharedMsg{p, link, share, err}
	}
}

// afterShare shows the code, unless the screen was closed meanwhile.
func (a *linkActions) afterShare(msg sharedMsg) tea.Cmd {
	open := slices.Contains(a.overlays, overlay(msg.screen))
	if msg.err != nil {
		msg.screen.Cancel()
		a.overlays.close(msg.screen)
		if !open {
			return a.do.links()
		}
		return tea.Batch(a.do.links(), a.notes.failWith("show it on a phone", msg.err))
	}
	if !open {
		msg.screen.Cancel()
		return a.do.links()
	}
	a.World.ApplyLink(msg.link)
	msg.screen.Show(msg.link, msg.share)
	return a.do.links()
}
