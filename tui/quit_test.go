package tui

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	tea "github.com/charmbracelet/bubbletea"
	"github.com/charmbracelet/x/ansi"
	"github.com/stretchr/testify/require"

	"daemon-proxy/core/api"
)

// injects has the news come that an injection runs.
func (s *screen) injects(ref api.Ref) {
	s.t.Helper()
	s.f.push(api.Event{Kind: api.EventInjection, Time: clock,
		Injection: &api.Injection{Sandbox: ref, Step: api.StepCopy, State: "running", Bytes: 62, Total: 100}})
	s.shows("copying  62 %")
}

func TestASecondInterruptEndsAtOnce(t *testing.T) {
	t.Parallel()
	s := loaded(t, newFake(), 120, 40, nil)
	s.injects(webRef)
	s.press("ctrl+c")
	s.shows("Quit?")
	s.press("ctrl+c")
	s.until("it quits", func() bool { return s.quit })
}

func TestQuittingWaitsUntilTheInjectionIsUndone(t *testing.T) {
	t.Parallel()
	for _, hurry := range []bool{false, true} {
		f := newFake()
		undone := make(chan struct{})
		f.undoing = func(ctx context.Context) {
			select {
			case <-undone:
			case <-ctx.Done():
			}
		}
		s := loaded(t, f, 120, 40, nil)
		s.injects(webRef)
		s.press("q", "y")
		s.shows("undoing the injection…")
		s.press("q", "i", "esc")
		s.send(tea.WindowSizeMsg{Width: 40, Height: 5})
		s.press("q")
		s.shows("undoing the injection…")
		require.False(t, s.quit)
		require.Empty(t, f.calls("UndoInjections"), "it has not ended")
		if hurry {
			s.press("ctrl+c")
		} else {
			close(undone)
		}
		s.until("it quits", func() bool { return s.quit })
		require.Equal(t, hurry, len(f.calls("UndoInjections")) == 0)
	}
}

func TestQuittingNamesWhatRuns(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		injections int
		sockets    []int // of each preview
		want       string
	}{
		{1, nil, "1 injection runs. Quitting undoes the injection."},
		{2, nil, "2 injections run. Quitting undoes the injections."},
		{0, []int{1}, "1 preview is being watched by 1 open socket. Quitting closes the socket."},
		{0, []int{2}, "1 preview is being watched by 2 open sockets. Quitting closes the sockets."},
		{1, []int{1, 2}, "1 injection runs and 2 previews are being watched by 3 open sockets. Quitting undoes the injection and closes the sockets."},
	} {
		m := still(t, 120, 40, newFake(), nil)
		for i := range test.injections {
			m.World.BeginInjection(api.Ref{Name: fmt.Sprint(i)})
		}
		var sockets []api.Exchange
		for i, n := range test.sockets {
			for j := range n {
				sockets = append(sockets,
					api.Exchange{ID: uint64(10*i + j), LinkID: fmt.Sprint(i), Protocol: "websocket", Live: true})
			}
		}
		m.World.ApplySockets(sockets)
		require.Nil(t, m.quitter.quit(), test.want) // it asks
		require.Equal(t, test.want, strings.Join(m.quitter.question.Lines[:2], " "))
		require.Contains(t, ansi.Strip(m.View()), "▸ n stay")
	}
}

func TestQuittingIsAskedOnce(t *testing.T) {
	t.Parallel()
	now := clock
	f := newFake()
	f.status.StopOnExit = true
	s := loaded(t, f, 120, 40, func(o *Options) { o.Now = func() time.Time { return now } })
	s.injects(webRef)
	s.press("ctrl+c")
	s.shows("daemon.stop_on_exit")
	now = now.Add(2 * twice)
	s.press("ctrl+c")
	s.press("n") // a late ctrl+c did not ask once more
	s.nothingOver()
	require.False(t, s.quit)
	s.press("q")
	s.shows("Quit?")
}
