package text_test

import (
	"strings"
	"testing"

	"github.com/charmbracelet/x/ansi"
	"github.com/stretchr/testify/require"

	"daemon-proxy/tui/text"
)

func TestCleanShowsWhatATerminalWouldObey(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"web":                       "web",
		"a\x1b[2Jb":                 "a␛[2Jb",
		"\x1b]0;owned\x07":          "␛]0;owned␇",
		"a\nb\tc\x7f":               "a␊b c␡",
		"\u009b31mred":              "31mred",
		"evil\u202egnp.exe":         "evilgnp.exe",
		"zero\u200bwidth":           "zerowidth",
		"日本語":                       "日本語",
		"👨‍👩‍👧":                     "👨👩👧",
		"\xff\xfe":                  "��",
		"e\u0301":                   "e",
		"🇩🇪":                        "DE",
		"no\u00a0break":             "no break",
		strings.Repeat("x", 10_000): strings.Repeat("x", 4096),
	} {
		require.Equal(t, want, text.Clean(in), "%q", in)
	}
}

func TestColoursKeepsColoursOnly(t *testing.T) {
	t.Parallel()
	require.Equal(t, "\x1b[32mok\x1b[0m done\x1b[m", text.Colours("\x1b[32mok\x1b[0m done\r\n"))
	require.Equal(t, "cleared", text.Colours("\x1b[2J\x1b[Hcleared"))
	require.Equal(t, "title", text.Colours("\x1b]0;owned\x07title"))
	require.NotContains(t, text.Colours("\x1b[31"), "\x1b")
	require.NotContains(t, text.Colours("\x1b[?1049hx"), "\x1b")
	for _, seq := range []string{"5", "6", "8", "05", "1;5;31", "31;8", "5:1", "38;5;1;8", "48;2;1;2;3;5", "38;7;5",
		"58;5;8", ";8"} {
		require.Equal(t, "x", text.Colours("\x1b["+seq+"mx"), "%s blinks or hides", seq)
	}
	for _, seq := range []string{"", "1;31", "38;5;8", "48;5;5;1", "38;2;5;6;8", "38:5:8", "4:5", "38;5", "38",
		"7;28;25"} {
		require.Equal(t, "\x1b["+seq+"mx\x1b[m", text.Colours("\x1b["+seq+"mx"), "%s is a colour", seq)
	}
}

func TestFitTakesExactlyItsCells(t *testing.T) {
	t.Parallel()
	require.Equal(t, "ab…", text.Fit("abcdef", 3, "…"))
	require.Equal(t, "日 ", text.Fit("日本", 3, ""))
	require.Equal(t, "ab  ", text.Fit("ab", 4, "…"))
	require.Empty(t, text.Fit("ab", 0, "…"))
	require.Equal(t, "  ab", text.Right("ab", 4, "…"))
}

// Width has a fast way; it may not differ from the slow one.
func TestWidthIsWhatATerminalShows(t *testing.T) {
	t.Parallel()
	for r := rune(0x20); r < 0x30000; r++ {
		require.Equal(t, ansi.StringWidth(string(r)), text.Width(string(r)), "%U", r)
	}
	for _, s := range []string{"\x1b[1;31m│─╮\x1b[m ▸ ● x…", "─\u0301", "▶\ufe0f", "\xe2\x94", "\x1b[31", "\x1b[mx",
		"\x1b[", "\x1b[2Jx", "日本─"} {
		require.Equal(t, ansi.StringWidth(s), text.Width(s), "%q", s)
	}
}

func FuzzText(f *testing.F) {
	for _, s := range []string{"", "\x1b[31mred", "日本語", "👨‍👩‍👧", "a\u0301\u0302", "\xf0\x9f",
		"\x1b]8;;http://x\x1b\\y", "क्षि", "각", "\x1b[1;31m│─╮\x1b[m x", "─\u0301", "\xe2\x94", "\x1b[31"} {
		f.Add(s, uint8(7))
	}
	f.Fuzz(func(t *testing.T, s string, width uint8) {
		for _, clean := range []string{text.Clean(s), text.Colours(s), text.ASCII(text.Clean(s))} {
			require.Equal(t, int(width), ansi.StringWidth(text.Fit(clean, int(width), "…")), "%q of %q", clean, s)
			require.Equal(t, ansi.StringWidth(clean), ansi.StringWidthWc(clean), "terminals agree on the width of %q",
				clean)
		}
		require.Equal(t, ansi.StringWidth(s), text.Width(s), "%q", s)
		for _, r := range text.Clean(s) {
			require.False(t, r < 0x20 || r >= 0x7f && r < 0xa0, "%q in what is left of %q", r, s)
		}
		for _, r := range text.ASCII(text.Clean(s)) {
			require.True(t, r >= 0x20 && r < 0x7f, "%q is not ASCII", r)
		}
	})
}

func TestRowsKeepWhatALineSays(t *testing.T) {
	t.Parallel()
	require.Equal(t, []string{"short"}, text.Rows("short", 5, 2))
	require.Equal(t, []string{"abcde", "  fgh", "  i"}, text.Rows("abcdefghi", 5, 2))
	require.Equal(t, []string{"日本", "  語", "  日"}, text.Rows("日本語日", 5, 2))
	require.Equal(t, []string{"a\x1b[1m\x1b[31mbcd\x1b[m", "  \x1b[1m\x1b[31mef\x1b[0m", "  g"},
		text.Rows("a\x1b[1m\x1b[31mbcdef\x1b[0mg", 4, 2))
	long := text.Colours(strings.Repeat("\x1b[32mdługi 日本語\x1b[0m \x1b[1;4m", 90_000))
	for _, width := range []int{2, 3, 4, 20, 300} {
		var said strings.Builder
		for i, row := range text.Rows(long, width, 2) {
			require.LessOrEqual(t, ansi.StringWidth(row), width)
			if plain := ansi.Strip(row); i > 0 {
				said.WriteString(strings.TrimPrefix(plain, strings.Repeat(" ", min(2, width-2))))
			} else {
				said.WriteString(plain)
			}
		}
		require.Equal(t, ansi.Strip(long), said.String())
	}
}
