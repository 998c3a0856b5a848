package theme_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"daemon-proxy/tui/theme"
)

func env(of map[string]string) func(string) string { return func(k string) string { return of[k] } }

func TestTheThemeFollowsTheTerminal(t *testing.T) {
	t.Parallel()
	require.Equal(t, theme.Mono, theme.Choose(theme.Dark, env(map[string]string{"NO_COLOR": "1"}), nil))
	require.Equal(t, theme.Mono, theme.Choose(theme.Auto, env(map[string]string{"TERM": "dumb"}), nil))
	require.Equal(t, theme.Light, theme.Choose(theme.Light, env(nil), nil))
	require.Equal(t, theme.Light, theme.Choose(theme.Auto, env(map[string]string{"COLORFGBG": "0;15"}), nil))
	require.Equal(t, theme.Dark, theme.Choose(theme.Auto, env(map[string]string{"COLORFGBG": "15;default;0"}), nil))
	require.Equal(t, theme.Dark, theme.Choose("", env(nil), nil))
}

func TestUTF8IsWhatTheLocaleSays(t *testing.T) {
	t.Parallel()
	require.True(t, theme.UTF8(env(map[string]string{"LANG": "en_GB.UTF-8"})))
	require.False(t, theme.UTF8(env(map[string]string{"LANG": "en_GB.UTF-8", "LC_ALL": "C"})))
	require.False(t, theme.UTF8(env(nil)))
}

func TestMonoHasNoColourAndStillMarksTheCursor(t *testing.T) {
	t.Parallel()
	m := theme.New(theme.Mono)
	require.Equal(t, "\x1b[7mx\x1b[m", m.Cursor.Paint("x"))
	require.Equal(t, "\x1b[1mx\x1b[m", m.Bad.Paint("x"))
}
