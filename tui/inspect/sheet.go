package inspect

import (
	"cmp"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/charmbracelet/x/ansi"

	"daemon-proxy/core/api"
	"daemon-proxy/tui/format"
	"daemon-proxy/tui/pane"
	"daemon-proxy/tui/text"
	"daemon-proxy/tui/theme"
)

// besideFrom is the least inner width with request and response side by side.
const besideFrom = 96

// section is a part that can be folded to its title.
type section int

// The sections. Request and response are side by side if there is room and both
// are open.
const (
	sectionRequest section = iota
	sectionResponse
	sectionFrames
	sections
)

// details is an exchange with readable bodies.
type details struct {
	detail            api.ExchangeDetail
	request, response shownBody
}

// inspect makes the bodies of an exchange readable.
func inspect(d api.ExchangeDetail) *details {
	seen := &details{
		detail:   d,
		request:  readBody(d.RequestHeader, d.RequestBody, d.RequestCaptured, d.BytesIn),
		response: readBody(d.ResponseHeader, d.ResponseBody, d.ResponseCaptured, d.BytesOut),
	}
	switch {
	case len(d.Frames) > 0: // the frames are shown instead
		seen.request.note, seen.response.note = "", ""
	case d.Code != "" && d.ResponseHeader == nil:
		seen.response.note = "daemon-proxy answered this itself"
	}
	return seen
}

// inspectorLine is a line over the whole width, or two side by side.
type inspectorLine struct {
	left, right cell
	beside      bool
}

// cell is plain text that begins with a name in another ink.
type cell struct {
	text   string
	name   int // length of the name in bytes
	ink    theme.Ink
	chosen bool // the title of the focused section
}

func (c cell) holds(want string) bool { return strings.Contains(strings.ToLower(c.text), want) }

type sheet struct {
	pane.Env
	first   api.Exchange // from the list, until the details arrive
	seen    *details     // nil until they arrive
	width   int          // what lines are laid out for
	At      section      // the focused section
	folded  [sections]bool
	wrapped bool // long headers are shown whole

	lines   []inspectorLine
	columns [2]int        // how many lines request and response have side by side
	titles  [sections]int // the lines of the titles; -1: there is none
	frames  []int         // the line at which each frame begins
}

// Exchange returns the inspected exchange, as far as it is known.
func (s *sheet) Exchange() api.Exchange {
	if s.seen != nil {
		return s.seen.detail.Exchange
	}
	return s.first
}

// split reports whether request and response are side by side with nothing below
// them: they then scroll separately.
func (s *sheet) split() bool { return s.seen != nil && s.beside() && s.titles[sectionFrames] < 0 }

func (s *sheet) columnWidth() int { return (s.width - 5) / 2 }

// beside reports whether request and response are side by side: both must be
// unfolded.
func (s *sheet) beside() bool {
	return s.width >= besideFrom && !s.folded[sectionRequest] && !s.folded[sectionResponse]
}

// layOut makes the lines for the width.
func (s *sheet) layOut() {
	s.lines, s.frames, s.titles = nil, nil, [sections]int{-1, -1, -1}
	if s.seen == nil || s.width < 1 {
		return
	}
	d := &s.seen.detail
	if s.At == sectionFrames && len(d.Frames) == 0 {
		s.At = sectionRequest
	}
	beside := s.beside()
	w := s.width - 2
	if beside {
		w = s.columnWidth()
	}
	left := s.section(sectionRequest, "Request", d.RequestHeader, &s.seen.request, w)
	right := s.section(sectionResponse, "Response", d.ResponseHeader, &s.seen.response, w)
	s.columns = [2]int{len(left), len(right)}
	s.titles[sectionRequest] = 0
	if !beside {
		for _, c := range left {
			s.lines = append(s.lines, inspectorLine{left: c})
		}
		if !s.folded[sectionRequest] {
			s.lines = append(s.lines, inspectorLine{})
		}
		left, right = right, nil
	}
	s.titles[sectionResponse] = len(s.lines)
	for i := range max(len(left), len(right)) {
		line := inspectorLine{beside: beside}
		if i < len(left) {
			line.left = left[i]
		}
		if i < len(right) {
			line.right = right[i]
		}
		s.lines = append(s.lines, line)
	}
	s.layOutFrames(d.Frames)
}

// sectionTitle returns the title of a section, cut to width; only name is painted.
func (s *sheet) sectionTitle(at section, name, rest string, width int) cell {
	l := s.Look
	mark := l.Glyph.Open
	if s.folded[at] {
		mark = l.Glyph.Folded
	}
	name = mark + " " + name
	return cell{text: l.Cut(name+rest, width), name: len(name), ink: l.Ink.Dim, chosen: at == s.At}
}

func (s *sheet) section(at section, name string, h http.Header, body *shownBody, width int) []cell {
	l := s.Look
	out := []cell{s.sectionTitle(at, name, "  "+strings.Join(body.title(), "  "), width)}
	if s.folded[at] {
		return out
	}
	for _, key := range slices.Sorted(maps.Keys(h)) {
		for _, value := range h[key] {
			shown := strings.ToLower(text.Clean(key)) + ":"
			for i, row := range s.headerLines(shown+" "+s.masks(cleanWhole(value)), width-2) {
				c := cell{text: "  " + row, name: 2 + min(len(shown), len(row))}
				if i > 0 {
					c.name = 0
				}
				out = append(out, c)
			}
		}
	}
	for _, missing := range s.missing(at) {
		out = append(out, cell{text: l.Cut("  "+missing, width), ink: l.Ink.Dim})
	}
	if h == nil && name == "Response" && body.note == "" {
		out = append(out, cell{text: "  no answer came", ink: l.Ink.Dim})
	}
	if len(body.lines) > 0 || len(body.binary) > 0 {
		out = append(out, cell{})
	}
	for _, line := range body.lines {
		for _, row := range wrap(s.masks(line), width-2) {
			out = append(out, cell{text: "  " + row})
		}
	}
	for _, row := range hexDump(body.binary, width-2) {
		out = append(out, cell{text: "  " + row})
	}
	if body.note != "" {
		out = append(out, cell{text: l.Cut("  "+body.note, width), ink: l.Ink.Dim})
	}
	return out
}

// missing returns what the request log has not kept of a head.
func (s *sheet) missing(at section) (said []string) {
	d := &s.seen.detail
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

// layOutFrames lists the frames of a WebSocket over the whole width.
func (s *sheet) layOutFrames(frames []api.Frame) {
	if len(frames) == 0 {
		return
	}
	l := s.Look
	title := format.Count(len(frames), "frame")
	if all := s.seen.detail.Exchange.Frames; all > int64(len(frames)) {
		title = "The last " + format.Thousands(len(frames)) + " of " + format.Count(int(all), "frame")
	}
	if !s.folded[sectionResponse] {
		s.lines = append(s.lines, inspectorLine{})
	}
	s.titles[sectionFrames] = len(s.lines)
	s.lines = append(s.lines, inspectorLine{left: s.sectionTitle(sectionFrames, title, "", s.width-2)})
	if s.folded[sectionFrames] {
		return
	}
	for i := range frames {
		f := &frames[i]
		direction, from := l.Glyph.In, "service"
		if f.FromClient {
			direction, from = l.Glyph.Out, "client"
		}
		head := fmt.Sprintf("  %s %s %-7s %-12s %9s  ", f.Time.Local().Format("15:04:05.000"), direction, from,
			frameWords(f), format.Size(f.Size))
		data := s.masks(frameData(f))
		s.frames = append(s.frames, len(s.lines))
		for j, row := range wrap(data, max(2, s.width-2-text.Width(head))) {
			if j > 0 {
				head = strings.Repeat(" ", text.Width(head))
			}
			c := cell{text: head + row}
			if j == 0 {
				c.name = len(head) - len(strings.TrimLeft(head, " ")) + len("15:04:05.000")
			}
			s.lines = append(s.lines, inspectorLine{left: c})
		}
	}
}

// headerLines returns the lines of a header: one unless it is wrapped.
func (s *sheet) headerLines(line string, width int) []string {
	if s.wrapped || text.Width(line) <= 2*width {
		return text.Wrap(line, width)
	}
	head := ansi.Truncate(line, max(1, width-16), "")
	return []string{fmt.Sprintf("%s%s %s more", head, s.Glyph.Ellipsis,
		format.Thousands(utf8.RuneCountInString(line[len(head):])))}
}

// masks makes the core's mask readable without Unicode.
func (s *sheet) masks(line string) string {
	return strings.ReplaceAll(line, "••••", s.Glyph.Mask)
}

// wrap breaks a line that was cleaned at exactly width cells.
func wrap(s string, width int) []string {
	if text.Width(s) <= width || width < 2 {
		return []string{s}
	}
	return text.Break(s, width)
}

func frameWords(f *api.Frame) string {
	words := map[int]string{0: "continued", 1: "text", 2: "binary", 8: "close", 9: "ping", 10: "pong"}
	word := cmp.Or(words[f.Opcode], fmt.Sprintf("opcode %d", f.Opcode))
	if f.Compressed {
		word += ", packed"
	}
	return word
}
