package tui

import (
	"strings"
	"testing"

	tea "github.com/charmbracelet/bubbletea"
	"github.com/charmbracelet/x/ansi"
	"github.com/stretchr/testify/require"

	"daemon-proxy/core/api"
)

// point presses a button of the mouse on the first place where words stand.
func (s *screen) point(button tea.MouseButton, words string) {
	s.t.Helper()
	for y, line := range strings.Split(s.text(), "\n") {
		if before, _, found := strings.Cut(line, words); found {
			s.send(tea.MouseMsg{X: ansi.StringWidth(before), Y: y, Action: tea.MouseActionPress, Button: button})
			s.settle()
			return
		}
	}
	require.Fail(s.t, "the screen does not show "+words, s.text())
}

func TestTheWheelScrollsWhatIsUnderIt(t *testing.T) {
	t.Parallel()
	s := loaded(t, newFake(), 120, 40, nil)
	s.press("2", "tab")
	s.shows("/app/0.js")
	s.point(tea.MouseButtonWheelDown, "/app/3.js")
	s.point(tea.MouseButtonWheelDown, "/app/3.js")
	require.Equal(t, "/app/2.js", s.pathAt())
	require.Equal(t, boxRef, s.m.list.Selected, "the list stays")
	require.True(t, s.m.listFocused, "the wheel does not take the focus")
	s.point(tea.MouseButtonWheelUp, "/app/3.js")
	require.Equal(t, "/app/1.js", s.pathAt())

	s.point(tea.MouseButtonWheelDown, "web")
	require.Equal(t, "old", s.m.list.Selected.Name)
	s.point(tea.MouseButtonWheelDown, "my-sandbox")
	require.Equal(t, webRef, s.m.list.Selected)
	s.point(tea.MouseButtonWheelUp, "my-sandbox")
	require.Equal(t, "old", s.m.list.Selected.Name)
}

func TestAClickChoosesASandboxAndATab(t *testing.T) {
	t.Parallel()
	s := loaded(t, newFake(), 120, 40, nil)
	s.point(tea.MouseButtonLeft, "web  ")
	require.Equal(t, webRef, s.m.list.Selected)
	require.True(t, s.m.listFocused)
	s.point(tea.MouseButtonLeft, "shop")
	require.Equal(t, webRef, s.m.list.Selected, "the heading of a project is no sandbox")
	for tab, name := range tabNames {
		s.point(tea.MouseButtonLeft, name)
		require.Equal(t, tab, s.m.tab)
		require.False(t, s.m.listFocused)
	}
	s.point(tea.MouseButtonRight, "my-sandbox")
	require.Equal(t, webRef, s.m.list.Selected, "only the left button chooses")
	s.point(tea.MouseButtonLeft, "my-sandbox")
	require.Equal(t, boxRef, s.m.list.Selected)
	require.True(t, s.m.listFocused)
}

func TestAClickOnATabsNameInTheListAlone(t *testing.T) {
	t.Parallel()
	s := loaded(t, newFake(), 80, 24, nil)
	for range 2 {
		for tab, name := range tabNames {
			s.point(tea.MouseButtonLeft, name)
			require.Equal(t, tab, s.m.tab)
			require.False(t, s.m.listFocused)
			s.press("esc")
			s.point(tea.MouseButtonLeft, "Sandboxes")
			require.True(t, s.m.listFocused)
		}
		lost := s.f.engine
		lost.State = "lost"
		s.f.push(api.Event{Kind: api.EventEngine, Engine: &lost})
		s.shows("as last seen") // its title is longer
	}
}
