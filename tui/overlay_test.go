package tui

import (
	"testing"

	tea "github.com/charmbracelet/bubbletea"
	"github.com/stretchr/testify/require"
)

func TestAKeyWithoutANameConfirmsNothing(t *testing.T) {
	t.Parallel()
	for _, c := range []confirm{{run: tea.Quit}, {run: tea.Quit, yesKey: "y", noKey: "n"}} {
		cmd, done := c.HandleKey(tea.KeyMsg{Type: tea.KeyRunes})
		require.Nil(t, cmd)
		require.False(t, done)
	}
}

func TestAQuestionKeepsItsButtonsInASmallWindow(t *testing.T) {
	t.Parallel()
	s := loaded(t, newFake(), 60, 15, nil)
	s.press("3", "Q")
	s.shows("Show port 6080 of my-sandbox on a phone?", "This opens a second listener", "▸ no", "make a link for 1h and show it", "↑↓ more")
	require.NotContains(t, s.text(), "insists on absolute paths")
	for range 20 {
		s.press("down")
	}
	s.shows("insists on absolute paths", "▸ no", "make a link for 1h and show it")
	require.NotContains(t, s.text(), "This opens a second listener")
	s.press("up", "up", "up", "up", "up", "up", "up", "up")
	s.shows("This opens a second listener")
	s.press("enter")
	require.Empty(t, s.m.overlays)
}
