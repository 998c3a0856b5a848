package tui

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/charmbracelet/x/ansi"
	"github.com/stretchr/testify/require"

	"daemon-proxy/core/api"
)

func TestWorkUnderWayIsSaidUntilItsEnd(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		keys           []string
		doing, outcome string
		fails          string
	}{
		"demo":          {[]string{"D"}, "starting the demo sandbox", "opened demo", ""},
		"demo fails":    {[]string{"D"}, "starting the demo sandbox", "start the demo: it broke", "Demo"},
		"container":     {[]string{"down", "s"}, "starting old", "old runs", ""},
		"replay":        {[]string{"r"}, "sending GET again", "replayed: 201", ""},
		"replay breaks": {[]string{"r"}, "sending GET again", "replay: it broke", "Replay"},
		"engine":        {[]string{"enter"}, "switching to engine lab", "✓ engine lab", ""},
		"engine fails": {[]string{"enter"}, "switching to engine lab", "switch to engine lab: it broke",
			"SwitchEngine"},
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
			if strings.HasPrefix(name, "engine") {
				s.press("E")
				s.shows("ssh://lab")
				s.press("down")
			}
			s.press(c.keys...)
			s.shows("◐ " + c.doing)
			s.run(s.m.notes.say("something else"))
			s.until("other news", func() bool { return strings.Contains(s.text(), "✓ something else") })
			s.send(noteOverMsg(s.m.notes.age))
			s.shows("◐ " + c.doing)
			close(ends)
			s.shows(c.outcome)
			require.NotContains(t, s.text(), c.doing)
		})
	}
}

func TestALongErrorSaysWhatFailedWhyAndWhatToTry(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("of something ", 40)
	for name, c := range map[string]struct {
		detail, hint string
		want         []string
	}{
		"a long cause": {"daemon ended at once with exit code 2\nits last words: " + long + "and that is why",
			"set daemon.env", []string{"and that is why   try: set daemon.env"}},
		"and a long hint": {"daemon ended at once with exit code 2\n" + long + "and that is why",
			"set " + long + "and try again", []string{"try: set of something", "and try again"}},
		"only a long hint": {"daemon ended at once with exit code 2", "set " + long + "and try again",
			[]string{"try: set of something", "and try again"}},
		"no hint": {"daemon ended at once with exit code 2\n" + long + "and that is why", "",
			[]string{"and that is why", "full log)"}},
		"a hint of one line": {"daemon ended at once with exit code 2\n" + long + "and that is why",
			"set a variable that is as long as this line, so that it needs its own",
			[]string{"and that is why", "try: set a variable"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := still(t, 80, 24, newFake(), nil)
			m.notes.failWith("inject web", &api.Problem{Detail: c.detail, Hint: c.hint})
			check(t, m)
			lines := strings.Split(ansi.Strip(m.View()), "\n")
			note := lines[len(lines)-1-mostNoteLines : len(lines)-1]
			require.Contains(t, note[0], "✕ inject web: daemon ended at once with exit code 2")
			for _, s := range append(c.want, "…") {
				require.Contains(t, strings.Join(note, "\n"), s)
			}
		})
	}
}
