package tui

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	"daemon-proxy/core/api"
	"daemon-proxy/tui/format"
	"daemon-proxy/tui/text"
)

// roomyHeader is the least width at which the header says when a lost core is
// tried again.
const roomyHeader = 80

// header draws the first line of the screen, and the upper edges of the list and
// the details.
type header struct{ *ui }

// line returns the first line: the program, the engine, the traffic. If space is
// short, the engine's part is shortened first, unless the engine is lost; a narrow
// window shows only one of the two.
func (h *header) line() string {
	l := h.Look
	left := " " + l.Ink.Title.Paint("daemon-proxy") + "  " + h.url()
	engines, traffic := h.engine(), h.traffic()
	outer, inner := traffic[:], engines // the inner one is shortened first
	switch {
	case h.engineLost():
		outer, inner = engines, traffic[:]
	case !h.layout.wide:
		inner = engines[:1]
	}
	free := h.width - text.Width(left) - 1
	for _, a := range outer {
		for _, b := range inner {
			if gap := free - text.Width(a) - text.Width(b); gap >= 4 {
				if h.engineLost() {
					a, b = b, a
				}
				return l.Ends(left+strings.Repeat(" ", gap/2)+b, a+" ", h.width)
			}
		}
	}
	alone := traffic[1:]
	if h.World.Engine().State != "connected" {
		alone = engines
	}
	for _, right := range alone {
		if free >= text.Width(right)+2 {
			return l.Ends(left, right+" ", h.width)
		}
	}
	return l.Ends(left, traffic[2]+" ", h.width)
}

// url returns what stands for the core: its name and URL, or when it is tried
// again.
func (h *header) url() string {
	l, s, attached := h.Look, h.World.Status(), h.options.Attached
	name, url := l.Ink.Good.Paint(l.Glyph.Healthy)+" ", s.URL
	if attached != nil {
		name, url = l.Ink.Good.Paint(l.Glyph.Attached)+" ", cmp.Or(attached.URL, s.URL)
		if attached.Name != "" {
			name += text.Clean(attached.Name) + "  "
		}
	}
	switch {
	case h.outage.is():
		what := " not reachable"
		if h.outage.refused {
			what = " refuses this screen"
		}
		lost := strings.TrimRight(name, " ") + " " + l.Ink.Bad.Paint(l.Glyph.Bad+what)
		if h.width < roomyHeader {
			return lost
		}
		left := h.outage.retry.Sub(h.Now())
		if left <= 0 {
			return lost + l.Ink.Dim.Paint(" "+l.Glyph.Dot+" trying"+l.Glyph.Ellipsis)
		}
		return lost + l.Ink.Dim.Paint(fmt.Sprintf(" %s retry in %s (%s now)", l.Glyph.Dot,
			format.Span(left+time.Second-1), h.Key("refresh")))
	case url == "":
		return l.Ink.Dim.Paint(l.Glyph.None + " starting")
	}
	part := name + text.Clean(url)
	if s.Exposed {
		part += " " + l.Ink.Bad.Paint(l.Glyph.Warn+" open to the network")
	}
	if h.World.ReadOnly() {
		part += " " + l.Ink.Busy.Paint("read-only")
	}
	return part
}

// engine returns texts for the engine's state, from the longest to the shortest.
func (h *header) engine() []string {
	l, e := h.Look, h.World.Engine()
	s, name, dot := h.World.Status(), text.Clean(e.Name), " "+l.Glyph.Dot+" "
	screens := ""
	if n := len(s.Screens); n > 1 {
		screens = dot + format.Count(n, "screen")
	}
	containers := format.Count(h.World.Containers(), "container")
	counts := containers + dot + format.Count(h.World.ActiveLinks(h.Now(), ""), "preview") + screens
	switch {
	case h.World.Several() && !h.World.EngineLost():
		return h.engines(containers, counts)
	case e.State == "connected":
		version, _, _ := strings.Cut(e.Version, "+")
		return []string{
			"engine " + name + " " + text.Clean(version) + dot + counts,
			"engine " + name + dot + counts, name + dot + counts, counts, containers, "",
		}
	case h.engineLost():
		since := "lost " + format.Span(h.Now().Sub(e.Since).Truncate(time.Second)) + " ago"
		retry := "retrying"
		if e.RetryAt != nil && e.RetryAt.After(h.Now()) {
			retry = "retry in " + format.Span(e.RetryAt.Sub(h.Now())+time.Second-1)
		}
		if h.World.Several() {
			name = format.Count(len(h.World.Engines()), "engine")
		}
		bad := func(s string) string { return l.Ink.Bad.Paint(l.Glyph.Bad + " " + s) }
		return []string{
			"engine " + name + " " + bad(since) +
				l.Ink.Dim.Paint(fmt.Sprintf("%s%s (%s now)", dot, retry, h.Key("refresh"))),
			name + " " + bad(since) + l.Ink.Dim.Paint(dot+retry), bad("engine " + since), bad("engine lost"),
		}
	case e.State == "lost", e.Name == "" && h.World.Status().Mode == "host":
		none := "no container engine"
		return []string{l.Ink.Dim.Paint(none + dot + h.Machine + screens), l.Ink.Dim.Paint(none)}
	}
	return []string{l.Ink.Busy.Paint(l.Glyph.Busy+" looking for the engine") + l.Ink.Dim.Paint(l.Glyph.Ellipsis)}
}

// engines returns texts for the state of several engines, from the longest to the
// shortest.
func (h *header) engines(containers, counts string) []string {
	l, dot := h.Look, " "+h.Glyph.Dot+" "
	several, trouble := format.Count(len(h.World.Engines()), "engine"), ""
	switch lost := h.World.LostEngines(); {
	case lost > 1:
		trouble = dot + l.Ink.Bad.Paint(fmt.Sprintf("%s %d lost", l.Glyph.Bad, lost))
	case lost == 1:
		for _, e := range h.World.Engines() {
			if e.State == "lost" {
				trouble = dot + l.Ink.Bad.Paint(l.Glyph.Bad+" "+l.Cut(text.Clean(e.Name), 20)+" lost")
			}
		}
	}
	return []string{several + trouble + dot + counts, several + trouble + dot + containers, several + trouble, several, ""}
}

// traffic returns texts for the traffic, from the longest to the shortest.
func (h *header) traffic() [3]string {
	r := h.World.Rates()
	values := make([]float64, len(r.Spark))
	for i, n := range r.Spark {
		values[i] = float64(n)
	}
	rate := fmt.Sprintf("%.0f req/s", r.PerSecond)
	if r.Spark == ([60]int{}) {
		rate = h.Ink.Dim.Paint(rate)
		return [3]string{rate, rate, rate}
	}
	more := fmt.Sprintf("%s  p50 %s  p99 %s", rate, format.Latency(r.P50), format.Latency(r.P99))
	return [3]string{h.Ink.Accent.Paint(h.Spark(values, 8)) + " " + more, more, rate}
}

func (h *header) listTitle() string {
	l := h.Look
	title := l.Ink.Title.Paint("Sandboxes")
	if h.engineLost() {
		title += l.Ink.Dim.Paint(" as last seen")
	}
	if !h.layout.wide {
		title += l.Ink.Dim.Paint(" " + l.Glyph.Dash + " " + h.names(-1))
	}
	return title
}

// detailTitle returns the selected sandbox's name and the tabs.
func (h *header) detailTitle() string {
	l := h.Look
	return l.Ink.Title.Paint(l.Cut(h.selectedName(), h.nameWidth())) + l.Ink.Frame.Paint(" "+l.Glyph.Dash+" ") +
		h.names(h.tab)
}

func (h *header) selectedName() string {
	if h.list.Selected == (api.Ref{}) {
		return "no sandbox"
	}
	return h.Named(h.list.Selected)
}

// names returns the names of the tabs, with the current one marked.
func (h *header) names(front int) string {
	l := h.Look
	parts := make([]string, len(tabNames))
	for i, name := range tabNames {
		parts[i] = fmt.Sprintf("%d %s", i+1, name)
		if i == front {
			parts[i] = l.Ink.Cursor.Paint(parts[i])
		}
	}
	return strings.Join(parts, h.gap())
}

// gap returns the space between the names of tabs; it is less in a narrow window.
func (h *header) gap() string {
	if h.width < 76 {
		return " "
	}
	return h.Ink.Frame.Paint(" " + h.Glyph.Across + " ")
}

// nameWidth is the width of the selected sandbox's name in the detail pane's edge.
func (h *header) nameWidth() int {
	return max(10, h.layout.detail.w-text.Width(h.names(-1))-len("+  --  -+"))
}

// tabAt returns the tab whose name is at column x of the upper edge of the details,
// or of the list if it is alone; -1 if there is none.
func (h *header) tabAt(x int) int {
	at, title := h.layout.detail.x, h.detailTitle()
	if h.layout.detail.w == 0 {
		at, title = h.layout.list.x, h.listTitle()
	}
	at += 2 + text.Width(title) - text.Width(h.names(-1))
	for i, name := range tabNames {
		w := len(name) + 2
		if x >= at && x < at+w {
			return i
		}
		at += w + text.Width(h.gap())
	}
	return -1
}
