package phone

import (
	"strings"
	"testing"

	"github.com/charmbracelet/x/ansi"
	"github.com/stretchr/testify/require"
	"rsc.io/qr"

	"daemon-proxy/tui/draw"
)

// modules reads a drawn code back: true is light.
func modules(t *testing.T, l *draw.Look, lines []string) [][]bool {
	t.Helper()
	var out [][]bool
	painted := l.Ink.QR.Paint(" ") != " "
	for _, line := range lines {
		if l.ASCII {
			out = append(out, blocksOf(line, painted))
			continue
		}
		var above, below []bool
		for _, r := range ansi.Strip(line) {
			inkAbove, inkBelow := strings.ContainsRune("█▀", r), strings.ContainsRune("█▄", r)
			above, below = append(above, inkAbove != painted), append(below, inkBelow != painted)
		}
		out = append(out, above, below)
	}
	return out
}

func blocksOf(line string, painted bool) []bool {
	var row []bool
	turned := false
	for state, rest := byte(0), line; rest != ""; {
		seq, width, n, next := ansi.DecodeSequence(rest, state, nil)
		switch {
		case seq == "\x1b[7m":
			turned = true
		case seq == "\x1b[27m":
			turned = false
		case width == 1:
			row = append(row, turned != painted)
		}
		state, rest = next, rest[n:]
	}
	var out []bool
	for i := 0; i < len(row); i += 2 {
		out = append(out, row[i])
	}
	return out
}

func TestTheDrawnCodeIsTheCode(t *testing.T) {
	t.Parallel()
	const url = "http://192.168.1.7:8081/preview/k3v9aaaabbbbccccddddeeeeffffgggg/"
	want, err := qr.Encode(url, qr.L)
	require.NoError(t, err)
	for _, theme := range []string{"dark", "light", "mono"} {
		for _, ascii := range []bool{false, true} {
			l := draw.New(theme, ascii)
			code, err := newQRCode(url)
			require.NoError(t, err)
			lines := code.lines(l, false)
			width, height := code.cells(ascii)
			require.Len(t, lines, height)
			require.Equal(t, width, ansi.StringWidth(lines[0]))
			got := modules(t, l, lines)
			for y := range code.side() {
				for x := range code.side() {
					require.Equal(t, !want.Black(x-4, y-4), got[y][x], "%s %v at %d,%d", theme, ascii, x, y)
				}
			}
			inverted := modules(t, l, code.lines(l, true))
			require.Equal(t, want.Black(0, 0), inverted[4][4], "the corner is dark, inverted it is light")
			if theme != "mono" {
				require.Contains(t, lines[0], "38;5;16;48;5;231", "black on white whatever the terminal's colours")
			}
		}
	}
}
