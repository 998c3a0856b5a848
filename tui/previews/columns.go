package previews

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"daemon-proxy/core/api"
	"daemon-proxy/tui/draw"
	"daemon-proxy/tui/format"
	"daemon-proxy/tui/pane"
	"daemon-proxy/tui/text"
	"daemon-proxy/tui/world"
)

type columns struct {
	look                                     *draw.Look
	port, label, link, requests, last, lives int
}

type table struct {
	pane.Env
	ref      api.Ref
	width    int
	measured *world.Page // the page of widths
	widths   linkWidths
}

func (p *table) columns(page *world.Page) columns {
	w := p.measure(page)
	c := columns{look: p.Look, port: 5, label: max(5, w.label), requests: 8, last: 8, lives: w.lives}
	for _, open := range p.World.OpenSockets() {
		c.last = max(c.last, text.Width(p.live(open)))
	}
	// Cursor 2, and 2 between columns. A masked link gives way to a label of usual length.
	rest := p.width - 2 - c.port - c.requests - c.last - c.lives - 5*2
	c.label = min(c.label, max(20, min(40, rest-w.link)))
	least := leastLink
	if w.over > 0 {
		least = len("expired 3m ago") // stands there
	}
	if rest-least >= leastLabel {
		c.label = min(c.label, rest-least)
	}
	if c.link = rest - c.label; c.link < least { // the chosen one is whole below
		more := max(0, w.over-c.lives)
		c.label, c.link, c.lives = max(0, rest+2-more), 0, c.lives+more
	}
	return c
}

// linkWidths are the greatest widths of a page's texts at any time: link is
// without the scheme, over is for links that have ended.
type linkWidths struct{ label, link, lives, over int }

// measure returns the widths of a page; they are computed once.
func (p *table) measure(page *world.Page) linkWidths {
	if p.measured == page {
		return p.widths
	}
	w := linkWidths{lives: len("364d23h")}
	working := page.Own + page.Strayed
	for i, l := range page.Links {
		w.label = max(w.label, text.Width(p.label(l)))
		if i >= working {
			w.over = len("revoked 999d ago")
			continue
		}
		w.link = max(w.link, text.Width(p.forms(l)[1]))
		if l.ExpiresAt == nil {
			w.lives = len("until revoked")
		}
	}
	p.measured, p.widths = page, w
	return w
}

// The least useful widths of a masked link and of a label beside it.
const (
	leastLink  = 6
	leastLabel = 12
)

func (c columns) line(port, label, link, requests, last, lives string) string {
	l := c.look
	parts := []string{l.Fit(port, c.port), l.Fit(label, c.label), l.Fit(link, c.link), l.Right(requests, c.requests),
		l.Fit(last, c.last), l.Fit(lives, c.lives)}
	if c.link == 0 {
		parts = slices.Delete(parts, 2, 3)
	}
	return strings.Join(parts, "  ")
}

func (p *table) row(c columns, l api.Link) string {
	link, left := "", p.left(l)
	switch {
	case world.Works(l, p.Now()):
		link = p.masked(l, c.link)
	case c.link > 0:
		link = format.Lifetime(l, p.Now())
	default:
		left = format.Lifetime(l, p.Now())
	}
	return c.line(fmt.Sprint(l.Port), p.label(l), link, format.Thousands(int(l.Requests)), p.last(l), left)
}

// label returns a link's label, with its sandbox if that has no page.
func (p *table) label(l api.Link) string {
	label := cmp.Or(text.Clean(l.Label), "-")
	if p.World.LinkIsOf(l, p.ref) {
		return label
	}
	return text.Clean(l.SandboxName) + ": " + label
}

// last returns when a link was last used, or how many sockets are open on it.
func (p *table) last(l api.Link) string {
	switch n := p.World.Sockets(l.ID); {
	case n > 0:
		return p.live(n)
	case l.LastUsedAt == nil:
		return ""
	}
	return format.Ago(p.Now().Sub(*l.LastUsedAt))
}

func (p *table) live(sockets int) string { return fmt.Sprintf("live %s%d", p.Glyph.Sockets, sockets) }

// left returns how long a link still works; empty if it has ended.
func (p *table) left(l api.Link) string {
	switch {
	case !world.Works(l, p.Now()):
		return ""
	case l.ExpiresAt == nil:
		return "until revoked"
	}
	return format.Coarse(l.ExpiresAt.Sub(p.Now()))
}

// masked returns the URL of a link with its token masked, in the longest form that
// fits.
func (p *table) masked(l api.Link, width int) string {
	forms := p.forms(l)
	for _, form := range forms {
		if text.Width(form) <= width {
			return form
		}
	}
	return forms[len(forms)-1]
}

// forms returns masked URLs of a link from the longest to the shortest: complete,
// without the scheme, and only the path if it contains the token.
func (p *table) forms(l api.Link) [3]string {
	whole := text.Clean(p.World.LinkURL(l))
	if p.World.IsDesktop(l) {
		whole += p.World.DesktopPage(l) + p.Glyph.Ellipsis
	}
	if token := text.Clean(l.Token); len(token) > 4 {
		whole = strings.Replace(whole, token, token[:4]+p.Glyph.Ellipsis, 1)
	}
	_, bare, _ := strings.Cut(whole, "://")
	path := bare
	if _, after, found := strings.Cut(bare, "/preview/"); found {
		path = "/preview/" + after
	}
	return [3]string{whole, bare, path}
}
