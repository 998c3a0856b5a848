package phone

import (
	"strings"

	"rsc.io/qr"

	"daemon-proxy/tui/draw"
)

// Quiet zones in modules: what the standard requires, and what phones still read.
const (
	quietZone      = 4
	quietZoneLeast = 2
)

type qrCode struct {
	code  *qr.Code
	quiet int // modules of light around it
}

// newQRCode makes the smallest code of s: on a screen, the least error correction
// is enough.
func newQRCode(s string) (qrCode, error) {
	code, err := qr.Encode(s, qr.L)
	return qrCode{code, quietZone}, err
}

// side returns the number of modules along a side, including the quiet zone.
func (q qrCode) side() int { return q.code.Size + 2*q.quiet }

// light reports whether the module at x, y is a light one.
func (q qrCode) light(x, y int) bool { return !q.code.Black(x-q.quiet, y-q.quiet) }

// cells returns its size on a terminal.
func (q qrCode) cells(ascii bool) (width, height int) {
	if ascii {
		return 2 * q.side(), q.side()
	}
	return q.side(), (q.side() + 1) / 2
}

// lines draws it black on white, whatever the terminal's own colours. Without
// colours light is the terminal's foreground, as suits a dark background;
// inverted suits a light one.
func (q qrCode) lines(l *draw.Look, inverted bool) []string {
	if l.ASCII {
		return q.blocks(l, inverted)
	}
	return q.halves(l, inverted)
}

// halves draws two modules a cell, one above the other.
func (q qrCode) halves(l *draw.Look, inverted bool) []string {
	var out []string
	painted := l.Ink.QR.Paint(" ") != " "
	// The glyphs are the ink, which is dark on light paper and light without.
	ink := func(x, y int) bool { return q.light(x, y) == (inverted == painted) }
	for y := 0; y < q.side(); y += 2 {
		var b strings.Builder
		for x := range q.side() {
			above, below := ink(x, y), ink(x, y+1) && (y+1 < q.side() || !painted)
			switch {
			case above && below:
				b.WriteString("█")
			case above:
				b.WriteString("▀")
			case below:
				b.WriteString("▄")
			default:
				b.WriteByte(' ')
			}
		}
		out = append(out, l.Ink.QR.Paint(b.String()))
	}
	return out
}

// blocks draws a module as two spaces: terminals without UTF-8 can still swap
// foreground and background.
func (q qrCode) blocks(l *draw.Look, inverted bool) []string {
	const turn, back = "\x1b[7m", "\x1b[27m"
	var out []string
	painted := l.Ink.QR.Paint(" ") != " "
	for y := range q.side() {
		var b strings.Builder
		turned := false
		for x := range q.side() {
			// Inverted spaces are dark on light paper, and light without it.
			if want := q.light(x, y) == (inverted == painted); want != turned {
				b.WriteString(map[bool]string{true: turn, false: back}[want])
				turned = want
			}
			b.WriteString("  ")
		}
		if turned {
			b.WriteString(back)
		}
		out = append(out, l.Ink.QR.Paint(b.String()))
	}
	return out
}
