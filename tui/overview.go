package tui

import (
	"fmt"
	"slices"
	"strings"
	"time"

	tea "github.com/charmbracelet/bubbletea"

	"daemon-proxy/core/api"
	"daemon-proxy/tui/text"
	"daemon-proxy/tui/theme"
)

// roomy is from which width on a line also says what is less important.
const roomy = 70

// linksShown is how many links of a sandbox the overview shows.
const linksShown = 20

// overview is the first tab: all of one sandbox at a glance, an injection
// while it runs, and what to do where there is nothing yet.
type overview struct {
	shownOnly
	look  *look
	world *world
	now   func() time.Time
	key   func(action string) string
	first firstSteps

	readOnly      bool
	width, height int
	ref           api.Ref
	top           int
	lines         int // of the last view, for scrolling
}

func newOverview(l *look, w *world, now func() time.Time, key func(string) string) *overview {
	return &overview{look: l, world: w, now: now, key: key, first: firstSteps{l, w, key}}
}

func (p *overview) SetSize(width, height int) { p.width, p.height = width, height }

func (p *overview) Show(ref api.Ref, _ bool) tea.Cmd {
	if ref != p.ref {
		p.ref, p.top = ref, 0
	}
	return nil
}

func (p *overview) Move(to motion) tea.Cmd {
	c := cursor{at: p.top, count: max(1, p.lines-p.height+1), height: p.height}
	c.move(to)
	p.top = c.at
	return nil
}

func (p *overview) View(bool) []string {
	lines := p.content()
	for i := range lines {
		lines[i] = " " + lines[i]
	}
	p.lines = len(lines)
	return lines[min(p.top, max(0, len(lines)-p.height)):]
}

func (p *overview) content() []string {
	s, ok := p.world.sandbox(p.ref)
	in := p.world.injections[p.ref]
	switch {
	case !ok && !p.world.listed && p.world.engine.State != "lost":
		return []string{"", p.look.ink.Dim.Paint("asking" + p.look.glyph.Ellipsis)}
	case !ok:
		return p.unchosen()
	case in != nil && !in.finished:
		return p.injectionLines(in)
	}
	var lines []string
	if in != nil && in.problem != nil {
		lines = p.failureLines(in.problem)
	}
	if s.IsHost() {
		return slices.Concat(lines, p.first.why(p.width-2), p.host(s))
	}
	return append(lines, p.container(s)...)
}

// unchosen says why there is nothing to look at: the filter of the list, and
// what there would be without it.
func (p *overview) unchosen() []string {
	var lines []string
	if len(p.world.sandboxes) > 0 {
		lines = append(text.Wrap("Nothing in the list matches its filter: no sandbox is chosen.", p.width-2), "")
	}
	if p.world.engine.State == "lost" {
		return append(lines, p.first.noEngine(p.width-2)...)
	}
	return append(lines, p.first.why(p.width-2)...)
}

// host is the machine itself: what listens on it.
func (p *overview) host(s api.Sandbox) []string {
	if s.Daemon.State != api.DaemonHealthy {
		lines := append(p.daemonLines(s), p.look.ink.Dim.Paint("What listens on this machine is seen once a daemon runs here."), "")
		return append(append(lines, p.previews(s.Ref)...), p.recent(s)...)
	}
	lines := append(p.first.machine(p.width-2), "")
	lines = append(lines, p.previews(s.Ref)...)
	return append(lines, p.recent(s)...)
}

func (p *overview) container(s api.Sandbox) []string {
	lines := append(p.daemonLines(s), p.flow("Image", p.image(s))...)
	if e := s.Daemon.LastError; e != nil && s.Daemon.State != api.DaemonHealthy && p.world.injections[s.Ref] == nil {
		lines = append(lines, p.wrapped("Error", text.Clean(e.Error()), p.look.ink.Bad)...)
		if e.Hint != "" {
			lines = append(lines, p.wrapped("Try", text.Clean(e.Hint), theme.Ink{})...)
		}
	}
	if s.SharesNetworkOf != "" {
		lines = append(lines, p.label("Network")+"shared with "+text.Clean(s.SharesNetworkOf)+", whose daemon is used")
	}
	lines = append(lines, p.portLines(s)...)
	lines = append(lines, p.previews(s.Ref)...)
	return append(lines, p.recent(s)...)
}

func (p *overview) label(s string) string { return p.look.ink.Dim.Paint(p.look.fit(s, 10)) }

// wrapped is a label and text over as many lines as it needs.
func (p *overview) wrapped(label, s string, in theme.Ink) []string {
	var out []string
	for i, part := range text.Wrap(s, max(10, p.width-12)) {
		if i > 0 {
			label = ""
		}
		out = append(out, p.label(label)+in.Paint(part))
	}
	return out
}

func (p *overview) daemonLines(s api.Sandbox) []string {
	l, d := p.look, s.Daemon
	since := ""
	if !d.Since.IsZero() {
		since = coarse(p.now().Sub(d.Since))
	}
	line := p.label("Daemon")
	switch {
	case s.Container != api.ContainerRunning:
		return p.flow("Daemon", []string{l.ink.Dim.Paint("the container " + howItIs(s)), toStart(s, func(id string) string { return l.ink.Key.Paint(p.key(id)) })})
	case d.State == api.DaemonHealthy:
		return p.flow("Daemon", p.healthy(d))
	case d.State == api.DaemonDown:
		line += l.ink.Bad.Paint("does not answer") + " for " + since + nextTry(d) + p.offer("inject", "inject again")
	case d.State == api.DaemonFailed:
		line += l.ink.Bad.Paint("failed") + nextTry(d) + p.offer("inject", "try again")
	case d.State == api.DaemonInjecting:
		line += l.ink.Busy.Paint("injecting")
	case d.State == api.DaemonEjecting:
		line += l.ink.Busy.Paint("ejecting: it is being taken out")
	case d.State == api.DaemonUnknown:
		line += l.ink.Dim.Paint("asking" + l.glyph.Ellipsis)
	case s.IsHost():
		line += "none" + p.offer("inject", "start the built-in one")
	default:
		line += "none" + p.offer("inject", "inject") + p.offer("vnc", "VNC")
	}
	return []string{line}
}

// nextTry says when a daemon is tried again by itself, if it is.
func nextTry(d api.Daemon) string {
	if d.RetryAt == nil {
		return ""
	}
	return ", next try at " + d.RetryAt.Local().Format("15:04:05")
}

// exitMeans is what usual exit codes say.
var exitMeans = map[int]string{0: "done", 1: "an error", 137: "killed, perhaps out of memory", 139: "segmentation fault", 143: "asked to end"}

// howItIs says how a container is that does not run.
func howItIs(s api.Sandbox) string {
	if s.ExitCode == nil {
		return "is " + text.Clean(s.Container)
	}
	words := fmt.Sprintf("exited with %d", *s.ExitCode)
	if means := exitMeans[*s.ExitCode]; means != "" {
		words += " (" + means + ")"
	}
	return words
}

// healthy is what there is to say of a daemon that answers.
func (p *overview) healthy(d api.Daemon) []string {
	l := p.look
	parts := []string{l.ink.Good.Paint("healthy"), strings.TrimSpace(text.Clean(d.Kind) + " " + version(d.Version))}
	switch {
	case !d.StartedAt.IsZero():
		parts = append(parts, "up "+coarse(p.now().Sub(d.StartedAt)))
	case !d.Since.IsZero(): // found, and it does not say since when it runs
		parts = append(parts, "seen for "+coarse(p.now().Sub(d.Since)))
	}
	if d.LatencyMS > 0 {
		parts = append(parts, "latency "+latency(milliseconds(d.LatencyMS))+"  "+l.ink.Accent.Paint(l.spark(d.LatencyHistory, 8)))
	}
	return parts
}

// offer is a key and what it would do here.
func (p *overview) offer(action, words string) string {
	return "   " + p.look.ink.Key.Paint(p.key(action)) + " " + words
}

func (p *overview) image(s api.Sandbox) []string {
	parts := []string{text.Clean(s.Image)}
	for _, part := range []string{s.Platform, s.Address} {
		if part != "" {
			parts = append(parts, text.Clean(part))
		}
	}
	if s.Project != "" {
		parts = append(parts, "project "+text.Clean(s.Project))
	}
	return parts
}

// cardName is what answers at a port, in the owner's words if there are any.
func cardName(card api.PortCard) string {
	switch {
	case card.Label != "":
		return text.Clean(card.Label)
	case card.Name != "":
		return text.Clean(card.Name)
	case card.Service == "other":
		return "not http"
	case card.Service == "rfb":
		return "VNC without a page"
	}
	return text.Clean(card.Service)
}

func (p *overview) portLines(s api.Sandbox) []string {
	if s.Daemon.State != api.DaemonHealthy {
		return nil
	}
	l, ports := p.look, p.world.ports[s.Ref]
	if ports.err != nil {
		what, _ := explain(ports.err)
		return p.wrapped("Ports", "not known: "+text.Clean(what), l.ink.Dim)
	}
	if ports.cards == nil {
		return []string{p.label("Ports") + l.ink.Dim.Paint("looking"+l.glyph.Ellipsis)}
	}
	var parts, warnings []string
	for _, card := range ports.cards {
		if card.Daemon {
			continue
		}
		part := l.ink.Accent.Paint(fmt.Sprint(card.Port.Port)) + " " + cardName(card)
		if card.Service == "https" {
			part += " (TLS)"
		}
		if card.Warning != "" {
			part += " " + l.ink.Busy.Paint(l.glyph.Warn)
			mark := l.ink.Busy.Paint(fmt.Sprintf("%s %d ", l.glyph.Warn, card.Port.Port))
			warnings = append(warnings, p.wrapped("", mark+text.Clean(card.Warning), theme.Ink{})...)
		}
		parts = append(parts, part)
	}
	if parts == nil {
		parts = []string{l.ink.Dim.Paint("nothing listens yet")}
	}
	parts = append(parts, l.ink.Key.Paint(p.key("new-preview"))+" new preview", l.ink.Key.Paint(p.key("vnc"))+" VNC")
	return append(p.flow("Ports", parts), warnings...)
}

// flow sets parts one after the other on as many lines as they need.
func (p *overview) flow(label string, parts []string) []string {
	var lines []string
	for _, part := range parts {
		last := len(lines) - 1
		if last >= 0 && text.Width(lines[last])+3+text.Width(part) < p.width-1 {
			lines[last] += "   " + part
			continue
		}
		lines = append(lines, p.label(label)+part)
		label = ""
	}
	return lines
}

func (p *overview) previews(ref api.Ref) []string {
	l, now := p.look, p.now()
	var lines []string
	links := p.world.linksOf(ref, now)
	few := links[:min(len(links), linksShown)]
	requests := 0
	for _, link := range few {
		requests = max(requests, len(count(int(link.Requests), "request")))
	}
	labels, rest := 7, p.width-requests-34 // cells for a label; more where there is room
	if p.width >= roomy {
		rest -= 14
	}
	for _, link := range few {
		labels = max(labels, min(text.Width(text.Clean(link.Label)), rest))
	}
	for i, link := range few {
		label := p.label("")
		if i == 0 {
			label = p.label("Previews")
		}
		last := "never used"
		if link.LastUsedAt != nil {
			last = "last " + ago(now.Sub(*link.LastUsedAt))
		}
		line := label + l.fit(fmt.Sprint(link.Port), 6) + l.fit(orDash(text.Clean(link.Label)), labels) + "  " + l.right(count(int(link.Requests), "request"), requests) + "  "
		if p.width >= roomy {
			line += l.fit(last, 13) + " "
		}
		lines = append(lines, line+lives(link, now))
	}
	if more := len(links) - linksShown; more > 0 {
		lines = append(lines, p.label("")+l.ink.Dim.Paint("and "+thousands(more)+" more   ")+l.ink.Key.Paint(p.key("previews"))+" all of them")
	}
	return lines
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

func (p *overview) recent(s api.Sandbox) []string {
	l := p.look
	var lines []string
	for i, x := range p.world.recent[s.String()] {
		if i == 8 {
			break
		}
		label := p.label("")
		if i == 0 {
			label = p.label("Recent")
		}
		end := l.right(latency(x.Duration), 8)
		if p.width >= roomy {
			end += l.right(size(x.BytesOut), 10) + l.right(fmt.Sprint(x.Port), 7)
		}
		line := label + x.Start.Local().Format("15:04:05") + "  " + l.statusInk(x).Paint(l.fit(statusWord(x), 3)) + " " + l.fit(text.Clean(x.Method), 7) + " "
		lines = append(lines, l.fit(line+text.Clean(x.Path), p.width-2-text.Width(end))+end)
	}
	return lines
}

// statusWord is the status of an exchange, or that there is none yet.
func statusWord(x api.Exchange) string {
	if x.Status == 0 {
		return "..."
	}
	return fmt.Sprint(x.Status)
}

func (l *look) statusInk(x api.Exchange) theme.Ink {
	switch {
	case x.Status >= 500:
		return l.ink.Bad
	case x.Status >= 400:
		return l.ink.Busy
	case x.Status >= 200:
		return l.ink.Good
	}
	return l.ink.Accent
}
