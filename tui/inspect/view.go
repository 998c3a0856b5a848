package inspect

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/charmbracelet/x/ansi"

	"daemon-proxy/core/api"
	"daemon-proxy/tui/format"
	"daemon-proxy/tui/text"
	"daemon-proxy/tui/theme"
)

// besideFrom is the inner width from which request and response stand side by side.
const besideFrom = 96

// inspectorLine is a line over the whole width, or two side by side.
type inspectorLine struct {
	left, right cell
	beside      bool
}

// cell is plain text with the name it begins with, painted apart.
type cell struct {
	text   string
	name   int // how many bytes of text are the name
	ink    theme.Ink
	chosen bool // the title of the section that folds
}

func (c cell) holds(want string) bool { return strings.Contains(strings.ToLower(c.text), want) }

// View is a box of width × height.
func (in *Inspector) View(width, height int) []string {
	l := in.look
	in.height = height
	if width-2 != in.width {
		in.width = width - 2
		in.layOut()
	}
	in.scroll(0)
	lines := []string{in.times()}
	if in.finding() {
		lines = append(lines, in.findLine())
	}
	switch {
	case in.failed != nil && in.seen == nil:
		what, _ := format.Explain(in.failed)
		lines = append(lines, l.Ink.Bad.Paint(" "+text.Clean(what)))
	case in.seen == nil:
		lines = append(lines, l.Ink.Dim.Paint(" loading"+l.Glyph.Ellipsis))
	}
	want := strings.ToLower(in.find.Value())
	left, right := in.tops()
	for i := range in.textHeight() {
		line := in.line(left + i)
		line.right = in.line(right + i).right
		lines = append(lines, in.paint(line, want))
	}
	return l.Box(in.title(), in.foot(), lines, width, height, true)
}

// line is the one at i; past the end an empty one.
func (in *Inspector) line(i int) inspectorLine {
	if i < len(in.lines) {
		return in.lines[i]
	}
	return inspectorLine{beside: in.split()}
}

// foot says what scrolls, how far it is, and whether new frames are followed.
func (in *Inspector) foot() string {
	l := in.look
	var parts []string
	if in.split() {
		parts = append(parts, l.Ink.Dim.Paint([...]string{"request", "response"}[in.At]))
	}
	if n := in.length(); n > in.textHeight() {
		parts = append(parts, l.Ink.Dim.Paint(fmt.Sprintf("%s%s %d%%", l.Glyph.Up, l.Glyph.Down, 100*min(n, in.top+in.textHeight())/n)))
	}
	switch x := in.Exchange(); {
	case !x.Live || !in.HasFrames():
	case in.paused:
		parts = append(parts, l.Ink.Busy.Paint("PAUSED +"+format.Thousands(int(x.Frames-in.before)))+" "+l.Glyph.Dot+" "+in.key("follow")+" follow")
	default:
		parts = append(parts, l.Ink.Good.Paint("following"))
	}
	return strings.Join(parts, " ")
}

func (in *Inspector) paint(line inspectorLine, want string) string {
	l := in.look
	if !line.beside {
		return " " + in.cell(line.left, want)
	}
	w := in.columnWidth()
	return " " + l.Fit(in.cell(line.left, want), w) + l.Ink.Frame.Paint(" "+l.Glyph.Along+" ") + l.Fit(in.cell(line.right, want), w)
}

// cell paints the name, and the text that is looked for where it first stands.
func (in *Inspector) cell(c cell, want string) string {
	if want != "" {
		if lower := strings.ToLower(c.text); len(lower) == len(c.text) {
			if before, _, ok := strings.Cut(lower, want); ok {
				at := len(before)
				return c.text[:at] + in.look.Ink.Cursor.Paint(c.text[at:at+len(want)]) + c.text[at+len(want):]
			}
		} else if strings.Contains(lower, want) {
			return in.look.Ink.Cursor.Paint(c.text)
		}
	}
	name := in.look.Ink.Key
	if c.chosen {
		name = in.look.Ink.Cursor
	}
	return name.Paint(c.text[:c.name]) + c.ink.Paint(c.text[c.name:])
}

// title is what was asked, how it went, where and when.
func (in *Inspector) title() string {
	l, x := in.look, in.Exchange()
	dash := l.Ink.Frame.Paint(" " + l.Glyph.Dash + " ")
	outcome := "under way for " + format.Span(in.now().Sub(x.Start).Truncate(time.Second))
	switch {
	case !x.Live:
		outcome = fmt.Sprintf("%s in %s", format.Status(x), format.Latency(x.Duration))
	case x.Status > 0:
		outcome = fmt.Sprintf("%d, %s", x.Status, outcome)
	}
	where := text.Clean(x.Sandbox)
	if x.Port > 0 {
		where += fmt.Sprintf(":%d", x.Port)
	}
	if x.LinkID != "" {
		where += " via " + in.world.LinkName(x.LinkID)
	}
	rest := dash + l.StatusInk(x.Status).Paint(outcome)
	for _, s := range []string{where, x.Start.Local().Format("15:04:05.000")} {
		if s != "" && text.Width(rest)+text.Width(s)+30 < in.width {
			rest += dash + s
		}
	}
	request := text.Clean(x.Method) + " " + text.Clean(x.Path)
	return l.Ink.Title.Paint(l.Cut(request, max(8, in.width-4-text.Width(rest)))) + rest
}

// times says where the time went, with a bar for each part.
func (in *Inspector) times() string {
	l, x := in.look, in.Exchange()
	total := x.Duration
	if x.Live {
		total = max(total, in.now().Sub(x.Start))
	}
	if x.FirstByte <= 0 {
		words := format.Code(x)
		switch {
		case x.Live:
			return l.Ink.Dim.Paint(" waits for an answer since " + format.Span(total))
		case words == "" && x.Note == "":
			words = "answered by daemon-proxy itself"
		}
		return " " + l.Ink.Busy.Paint(strings.TrimSpace(words+" "+text.Clean(x.Note))) + l.Ink.Dim.Paint(" after "+format.Latency(total))
	}
	body := "body"
	if x.Protocol != "http" && x.Protocol != "" {
		body = strings.ReplaceAll(x.Protocol, "-", " ")
	}
	parts := []struct {
		name string
		took time.Duration
	}{{"waited", x.Wait}, {"first byte", x.FirstByte - x.Wait}, {body, total - x.FirstByte}}
	room := min(40, in.width-58)
	var out strings.Builder
	for _, part := range parts {
		took := max(0, part.took)
		out.WriteString(" " + l.Ink.Dim.Paint(part.name) + " " + format.Latency(took) + " ")
		if room >= 8 && took > 0 {
			cells := int(float64(took) / float64(max(1, total)) * float64(room))
			bar := strings.Repeat(l.Glyph.Bar, max(0, min(room, cells)))
			if cells < 1 {
				bar = l.Glyph.BarHalf
			}
			out.WriteString(l.Ink.Accent.Paint(bar) + " ")
		}
	}
	if note := strings.TrimSpace(format.Code(x) + " " + text.Clean(x.Note)); note != "" {
		out.WriteString(" " + l.Ink.Busy.Paint(note))
	}
	return out.String()
}

func (in *Inspector) findLine() string {
	l := in.look
	n := fmt.Sprintf("%d of %d ", min(in.atFound+1, len(in.found)), len(in.found))
	if in.find.Typing {
		return l.Ends(l.Ink.Key.Paint(" / ")+l.InputLine(in.find.Model, max(10, in.width-16)), n, in.width)
	}
	return l.Ends(l.Ink.Key.Paint(" / ")+text.Clean(in.find.Value())+l.Ink.Dim.Paint(fmt.Sprintf("   %s next  %s before  %s", in.key("find-next"), in.key("find-previous"), in.key("close-inspector"))), n, in.width)
}

func (in *Inspector) columnWidth() int { return (in.width - 5) / 2 }

// beside says whether request and response stand side by side: a folded one
// leaves all the room to the other.
func (in *Inspector) beside() bool {
	return in.width >= besideFrom && !in.folded[sectionRequest] && !in.folded[sectionResponse]
}

// layOut makes the lines for the width.
func (in *Inspector) layOut() {
	in.lines, in.frames, in.titles = nil, nil, [sections]int{-1, -1, -1}
	if in.seen == nil || in.width < 1 {
		return
	}
	d := &in.seen.detail
	if in.At == sectionFrames && len(d.Frames) == 0 {
		in.At = sectionRequest
	}
	beside := in.beside()
	w := in.width - 2
	if beside {
		w = in.columnWidth()
	}
	left := in.section(sectionRequest, "Request", d.RequestHeader, &in.seen.request, w)
	right := in.section(sectionResponse, "Response", d.ResponseHeader, &in.seen.response, w)
	in.columns = [2]int{len(left), len(right)}
	in.titles[sectionRequest] = 0
	if !beside {
		for _, c := range left {
			in.lines = append(in.lines, inspectorLine{left: c})
		}
		if !in.folded[sectionRequest] {
			in.lines = append(in.lines, inspectorLine{})
		}
		left, right = right, nil
	}
	in.titles[sectionResponse] = len(in.lines)
	for i := range max(len(left), len(right)) {
		line := inspectorLine{beside: beside}
		if i < len(left) {
			line.left = left[i]
		}
		if i < len(right) {
			line.right = right[i]
		}
		in.lines = append(in.lines, line)
	}
	in.layOutFrames(d.Frames)
	in.search()
}

// sectionTitle is that of a section, cut to width; only name is painted.
func (in *Inspector) sectionTitle(at section, name, rest string, width int) cell {
	l := in.look
	mark := l.Glyph.Open
	if in.folded[at] {
		mark = l.Glyph.Folded
	}
	name = mark + " " + name
	return cell{text: l.Cut(name+rest, width), name: len(name), ink: l.Ink.Dim, chosen: at == in.At}
}

func (in *Inspector) section(at section, name string, h http.Header, body *shownBody, width int) []cell {
	l := in.look
	out := []cell{in.sectionTitle(at, name, "  "+strings.Join(body.title(), "  "), width)}
	if in.folded[at] {
		return out
	}
	for _, key := range slices.Sorted(maps.Keys(h)) {
		for _, value := range h[key] {
			shown := strings.ToLower(text.Clean(key)) + ":"
			for i, s := range in.headerLines(shown+" "+in.masks(cleanWhole(value)), width-2) {
				c := cell{text: "  " + s, name: 2 + min(len(shown), len(s))}
				if i > 0 {
					c.name = 0
				}
				out = append(out, c)
			}
		}
	}
	for _, missing := range in.missing(at) {
		out = append(out, cell{text: l.Cut("  "+missing, width), ink: l.Ink.Dim})
	}
	if h == nil && name == "Response" && body.note == "" {
		out = append(out, cell{text: "  no answer came", ink: l.Ink.Dim})
	}
	if len(body.lines) > 0 || len(body.binary) > 0 {
		out = append(out, cell{})
	}
	for _, line := range body.lines {
		for _, s := range wrap(in.masks(line), width-2) {
			out = append(out, cell{text: "  " + s})
		}
	}
	for _, s := range hexDump(body.binary, width-2) {
		out = append(out, cell{text: "  " + s})
	}
	if body.note != "" {
		out = append(out, cell{text: l.Cut("  "+body.note, width), ink: l.Ink.Dim})
	}
	return out
}

// missing says what the request log has not kept of a head.
func (in *Inspector) missing(at section) (said []string) {
	d := &in.seen.detail
	cut, header := d.RequestHeaderSize, "the header is cut: with the path it has "
	if at == sectionResponse {
		cut, header = d.ResponseHeaderSize, "the header is cut: it has "
	} else if d.PathSize > 0 {
		said = append(said, "the path is cut: it has "+format.Size(d.PathSize))
	}
	if cut > 0 {
		said = append(said, header+format.Size(cut))
	}
	if d.Discarded {
		said = append(said, "headers discarded for later requests (traffic.memory)")
	}
	return said
}

// headerLines are those of a header: one if it is long and not to be wrapped.
func (in *Inspector) headerLines(s string, width int) []string {
	if in.wrapped || text.Width(s) <= 2*width {
		return text.Wrap(s, width)
	}
	head := ansi.Truncate(s, max(1, width-16), "")
	return []string{fmt.Sprintf("%s%s %s more", head, in.look.Glyph.Ellipsis, format.Thousands(utf8.RuneCountInString(s[len(head):])))}
}

// masks makes the core's mask readable without Unicode.
func (in *Inspector) masks(s string) string {
	return strings.ReplaceAll(s, "••••", in.look.Glyph.Mask)
}

// wrap breaks a line that was cleaned at exactly width cells.
func wrap(s string, width int) []string {
	if text.Width(s) <= width || width < 2 {
		return []string{s}
	}
	return strings.Split(ansi.Hardwrap(s, width, true), "\n")
}

// layOutFrames lists the frames of a WebSocket over the whole width.
func (in *Inspector) layOutFrames(frames []api.Frame) {
	if len(frames) == 0 {
		return
	}
	l := in.look
	title := format.Count(len(frames), "frame")
	if all := in.seen.detail.Exchange.Frames; all > int64(len(frames)) {
		title = "The last " + format.Thousands(len(frames)) + " of " + format.Count(int(all), "frame")
	}
	if !in.folded[sectionResponse] {
		in.lines = append(in.lines, inspectorLine{})
	}
	in.titles[sectionFrames] = len(in.lines)
	in.lines = append(in.lines, inspectorLine{left: in.sectionTitle(sectionFrames, title, "", in.width-2)})
	if in.folded[sectionFrames] {
		return
	}
	for i := range frames {
		f := &frames[i]
		direction, from := l.Glyph.In, "service"
		if f.FromClient {
			direction, from = l.Glyph.Out, "client"
		}
		head := fmt.Sprintf("  %s %s %-7s %-12s %9s  ", f.Time.Local().Format("15:04:05.000"), direction, from, frameWords(f), format.Size(f.Size))
		data := in.masks(frameData(f))
		in.frames = append(in.frames, len(in.lines))
		for j, s := range wrap(data, max(2, in.width-2-text.Width(head))) {
			if j > 0 {
				head = strings.Repeat(" ", text.Width(head))
			}
			c := cell{text: head + s}
			if j == 0 {
				c.name = len(head) - len(strings.TrimLeft(head, " ")) + len("15:04:05.000")
			}
			in.lines = append(in.lines, inspectorLine{left: c})
		}
	}
}

// frameWords is the opcode of a frame in words.
func frameWords(f *api.Frame) string {
	word := map[int]string{0: "continued", 1: "text", 2: "binary", 8: "close", 9: "ping", 10: "pong"}[f.Opcode]
	if word == "" {
		word = fmt.Sprintf("opcode %d", f.Opcode)
	}
	if f.Compressed {
		word += ", packed"
	}
	return word
}
