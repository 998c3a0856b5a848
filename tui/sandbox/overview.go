package sandbox

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	tea "github.com/charmbracelet/bubbletea"

	"daemon-proxy/core/api"
	"daemon-proxy/tui/draw"
	"daemon-proxy/tui/format"
	"daemon-proxy/tui/pane"
	"daemon-proxy/tui/text"
	"daemon-proxy/tui/theme"
)

// roomy is the least width at which lines also show less important parts.
const roomy = 70

// linksShown is how many links of a sandbox the overview shows.
const linksShown = 20

// Overview is the first tab: a summary of one sandbox, an injection while it runs,
// and the first steps if there is nothing yet.
type Overview struct {
	firstSteps
	width, height int
	ref           api.Ref
	top           int
	lines         int // of the last view, for scrolling
}

// NewOverview returns the overview.
func NewOverview(env pane.Env) *Overview {
	return &Overview{firstSteps: firstSteps{env}}
}

// Show implements pane.Pane.
func (p *Overview) Show(ref api.Ref, width, height int, _ bool) tea.Cmd {
	p.width, p.height = width, height
	if ref != p.ref {
		p.ref, p.top = ref, 0
	}
	return nil
}

// Move implements pane.Pane.
func (p *Overview) Move(to draw.Motion) tea.Cmd {
	c := draw.Cursor{At: p.top, Count: max(1, p.lines-p.height+1), Height: p.height}
	c.Move(to)
	p.top = c.At
	return nil
}

// View implements pane.Pane.
func (p *Overview) View(bool) []string {
	lines := text.Indent(p.content(), " ")
	p.lines = len(lines)
	return lines[min(p.top, max(0, len(lines)-p.height)):]
}

func (p *Overview) content() []string {
	s, ok := p.World.Sandbox(p.ref)
	in := p.World.Injection(p.ref)
	switch {
	case !ok && !p.World.Listed() && p.World.Engine().State != "lost":
		return []string{"", p.Ink.Dim.Paint("asking" + p.Glyph.Ellipsis)}
	case !ok:
		return p.unchosen()
	case in != nil && !in.Finished:
		return p.injection().steps(in)
	}
	var lines []string
	if in != nil && in.Problem != nil {
		lines = p.injection().failure(in.Problem)
	}
	if s.IsHost() {
		return slices.Concat(lines, p.why(p.width-2), p.host(s))
	}
	return append(lines, p.container(s)...)
}

func (p *Overview) injection() injectionView { return injectionView{p.Env, p.width} }

// unchosen explains why no sandbox is selected, and what to do if there is none.
func (p *Overview) unchosen() []string {
	var lines []string
	if len(p.World.Sandboxes()) > 0 {
		lines = append(text.Wrap("Nothing in the list matches its filter: no sandbox is chosen.", p.width-2), "")
	}
	if p.World.EngineLost() {
		return append(lines, p.noEngine(p.width-2)...)
	}
	return append(lines, p.why(p.width-2)...)
}

// host shows the machine itself: what listens on it.
func (p *Overview) host(s api.Sandbox) []string {
	lines := p.machine(p.width - 2)
	if s.Daemon.State != api.DaemonHealthy {
		lines = append(p.daemonLines(s),
			p.Ink.Dim.Paint("What listens on "+p.Machine+" is seen once a daemon runs there."))
	}
	return slices.Concat(lines, []string{""}, p.previews(s.Ref), p.recent(s))
}

func (p *Overview) container(s api.Sandbox) []string {
	lines := append(p.daemonLines(s), p.flow("Image", p.image(s))...)
	if e := s.Daemon.LastError; e != nil && s.Daemon.State != api.DaemonHealthy && p.World.Injection(s.Ref) == nil {
		lines = append(lines, p.wrapped("Error", text.Clean(e.Error()), p.Ink.Bad)...)
		if e.Hint != "" {
			lines = append(lines, p.wrapped("Try", text.Clean(e.Hint), theme.Ink{})...)
		}
	}
	if s.SharesNetworkOf != "" {
		lines = append(lines, p.label("Network")+"shared with "+text.Clean(s.SharesNetworkOf)+", whose daemon is used")
	}
	return slices.Concat(lines, p.portLines(s), p.previews(s.Ref), p.recent(s))
}

func (p *Overview) label(s string) string { return p.Ink.Dim.Paint(p.Fit(s, 10)) }

// labelled puts a label before the first of lines.
func (p *Overview) labelled(label string, lines []string) []string {
	for i := range lines {
		lines[i] = p.label(label) + lines[i]
		label = ""
	}
	return lines
}

func (p *Overview) wrapped(label, s string, in theme.Ink) []string {
	return p.labelled(label, p.Wrap(s, max(10, p.width-12), "", in))
}

func (p *Overview) daemonLines(s api.Sandbox) []string {
	l, d := p.Look, s.Daemon
	since := ""
	if !d.Since.IsZero() {
		since = format.Coarse(p.Now().Sub(d.Since))
	}
	line := p.label("Daemon")
	switch {
	case s.Container != api.ContainerRunning:
		return p.flow("Daemon", []string{l.Ink.Dim.Paint("the container " + format.Container(s)),
			format.StartHint(s, func(id string) string { return l.Ink.Key.Paint(p.Key(id)) })})
	case d.State == api.DaemonHealthy:
		return p.flow("Daemon", p.healthy(d))
	case d.State == api.DaemonDown:
		line += l.Ink.Bad.Paint("does not answer") + " for " + since + nextTry(d) + p.offer("inject", "inject again")
	case d.State == api.DaemonFailed:
		line += l.Ink.Bad.Paint("failed") + nextTry(d) + p.offer("inject", "try again")
	case d.State == api.DaemonInjecting:
		line += l.Ink.Busy.Paint("injecting")
	case d.State == api.DaemonEjecting:
		line += l.Ink.Busy.Paint("ejecting: it is being taken out")
	case d.State == api.DaemonUnknown:
		line += l.Ink.Dim.Paint("asking" + l.Glyph.Ellipsis)
	case s.IsHost():
		line += "none" + p.offer("inject", "start the built-in one")
	default:
		line += "none" + p.offer("inject", "inject") + p.offer("vnc", "VNC")
	}
	return []string{line}
}

// nextTry returns when a daemon is retried automatically, if it is.
func nextTry(d api.Daemon) string {
	if d.RetryAt == nil {
		return ""
	}
	return ", next try at " + d.RetryAt.Local().Format("15:04:05")
}

func (p *Overview) healthy(d api.Daemon) []string {
	l := p.Look
	parts := []string{l.Ink.Good.Paint("healthy"),
		strings.TrimSpace(text.Clean(d.Kind) + " " + format.Version(d.Version))}
	switch {
	case !d.StartedAt.IsZero():
		parts = append(parts, "up "+format.Coarse(p.Now().Sub(d.StartedAt)))
	case !d.Since.IsZero(): // adopted, and its start is unknown
		parts = append(parts, "seen for "+format.Coarse(p.Now().Sub(d.Since)))
	}
	if d.LatencyMS > 0 {
		parts = append(parts, "latency "+format.Latency(time.Duration(d.LatencyMS*float64(time.Millisecond)))+"  "+
			l.Ink.Accent.Paint(l.Spark(d.LatencyHistory, 8)))
	}
	return parts
}

// offer is an action that changes something; a read-only screen offers none.
func (p *Overview) offer(action, words string) string {
	if p.World.ReadOnly() {
		return ""
	}
	return "   " + p.Ink.Key.Paint(p.Key(action)) + " " + words
}

func (p *Overview) image(s api.Sandbox) []string {
	parts := []string{text.Clean(s.Image), text.Clean(s.Platform), text.Clean(s.Address)}
	if s.Project != "" {
		parts = append(parts, "project "+text.Clean(s.Project))
	}
	if s.ViaReason != "" {
		parts = append(parts, "via "+text.Clean(s.Via)+" ("+text.Clean(s.ViaReason)+")")
	}
	return append(parts[:1], slices.DeleteFunc(parts[1:], func(part string) bool { return part == "" })...)
}

func (p *Overview) portLines(s api.Sandbox) []string {
	if s.Daemon.State != api.DaemonHealthy {
		return nil
	}
	l, ports := p.Look, p.World.Ports(s.Ref)
	if ports.Err != nil {
		what, _ := format.Explain(ports.Err)
		return p.wrapped("Ports", "unknown: "+text.Clean(what), l.Ink.Dim)
	}
	if ports.Cards == nil {
		return []string{p.label("Ports") + l.Ink.Dim.Paint("looking"+l.Glyph.Ellipsis)}
	}
	var parts, warnings []string
	for _, card := range ports.Services() {
		part := l.Ink.Accent.Paint(fmt.Sprint(card.Port.Port)) + " " + format.Card(card)
		if card.Service == "https" {
			part += " (TLS)"
		}
		if card.Warning != "" {
			part += " " + l.Ink.Busy.Paint(l.Glyph.Warn)
			mark := l.Ink.Busy.Paint(fmt.Sprintf("%s %d ", l.Glyph.Warn, card.Port.Port))
			warnings = append(warnings, p.wrapped("", mark+text.Clean(card.Warning), theme.Ink{})...)
		}
		parts = append(parts, part)
	}
	if parts == nil {
		parts = []string{l.Ink.Dim.Paint("nothing listens yet")}
	}
	for _, offer := range []string{p.offer("new-preview", "new preview"), p.offer("vnc", "VNC")} {
		if offer != "" {
			parts = append(parts, strings.TrimLeft(offer, " "))
		}
	}
	return append(p.flow("Ports", parts), warnings...)
}

// flow puts parts one after another on as many lines as they need.
func (p *Overview) flow(label string, parts []string) []string {
	var lines []string
	for _, part := range parts {
		last := len(lines) - 1
		if last >= 0 && text.Width(lines[last])+3+text.Width(part) < p.width-11 {
			lines[last] += "   " + part
			continue
		}
		lines = append(lines, part)
	}
	return p.labelled(label, lines)
}

func (p *Overview) previews(ref api.Ref) []string {
	l, now := p.Look, p.Now()
	var lines []string
	links := p.World.LinksOf(ref, now)
	few := links[:min(len(links), linksShown)]
	requests := 0
	for _, link := range few {
		requests = max(requests, len(format.Count(int(link.Requests), "request")))
	}
	labels, rest := 7, p.width-requests-34 // cells for a label; more where there is room
	if p.width >= roomy {
		rest -= 14
	}
	for _, link := range few {
		labels = max(labels, min(text.Width(text.Clean(link.Label)), rest))
	}
	for _, link := range few {
		last := "never used"
		if link.LastUsedAt != nil {
			last = "last " + format.Ago(now.Sub(*link.LastUsedAt))
		}
		line := l.Fit(fmt.Sprint(link.Port), 6) + l.Fit(cmp.Or(text.Clean(link.Label), "-"), labels) +
			"  " + l.Right(format.Count(int(link.Requests), "request"), requests) + "  "
		if p.width >= roomy {
			line += l.Fit(last, 13) + " "
		}
		lines = append(lines, line+format.Lifetime(link, now))
	}
	if more := len(links) - linksShown; more > 0 {
		lines = append(lines, l.Ink.Dim.Paint("and "+format.Thousands(more)+" more   ")+
			l.Ink.Key.Paint(p.Key("previews"))+" all of them")
	}
	return p.labelled("Previews", lines)
}

func (p *Overview) recent(s api.Sandbox) []string {
	l := p.Look
	var lines []string
	recent := p.World.Recent(s.Ref)
	for _, x := range recent[:min(8, len(recent))] {
		end := l.Right(format.Latency(x.Duration), 8)
		if p.width >= roomy {
			end += l.Right(format.Size(x.BytesOut), 10) + l.Right(fmt.Sprint(x.Port), 7)
		}
		line := x.Start.Local().Format("15:04:05") + "  " +
			l.StatusInk(x.Status).Paint(l.Fit(format.Status(x), 3)) + " " + l.Fit(text.Clean(x.Method), 7) + " "
		lines = append(lines, l.Fit(line+text.Clean(x.Path), p.width-12-text.Width(end))+end)
	}
	return p.labelled("Recent", lines)
}
