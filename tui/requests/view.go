package requests

import (
	"fmt"
	"strings"
	"time"

	"daemon-proxy/core/api"
	"daemon-proxy/tui/format"
	"daemon-proxy/tui/text"
)

// The widths below which a list of requests omits columns.
const (
	wholeTimeFrom = 90
	bytesFrom     = 66
)

// Foot implements pane.Footed.
func (p *rows) Foot() string {
	if p.cursor.Count <= p.listHeight() {
		return ""
	}
	return p.Ink.Dim.Paint(fmt.Sprintf("%s of %s", format.Thousands(p.cursor.At+1), format.Thousands(p.cursor.Count)))
}

// View implements pane.Pane; it draws only the visible rows.
func (p *rows) View(focused bool) []string {
	l := p.Look
	out := append(make([]string, 0, p.height), p.head())
	out = append(out, p.wrongLines()...)
	from, to := p.cursor.Visible()
	for i := from; i < to; i++ {
		if x, ok := p.store.row(i); ok {
			out = append(out, l.Row(p.row(x), p.width, i == p.cursor.At, focused && !p.filter.Typing))
		}
	}
	if to > from {
		return out
	}
	switch {
	case !p.known:
		return append(out, l.Ink.Dim.Paint("  asking"+l.Glyph.Ellipsis))
	case p.failed != nil:
		what, _ := format.Explain(p.failed)
		return append(out, l.Ink.Bad.Paint("  "+text.Clean(what)))
	case p.query != "":
		return append(out, l.Ink.Dim.Paint("  no request matches, esc shows all"))
	}
	out = append(out, l.Ink.Dim.Paint("  no request went to "+p.whose()+" yet"))
	const hint = "open a preview: what goes through appears here as it happens"
	return append(out, l.Wrap(hint, max(1, p.width-4), "  ", l.Ink.Dim)...)
}

func (p *rows) whose() string {
	if p.Everywhere {
		return "any sandbox"
	}
	return p.Named(p.ref)
}

// head shows the filter, the number of matches, and whether the list follows.
func (p *rows) head() string {
	l := p.Look
	n := format.Count(len(p.store.all), "request")
	if p.store.filtered {
		n = format.Thousands(p.store.count()) + " of " + format.Thousands(len(p.store.all))
	}
	if p.Everywhere {
		n = "all sandboxes " + l.Glyph.Dot + " " + n
	}
	right := n + " " + l.Glyph.Dot + " " + l.Ink.Good.Paint("following")
	if p.paused {
		right = n + " " + l.Glyph.Dot + " " + l.Ink.Busy.Paint("PAUSED +"+format.Thousands(p.missed())) + " " +
			l.Glyph.Dot + " " + p.Key("follow") + " follow"
	}
	right += " "
	var left string
	switch {
	case p.filter.Typing:
		left = l.Ink.Key.Paint("/ ") + l.InputLine(p.filter.Model, max(10, p.width-text.Width(right)-3))
	case p.query != "":
		left = l.Ink.Key.Paint("/ ") + text.Clean(p.query)
	default:
		left = l.Ink.Dim.Paint(p.Key("filter-requests") + " filter")
		if p.width > 100 {
			left += l.Ink.Dim.Paint("  status:5xx method:post port:3000 path:/api, or a text")
		}
	}
	return l.Ends(left, right, p.width)
}

// row draws one exchange; path and note share the remaining width.
func (p *rows) row(x api.Exchange) string {
	l := p.Look
	clock := "15:04:05"
	if p.width >= wholeTimeFrom {
		clock += ".000"
	}
	method := text.Clean(x.Method)
	left := x.Start.Local().Format(clock) + "  " + l.StatusInk(x.Status).Paint(l.Right(format.Status(x), 3)) + " " +
		l.Fit(method, max(4, min(7, text.Width(method)))) + " "
	if pad := 7 - text.Width(method); pad > 0 && p.width >= bytesFrom {
		left += strings.Repeat(" ", min(pad, 3))
	}
	port := "-"
	if x.Port > 0 {
		port = fmt.Sprint(x.Port)
	}
	left += l.Fit(port, 5) + " "
	if p.Everywhere && p.width >= bytesFrom {
		left += l.Fit(text.Clean(x.Sandbox), max(8, min(20, p.width/8))) + " "
	}
	right := l.Right(p.took(x), 7)
	if p.width >= bytesFrom {
		right += l.Right(format.Size(x.BytesOut), 10)
	}
	right += " "
	return left + p.pathAndNote(x, p.width-2-text.Width(left)-text.Width(right)) + right
}

func (p *rows) pathAndNote(x api.Exchange, width int) string {
	l := p.Look
	path, note := text.Clean(x.Path), p.note(x)
	if note == "" {
		return l.Fit(path, width)
	}
	n := text.Width(note)
	if rest, ok := strings.CutPrefix(note, "websocket  "); ok && text.Width(path)+2+n > width { // the frames imply it
		note, n = rest, text.Width(rest)
	}
	if over := text.Width(path) + 2 + n - width; over > 0 {
		n = max(min(n, width/2), n-over)
	}
	return l.Fit(path, width-n-1) + " " + l.Ink.Dim.Paint(l.Fit(note, n))
}

// took returns how long an exchange took, or has been running.
func (p *rows) took(x api.Exchange) string {
	if x.Live {
		return format.Span(max(x.Duration, p.Now().Sub(x.Start)).Truncate(100 * time.Millisecond))
	}
	return format.Latency(x.Duration)
}

func (p *rows) note(x api.Exchange) string {
	l := p.Look
	var parts []string
	switch x.Protocol {
	case "websocket":
		parts = append(parts, "websocket")
		if x.Frames > 0 {
			parts = append(parts, l.Glyph.Both+" "+format.Count(int(x.Frames), "frame"))
		}
	case "event-stream":
		parts = append(parts, "event stream")
	}
	if f, ok := p.flows[x.ID]; ok && x.Live && f.rate >= 0 {
		parts = append(parts, format.Size(int64(f.rate))+"/s")
	}
	if words := format.Code(x); words != "" {
		parts = append(parts, words)
	}
	if x.Note != "" {
		parts = append(parts, text.Clean(x.Note))
	}
	return strings.Join(parts, "  ")
}
