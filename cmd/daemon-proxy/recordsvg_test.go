package main

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"image/color"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/charmbracelet/x/ansi"
	"github.com/charmbracelet/x/cellbuf"
	"github.com/stretchr/testify/require"
)

// The screen of a recording, in cells, and a cell and the window's frame, in pixels.
const (
	columns, rows         = 120, 26
	cellWidth, cellHeight = 8, 17
	margin, titleBar      = 12, 34
	frameSeconds          = 4
)

const (
	foreground = "#d5d9e0"
	background = "#15181e"
)

// basic are the sixteen colours of the terminal.
var basic = strings.Fields("#2b303b #e8646c #8fc573 #e3b868 #61a5ee #c07ad8 #4fb8c4 #c3c9d4 #6d7686 #f47d85 #a5d98a #f0cb84 #82bdf7 #d497e8 #70d0da #f2f4f8")

// svg shows the frames one after another, or the best one alone where motion
// is not wanted or not known.
func (f *film) svg() []byte {
	var b bytes.Buffer
	width, height := columns*cellWidth+2*margin, rows*cellHeight+titleBar+margin
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%d" height="%d" role="img">
<title>A recorded session of daemon-proxy's terminal UI</title>
<style>
text{font:13px ui-monospace,"DejaVu Sans Mono",Menlo,Consolas,monospace;fill:%s;white-space:pre}
.b{font-weight:bold}.d{opacity:.62}.c{text-anchor:middle;fill:#9aa3b2}path{fill:none}
.f{visibility:hidden;animation:f %ds step-end infinite}.best{visibility:visible}
@keyframes f{0%%{visibility:visible}%.3f%%,100%%{visibility:hidden}}
@media (prefers-reduced-motion:reduce){.f{animation:none}}
</style>
<rect width="%[1]d" height="%[2]d" rx="9" fill="%[8]s"/><path d="M.5 33.5H%[1]d" stroke="#2b303b"/>
<circle cx="20" cy="17" r="6" fill="#e8646c"/><circle cx="40" cy="17" r="6" fill="#e3b868"/><circle cx="60" cy="17" r="6" fill="#8fc573"/>
`, width, height, width, height, foreground, frameSeconds*len(f.frames), 100/float64(len(f.frames)), background)
	for i, frame := range f.frames {
		class := "f"
		if i == f.best {
			class = "f best"
		}
		fmt.Fprintf(&b, `<g class="%s" style="animation-delay:%ds"><text class="c" x="%d" y="21">%s</text>`+"\n",
			class, frameSeconds*(i-len(f.frames)), width/2, escaped(frame.caption))
		p := painter{lines: map[string]*strings.Builder{}}
		p.paint(frame.text)
		for _, s := range p.papers {
			fmt.Fprintf(&b, `<rect x="%d" y="%d" width="%d" height="%d" fill="%s"/>`+"\n", left(s.x), top(s.y), s.width*cellWidth, cellHeight, s.colour)
		}
		fmt.Fprintf(&b, "%s</g>\n", p.out.Bytes())
	}
	b.WriteString("</svg>\n")
	return b.Bytes()
}

// painter paints a screen: letters as text, frames and bars as shapes, so that
// they join in every font.
type painter struct {
	out      bytes.Buffer // what stands on the papers
	papers   []paper
	pen      cellbuf.Style
	x, y     int // of the cell, in cells
	run      string
	runStart int
	lines    map[string]*strings.Builder // the paths of lines, by colour
	order    []string
}

// paper is a background of another colour than the window's.
type paper struct {
	x, y, width int // in cells
	colour      string
}

func (p *painter) paint(screen string) {
	parser := ansi.NewParser()
	var state byte
	for screen != "" {
		seq, width, n, next := ansi.DecodeSequence(screen, state, parser)
		screen, state = screen[n:], next
		switch {
		case seq == "\n":
			p.flush()
			p.x, p.y = 0, p.y+1
		case width > 0:
			p.cell(seq, width)
		case ansi.Cmd(parser.Command()).Final() == 'm' && strings.HasPrefix(seq, "\x1b["):
			p.flush()
			cellbuf.ReadStyle(parser.Params(), &p.pen)
		}
	}
	p.flush()
	for _, colour := range p.order {
		fmt.Fprintf(&p.out, `<path stroke="%s" d="%s"/>`+"\n", colour, p.lines[colour])
	}
}

func (p *painter) cell(text string, width int) {
	defer func() { p.x += width }()
	ink, under := p.colours()
	if text == "█" {
		under = ink
	}
	p.fill(width, under)
	r, _ := utf8.DecodeRuneInString(text)
	shape, isLine := lineShapes[r]
	switch {
	case text == " " && (p.run == "" || strings.HasSuffix(p.run, " ")):
		p.flush()
	case isLine:
		p.flush()
		p.line(shape, ink)
	case r == '█':
		p.flush()
	case r >= '▁' && r < '█':
		p.flush()
		high := float64(r-'▁'+1) * cellHeight / 8
		fmt.Fprintf(&p.out, `<rect x="%d" y="%g" width="%d" height="%g" fill="%s"/>`+"\n", left(p.x), float64(top(p.y)+cellHeight)-high, cellWidth, high, ink)
	case r >= utf8.RuneSelf: // perhaps of another font, with another width
		p.flush()
		p.run, p.runStart = text, p.x
		p.flush()
	default:
		if p.run == "" {
			p.runStart = p.x
		}
		p.run += text
	}
}

// fill colours a cell, in one piece with the one before.
func (p *painter) fill(width int, colour string) {
	if colour == "" {
		return
	}
	if n := len(p.papers); n > 0 {
		if last := &p.papers[n-1]; last.y == p.y && last.colour == colour && last.x+last.width == p.x {
			last.width += width
			return
		}
	}
	p.papers = append(p.papers, paper{p.x, p.y, width, colour})
}

// lineShapes are the pieces of frames from the upper left corner of an 8×17 cell.
var lineShapes = map[rune]string{
	'─': "m0 8.5h8", '│': "m4 0v17", '╭': "m4 17v-4.5q0-4 4-4", '╮': "m0 8.5q4 0 4 4v4.5", '╰': "m4 0v4.5q0 4 4 4", '╯': "m0 8.5q4 0 4-4v-4.5",
}

func (p *painter) line(shape, ink string) {
	if p.lines[ink] == nil {
		p.lines[ink] = &strings.Builder{}
		p.order = append(p.order, ink)
	}
	fmt.Fprintf(p.lines[ink], "M%d %d%s", left(p.x), top(p.y), shape)
}

// flush writes the text that has been gathered, exactly as wide as its cells.
func (p *painter) flush() {
	text := strings.TrimRight(p.run, " ")
	p.run = ""
	if text == "" {
		return
	}
	ink, _ := p.colours()
	fmt.Fprintf(&p.out, `<text x="%d" y="%d"`, left(p.runStart), top(p.y)+13)
	if n := utf8.RuneCountInString(text); n > 1 {
		fmt.Fprintf(&p.out, ` textLength="%d"`, n*cellWidth)
	}
	if ink != foreground {
		fmt.Fprintf(&p.out, ` style="fill:%s"`, ink)
	}
	var classes []string
	if p.pen.Attrs&cellbuf.BoldAttr != 0 {
		classes = append(classes, "b")
	}
	if p.pen.Attrs&cellbuf.FaintAttr != 0 {
		classes = append(classes, "d")
	}
	if len(classes) > 0 {
		fmt.Fprintf(&p.out, ` class="%s"`, strings.Join(classes, " "))
	}
	fmt.Fprintf(&p.out, ">%s</text>\n", escaped(text))
}

func left(x int) int { return margin + x*cellWidth }
func top(y int) int  { return titleBar + 6 + y*cellHeight }

// colours of the pen; the one under it is empty where it is the window's.
func (p *painter) colours() (ink, under string) {
	ink, under = hex(p.pen.Fg, foreground), hex(p.pen.Bg, "")
	if p.pen.Attrs&cellbuf.ReverseAttr != 0 {
		if under == "" {
			under = background
		}
		ink, under = under, ink
	}
	return ink, under
}

func hex(c color.Color, otherwise string) string {
	switch c := c.(type) {
	case nil:
		return otherwise
	case ansi.BasicColor:
		return basic[c]
	case ansi.IndexedColor:
		if int(c) < len(basic) {
			return basic[c]
		}
	}
	r, g, b, _ := c.RGBA()
	return fmt.Sprintf("#%02x%02x%02x", r>>8, g>>8, b>>8)
}

func escaped(text string) string {
	var b strings.Builder
	_ = xml.EscapeText(&b, []byte(text)) // a Builder takes everything
	return b.String()
}

func TestTheRecordingIsOneFileWithEveryFrame(t *testing.T) {
	t.Parallel()
	f := &film{best: 1, frames: []frame{
		{"one & only", "a \x1b[1;31m<b>\x1b[0m"},
		{"two", "\x1b[38;5;214;7mcd\x1b[0m\n╭─▄"},
	}}
	picture := f.svg()
	require.NoError(t, xml.Unmarshal(picture, new(struct{})))
	for _, want := range []string{
		"<title>", "one &amp; only", ">a</text>", `style="fill:#e8646c" class="b">&lt;b&gt;</text>`,
		`<rect x="12" y="40" width="16" height="17" fill="#ffaf00"/>`, `<text x="12" y="53" textLength="16" style="fill:#15181e">cd</text>`, "M12 57" + lineShapes['╭'] + "M20 57" + lineShapes['─'],
		`class="f best" style="animation-delay:-4s"`, "prefers-reduced-motion",
	} {
		require.Contains(t, string(picture), want)
	}
}
