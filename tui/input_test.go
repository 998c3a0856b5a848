package tui

import (
	"strings"
	"testing"

	tea "github.com/charmbracelet/bubbletea"
	"github.com/charmbracelet/x/ansi"
	"github.com/stretchr/testify/require"

	"daemon-proxy/tui/draw"
	"daemon-proxy/tui/text"
)

func TestAPasteIsALineAndNoLongerThanItsField(t *testing.T) {
	t.Parallel()
	file := "\r\nab\x1b[31mc\u009b\r\n" + strings.Repeat("8080\n", 200_000) // a megabyte
	require.LessOrEqual(t, len(pasted([]rune(file))), mostPasted, "the rest is not even looked at")
	s := loaded(t, newFake(), 120, 40, nil)
	paste := func(text string) { s.send(tea.KeyMsg{Type: tea.KeyRunes, Runes: []rune(text), Paste: true}) }

	for tab, value := range map[string]func() string{
		"":  func() string { _, filter := s.m.list.Saved(); return filter },
		"2": func() string { return s.m.requests().State().Filter },
	} {
		s.word(tab + "/")
		paste(file)
		require.True(t, strings.HasPrefix(value(), "ab[31mc 8080 8080 "), value())
		require.Len(t, value(), 200)
		s.press("esc", "esc")
	}
	s.openForm()
	paste(file) // that is no port
	s.shows("_____  other port")
	paste("8080\n") // with the end of its line, as it is copied
	s.press("tab")
	paste(file)
	s.press("tab")
	paste("90m\n")
	s.shows("▸90m")
	paste("\x1b\n") // nothing is left of it
	s.shows("▸90m")
	s.press("enter")
	s.until("it is made", func() bool { return len(s.f.calls("CreateLink")) == 1 })
	require.Equal(t, 8080, s.f.requests[0].Port)
	require.Len(t, s.f.requests[0].Label, 60)
	require.EqualValues(t, 90*60, *s.f.requests[0].TTLSeconds)
}

func TestTheEndOfWhatIsTypedIsSeen(t *testing.T) {
	t.Parallel()
	const reverse, plain = "\x1b[7m", "\x1b[27m"
	for _, ascii := range []bool{false, true} {
		l := draw.New("dark", ascii)
		for _, value := range []string{"", "abc", "/api/users/and/more", "漢字漢字漢字漢字", "a漢字b漢字c漢字"} {
			input := draw.NewInput(200)
			input.SetValue(value)
			for at := range len([]rune(value)) + 1 {
				input.SetCursor(at)
				under := " "
				if at < len([]rune(value)) {
					under = string([]rune(value)[at])
				}
				if ascii {
					under = text.ASCII(under)
				}
				for width := 4; width < 24; width++ {
					line := l.InputLine(input, width)
					require.Equal(t, width, ansi.StringWidth(line), "%q at %d in %d", value, at, width)
					require.Contains(t, line, reverse+under+plain, "%q at %d in %d", value, at, width)
				}
			}
			require.LessOrEqual(t, ansi.StringWidth(l.InputLine(input, 1)), 1)
		}
	}
	s := loaded(t, newFake(), 120, 40, nil)
	s.word("/" + strings.Repeat("x", 60) + "the end")
	s.shows("xxthe end")
}
