package logging

import (
	"strings"
	"unicode"
)

// Line makes one line of at most that many printable characters of a foreign
// text; control characters become their pictures (ESC is ␛).
func Line(text string, most int) string {
	text = strings.Map(func(r rune) rune {
		switch {
		case unicode.IsSpace(r):
			return ' '
		case r < 0x20:
			return '␀' + r
		case r == 0x7f:
			return '␡'
		case !unicode.IsPrint(r):
			return ' '
		}
		return r
	}, strings.ToValidUTF8(text, "?"))
	text = strings.Join(strings.Fields(text), " ")
	if runes := []rune(text); len(runes) > most {
		text = string(runes[:most-1]) + "…"
	}
	return text
}
