package tui

import (
	"fmt"
	"strings"
	"time"

	"daemon-proxy/core/api"
	"daemon-proxy/tui/text"
)

// The widths at which a list of requests leaves something out.
const (
	wholeTimeFrom = 90
	bytesFrom     = 66
)

func (p *requests) headHeight() int { return 1 + len(p.wrongLines()) }

func (p *requests) listHeight() int { return max(1, p.height-p.headHeight()) }

// Foot implements pane.
func (p *requests) Foot() string {
	if p.cursor.count <= p.listHeight() {
		return ""
	}
	return p.look.ink.Dim.Paint(fmt.Sprintf("%s of %s", thousands(p.cursor.at+1), thousands(p.cursor.count)))
}

// View implements pane; it draws the rows that can be seen, no others.
func (p *requests) View(focused bool) []string {
	l := p.look
	out := append(make([]string, 0, p.height), p.head())
	out = append(out, p.wrongLines()...)
	from, to := p.cursor.seen()
	for i := from; i < to; i++ {
		if x, ok := p.store.row(i); ok {
			out = append(out, l.row(p.row(x), p.width, i == p.cursor.at, focused && !p.filter.typing))
		}
	}
	if to > from {
		return out
	}
	switch {
	case !p.known:
		return append(out, l.ink.Dim.Paint("  asking"+l.glyph.Ellipsis))
	case p.failed != nil:
		what, _ := explain(p.failed)
		return append(out, l.ink.Bad.Paint("  "+text.Clean(what)))
	case p.words != "":
		return append(out, l.ink.Dim.Paint("  no request matches, esc shows all"))
	}
	out = append(out, l.ink.Dim.Paint("  no request went to "+p.whose()+" yet"))
	for _, s := range text.Wrap("open a preview: what goes through appears here as it happens", max(1, p.width-4)) {
		out = append(out, l.ink.Dim.Paint("  "+s))
	}
	return out
}

func (p *requests) whose() string {
	switch {
	case p.everywhere:
		return "any sandbox"
	case p.ref.IsHost():
		return "this machine"
	}
	return text.Clean(p.ref.String())
}

// head is the filter, how many it takes, and whether the list follows.
func (p *requests) head() string {
	l := p.look
	n := count(len(p.store.all), "request")
	if p.store.filtered {
		n = thousands(p.store.count()) + " of " + thousands(len(p.store.all))
	}
	if p.everywhere {
		n = "all sandboxes " + l.glyph.Dot + " " + n
	}
	right := n + " " + l.glyph.Dot + " " + l.ink.Good.Paint("following")
	if p.paused {
		right = n + " " + l.glyph.Dot + " " + l.ink.Busy.Paint("PAUSED +"+thousands(p.missed())) + " " + l.glyph.Dot + " " + p.key("follow") + " follow"
	}
	right += " "
	var left string
	switch {
	case p.filter.typing:
		left = l.ink.Key.Paint("/ ") + l.inputLine(p.filter.Model, max(10, p.width-text.Width(right)-3))
	case p.words != "":
		left = l.ink.Key.Paint("/ ") + text.Clean(p.words)
	default:
		left = l.ink.Dim.Paint(p.key("filter-requests") + " filter")
		if p.width > 100 {
			left += l.ink.Dim.Paint("  status:5xx method:post port:3000 path:/api, or a text")
		}
	}
	return l.ends(left, right, p.width)
}

// wrongLines say what is wrong with the filter, on three lines at most.
func (p *requests) wrongLines() []string {
	if p.wrong == nil {
		return nil
	}
	what, _ := explain(p.wrong)
	var lines []string
	for _, s := range text.Wrap(text.Clean(what), max(1, p.width-4)) {
		if len(lines) < 3 {
			lines = append(lines, p.look.ink.Bad.Paint("  "+s))
		}
	}
	return lines
}

// row is one exchange; path and note share what the columns leave.
func (p *requests) row(x api.Exchange) string {
	l := p.look
	clock := "15:04:05"
	if p.width >= wholeTimeFrom {
		clock += ".000"
	}
	method := text.Clean(x.Method)
	left := x.Start.Local().Format(clock) + "  " + l.statusInk(x).Paint(l.right(statusWord(x), 3)) + " " + l.fit(method, max(4, min(7, text.Width(method)))) + " "
	if pad := 7 - text.Width(method); pad > 0 && p.width >= bytesFrom {
		left += strings.Repeat(" ", min(pad, 3))
	}
	port := "-"
	if x.Port > 0 {
		port = fmt.Sprint(x.Port)
	}
	left += l.fit(port, 5) + " "
	if p.everywhere && p.width >= bytesFrom {
		left += l.fit(text.Clean(x.Sandbox), max(8, min(20, p.width/8))) + " "
	}
	right := l.right(p.took(x), 7)
	if p.width >= bytesFrom {
		right += l.right(size(x.BytesOut), 10)
	}
	right += " "
	return left + p.pathAndNote(x, p.width-2-text.Width(left)-text.Width(right)) + right
}

func (p *requests) pathAndNote(x api.Exchange, width int) string {
	l := p.look
	path, note := text.Clean(x.Path), p.note(x)
	if note == "" {
		return l.fit(path, width)
	}
	n := text.Width(note)
	if rest, ok := strings.CutPrefix(note, "websocket  "); ok && text.Width(path)+2+n > width { // its frames say so
		note, n = rest, text.Width(rest)
	}
	if over := text.Width(path) + 2 + n - width; over > 0 {
		n = max(min(n, width/2), n-over)
	}
	return l.fit(path, width-n-1) + " " + l.ink.Dim.Paint(l.fit(note, n))
}

// took is how long an exchange took, or has been under way.
func (p *requests) took(x api.Exchange) string {
	if x.Live {
		return span(max(x.Duration, p.now().Sub(x.Start)).Truncate(100 * time.Millisecond))
	}
	return latency(x.Duration)
}

// note says in words what is special about an exchange.
func (p *requests) note(x api.Exchange) string {
	l := p.look
	var parts []string
	switch x.Protocol {
	case "websocket":
		parts = append(parts, "websocket")
		if x.Frames > 0 {
			parts = append(parts, l.glyph.Both+" "+count(int(x.Frames), "frame"))
		}
	case "event-stream":
		parts = append(parts, "event stream")
	}
	if f, ok := p.flows[x.ID]; ok && x.Live && f.rate >= 0 {
		parts = append(parts, size(int64(f.rate))+"/s")
	}
	if words := codeWords(x); words != "" {
		parts = append(parts, words)
	}
	if x.Note != "" {
		parts = append(parts, text.Clean(x.Note))
	}
	return strings.Join(parts, "  ")
}

// codeWords is the code of a problem in the words of a list.
func codeWords(x api.Exchange) string {
	switch x.Code {
	case "":
		return ""
	case api.CodePortClosed:
		return fmt.Sprintf("nothing listens on %d", x.Port)
	case api.CodeNoDaemon:
		return "no daemon there"
	case api.CodeDaemonDown:
		return "the daemon does not answer"
	case api.CodeUpstreamCut:
		return "hung up before it answered"
	case api.CodeBadUpstream:
		return "what answered is not HTTP"
	case api.CodeCancelled:
		return "the client went away"
	case api.CodeSandboxMissing:
		return "the container is gone"
	case api.CodeUnreachable:
		return "no address to dial"
	}
	return strings.ReplaceAll(text.Clean(x.Code), "_", " ")
}
