// Package previews is the third tab: the links of a sandbox, working ones
// first, and the selected one in full below the list.
package previews

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	tea "github.com/charmbracelet/bubbletea"
	"github.com/charmbracelet/x/ansi"

	"daemon-proxy/core/api"
	"daemon-proxy/tui/draw"
	"daemon-proxy/tui/format"
	"daemon-proxy/tui/pane"
	"daemon-proxy/tui/text"
	"daemon-proxy/tui/world"
)

// Pane is the third tab.
type Pane struct {
	table
	height int
	at     string // the id of the selected link
	cursor draw.Cursor
	above  int // lines above the first row in the last view
}

// New returns the pane.
func New(env pane.Env) *Pane { return &Pane{table: table{Env: env}} }

// Show implements pane.Pane.
func (p *Pane) Show(ref api.Ref, width, height int, _ bool) tea.Cmd {
	p.width, p.height = width, height
	if ref != p.ref {
		p.ref, p.at, p.cursor = ref, "", draw.Cursor{}
	}
	return nil
}

// page returns the sandbox's page and puts the cursor on the selected link; if it
// is gone, the link in its place is selected.
func (p *Pane) page() *world.Page {
	page := p.World.Page(p.ref, p.Now())
	links := page.Links
	if at := p.cursor.At; at >= len(links) || links[at].ID != p.at {
		if i := slices.IndexFunc(links, func(l api.Link) bool { return l.ID == p.at }); i >= 0 {
			p.cursor.At = i
		}
	}
	p.cursor.Resize(len(links), p.cursor.Height)
	if len(links) > 0 {
		p.at = links[p.cursor.At].ID
	}
	return page
}

// Selected returns the link at the cursor, whether it works or not.
func (p *Pane) Selected() (api.Link, bool) {
	links := p.page().Links
	if len(links) == 0 {
		return api.Link{}, false
	}
	return links[p.cursor.At], true
}

// Select puts the cursor on a link of this sandbox.
func (p *Pane) Select(l api.Link) {
	if p.World.LinkIsOf(l, p.ref) {
		p.at = l.ID
	}
}

// Move implements pane.Pane.
func (p *Pane) Move(to draw.Motion) tea.Cmd {
	p.page()
	p.cursor.Move(to)
	p.at = ""
	p.page()
	return nil
}

// Click implements pane.Clickable.
func (p *Pane) Click(_, y int) tea.Cmd {
	links := p.page().Links
	if i := p.cursor.Top + y - p.above; y >= p.above && y < p.above+p.cursor.Height && i < len(links) {
		p.at = links[i].ID
	}
	return nil
}

// Foot implements pane.Footed.
func (p *Pane) Foot() string {
	if p.cursor.Count <= p.cursor.Height {
		return ""
	}
	return p.Ink.Dim.Paint(fmt.Sprintf("%d of %d", p.cursor.At+1, p.cursor.Count))
}

// View shows why the links cannot work, if so, the list, and the selected link.
func (p *Pane) View(focused bool) []string {
	l := p.Look
	page := p.page()
	links := page.Links
	lines := p.obstacle(page)
	if len(links) == 0 {
		return append(lines, p.nothing()...)
	}
	whole := p.whole(links[p.cursor.At])
	c := p.columns(page)
	lines = append(lines, l.Ink.Dim.Paint(l.Fit("  "+c.line("PORT", "LABEL", "LINK", "REQUESTS", "LAST", "LIVES"),
		p.width)))
	p.above = len(lines)
	p.cursor.Resize(len(links), max(1, min(len(links), p.height-len(lines)-len(whole))))
	from, to := p.cursor.Visible()
	for i := from; i < to; i++ {
		row := l.Row(p.row(c, links[i]), p.width, i == p.cursor.At, focused)
		if i != p.cursor.At && !world.Works(links[i], p.Now()) {
			row = l.Ink.Dim.Paint(ansi.Strip(row))
		}
		lines = append(lines, row)
	}
	return append(lines, whole...)
}

// obstacle explains why the links of the sandbox cannot work now, if so.
func (p *Pane) obstacle(page *world.Page) []string {
	l := p.Look
	s, ok := p.World.Sandbox(p.ref)
	name := p.Named(p.ref)
	engine := text.Clean(cmp.Or(p.ref.Engine, p.World.Engine().Name))
	var why, try string
	switch {
	case p.ref.IsHost() && p.World.EngineLost():
		n := p.World.ActiveLinks(p.Now(), "") - page.Own
		if n == 0 {
			return nil
		}
		why, try = fmt.Sprintf("%s to containers may not work until engine %s is back", format.Count(n, "link"),
			engine), p.Key("refresh")+" try now"
	case p.ref.IsHost() && page.Strayed == 0, !p.ref.IsHost() && page.Own == 0:
		return nil
	case p.ref.IsHost():
		why = format.Count(page.Strayed, "link") +
			" to containers that are not there now; they work again when one of that name runs"
	case p.World.Lost(p.ref):
		why, try = fmt.Sprintf("Links to %s may not work until engine %s is back", name, engine),
			p.Key("refresh")+" try now"
	case !ok:
		why = fmt.Sprintf("There is no %s now: its links work again when a container of that name runs", name)
	case s.Container != api.ContainerRunning:
		why = fmt.Sprintf("Links to %s cannot work while it is %s", name, text.Clean(s.Container))
		if s.Container != api.ContainerMissing {
			try = format.StartHint(s, p.Key)
		}
	case s.Daemon.State == api.DaemonNone, s.Daemon.State == api.DaemonDown, s.Daemon.State == api.DaemonFailed:
		why, try = fmt.Sprintf("Links to %s cannot work until a daemon answers in it", name), p.Key("inject")+" inject"
	default:
		return nil
	}
	return l.Wrap(l.Glyph.Warn+" "+why+"   "+try, p.width-1, " ", l.Ink.Busy)
}

func (p *Pane) nothing() []string {
	l := p.Look
	lines := []string{"", " No preview of " + p.Named(p.ref) + " yet.", "",
		"   " + l.Ink.Key.Paint(p.Key("new-preview")) + "  a link to a port of it"}
	if !p.ref.IsHost() {
		lines = append(lines, "   "+l.Ink.Key.Paint(p.Key("vnc"))+"  its VNC desktop in the browser")
	}
	return lines
}

func (p *Pane) whole(l api.Link) []string {
	now := p.Now()
	name := fmt.Sprintf(" port %d of %s", l.Port, text.Clean(l.SandboxName))
	if l.Label != "" {
		name += " " + p.Glyph.Dot + " " + text.Clean(l.Label)
	}
	lines := []string{"", p.Ink.Title.Paint(name)}
	if world.Works(l, now) {
		for _, part := range text.Break(text.Clean(p.World.PageURL(l)), max(1, p.width-1)) {
			lines = append(lines, " "+p.Ink.Accent.Paint(part))
		}
	} else {
		lines = append(lines, " This link has ended: "+format.Lifetime(l,
			now)+".   "+p.Ink.Key.Paint(p.Key("new-preview"))+" makes a new one")
	}
	about := []string{"made " + format.Ago(now.Sub(l.CreatedAt))}
	if l.ExpiresAt != nil && world.Works(l, now) {
		about = append(about, "expires "+format.Clock(*l.ExpiresAt, now))
	}
	if l.BytesIn+l.BytesOut > 0 {
		about = append(about, format.Size(l.BytesOut)+" to viewers, "+format.Size(l.BytesIn)+" from them")
	}
	if !l.Fence {
		about = append(about, "no fence")
	}
	return append(lines, p.Wrap(strings.Join(about, " "+p.Glyph.Dot+" "), p.width-1, " ", p.Ink.Dim)...)
}
