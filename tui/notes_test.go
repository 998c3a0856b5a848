package tui

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestWorkUnderWayIsSaidUntilItsEnd(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		keys           []string
		doing, outcome string
		fails          string
	}{
		"demo":           {[]string{"D"}, "starting the demo sandbox", "opened demo", ""},
		"demo fails":     {[]string{"D"}, "starting the demo sandbox", "start the demo: it broke", "Demo"},
		"container":      {[]string{"down", "s"}, "starting old", "old runs", ""},
		"replay":         {[]string{"r"}, "sending GET again", "replayed: 201", ""},
		"replay breaks":  {[]string{"r"}, "sending GET again", "replay: it broke", "Replay"},
		"stop container": {[]string{"s", "right", "enter"}, "stopping my-sandbox", "my-sandbox has stopped", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFake()
			f.fail[c.fails] = errors.New("it broke")
			ends := make(chan struct{})
			f.working = func(ctx context.Context) {
				select {
				case <-ends:
				case <-ctx.Done():
				}
			}
			s := loaded(t, f, 120, 40, nil)
			if strings.HasPrefix(name, "replay") {
				s.press("2")
				s.shows("12 requests")
			}
			s.press(c.keys...)
			s.shows("◐ " + c.doing)
			s.run(s.m.say("something else"))
			s.until("other news", func() bool { return strings.Contains(s.text(), "✓ something else") })
			s.send(noteOverMsg(s.m.noteAge))
			s.shows("◐ " + c.doing)
			close(ends)
			s.shows(c.outcome)
			require.NotContains(t, s.text(), c.doing)
			require.Empty(t, s.m.works)
		})
	}
}
