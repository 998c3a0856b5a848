package tui

import (
	"cmp"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"daemon-proxy/core/api"
	"daemon-proxy/tui/text"
)

// What the list of previews shows of the links that the world knows.

// linkPage are the links of a sandbox: those that work, newest first, then those
// that have ended, the last one first. The page of the machine itself has those
// of containers too that are not listed, as they have no page. It is made once,
// however often it is drawn, and does not change.
type linkPage struct {
	links    []api.Link
	own      int        // how many of the sandbox work; they are the first
	strayed  int        // how many after them are of containers that are not listed
	from, to time.Time  // when it is true; until a link expires
	widths   linkWidths // as they were measured last
}

// page is what the links of a sandbox are now. What changes links, the list of
// sandboxes, ports or the core's status drops all pages.
func (w *world) page(ref api.Ref, now time.Time) *linkPage {
	if p := w.pages[ref]; p != nil && !now.Before(p.from) && (p.to.IsZero() || now.Before(p.to)) {
		return p
	}
	if w.pages == nil {
		w.pages = map[api.Ref]*linkPage{}
	}
	w.pages[ref] = w.newPage(ref, now)
	return w.pages[ref]
}

func (w *world) newPage(ref api.Ref, now time.Time) *linkPage {
	p := &linkPage{from: now}
	strayed := func(api.Link) bool { return false }
	if ref.IsHost() && w.listed {
		strayed = w.strayed()
	}
	var strays, over []api.Link
	for _, l := range w.links {
		own, work := w.linkIsOf(l, ref), works(l, now)
		switch {
		case own && work:
			p.links = append(p.links, l)
		case own:
			over = append(over, l)
		case work && strayed(l):
			strays = append(strays, l)
		default:
			continue
		}
		if work && l.ExpiresAt != nil && (p.to.IsZero() || l.ExpiresAt.Before(p.to)) {
			p.to = *l.ExpiresAt
		}
	}
	slices.SortStableFunc(p.links, func(a, b api.Link) int { return b.CreatedAt.Compare(a.CreatedAt) })
	slices.SortStableFunc(over, func(a, b api.Link) int { return cmp.Or(ended(b).Compare(ended(a)), strings.Compare(a.ID, b.ID)) })
	p.own, p.strayed = len(p.links), len(strays)
	p.links = slices.Concat(p.links, strays, over)
	return p
}

// strayed says whether the sandbox of a link is not listed.
func (w *world) strayed() func(l api.Link) bool {
	refs, names := map[api.Ref]bool{api.Host: true}, map[string]bool{api.Host.String(): true}
	for i := range w.sandboxes {
		refs[w.sandboxes[i].Ref], names[w.sandboxes[i].String()] = true, true
	}
	return func(l api.Link) bool {
		if l.Sandbox != (api.Ref{}) {
			return !refs[l.Sandbox]
		}
		return !names[l.SandboxName]
	}
}

// ended is when a link that does not work any more stopped to.
func ended(l api.Link) time.Time {
	switch {
	case l.RevokedAt != nil:
		return *l.RevokedAt
	case l.ExpiresAt != nil:
		return *l.ExpiresAt
	}
	return l.CreatedAt
}

// linkURL is how a link is reached: with an origin of its own where that works.
func (w *world) linkURL(l api.Link) string {
	if w.status.HostLinks && l.HostURL != "" {
		return l.HostURL + "/"
	}
	return l.URL + "/"
}

// pageURL is where a link is opened: the page of a VNC desktop, the path that
// the port's owner names, else the root.
func (w *world) pageURL(l api.Link) string {
	if w.isDesktop(l) {
		return w.desktopURL(l)
	}
	card, _ := w.card(w.refOf(l), l.Port)
	return w.linkURL(l) + strings.TrimLeft(card.Path, "/")
}

// desktopURL is the noVNC page of a link, which connects by itself and fits the window.
func (w *world) desktopURL(l api.Link) string {
	base := w.linkURL(l)
	q := "autoconnect=true&resize=scale"
	if !w.status.HostLinks || l.HostURL == "" {
		// noVNC looks for its socket at the root of the host unless told.
		if u, err := url.Parse(base); err == nil {
			q += "&path=" + url.QueryEscape(strings.TrimPrefix(u.Path, "/")+"websockify")
		}
	}
	page := w.desktopPage(l)
	if page == liteDesktop {
		q += "&scale=true" // its word for resize
	}
	return base + page + "?" + q
}

// liteDesktop is the smaller of noVNC's pages.
const liteDesktop = "vnc_lite.html"

// desktopPage is the page of noVNC that a link's port has.
func (w *world) desktopPage(l api.Link) string {
	if card, _ := w.card(w.refOf(l), l.Port); card.Path == "/"+liteDesktop {
		return liteDesktop
	}
	return "vnc.html"
}

func (w *world) isDesktop(l api.Link) bool {
	card, known := w.card(w.refOf(l), l.Port)
	if !known || card.Service == "unknown" {
		return l.Port == vncPort && l.Label == vncLabel
	}
	return card.Service == "vnc"
}

// card is what is known of a port.
func (w *world) card(ref api.Ref, port int) (api.PortCard, bool) {
	cards := w.ports[ref].cards
	if i := slices.IndexFunc(cards, func(c api.PortCard) bool { return c.Port.Port == port }); i >= 0 {
		return cards[i], true
	}
	return api.PortCard{}, false
}

// refOf is the sandbox of a link, found by its name where the link crossed JSON.
func (w *world) refOf(l api.Link) api.Ref {
	if l.Sandbox != (api.Ref{}) {
		return l.Sandbox
	}
	if i := slices.IndexFunc(w.sandboxes, func(s api.Sandbox) bool { return s.String() == l.SandboxName }); i >= 0 {
		return w.sandboxes[i].Ref
	}
	return api.Ref{Name: l.SandboxName}
}

// takePort adds a port that began to listen; it says whether that is news.
func (w *world) takePort(card api.PortCard) bool {
	w.pages = nil
	known, listed := w.ports[card.Sandbox]
	if _, there := w.card(card.Sandbox, card.Port.Port); there {
		return false // the list came first
	}
	if listed && known.err == nil {
		known.cards = append(slices.Clone(known.cards), card)
		slices.SortFunc(known.cards, func(a, b api.PortCard) int { return cmp.Compare(a.Port.Port, b.Port.Port) })
		w.ports[card.Sandbox] = known
	}
	return true
}

// takeSocket counts what stays open: WebSockets and event streams.
func (w *world) takeSocket(x api.Exchange) {
	if x.LinkID == "" {
		return
	}
	if x.Live && (x.Protocol == "websocket" || x.Protocol == "event-stream") {
		if w.sockets[x.LinkID] == nil {
			w.sockets[x.LinkID] = map[uint64]bool{}
		}
		w.sockets[x.LinkID][x.ID] = true
		return
	}
	delete(w.sockets[x.LinkID], x.ID)
	if len(w.sockets[x.LinkID]) == 0 {
		delete(w.sockets, x.LinkID)
	}
}

// takeSockets begins the count anew with all exchanges that are live, but for
// those of which an event told meanwhile that they have ended.
func (w *world) takeSockets(live []api.Exchange) {
	clear(w.sockets)
	for _, x := range live {
		over := slices.ContainsFunc(w.recent[x.Sandbox], func(o api.Exchange) bool { return o.ID == x.ID && !o.Live })
		if !over {
			w.takeSocket(x)
		}
	}
}

// columns are the widths of the list.
type columns struct {
	look                                     *look
	port, label, link, requests, last, lives int
}

func (p *previews) columns(page *linkPage) columns {
	w := p.measure(page)
	c := columns{look: p.look, port: 5, label: max(5, w.label), requests: 8, last: 8, lives: w.lives}
	for _, open := range p.world.sockets {
		c.last = max(c.last, text.Width(p.live(len(open))))
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

// linkWidths are how wide the words of a page can be, whatever the time: a link
// is without its scheme, over is for one that has ended.
type linkWidths struct{ label, link, lives, over int }

// measure looks at every link of a page, once.
func (p *previews) measure(page *linkPage) linkWidths {
	w := &page.widths
	if w.lives > 0 {
		return *w
	}
	w.lives = len("364d23h")
	working := page.own + page.strayed
	for i, l := range page.links {
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
	return *w
}

// The widths under which a masked link and a label beside it say nothing.
const (
	leastLink  = 6
	leastLabel = 12
)

func (c columns) line(port, label, link, requests, last, lives string) string {
	l := c.look
	parts := []string{l.fit(port, c.port), l.fit(label, c.label), l.fit(link, c.link), l.right(requests, c.requests), l.fit(last, c.last), l.fit(lives, c.lives)}
	if c.link == 0 {
		parts = slices.Delete(parts, 2, 3)
	}
	return strings.Join(parts, "  ")
}

func (p *previews) row(c columns, l api.Link) string {
	link, left := "", p.left(l)
	switch {
	case works(l, p.now()):
		link = p.masked(l, c.link)
	case c.link > 0:
		link = lives(l, p.now())
	default:
		left = lives(l, p.now())
	}
	return c.line(fmt.Sprint(l.Port), p.label(l), link, thousands(int(l.Requests)), p.last(l), left)
}

// label is what a link is called, with its sandbox where that has no page.
func (p *previews) label(l api.Link) string {
	label := orDash(text.Clean(l.Label))
	if p.world.linkIsOf(l, p.ref) {
		return label
	}
	return text.Clean(l.SandboxName) + ": " + label
}

// last is when a link was used last, or how many sockets are open on it now.
func (p *previews) last(l api.Link) string {
	switch n := len(p.world.sockets[l.ID]); {
	case n > 0:
		return p.live(n)
	case l.LastUsedAt == nil:
		return ""
	}
	return ago(p.now().Sub(*l.LastUsedAt))
}

func (p *previews) live(sockets int) string {
	return fmt.Sprintf("live %s%d", p.look.glyph.Sockets, sockets)
}

// left is how long a link still works; empty for one that has ended.
func (p *previews) left(l api.Link) string {
	switch {
	case !works(l, p.now()):
		return ""
	case l.ExpiresAt == nil:
		return "until revoked"
	}
	return coarse(l.ExpiresAt.Sub(p.now()))
}

// masked is the URL of a link without the most of its token, in the fullest
// form that has room.
func (p *previews) masked(l api.Link, width int) string {
	forms := p.forms(l)
	for _, form := range forms {
		if text.Width(form) <= width {
			return form
		}
	}
	return forms[len(forms)-1]
}

// forms are masked URLs of a link from the fullest to the shortest: whole,
// without the scheme, and the path alone where the token is in it.
func (p *previews) forms(l api.Link) [3]string {
	whole := text.Clean(p.world.linkURL(l))
	if p.world.isDesktop(l) {
		whole += p.world.desktopPage(l) + p.look.glyph.Ellipsis
	}
	if token := text.Clean(l.Token); len(token) > 4 {
		whole = strings.Replace(whole, token, token[:4]+p.look.glyph.Ellipsis, 1)
	}
	_, bare, _ := strings.Cut(whole, "://")
	path := bare
	if _, after, found := strings.Cut(bare, "/preview/"); found {
		path = "/preview/" + after
	}
	return [3]string{whole, bare, path}
}
