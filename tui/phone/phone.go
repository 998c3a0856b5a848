// Package phone is the screen with the QR code of a link that is served to the
// network while the screen is shown.
package phone

import (
	"context"
	"fmt"
	"slices"
	"strings"

	tea "github.com/charmbracelet/bubbletea"

	"daemon-proxy/core/api"
	"daemon-proxy/tui/format"
	"daemon-proxy/tui/pane"
	"daemon-proxy/tui/text"
	"daemon-proxy/tui/world"
)

// Screen is the screen with the code. The listener ends when it is closed.
type Screen struct {
	pane.Env
	copy   func(s, what string) tea.Cmd
	Cancel context.CancelFunc // ends the listener

	title    string
	link     api.Link
	share    api.Share
	code     qrCode
	err      error // why there is no code
	ready    bool
	inverted bool
}

// New returns the screen before the listener is open; cancel ends the listener.
func New(
	env pane.Env, copyText func(s, what string) tea.Cmd, cancel context.CancelFunc, link api.Link, title string,
) *Screen {
	return &Screen{Env: env, copy: copyText, Cancel: cancel, link: link, title: title}
}

// Show shows the code once the listener is open.
func (p *Screen) Show(link api.Link, share api.Share) {
	p.link, p.share, p.ready = link, share, true
	p.code, p.err = newQRCode(share.URL)
}

// Whole reports that it takes the whole window.
func (p *Screen) Whole() bool { return true }

// Title names what the network can reach.
func (p *Screen) Title() string { return p.title }

// HandleKey implements overlay.
func (p *Screen) HandleKey(key tea.KeyMsg) (tea.Cmd, bool) {
	switch key.String() {
	case "esc", "enter", "q", "Q":
		p.Cancel()
		if !p.ready {
			return nil, true
		}
		return func() tea.Msg { return pane.SayMsg("closed: the network can no longer reach " + p.title) }, true
	case "y":
		if p.ready {
			return p.copy(p.share.URL, "copied: "+p.share.URL), false
		}
	case "i":
		p.inverted = !p.inverted
	}
	return nil, false
}

// over reports whether the link ended while its code is shown.
func (p *Screen) over() bool {
	l, known := p.World.Link(p.link.ID)
	if !known {
		l = p.link
	}
	return !world.Works(l, p.Now())
}

// View implements overlay: the code in the middle, the URL below it.
func (p *Screen) View(width, height int) []string {
	l := p.Look
	title := " " + l.Ink.Title.Paint(text.Clean(p.title))
	keys := " " + l.Ink.Key.Paint("esc") + " close, the listener too"
	if !p.ready {
		return p.middle([]string{title,
			l.Ink.Busy.Paint(" " + l.Glyph.Busy + " opening a listener on the network" + l.Glyph.Ellipsis), keys},
			width, height)
	}
	keys += "   " + l.Ink.Key.Paint("y") + " copy the URL   " + l.Ink.Key.Paint("i") + " invert"
	until := "scan it on this network " + l.Glyph.Dot + " " + format.Lifetime(p.ended(), p.Now())
	title = l.Ends(title, l.Ink.Busy.Paint(until)+" ", width)
	var url []string
	for _, part := range text.Break(text.Clean(p.share.URL), max(1, width-2)) {
		url = append(url, strings.Repeat(" ", max(0, (width-text.Width(part))/2))+l.Ink.Accent.Paint(part))
	}
	body, fits := p.body(width, height-2-len(url))
	spare := height - 2 - len(url) - len(body)
	if !fits || spare < 0 {
		return slices.Concat([]string{title, ""}, body, []string{""}, url, []string{"", keys})
	}
	empty := func(n int) []string { return make([]string, max(0, n)) }
	if spare > 3 {
		body = slices.Concat(empty(spare/2), body, empty(1))
	}
	lines := slices.Concat([]string{title}, body, url)
	return slices.Concat(lines, empty(height-1-len(lines)), []string{keys})
}

func (p *Screen) ended() api.Link {
	l := p.link
	if l.ExpiresAt == nil {
		l.ExpiresAt = &p.share.Expires
	}
	return l
}

// body returns the code, or why there is none.
func (p *Screen) body(width, height int) ([]string, bool) {
	l := p.Look
	switch {
	case p.over():
		return []string{" " + l.Ink.Bad.Paint(l.Glyph.Bad+" The link has ended and no longer works.")}, false
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
		// Title, URL and keys are above and below it.
		say := fmt.Sprintf("The window is too small for the QR code, which needs about %d×%d. "+
			"The URL works without it:", w, h+3)
		return text.Indent(text.Wrap(say, width-2), " "), false
	}
	return text.Indent(code.lines(l, p.inverted), strings.Repeat(" ", (width-w)/2)), true
}

// middle puts lines into the middle of the window.
func (p *Screen) middle(lines []string, width, height int) []string {
	for i := range lines {
		lines[i] = p.Cut(lines[i], width)
	}
	return append(slices.Repeat([]string{""}, max(0, (height-len(lines))/2)), lines...)
}
