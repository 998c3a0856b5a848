package tui

import (
	"strings"

	"github.com/charmbracelet/x/ansi"

	"daemon-proxy/tui/text"
	"daemon-proxy/tui/theme"
)

// look is what everything is drawn with. It does not change while the UI runs.
type look struct {
	ink   theme.Theme
	glyph theme.Glyphs
	ascii bool
}

func newLook(themeName string, ascii bool) *look {
	l := &look{ink: theme.New(themeName), glyph: theme.Unicode(), ascii: ascii}
	if ascii {
		l.glyph = theme.ASCII()
	}
	return l
}

// fit makes s exactly width cells.
func (l *look) fit(s string, width int) string { return text.Fit(s, width, l.glyph.Ellipsis) }

// right is fit with s at the right end.
func (l *look) right(s string, width int) string { return text.Right(s, width, l.glyph.Ellipsis) }

// ends puts left and right at the two ends of width cells; left gives way.
func (l *look) ends(left, right string, width int) string {
	w := text.Width(right)
	if w >= width {
		return l.fit(right, width)
	}
	return l.fit(left, width-w) + right
}

// fill makes lines exactly height lines of exactly width cells.
func (l *look) fill(lines []string, width, height int) []string {
	out := make([]string, max(0, height))
	for i := range out {
		s := ""
		if i < len(lines) {
			s = lines[i]
		}
		out[i] = l.fit(s, width)
	}
	return out
}

// box draws a frame of width × height cells around lines; title and foot
// stand in its upper and lower edge.
func (l *look) box(title, foot string, lines []string, width, height int, focused bool) []string {
	if width < 2 || height < 2 {
		return l.fill(nil, width, height)
	}
	frame := l.ink.Frame
	if focused {
		frame = l.ink.Focus
	}
	edge := func(left, s, right string) string {
		inner := width - 2
		if s != "" {
			s = " " + ansi.Truncate(s, max(0, inner-3), l.glyph.Ellipsis) + " "
		}
		if text.Width(s) > inner {
			s = ""
		}
		return frame.Paint(left) + s + frame.Paint(strings.Repeat(l.glyph.Across, inner-text.Width(s))+right)
	}
	out := make([]string, 0, height)
	out = append(out, edge(l.glyph.TopLeft, title, l.glyph.TopRight))
	side := frame.Paint(l.glyph.Along)
	for _, s := range l.fill(lines, width-2, height-2) {
		out = append(out, side+s+side)
	}
	return append(out, edge(l.glyph.BottomLeft, foot, l.glyph.BottomRight))
}

// row marks one line of a list: the chosen one has a glyph, so that it shows
// without colours, and is painted whole.
func (l *look) row(s string, width int, chosen, focused bool) string {
	if !chosen {
		return l.fit("  "+s, width)
	}
	s = l.fit(l.glyph.Cursor+" "+s, width)
	if focused {
		// One ink for the whole row: other colours are unreadable on it.
		return l.ink.Cursor.Paint(ansi.Strip(s))
	}
	return l.ink.Chosen.Over(s)
}

// spark draws values as bars, the last ones if they are more than width.
func (l *look) spark(values []float64, width int) string {
	if len(values) > width {
		values = values[len(values)-width:]
	}
	most := 0.0
	for _, v := range values {
		most = max(most, v)
	}
	var b strings.Builder
	for _, v := range values {
		step := 0
		if most > 0 && v > 0 {
			step = max(1, int(v/most*float64(len(l.glyph.Spark)-1)))
		}
		b.WriteString(l.glyph.Spark[step])
	}
	return b.String()
}

// over lays box upon base with its upper left corner at x, y.
func (l *look) over(base, box []string, x, y int) []string {
	for i, s := range box {
		if y+i < 0 || y+i >= len(base) {
			continue
		}
		line := base[y+i]
		width, w := text.Width(line), text.Width(s)
		base[y+i] = l.fit(l.fit(ansi.Cut(line, 0, x), x)+s+ansi.ResetStyle+ansi.Cut(line, x+w, width), width)
	}
	return base
}
