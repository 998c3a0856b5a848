package text

import (
	"strings"

	"github.com/charmbracelet/x/ansi"
)

// longestInks bounds the sequences that are repeated on each row, in bytes.
const longestInks = 256

// Rows breaks a line of a log, as returned by Colours, into rows of at most width
// cells, all but the first indented. Each row repeats the colours that it needs;
// of very many colour sequences only the latest are repeated.
func Rows(line string, width, indent int) []string {
	if Width(line) <= width || width <= indent+1 {
		return []string{line}
	}
	var rows []string
	var row strings.Builder
	inks, free := "", width
	for state, rest := byte(0), line; rest != ""; {
		seq, w, n, next := ansi.DecodeSequence(rest, state, nil)
		state, rest = next, rest[n:]
		if w > free {
			if inks != "" {
				row.WriteString(ansi.ResetStyle)
			}
			rows = append(rows, row.String())
			row.Reset()
			row.WriteString(strings.Repeat(" ", indent) + inks)
			free = width - indent
		}
		row.WriteString(seq)
		free -= w
		switch {
		case w > 0:
		case seq == ansi.ResetStyle || seq == "\x1b[0m":
			inks = ""
		default:
			if len(inks)+len(seq) > longestInks {
				inks = ""
			}
			if len(seq) <= longestInks {
				inks += seq
			}
		}
	}
	return append(rows, row.String())
}
