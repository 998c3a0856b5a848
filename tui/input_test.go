package tui

import (
	"strings"
	"testing"

	tea "github.com/charmbracelet/bubbletea"
	"github.com/stretchr/testify/require"
)

func TestAPasteIsALineAndNoLongerThanItsField(t *testing.T) {
	t.Parallel()
	file := "\r\nab\x1b[31mc\u009b\r\n" + strings.Repeat("8080\n", 200_000) // a megabyte
	require.LessOrEqual(t, len(pasted([]rune(file))), mostPasted, "the rest is not even looked at")
	s := loaded(t, newFake(), 120, 40, nil)
	paste := func(text string) { s.send(tea.KeyMsg{Type: tea.KeyRunes, Runes: []rune(text), Paste: true}) }

	for tab, value := range map[string]func() string{
		"":  func() string { return s.m.list.filter.Value() },
		"2": func() string { return s.m.requests().filter.Value() },
	} {
		s.word(tab + "/")
		paste(file)
		require.True(t, strings.HasPrefix(value(), "ab[31mc 8080 8080 "), value())
		require.Len(t, value(), 200)
		s.press("esc", "esc")
	}
	f := s.openForm()
	paste(file)
	require.Empty(t, f.other.Value(), "that is no port")
	paste("8080\n")
	require.Equal(t, "8080", f.other.Value(), "with the end of its line, as it is copied")
	s.press("tab")
	paste(file)
	require.Len(t, f.label.Value(), 60)
	s.press("tab")
	paste("90m\n")
	require.Equal(t, "90m", f.lives.typed.Value())
	paste("\x1b\n") // nothing is left of it
	require.Equal(t, f, s.form())
}
