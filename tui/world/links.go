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

// LinksOf returns the working links of a sandbox, newest first.
func (w *World) LinksOf(ref api.Ref, now time.Time) []api.Link {
	p := w.Page(ref, now)
	return p.Links[:p.Own:p.Own]
}

// LinkIsOf reports whether a link is of ref. It compares names if the link does not
// have its engine.
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

// ActiveLinks returns how many links to this machine and to containers of the engines
// that are open work; of one engine only those to its containers. Links that do not
// have their engine are included.
func (w *World) ActiveLinks(now time.Time, engine string) (n int) {
	for i := range w.links {
		ref := w.links[i].Sandbox
		_, counts := w.EngineNamed(ref.Engine)
		if counts = counts || ref.IsHost(); engine != "" {
			counts = ref.Engine == engine
		}
		if Works(w.links[i], now) && (counts || ref == (api.Ref{})) {
			n++
		}
	}
	return n
}

// Link returns the link of that id.
func (w *World) Link(id string) (api.Link, bool) {
	i := slices.IndexFunc(w.links, func(l api.Link) bool { return l.ID == id })
	if i < 0 {
		return api.Link{}, false
	}
	return w.links[i], true
}

// LinkName returns the label of a link, or its public id.
func (w *World) LinkName(id string) string {
	if l, _ := w.Link(id); l.Label != "" {
		return text.Clean(l.Label)
	}
	return "link " + text.Clean(id)
}

// Page returns the current page of a sandbox. Changes of links, sandboxes, ports or
// the core's status drop all cached pages.
func (w *World) Page(ref api.Ref, now time.Time) *Page {
	if p := w.pages[ref]; p != nil && !now.Before(p.from) && (p.to.IsZero() || now.Before(p.to)) {
		return p
	}
	if w.pages == nil {
		w.pages = map[api.Ref]*Page{}
	}
	w.pages[ref] = w.newPage(ref, now)
	return w.pages[ref]
}

func (w *World) newPage(ref api.Ref, now time.Time) *Page {
	p := &Page{from: now}
	strayed := func(api.Link) bool { return false }
	if ref.IsHost() && w.listed {
		strayed = w.strayed()
	}
	var strays, over []api.Link
	for _, l := range w.links {
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
		return cmp.Or(endOf(b).Compare(endOf(a)), strings.Compare(a.ID, b.ID))
	})
	p.Own, p.Strayed = len(p.Links), len(strays)
	p.Links = slices.Concat(p.Links, strays, over)
	return p
}

// strayed reports whether the sandbox of a link is not listed.
func (w *World) strayed() func(l api.Link) bool {
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

func endOf(l api.Link) time.Time {
	switch {
	case l.RevokedAt != nil:
		return *l.RevokedAt
	case l.ExpiresAt != nil:
		return *l.ExpiresAt
	}
	return l.CreatedAt
}

// LinkURL returns the URL of a link: with an origin of its own if that works.
func (w *World) LinkURL(l api.Link) string {
	if w.status.HostLinks && l.HostURL != "" {
		return l.HostURL + "/"
	}
	return l.URL + "/"
}

// PageURL returns the page at which a link is opened: that of a VNC desktop, the
// path in the devcontainer's label, else the root.
func (w *World) PageURL(l api.Link) string {
	if w.IsDesktop(l) {
		return w.DesktopURL(l)
	}
	card, _ := w.card(w.refOf(l), l.Port)
	return w.LinkURL(l) + strings.TrimLeft(card.Path, "/")
}

// DesktopURL returns the page of a link that shows a desktop; noVNC's connects and
// scales automatically.
func (w *World) DesktopURL(l api.Link) string {
	base := w.LinkURL(l)
	if card, known := w.card(w.refOf(l), l.Port); known && card.Desktop != "" && card.Desktop != noVNC {
		return base + strings.TrimLeft(card.Path, "/")
	}
	q := "autoconnect=true&resize=scale"
	if !w.status.HostLinks || l.HostURL == "" {
		// noVNC expects its socket at the root of the host by default.
		if u, err := url.Parse(base); err == nil {
			q += "&path=" + url.QueryEscape(strings.TrimPrefix(u.Path, "/")+"websockify")
		}
	}
	page := w.DesktopPage(l)
	if page == liteDesktop {
		q += "&scale=true" // its name for resize
	}
	return base + page + "?" + q
}

// liteDesktop is the smaller of noVNC's pages.
const liteDesktop = "vnc_lite.html"

// noVNC is the desktop whose page takes parameters.
const noVNC = "noVNC"

// DesktopPage returns the page of the desktop on a link's port.
func (w *World) DesktopPage(l api.Link) string {
	if card, _ := w.card(w.refOf(l), l.Port); card.Path != "" {
		return strings.TrimLeft(card.Path, "/")
	}
	return "vnc.html"
}

// IsDesktop reports whether a link leads to a VNC desktop.
func (w *World) IsDesktop(l api.Link) bool {
	card, known := w.card(w.refOf(l), l.Port)
	if !known || card.Service == "unknown" {
		return l.Label == VNCLabel
	}
	return card.IsDesktop()
}

// Desktops returns the cards of the desktops that a browser can show: the one that a
// label chooses, else all.
func Desktops(cards []api.PortCard) []api.PortCard {
	hidden := func(c api.PortCard) bool { return !c.IsDesktop() || !ForBrowser(c) }
	shown := slices.DeleteFunc(slices.Clone(cards), hidden)
	if i := slices.IndexFunc(shown, func(c api.PortCard) bool { return c.Chosen }); i >= 0 {
		return shown[i : i+1]
	}
	return shown
}

// refOf returns the sandbox of a link, by name if the link does not have its engine.
func (w *World) refOf(l api.Link) api.Ref {
	if l.Sandbox != (api.Ref{}) {
		return l.Sandbox
	}
	return refNamed(l.SandboxName, w.sandboxes)
}

// refNamed returns the sandbox that a name means.
func refNamed(name string, among []api.Sandbox) api.Ref {
	ref := api.ParseRef(name)
	if i := slices.IndexFunc(among, func(s api.Sandbox) bool { return ref.Means(s.Ref) }); i >= 0 {
		return among[i].Ref
	}
	return ref
}

// The port of daytona's VNC desktop, and the label of links to it.
const (
	VNCPort  = 6080
	VNCLabel = "desktop"
)
