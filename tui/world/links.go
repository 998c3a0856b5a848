package world

import (
	"cmp"
	"net/url"
	"slices"
	"strings"
	"time"

	"daemon-proxy/core/api"
	"daemon-proxy/tui/text"
)

// LinksOf are the links of a sandbox that work, newest first.
func (w *World) LinksOf(ref api.Ref, now time.Time) []api.Link {
	p := w.Page(ref, now)
	return p.Links[:p.Own:p.Own]
}

// LinkIsOf compares by name if the link does not say its engine.
func (w *World) LinkIsOf(l api.Link, ref api.Ref) bool {
	if l.Sandbox != (api.Ref{}) {
		return l.Sandbox == ref
	}
	return l.SandboxName == ref.String()
}

// Works reports whether a link can be used at a time.
func Works(l api.Link, now time.Time) bool {
	return l.State == "active" && (l.ExpiresAt == nil || l.ExpiresAt.After(now))
}

// ActiveLinks is how many links to this machine and to containers of the engine
// work, and how many that do not say their engine.
func (w *World) ActiveLinks(now time.Time) int {
	n := 0
	for i := range w.Links {
		ref := w.Links[i].Sandbox
		if Works(w.Links[i], now) && (ref == (api.Ref{}) || ref.IsHost() || ref.Engine == w.Engine.Name) {
			n++
		}
	}
	return n
}

// LinkName is the label of a link, or else its public id.
func (w *World) LinkName(id string) string {
	for i := range w.Links {
		if w.Links[i].ID == id && w.Links[i].Label != "" {
			return text.Clean(w.Links[i].Label)
		}
	}
	return "link " + text.Clean(id)
}

// What the list of previews shows of the links that the world knows.

// Page are the links of a sandbox: those that work, newest first, then those
// that have ended, the last one first. The page of the machine itself has those
// of containers too that are not listed, as they have no page. It is made once,
// however often it is drawn, and does not change.
type Page struct {
	Links    []api.Link
	Own      int       // how many of the sandbox work; they are the first
	Strayed  int       // how many after them are of containers that are not listed
	from, to time.Time // when it is true; until a link expires
}

// Page is what the links of a sandbox are now. What changes links, the list of
// sandboxes, ports or the core's status drops all pages.
func (w *World) Page(ref api.Ref, now time.Time) *Page {
	if p := w.Pages[ref]; p != nil && !now.Before(p.from) && (p.to.IsZero() || now.Before(p.to)) {
		return p
	}
	if w.Pages == nil {
		w.Pages = map[api.Ref]*Page{}
	}
	w.Pages[ref] = w.newPage(ref, now)
	return w.Pages[ref]
}

func (w *World) newPage(ref api.Ref, now time.Time) *Page {
	p := &Page{from: now}
	strayed := func(api.Link) bool { return false }
	if ref.IsHost() && w.Listed {
		strayed = w.strayed()
	}
	var strays, over []api.Link
	for _, l := range w.Links {
		own, work := w.LinkIsOf(l, ref), Works(l, now)
		switch {
		case own && work:
			p.Links = append(p.Links, l)
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
	slices.SortStableFunc(p.Links, func(a, b api.Link) int { return b.CreatedAt.Compare(a.CreatedAt) })
	slices.SortStableFunc(over, func(a, b api.Link) int {
		return cmp.Or(ended(b).Compare(ended(a)), strings.Compare(a.ID, b.ID))
	})
	p.Own, p.Strayed = len(p.Links), len(strays)
	p.Links = slices.Concat(p.Links, strays, over)
	return p
}

// strayed says whether the sandbox of a link is not listed.
func (w *World) strayed() func(l api.Link) bool {
	refs, names := map[api.Ref]bool{api.Host: true}, map[string]bool{api.Host.String(): true}
	for i := range w.Sandboxes {
		refs[w.Sandboxes[i].Ref], names[w.Sandboxes[i].String()] = true, true
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

// LinkURL is how a link is reached: with an origin of its own where that works.
func (w *World) LinkURL(l api.Link) string {
	if w.Status.HostLinks && l.HostURL != "" {
		return l.HostURL + "/"
	}
	return l.URL + "/"
}

// PageURL is where a link is opened: the page of a VNC desktop, the path that
// the port's owner names, else the root.
func (w *World) PageURL(l api.Link) string {
	if w.IsDesktop(l) {
		return w.DesktopURL(l)
	}
	card, _ := w.card(w.refOf(l), l.Port)
	return w.LinkURL(l) + strings.TrimLeft(card.Path, "/")
}

// DesktopURL is the noVNC page of a link, which connects by itself and fits the window.
func (w *World) DesktopURL(l api.Link) string {
	base := w.LinkURL(l)
	q := "autoconnect=true&resize=scale"
	if !w.Status.HostLinks || l.HostURL == "" {
		// noVNC looks for its socket at the root of the host unless told.
		if u, err := url.Parse(base); err == nil {
			q += "&path=" + url.QueryEscape(strings.TrimPrefix(u.Path, "/")+"websockify")
		}
	}
	page := w.DesktopPage(l)
	if page == liteDesktop {
		q += "&scale=true" // its word for resize
	}
	return base + page + "?" + q
}

// liteDesktop is the smaller of noVNC's pages.
const liteDesktop = "vnc_lite.html"

// DesktopPage is the page of noVNC that a link's port has.
func (w *World) DesktopPage(l api.Link) string {
	if card, _ := w.card(w.refOf(l), l.Port); card.Path == "/"+liteDesktop {
		return liteDesktop
	}
	return "vnc.html"
}

// IsDesktop reports whether a link leads to a VNC desktop.
func (w *World) IsDesktop(l api.Link) bool {
	card, known := w.card(w.refOf(l), l.Port)
	if !known || card.Service == "unknown" {
		return l.Port == VNCPort && l.Label == VNCLabel
	}
	return card.Service == "vnc"
}

// refOf is the sandbox of a link, found by its name where the link crossed JSON.
func (w *World) refOf(l api.Link) api.Ref {
	if l.Sandbox != (api.Ref{}) {
		return l.Sandbox
	}
	if i := slices.IndexFunc(w.Sandboxes, func(s api.Sandbox) bool { return s.String() == l.SandboxName }); i >= 0 {
		return w.Sandboxes[i].Ref
	}
	return api.Ref{Name: l.SandboxName}
}

// Where daytona's VNC desktop listens, and the label of links to it.
const (
	VNCPort  = 6080
	VNCLabel = "desktop"
)
