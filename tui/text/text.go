// Package text makes foreign text safe for a terminal: it removes control
// sequences, and cuts and pads by cells instead of bytes.
package text

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/charmbracelet/x/ansi"
)

// longest bounds a line before it is processed: no more of it is visible.
const longest = 4096

// Clean makes s one printable line: control characters become their pictures (ESC
// is ␛), characters that reorder or join text are removed, and the rest takes the
// same number of cells in every terminal.
func Clean(s string) string {
	if plain(s) {
		return s
	}
	if len(s) > longest {
		s = s[:longest]
	}
	var b strings.Builder
	b.Grow(len(s))
	for _, r := range s {
		switch {
		case r == utf8.RuneError:
			b.WriteRune('�')
		case r == '\t':
			b.WriteByte(' ')
		case r < 0x20:
			b.WriteRune('␀' + r)
		case r == 0x7f:
			b.WriteRune('␡')
		case r < 0x7f:
			b.WriteByte(byte(r))
		case unicode.Is(unicode.Zs, r):
			b.WriteByte(' ')
		// Marks, joiners and modifiers are measured differently by terminals.
		case !unicode.IsPrint(r), unicode.In(r, unicode.M), r >= 0x1f3fb && r <= 0x1f3ff:
		case r >= 0x1f1e6 && r <= 0x1f1ff: // a flag is two of these
			b.WriteByte(byte('A' + r - 0x1f1e6))
		case ansi.StringWidth(string(r)) != ansi.StringWidthWc(string(r)):
			b.WriteRune('�')
		default:
			b.WriteRune(r)
		}
	}
	// Some scripts still join adjacent characters.
	if out := b.String(); ansi.StringWidth(out) == ansi.StringWidthWc(out) {
		return out
	}
	return ASCII(b.String())
}

// plain is the fast path for most text.
func plain(s string) bool {
	return len(s) <= longest && !strings.ContainsFunc(s, func(r rune) bool { return r < 0x20 || r > 0x7e })
}

// Colours is Clean for a line of a log: it keeps colours and removes all other
// control sequences.
func Colours(s string) string {
	if plain(s) {
		return s
	}
	if len(s) > longest {
		s = s[:longest]
	}
	s = strings.ReplaceAll(strings.TrimRight(s, "\r\n"), "\t", "    ")
	if !strings.ContainsRune(s, ansi.ESC) {
		return Clean(s)
	}
	var b strings.Builder
	coloured := false
	for state, rest := byte(0), s; rest != ""; {
		seq, width, n, next := ansi.DecodeSequence(rest, state, nil)
		switch {
		case width > 0 || !strings.ContainsRune(seq, ansi.ESC):
			b.WriteString(Clean(seq))
		case isSGR(seq):
			b.WriteString(seq)
			coloured = true
		}
		state, rest = next, rest[n:]
	}
	if coloured {
		b.WriteString(ansi.ResetStyle)
	}
	return b.String()
}

// isSGR reports whether seq is a colour or attribute, ESC [ digits ; … m, that
// neither blinks nor hides text.
func isSGR(seq string) bool {
	inner, ok := strings.CutPrefix(seq, "\x1b[")
	if !ok {
		return false
	}
	inner, ok = strings.CutSuffix(inner, "m")
	if !ok || strings.Trim(inner, "0123456789;:") != "" {
		return false
	}
	params := strings.Split(inner, ";")
	for i := 0; i < len(params); i++ {
		head, _, _ := strings.Cut(params[i], ":")
		switch strings.TrimLeft(head, "0") {
		case "5", "6", "8": // blink, blink fast, conceal
			return false
		case "38", "48": // a colour of many: what follows are its numbers
			if i+1 < len(params) {
				i += map[string]int{"5": 2, "2": 4}[params[i+1]]
			}
		}
	}
	return true
}

// ASCII replaces each non-ASCII cell by a question mark; it keeps escape sequences.
func ASCII(s string) string {
	if !strings.ContainsFunc(s, func(r rune) bool { return r >= utf8.RuneSelf }) {
		return s
	}
	var b strings.Builder
	for state, rest := byte(0), s; rest != ""; {
		seq, width, n, next := ansi.DecodeSequence(rest, state, nil)
		if seq[0] < 0x80 && len(seq) == 1 || strings.ContainsRune(seq, ansi.ESC) {
			b.WriteString(seq)
		} else {
			b.WriteString(strings.Repeat("?", width))
		}
		state, rest = next, rest[n:]
	}
	return b.String()
}

// Width is the number of cells that s takes.
func Width(s string) int {
	if w, ok := simple(s); ok {
		return w
	}
	return ansi.StringWidth(s)
}

// simple returns the width of ASCII, frames, glyphs and colours, which are nearly
// all of a screen. It is a fast path: measuring every grapheme would take most of
// the time of drawing.
func simple(s string) (width int, ok bool) {
	for i := 0; i < len(s); {
		switch c := s[i]; {
		case c >= 0x20 && c <= 0x7e:
			i++
		case c == ansi.ESC:
			n := colour(s[i:])
			if n == 0 {
				return 0, false
			}
			i += n
			continue
		default:
			r, n := utf8.DecodeRuneInString(s[i:])
			if !narrow(r) { // it may be a mark that joins the previous character
				return 0, false
			}
			i += n
		}
		width++
	}
	return width, true
}

// narrow reports whether r is known to take one cell: middle dot, dashes, the
// ellipsis, and lines, blocks and shapes except for two that are emoji.
func narrow(r rune) bool {
	return r == '·' || r == '–' || r == '—' || r == '…' || r >= 0x2500 && r <= 0x25ff && r != 0x25fd && r != 0x25fe
}

// colour returns the length of the colour sequence that s begins with, or 0.
func colour(s string) int {
	if len(s) < 3 || s[1] != '[' {
		return 0
	}
	for i := 2; i < len(s); i++ {
		switch c := s[i]; {
		case c == 'm':
			return i + 1
		case c != ';' && (c < '0' || c > '9'):
			return 0
		}
	}
	return 0
}

// Fit makes s exactly width cells: cut with an ellipsis, or padded on the right.
func Fit(s string, width int, ellipsis string) string {
	if width <= 0 {
		return ""
	}
	w := Width(s)
	if w > width {
		s = ansi.Truncate(s, width, ellipsis)
		w = Width(s)
	}
	if w > width { // the ellipsis itself is too wide
		s = ansi.Truncate(s, width, "")
		w = Width(s)
	}
	return s + strings.Repeat(" ", max(0, width-w))
}

// Right is Fit with the padding on the left.
func Right(s string, width int, ellipsis string) string {
	if gap := width - Width(s); gap >= 0 {
		return strings.Repeat(" ", gap) + s
	}
	return Fit(s, width, ellipsis)
}

// Wrap breaks s into lines of at most width cells, between words if possible.
func Wrap(s string, width int) []string {
	if width < 1 {
		return nil
	}
	// Wrap leaves rows too wide where a long word ends in hyphens.
	return strings.Split(ansi.Hardwrap(ansi.Wrap(s, width, "/&?="), width, true), "\n")
}

// Break breaks s into lines of exactly width cells: a terminal joins what is
// selected over lines that are full.
func Break(s string, width int) []string { return strings.Split(ansi.Hardwrap(s, width, true), "\n") }

// Indent puts indent before each of lines.
func Indent(lines []string, indent string) []string {
	for i := range lines {
		lines[i] = indent + lines[i]
	}
	return lines
}

// longestInks bounds the sequences that are repeated on each row, in bytes.
const longestInks = 256

// Rows breaks a line of a log, as returned by Colours, into rows of at most width
// cells, all but the first indented as far as there is room. The width is at least
// that of a wide character, 2. Each row repeats the colours that it needs; of very
// many colour sequences only the latest are repeated.
func Rows(line string, width, indent int) []string {
	if Width(line) <= width {
		return []string{line}
	}
	width = max(2, width)
	indent = min(indent, width-2)
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
