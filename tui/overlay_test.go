package tui

import (
	"testing"

	tea "github.com/charmbracelet/bubbletea"
	"github.com/charmbracelet/x/ansi"
	"github.com/stretchr/testify/require"

	"daemon-proxy/tui/dialog"
	"daemon-proxy/tui/system"
)

func TestAKeyWithoutANameConfirmsNothing(t *testing.T) {
	t.Parallel()
	for _, c := range []dialog.Confirm{{Then: tea.Quit}, {Then: tea.Quit, YesKey: "y", NoKey: "n"}} {
		cmd, done := c.HandleKey(tea.KeyMsg{Type: tea.KeyRunes})
		require.Nil(t, cmd)
		require.False(t, done)
	}
}

func TestAQuestionKeepsItsButtonsInASmallWindow(t *testing.T) {
	t.Parallel()
	s := loaded(t, newFake(), 60, 15, nil)
	s.press("3", "Q")
	s.shows("Show port 6080 of my-sandbox on a phone?", "This opens a second listener", "▸ no",
		"make a link for 1h and show it", "↑↓ more")
	require.NotContains(t, s.text(), "insists on absolute paths")
	for range 20 {
		s.press("down")
	}
	s.shows("insists on absolute paths", "▸ no", "make a link for 1h and show it")
	require.NotContains(t, s.text(), "This opens a second listener")
	s.press("up", "up", "up", "up", "up", "up", "up", "up")
	s.shows("This opens a second listener")
	s.press("enter")
	s.nothingOver()
}

func TestAURLThatIsShownWholeStaysUntilItIsClosed(t *testing.T) {
	t.Parallel()
	for _, closes := range []string{"esc", "enter", "q"} {
		m := still(t, 80, 24, newFake(), nil)
		m.Update(openedMsg{url: "http://localhost:8080/preview/k3v9aaaabbbb/", label: "the desktop",
			err: system.ErrNoBrowser})
		press := func(key tea.KeyMsg) {
			_, cmd := m.Update(key)
			if cmd != nil {
				m.Update(cmd())
			}
			require.Contains(t, ansi.Strip(m.View()), "http://localhost:8080/preview/k3v9aaaabbbb/")
		}
		for _, key := range []tea.KeyType{tea.KeyUp, tea.KeyDown, tea.KeyPgUp, tea.KeyPgDown, tea.KeySpace} {
			press(tea.KeyMsg{Type: key})
		}
		for _, wheel := range []tea.MouseButton{tea.MouseButtonWheelUp, tea.MouseButtonWheelDown} {
			m.Update(tea.MouseMsg{X: 40, Y: 12, Action: tea.MouseActionPress, Button: wheel})
		}
		require.True(t, m.mouse)
		press(tea.KeyMsg{Type: tea.KeyRunes, Runes: []rune("m")})
		require.False(t, m.mouse, "so that it can be selected")
		m.Update(map[string]tea.KeyMsg{"esc": {Type: tea.KeyEsc}, "enter": {Type: tea.KeyEnter},
			"q": {Type: tea.KeyRunes, Runes: []rune("q")}}[closes])
		requireNothingOver(t, m, closes)
	}
}
