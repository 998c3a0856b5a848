package inspect

import (
	"fmt"
	"strings"
	"time"

	"daemon-proxy/tui/format"
	"daemon-proxy/tui/text"
)

// View is a box of width × height.
func (in *Inspector) View(width, height int) []string {
	l := in.Look
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

// line returns line i, or an empty one past the end.
func (in *Inspector) line(i int) inspectorLine {
	if i < len(in.lines) {
		return in.lines[i]
	}
	return inspectorLine{beside: in.split()}
}

// foot shows which section scrolls, how far, and whether frames are followed.
func (in *Inspector) foot() string {
	l := in.Look
	var parts []string
	if in.split() {
		parts = append(parts, l.Ink.Dim.Paint([...]string{"request", "response"}[in.At]))
	}
	if n := in.length(); n > in.textHeight() {
		parts = append(parts, l.Ink.Dim.Paint(fmt.Sprintf("%s%s %d%%", l.Glyph.Up, l.Glyph.Down,
			100*min(n, in.top+in.textHeight())/n)))
	}
	switch x := in.Exchange(); {
	case !x.Live || !in.HasFrames():
	case in.paused:
		parts = append(parts, l.Ink.Busy.Paint("PAUSED +"+format.Thousands(int(x.Frames-in.before)))+" "+
			l.Glyph.Dot+" "+in.Key("follow")+" follow")
	default:
		parts = append(parts, l.Ink.Good.Paint("following"))
	}
	return strings.Join(parts, " ")
}

func (in *Inspector) paint(line inspectorLine, want string) string {
	l := in.Look
	if !line.beside {
		return " " + in.cell(line.left, want)
	}
	w := in.columnWidth()
	return " " + l.Fit(in.cell(line.left, want), w) + l.Ink.Frame.Paint(" "+l.Glyph.Along+" ") +
		l.Fit(in.cell(line.right, want), w)
}

// cell paints the name, and the first match of the text to find.
func (in *Inspector) cell(c cell, want string) string {
	if want != "" {
		if lower := strings.ToLower(c.text); len(lower) == len(c.text) {
			if before, _, ok := strings.Cut(lower, want); ok {
				at := len(before)
				return c.text[:at] + in.Ink.Cursor.Paint(c.text[at:at+len(want)]) + c.text[at+len(want):]
			}
		} else if strings.Contains(lower, want) {
			return in.Ink.Cursor.Paint(c.text)
		}
	}
	name := in.Ink.Key
	if c.chosen {
		name = in.Ink.Cursor
	}
	return name.Paint(c.text[:c.name]) + c.ink.Paint(c.text[c.name:])
}

// title returns the request, its outcome, its sandbox and its time.
func (in *Inspector) title() string {
	l, x := in.Look, in.Exchange()
	dash := l.Ink.Frame.Paint(" " + l.Glyph.Dash + " ")
	outcome := "under way for " + format.Span(in.Now().Sub(x.Start).Truncate(time.Second))
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
		where += " via " + in.World.LinkName(x.LinkID)
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

// times returns the phases of the exchange with their durations and bars.
func (in *Inspector) times() string {
	l, x := in.Look, in.Exchange()
	total := x.Duration
	if x.Live {
		total = max(total, in.Now().Sub(x.Start))
	}
	if x.FirstByte <= 0 {
		words := format.Code(x)
		switch {
		case x.Live:
			return l.Ink.Dim.Paint(" waits for an answer since " + format.Span(total))
		case words == "" && x.Note == "":
			words = "answered by daemon-proxy itself"
		}
		return " " + l.Ink.Busy.Paint(strings.TrimSpace(words+" "+text.Clean(x.Note))) +
			l.Ink.Dim.Paint(" after "+format.Latency(total))
	}
	body := "body"
	if x.Protocol != "http" && x.Protocol != "" {
		body = strings.ReplaceAll(x.Protocol, "-", " ")
	}
	names := [...]string{"waited", "first byte", body}
	room := min(40, in.width-58)
	var out strings.Builder
	for i, took := range [...]time.Duration{x.Wait, x.FirstByte - x.Wait, total - x.FirstByte} {
		took = max(0, took)
		out.WriteString(" " + l.Ink.Dim.Paint(names[i]) + " " + format.Latency(took) + " ")
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
	l := in.Look
	n := fmt.Sprintf("%d of %d ", min(in.atFound+1, len(in.found)), len(in.found))
	if in.find.Typing {
		return l.Ends(l.Ink.Key.Paint(" / ")+l.InputLine(in.find.Model, max(10, in.width-16)), n, in.width)
	}
	return l.Ends(l.Ink.Key.Paint(" / ")+text.Clean(in.find.Value())+
		l.Ink.Dim.Paint(fmt.Sprintf("   %s next  %s before  %s", in.Key("find-next"), in.Key("find-previous"),
			in.Key("close-inspector"))), n, in.width)
}
