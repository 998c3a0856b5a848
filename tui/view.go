package tui

import (
	"fmt"
	"strings"
	"time"

	"daemon-proxy/core/api"
	"daemon-proxy/tui/dialog"
	"daemon-proxy/tui/format"
	"daemon-proxy/tui/pane"
	"daemon-proxy/tui/text"
)

// View implements tea.Model. Bubble Tea asks for it after every message; the
// screen is drawn only when something changed.
func (m *model) View() string {
	if m.frame == "" && m.width > 0 && m.height > 0 {
		m.frame = strings.Join(m.draw(), "\n")
	}
	return m.frame
}

// draw is the screen: height lines of width cells.
func (m *model) draw() []string {
	l := m.look
	if m.layout.small && m.asksToQuit() {
		return m.finish([]string{"y quit  n stay", m.quitting.Lines[0]})
	}
	if m.layout.small && m.leaving {
		return m.finish([]string{dialog.UndoingWords + l.Glyph.Ellipsis})
	}
	if m.layout.small {
		return m.finish([]string{fmt.Sprintf("needs %d×%d, is %d×%d", leastWidth, leastHeight, m.width, m.height)})
	}
	lines := []string{m.header()}
	if m.place() == inInspector {
		lines = append(lines, m.requests().Inspector.View(m.width, m.height-3)...)
	} else {
		lines = append(lines, m.body()...)
	}
	note := m.noteLines()
	lines = append(lines[:len(lines)-len(note)+1], note...)
	lines = append(lines, m.footer())
	for _, o := range m.overlays {
		if whole, ok := o.(interface{ Whole() bool }); ok && whole.Whole() {
			lines = l.Fill(o.View(m.width, m.height), m.width, m.height)
			if m.note.text != "" { // in place of the keys, for as long as it is shown
				lines[len(lines)-1] = m.noteLines()[0]
			}
			continue
		}
		box := o.View(m.width-4, m.height-4)
		w := 0
		for _, s := range box {
			w = max(w, text.Width(s))
		}
		lines = l.Over(lines, box, (m.width-w)/2, max(1, (m.height-len(box))/2))
	}
	return m.finish(lines)
}

// body is the list and the details, or one of them.
func (m *model) body() []string {
	var lines []string
	list := m.box(m.list, m.listTitle(), m.layout.list, m.listFocused)
	detail := m.box(m.front(), m.detailTitle(), m.layout.detail, !m.listFocused)
	for i := range max(len(list), len(detail)) {
		s := ""
		if i < len(list) {
			s = list[i]
		}
		if i < len(detail) {
			s += detail[i]
		}
		lines = append(lines, s)
	}
	return lines
}

// inASCII says in ASCII what stands in texts.
var inASCII = strings.NewReplacer("×", "x", "←", "<", "→", ">", "↑", "^", "↓", "v")

// finish makes every line fit, and ASCII where the terminal knows no more.
func (m *model) finish(lines []string) []string {
	if m.look.ASCII {
		for i := range lines {
			lines[i] = text.ASCII(inASCII.Replace(lines[i]))
		}
	}
	return m.look.Fill(lines, m.width, m.height)
}

func (m *model) box(p pane.Pane, title string, r rect, focused bool) []string {
	if r.w == 0 {
		return nil
	}
	foot := ""
	if p, ok := p.(pane.Footed); ok {
		foot = p.Foot()
	}
	return m.look.Box(title, foot, p.View(focused), r.w, r.h, focused)
}

func (m *model) listTitle() string {
	l := m.look
	title := l.Ink.Title.Paint("Sandboxes")
	if m.engineLost() {
		title += l.Ink.Dim.Paint(" as last seen")
	}
	if !m.layout.wide {
		title += l.Ink.Dim.Paint(" " + l.Glyph.Dash + " " + m.tabNamesFrom(-1))
	}
	return title
}

// detailTitle is the name of what is shown and the tabs.
func (m *model) detailTitle() string {
	l := m.look
	return l.Ink.Title.Paint(l.Cut(m.chosenName(), m.nameWidth())) + l.Ink.Frame.Paint(" "+l.Glyph.Dash+" ") + m.tabNamesFrom(m.tab)
}

func (m *model) chosenName() string {
	switch {
	case m.list.Selected.IsHost():
		return "this machine"
	case m.list.Selected == (api.Ref{}):
		return "no sandbox"
	}
	return text.Clean(m.list.Selected.String())
}

// tabNamesFrom are the names of the tabs, the one in front marked.
func (m *model) tabNamesFrom(front int) string {
	l := m.look
	parts := make([]string, len(tabNames))
	for i, name := range tabNames {
		parts[i] = fmt.Sprintf("%d %s", i+1, name)
		if i == front {
			parts[i] = l.Ink.Cursor.Paint(parts[i])
		}
	}
	return strings.Join(parts, m.tabGap())
}

// tabGap stands between the names of tabs; there is less of it in a narrow window.
func (m *model) tabGap() string {
	if m.width < 76 {
		return " "
	}
	return m.look.Ink.Frame.Paint(" " + m.look.Glyph.Across + " ")
}

// nameWidth is what the name of the chosen sandbox may take of the detail pane's edge.
func (m *model) nameWidth() int {
	return max(10, m.layout.detail.w-text.Width(m.tabNamesFrom(-1))-len("+  --  -+"))
}

// tabAt is the tab whose name stands at column x of the upper edge of the
// details, or of the list where it is alone; -1 without one.
func (m *model) tabAt(x int) int {
	at, title := m.layout.detail.x, m.detailTitle()
	if m.layout.detail.w == 0 {
		at, title = m.layout.list.x, m.listTitle()
	}
	at += 2 + text.Width(title) - text.Width(m.tabNamesFrom(-1))
	for i, name := range tabNames {
		w := len(name) + 2
		if x >= at && x < at+w {
			return i
		}
		at += w + text.Width(m.tabGap())
	}
	return -1
}

// header is the first line: the program, the engine, the traffic. Where there is
// not room for all, the engine's part gives way first, unless the engine is lost;
// a narrow window has one of the two.
func (m *model) header() string {
	l := m.look
	left := " " + l.Ink.Title.Paint("daemon-proxy") + "  " + m.urlPart()
	engines, traffic := m.engineParts(), m.trafficParts()
	var pairs [][2]string
	switch {
	case m.engineLost():
		for _, e := range engines {
			for _, t := range traffic {
				pairs = append(pairs, [2]string{e, t})
			}
		}
	case m.layout.wide:
		for _, t := range traffic {
			for _, e := range engines {
				pairs = append(pairs, [2]string{e, t})
			}
		}
	default:
		for _, t := range traffic {
			pairs = append(pairs, [2]string{engines[0], t})
		}
	}
	free := m.width - text.Width(left) - 1
	for _, p := range pairs {
		if gap := free - text.Width(p[0]) - text.Width(p[1]); gap >= 4 {
			return l.Ends(left+strings.Repeat(" ", gap/2)+p[0], p[1]+" ", m.width)
		}
	}
	alone := traffic[1:]
	if m.world.Engine.State != "connected" {
		alone = engines
	}
	for _, right := range alone {
		if free >= text.Width(right)+2 {
			return l.Ends(left, right+" ", m.width)
		}
	}
	return l.Ends(left, traffic[2]+" ", m.width)
}

func (m *model) urlPart() string {
	l := m.look
	s := m.world.Status
	if s.URL == "" {
		return l.Ink.Dim.Paint(l.Glyph.None + " starting")
	}
	part := l.Ink.Good.Paint(l.Glyph.Healthy) + " " + text.Clean(s.URL)
	if s.Exposed {
		part += " " + l.Ink.Bad.Paint(l.Glyph.Warn+" open to the network")
	}
	if m.options.ReadOnly {
		part += " " + l.Ink.Busy.Paint("read-only")
	}
	return part
}

// engineLost says whether the containers in the list are those of an engine that is gone.
func (m *model) engineLost() bool {
	return m.world.Engine.State == "lost" && m.world.Containers() > 0
}

// engineParts say how the engine is, from the fullest to the shortest.
func (m *model) engineParts() []string {
	l, e := m.look, m.world.Engine
	name, dot := text.Clean(e.Name), " "+l.Glyph.Dot+" "
	switch {
	case e.State == "connected":
		version, _, _ := strings.Cut(e.Version, "+")
		containers := format.Count(m.world.Containers(), "container")
		counts := containers + dot + format.Count(m.world.ActiveLinks(m.options.Now()), "preview")
		return []string{"engine " + name + " " + text.Clean(version) + dot + counts, "engine " + name + dot + counts, name + dot + counts, counts, containers, ""}
	case m.engineLost():
		since := "lost " + format.Span(m.options.Now().Sub(e.Since).Truncate(time.Second)) + " ago"
		retry := "retrying"
		if e.RetryAt != nil && e.RetryAt.After(m.options.Now()) {
			retry = "retry in " + format.Span(e.RetryAt.Sub(m.options.Now())+time.Second-1)
		}
		bad := func(s string) string { return l.Ink.Bad.Paint(l.Glyph.Bad + " " + s) }
		return []string{
			"engine " + name + " " + bad(since) + l.Ink.Dim.Paint(fmt.Sprintf("%s%s (%s now)", dot, retry, m.keys.key("refresh"))),
			name + " " + bad(since) + l.Ink.Dim.Paint(dot+retry), bad("engine " + since), bad("engine lost"),
		}
	case e.State == "lost", e.Name == "" && m.world.Status.Mode == "host":
		return []string{l.Ink.Dim.Paint("no container engine" + dot + "this machine"), l.Ink.Dim.Paint("no container engine")}
	}
	return []string{l.Ink.Busy.Paint(l.Glyph.Busy+" looking for the engine") + l.Ink.Dim.Paint(l.Glyph.Ellipsis)}
}

// trafficParts say how much goes through, from the fullest to the shortest.
func (m *model) trafficParts() [3]string {
	r := m.world.Rates
	values := make([]float64, len(r.Spark))
	for i, n := range r.Spark {
		values[i] = float64(n)
	}
	rate := fmt.Sprintf("%.0f req/s", r.PerSecond)
	if r.Spark == ([60]int{}) {
		rate = m.look.Ink.Dim.Paint(rate)
		return [3]string{rate, rate, rate}
	}
	more := fmt.Sprintf("%s  p50 %s  p99 %s", rate, format.Latency(r.P50), format.Latency(r.P99))
	return [3]string{m.look.Ink.Accent.Paint(m.look.Spark(values, 8)) + " " + more, more, rate}
}

// footer shows the keys that work on what is in focus, as many as fit.
func (m *model) footer() string {
	l, at := m.look, m.place()
	switch {
	case len(m.overlays) > 0: // it names its own
		return ""
	case pane.IsTyping(m.inFocus()):
		return " " + l.Ink.Key.Paint("enter") + " keep  " + l.Ink.Key.Paint("esc") + " clear"
	}
	out := ""
	last := " " + l.Ink.Key.Paint(m.keys.key("help")) + " help  " + l.Ink.Key.Paint(m.keys.key("quit")) + " quit "
	most := 99
	if !m.layout.wide && at != inInspector {
		most = 4
	}
	for _, a := range m.keys.forFooter(at) {
		if a.short == "" || len(a.keys) == 0 || a.id == "help" || a.id == "quit" || most == 0 || !m.keys.usable(m, a, at) || a.offered != nil && !a.offered(m) {
			continue
		}
		part := " " + l.Ink.Key.Paint(format.Keys(a.keys[:1])) + " " + a.short + " "
		if text.Width(out)+text.Width(part)+text.Width(last) > m.width {
			break
		}
		out += part
		most--
	}
	return l.Fit(out+last, m.width)
}
