package text

import (
	"testing"

	"daemon-proxy/core/logging/lineartest"
)

func TestS43ForeignTextIsShownInLinearTime(t *testing.T) {
	t.Parallel()
	for name, work := range map[string]func(string){
		"Clean":   func(s string) { Clean(s) },
		"Colours": func(s string) { Colours(s) },
		"Rows":    func(s string) { Rows(s, 40, 2) },
		"narrow":  func(s string) { Rows(s, 4, 2) },
		"ASCII":   func(s string) { ASCII(s) },
		"Width":   func(s string) { Width(s) },
		"Fit":     func(s string) { Fit(s, 80, "…") },
		"Right":   func(s string) { Right(s, 80, "…") },
		"Wrap":    func(s string) { Wrap(s, 40) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, unit := range []string{
				"a", "a ", " ", "\t", "\r", "\n", "\x1b", "\x1b[1m", "\x1b[1ma", "\x1b[38;5;1m字", "1;", "\x1b]0;",
				"\x1b_", "\x1b[", "\x9b", "\xff",
				"字", "a\u0301", "\u0301", "👩\u200d", "🇩", "\u202e", "\u1100", "/",
			} {
				lineartest.Run(t, "", unit, "", work)
			}
			lineartest.Run(t, "\x1b[", "1;", "m", work)
		})
	}
}
