package tui

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	tea "github.com/charmbracelet/bubbletea"
	"github.com/charmbracelet/x/ansi"

	"daemon-proxy/core/api"
	"daemon-proxy/tui/dialog"
	"daemon-proxy/tui/draw"
	"daemon-proxy/tui/format"
	"daemon-proxy/tui/pane"
	"daemon-proxy/tui/text"
	"daemon-proxy/tui/world"
)

// sharedFor is how long a link lives that is made to be shown on a phone.
const sharedFor = time.Hour

type (
	// shareMsg begins to show a link: the person has said yes.
	shareMsg struct {
		link api.Link
		anew bool // by a new link that expires
	}
	// sharedMsg is the listener that a screen waits for.
	sharedMsg struct {
		screen *phone
		link   api.Link
		share  api.Share
		err    error
	}
)

// phone is the screen with the code. The listener behind it ends with it.
type phone struct {
	look   *draw.Look
	world  *world.World
	now    func() time.Time
	copy   func(s, what string) tea.Cmd
	cancel context.CancelFunc // ends the listener

	title    string
	link     api.Link
	share    api.Share
	code     qrCode
	err      error // why there is no code
	ready    bool
	inverted bool
}

func (p *phone) show(link api.Link, share api.Share) {
	p.link, p.share, p.ready = link, share, true
	p.code, p.err = newQRCode(share.URL)
}

// Whole says that it takes the whole window.
func (p *phone) Whole() bool { return true }

// HandleMsg implements overlay.
func (p *phone) HandleMsg(tea.Msg) tea.Cmd { return nil }

// HandleKey implements overlay.
func (p *phone) HandleKey(key tea.KeyMsg) (tea.Cmd, bool) {
	switch key.String() {
	case "esc", "enter", "q", "Q":
		p.cancel()
		if !p.ready {
			return nil, true
		}
		return func() tea.Msg { return pane.SayMsg("closed: the network does not reach " + p.title + " any more") },
			true
	case "y":
		if p.ready {
			return p.copy(p.share.URL, "copied: "+p.share.URL), false
		}
	case "i":
		p.inverted = !p.inverted
	}
	return nil, false
}

// over says whether the link ended while its code is shown.
func (p *phone) over() bool {
	l := p.link
	if i := slices.IndexFunc(p.world.Links, func(o api.Link) bool { return o.ID == l.ID }); i >= 0 {
		l = p.world.Links[i]
	}
	return !world.Works(l, p.now())
}

// View implements overlay: the code in the middle, the URL below it.
func (p *phone) View(width, height int) []string {
	l := p.look
	title := " " + l.Ink.Title.Paint(text.Clean(p.title))
	keys := " " + l.Ink.Key.Paint("esc") + " close, the listener too"
	if !p.ready {
		return p.middle([]string{title,
			l.Ink.Busy.Paint(" " + l.Glyph.Busy + " opening a listener on the network" + l.Glyph.Ellipsis), keys},
			width, height)
	}
	keys += "   " + l.Ink.Key.Paint("y") + " copy the URL   " + l.Ink.Key.Paint("i") + " invert"
	until := "scan it on this network " + l.Glyph.Dot + " " + format.Lifetime(p.ended(), p.now())
	title = l.Ends(title, l.Ink.Busy.Paint(until)+" ", width)
	var url []string
	for part := range strings.SplitSeq(ansi.Hardwrap(text.Clean(p.share.URL), max(1, width-2), true), "\n") {
		url = append(url, strings.Repeat(" ", max(0, (width-text.Width(part))/2))+l.Ink.Accent.Paint(part))
	}
	body, fits := p.body(width, height-2-len(url))
	switch spare := height - 2 - len(url) - len(body); {
	case !fits || spare < 0:
		return append(append([]string{title, ""}, body...), append(append([]string{""}, url...), "", keys)...)
	case spare > 3: // air above and below
		body = append(slices.Repeat([]string{""}, spare/2), body...)
		url = append([]string{""}, url...)
	}
	lines := append(append([]string{title}, body...), url...)
	return append(append(lines, slices.Repeat([]string{""}, max(0, height-1-len(lines)))...), keys)
}

func (p *phone) ended() api.Link {
	l := p.link
	if l.ExpiresAt == nil {
		l.ExpiresAt = &p.share.Expires
	}
	return l
}

// body is the code, or why it is not there.
func (p *phone) body(width, height int) ([]string, bool) {
	l := p.look
	switch {
	case p.over():
		return []string{" " + l.Ink.Bad.Paint(l.Glyph.Bad+" The link has ended: nobody reaches it any more.")}, false
	case p.err != nil:
		return []string{" " + l.Ink.Bad.Paint("No code can be made of this URL: "+text.Clean(p.err.Error()))}, false
	}
	code := p.code
	w, h := code.cells(l.ASCII)
	if h > height || w > width {
		code.quiet = quietZoneLeast
		w, h = code.cells(l.ASCII)
	}
	if h > height || w > width {
		// Title, URL and keys stand over and under it.
		say := fmt.Sprintf("The window is too small for the QR code, which needs about %d×%d. "+
			"The URL works without it:", w, h+3)
		lines := text.Wrap(say, width-2)
		for i := range lines {
			lines[i] = " " + lines[i]
		}
		return lines, false
	}
	lines := code.lines(l, p.inverted)
	for i := range lines {
		lines[i] = strings.Repeat(" ", (width-w)/2) + lines[i]
	}
	return lines, true
}

// middle puts lines into the middle of the window.
func (p *phone) middle(lines []string, width, height int) []string {
	for i := range lines {
		lines[i] = p.look.Cut(lines[i], width)
	}
	return append(slices.Repeat([]string{""}, max(0, (height-len(lines))/2)), lines...)
}

// askShare explains what is opened and asks.
func (a *linkActions) askShare() tea.Cmd {
	l, ok := a.current()
	if !ok {
		return nil
	}
	now := a.options.Now()
	opens := "This opens a second listener on this machine's address in the network. " +
		"Whoever is on that network and has the link can look at this port, and at nothing else, " +
		"until you close the screen with the code"
	path := "The link is served by its path there: a page that insists on absolute paths may look different than here."
	c := &dialog.Confirm{Look: a.look, Title: fmt.Sprintf("Show port %d of %s on a phone?", l.Port, l.SandboxName),
		No: "no", Yes: "show the code"}
	msg := shareMsg{link: l}
	if l.ExpiresAt == nil {
		msg.anew = true
		c.Yes = "make a link for " + format.TTL(sharedFor) + " and show it"
		c.Lines = []string{
			opens + " or the link expires.", "",
			"Only a link that expires is shown to a network, and this one lives until it is revoked. " +
				"A second one that lives " + format.TTL(sharedFor) + " can be made.", "", path,
		}
	} else {
		c.Lines = []string{opens + " or the link expires (" + format.Lifetime(l, now) + ").", "", path}
	}
	c.Run = func() tea.Msg { return msg }
	a.overlays.push(c)
	return nil
}

// share opens the listener and the screen that keeps it open.
func (a *linkActions) share(msg shareMsg) tea.Cmd {
	ctx, cancel := context.WithCancel(a.do.Ctx)
	p := &phone{look: a.look, world: &a.world, now: a.options.Now, copy: a.copy, cancel: cancel, link: msg.link,
		title: a.linkName(msg.link)}
	a.overlays.push(p)
	if !a.notes.note.failed {
		a.notes.note = note{}
	}
	backend := a.do.backend
	return func() tea.Msg {
		// The listener lives as long as ctx, so the deadline is only for the answer.
		deadline := time.AfterFunc(pane.Quick, cancel)
		link, err := msg.link, error(nil)
		if msg.anew {
			ttl := int64(sharedFor / time.Second)
			link, err = backend.CreateLink(ctx,
				api.LinkRequest{Port: link.Port, Sandbox: link.SandboxName, Label: link.Label, TTLSeconds: &ttl,
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
		msg.screen.cancel()
		a.overlays.close(msg.screen)
		if !open {
			return a.do.links()
		}
		return tea.Batch(a.do.links(), a.notes.failWith("show it on a phone", msg.err))
	}
	if !open {
		msg.screen.cancel()
		return a.do.links()
	}
	a.world.ApplyLink(msg.link)
	msg.screen.show(msg.link, msg.share)
	return a.do.links()
}
