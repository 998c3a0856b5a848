package form

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	tea "github.com/charmbracelet/bubbletea"
	"github.com/charmbracelet/x/ansi"
	"github.com/stretchr/testify/require"

	"daemon-proxy/core/api"
	"daemon-proxy/tui/draw"
	"daemon-proxy/tui/pane"
	"daemon-proxy/tui/world"
)

func TestSuggestedLabels(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{
		"Vite + React": "vite", "Jupyter Server": "jupyter-server", "Home | My App": "home",
		"nginx/1.27": "nginx-1-27", "": "", "\x1b[31mred\x1b[0m": "red", "日本語 タイトル": "日本語-タイトル",
	} {
		require.Equal(t, want, SuggestedLabel(api.PortCard{Service: "http", Name: name}), name)
	}
	card := api.PortCard{Service: "http", Name: "Vite", Label: "Front end"}
	require.Equal(t, "Front end", SuggestedLabel(card))
	require.Equal(t, "desktop", SuggestedLabel(api.PortCard{Service: "vnc", Name: "noVNC"}))
}

func TestTimesThatCanBeTyped(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]time.Duration{
		"90m": 90 * time.Minute, "1h30m": 90 * time.Minute, "2d": 48 * time.Hour,
		"1w": 7 * 24 * time.Hour, "45": 45 * time.Minute, "10s": 10 * time.Second,
	} {
		got, err := parseTime(in)
		require.NoError(t, err, in)
		require.Equal(t, want, got, in)
	}
	for _, in := range []string{"", "x", "h", "1x", "0", "0m", "-5m", "99999999999h", "5000w5000w", "1h30"} {
		_, err := parseTime(in)
		require.Error(t, err, in)
	}
}

// noCore answers nothing.
type noCore struct{}

func (noCore) Ports(context.Context, api.Ref) ([]api.PortCard, error) { return nil, nil }

func (noCore) CreateLink(context.Context, api.LinkRequest) (api.Link, error) { return api.Link{}, nil }

func TestALateAnswerIsDropped(t *testing.T) {
	t.Parallel()
	box := api.Sandbox{Ref: api.Ref{Name: "box"}, Container: api.ContainerRunning,
		Daemon: api.Daemon{State: api.DaemonHealthy}}
	w := world.New()
	w.ApplyList([]api.Sandbox{box}, 0)
	start := time.Date(2026, 5, 4, 14, 2, 30, 0, time.UTC)
	env := pane.Env{Look: draw.New("mono", false), World: w, Now: func() time.Time { return start },
		Key: func(action string) string { return action }}
	f := New(env, noCore{}, box.Ref)
	shown := func() string { return ansi.Strip(strings.Join(f.View(100, 40), "\n")) }
	card := func(port int, name string) api.PortCard {
		return api.PortCard{Port: api.Port{Port: port}, Service: "http", Name: name}
	}
	require.NotNil(t, f.ask())
	known := []api.PortCard{card(3000, "vite"), card(6080, "desktop")}
	f.HandleMsg(portsMsg{f, f.asked, known, nil})
	stale := []api.PortCard{card(1111, "stale")}
	f.HandleMsg(portsMsg{f, f.asked - 1, stale, nil})
	f.HandleMsg(portsMsg{&Form{}, f.asked, stale, nil})
	require.NotContains(t, shown(), "stale")
	f.HandleKey(tea.KeyMsg{Type: tea.KeyDown})
	f.HandleMsg(portsMsg{f, f.asked, append([]api.PortCard{card(80, "fresh")}, known...), nil})
	require.Contains(t, shown(), "fresh")
	require.Contains(t, shown(), "▸ 6080", "the same port stays chosen")
	f.HandleMsg(portsMsg{f, f.asked - 1, nil, errors.New("too late")})
	require.NotContains(t, shown(), "too late")
}
