package tui

import (
	"fmt"
	"slices"
	"strings"
	"time"

	tea "github.com/charmbracelet/bubbletea"
	"github.com/charmbracelet/x/ansi"

	"daemon-proxy/core/api"
	"daemon-proxy/tui/text"
)

// previews is the third tab: the links of a sandbox, those that work first,
// and the chosen one whole below the list.
type previews struct {
	shownOnly
	look  *look
	world *world
	now   func() time.Time
	key   func(action string) string

	width, height int
	ref           api.Ref
	at            string // the id of the chosen link
	cursor        cursor
	above         int // lines over the first row, as they were drawn last
}

func newPreviews(l *look, w *world, now func() time.Time, key func(string) string) *previews {
	return &previews{look: l, world: w, now: now, key: key}
}

func (p *previews) SetSize(width, height int) { p.width, p.height = width, height }

func (p *previews) Show(ref api.Ref, _ bool) tea.Cmd {
	if ref != p.ref {
		p.ref, p.at = ref, ""
		p.cursor = cursor{}
	}
	return nil
}

// page is that of the sandbox, with the cursor on the chosen link; if that is
// gone, the one in its place is chosen.
func (p *previews) page() *linkPage {
	page := p.world.page(p.ref, p.now())
	links := page.links
	if at := p.cursor.at; at >= len(links) || links[at].ID != p.at {
		if i := slices.IndexFunc(links, func(l api.Link) bool { return l.ID == p.at }); i >= 0 {
			p.cursor.at = i
		}
	}
	p.cursor.resize(len(links), p.cursor.height)
	if len(links) > 0 {
		p.at = links[p.cursor.at].ID
	}
	return page
}

// chosen is the link at the cursor, whether it works or not.
func (p *previews) chosen() (api.Link, bool) {
	links := p.page().links
	if len(links) == 0 {
		return api.Link{}, false
	}
	return links[p.cursor.at], true
}

func (p *previews) Move(to motion) tea.Cmd {
	p.page()
	p.cursor.move(to)
	p.at = ""
	p.page()
	return nil
}

func (p *previews) Click(_, y int) tea.Cmd {
	links := p.page().links
	if i := p.cursor.top + y - p.above; y >= p.above && y < p.above+p.cursor.height && i < len(links) {
		p.at = links[i].ID
	}
	return nil
}

func (p *previews) Foot() string {
	if p.cursor.count <= p.cursor.height {
		return ""
	}
	return p.look.ink.Dim.Paint(fmt.Sprintf("%d of %d", p.cursor.at+1, p.cursor.count))
}

// View is a line when the links cannot work now, the list, and the chosen link.
func (p *previews) View(focused bool) []string {
	l := p.look
	page := p.page()
	links := page.links
	lines := p.obstacle(page)
	if len(links) == 0 {
		return append(lines, p.nothing()...)
	}
	whole := p.whole(links[p.cursor.at])
	c := p.columns(page)
	lines = append(lines, l.ink.Dim.Paint(l.fit("  "+c.line("PORT", "LABEL", "LINK", "REQUESTS", "LAST", "LIVES"), p.width)))
	p.above = len(lines)
	p.cursor.resize(len(links), max(1, min(len(links), p.height-len(lines)-len(whole))))
	from, to := p.cursor.seen()
	for i := from; i < to; i++ {
		row := l.row(p.row(c, links[i]), p.width, i == p.cursor.at, focused)
		if i != p.cursor.at && !works(links[i], p.now()) {
			row = l.ink.Dim.Paint(ansi.Strip(row))
		}
		lines = append(lines, row)
	}
	return append(lines, whole...)
}

// obstacle says why the links of the sandbox cannot work now, if that is so.
func (p *previews) obstacle(page *linkPage) []string {
	l := p.look
	s, ok := p.world.sandbox(p.ref)
	name := text.Clean(p.ref.String())
	var why, try string
	switch engine := text.Clean(p.world.engine.Name); {
	case p.ref.IsHost() && p.world.engine.State == "lost":
		n := p.world.activeLinks(p.now()) - page.own
		if n == 0 {
			return nil
		}
		why, try = fmt.Sprintf("%s to containers may not work until engine %s is back", count(n, "link"), engine), p.key("refresh")+" try now"
	case p.ref.IsHost() && page.strayed == 0, !p.ref.IsHost() && page.own == 0:
		return nil
	case p.ref.IsHost():
		why = count(page.strayed, "link") + " to containers that are not there now; they work again when one of that name runs"
	case p.world.engine.State == "lost":
		why, try = fmt.Sprintf("Links to %s may not work until engine %s is back", name, engine), p.key("refresh")+" try now"
	case !ok:
		why = fmt.Sprintf("There is no %s now: its links work again when a container of that name runs", name)
	case s.Container != api.ContainerRunning:
		why = fmt.Sprintf("Links to %s cannot work while it is %s", name, text.Clean(s.Container))
		if s.Container != api.ContainerMissing {
			try = toStart(s, p.key)
		}
	case s.Daemon.State == api.DaemonNone, s.Daemon.State == api.DaemonDown, s.Daemon.State == api.DaemonFailed:
		why, try = fmt.Sprintf("Links to %s cannot work until a daemon answers in it", name), p.key("inject")+" inject"
	default:
		return nil
	}
	var out []string
	for _, part := range text.Wrap(l.glyph.Warn+" "+why+"   "+try, p.width-1) {
		out = append(out, " "+l.ink.Busy.Paint(part))
	}
	return out
}

// nothing stands where there is no link yet.
func (p *previews) nothing() []string {
	l := p.look
	name := "this machine"
	if !p.ref.IsHost() {
		name = text.Clean(p.ref.String())
	}
	lines := []string{"", " No preview of " + name + " yet.", "", "   " + l.ink.Key.Paint(p.key("new-preview")) + "  a link to a port of it"}
	if !p.ref.IsHost() {
		lines = append(lines, "   "+l.ink.Key.Paint(p.key("vnc"))+"  its VNC desktop in the browser")
	}
	return lines
}

// whole is the chosen link with all that the list has no room for.
func (p *previews) whole(l api.Link) []string {
	now := p.now()
	name := fmt.Sprintf(" port %d of %s", l.Port, text.Clean(l.SandboxName))
	if l.Label != "" {
		name += " " + p.look.glyph.Dot + " " + text.Clean(l.Label)
	}
	lines := []string{"", p.look.ink.Title.Paint(name)}
	if works(l, now) {
		// A terminal joins what is selected over lines that are full.
		for part := range strings.SplitSeq(ansi.Hardwrap(text.Clean(p.world.pageURL(l)), max(1, p.width-1), true), "\n") {
			lines = append(lines, " "+p.look.ink.Accent.Paint(part))
		}
	} else {
		lines = append(lines, " This link has ended: "+lives(l, now)+".   "+p.look.ink.Key.Paint(p.key("new-preview"))+" makes a new one")
	}
	about := []string{"made " + ago(now.Sub(l.CreatedAt))}
	if l.ExpiresAt != nil && works(l, now) {
		about = append(about, "expires "+clockTime(*l.ExpiresAt, now))
	}
	if l.BytesIn+l.BytesOut > 0 {
		about = append(about, size(l.BytesOut)+" to viewers, "+size(l.BytesIn)+" from them")
	}
	if !l.Fence {
		about = append(about, "no fence")
	}
	for _, part := range text.Wrap(strings.Join(about, " "+p.look.glyph.Dot+" "), p.width-1) {
		lines = append(lines, " "+p.look.ink.Dim.Paint(part))
	}
	return lines
}

// clockTime is a time of day, with the day where it is not today.
func clockTime(t, now time.Time) string {
	t, now = t.Local(), now.Local()
	if t.YearDay() == now.YearDay() && t.Year() == now.Year() {
		return "at " + t.Format("15:04")
	}
	return t.Format("2006-01-02 15:04")
}
