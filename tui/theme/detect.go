package theme

import (
	"os"
	"regexp"
	"strconv"
	"strings"
	"time"

	"golang.org/x/term"
)

// UTF8 reports whether the locale in env is a UTF-8 one.
func UTF8(env func(string) string) bool {
	for _, key := range []string{"LC_ALL", "LC_CTYPE", "LANG"} {
		if v := strings.ToLower(env(key)); v != "" {
			return strings.Contains(v, "utf-8") || strings.Contains(v, "utf8")
		}
	}
	return env("WT_SESSION") != "" // Windows Terminal has no locale variables
}

// Choose returns the name of the theme for a wish, an environment and, if they do
// not decide, the terminal's background; tty may be nil.
func Choose(wish string, env func(string) string, tty *os.File) string {
	if env("NO_COLOR") != "" || env("TERM") == "dumb" {
		return Mono
	}
	if wish != Auto && wish != "" {
		return wish
	}
	// COLORFGBG is "foreground;background", both palette numbers.
	if fields := strings.Split(env("COLORFGBG"), ";"); len(fields) > 1 {
		if n, err := strconv.Atoi(fields[len(fields)-1]); err == nil {
			if n == 7 || n >= 9 {
				return Light
			}
			return Dark
		}
	}
	if tty != nil && brightBackground(tty) {
		return Light
	}
	return Dark
}

const askFor = 200 * time.Millisecond

var backgroundAnswer = regexp.MustCompile(`\]11;rgba?:([0-9a-fA-F]{2})[0-9a-fA-F]*/([0-9a-fA-F]{2})[0-9a-fA-F]*/([0-9a-fA-F]{2})`)

// brightBackground queries the terminal's background and its device attributes. All
// terminals answer the second query, so one without the first causes no wait; one
// that does not answer at all costs askFor.
func brightBackground(tty *os.File) bool {
	before, err := term.MakeRaw(int(tty.Fd()))
	if err != nil {
		return false
	}
	defer func() { _ = term.Restore(int(tty.Fd()), before) }()
	if _, err := tty.WriteString("\x1b]11;?\x1b\\\x1b[c"); err != nil {
		return false
	}
	answer := readFor(tty, askFor, func(got string) bool { return strings.HasSuffix(got, "c") })
	m := backgroundAnswer.FindStringSubmatch(answer)
	if m == nil {
		return false
	}
	bright := 0.0
	for i, weight := range []float64{0.299, 0.587, 0.114} {
		n, _ := strconv.ParseUint(m[i+1], 16, 8) // the expression matches only hex digits
		bright += weight * float64(n)
	}
	return bright > 127
}
