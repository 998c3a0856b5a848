package tui

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"daemon-proxy/core/api"
)

// withLogs is a screen with the logs of my-sandbox.
func withLogs(t *testing.T, n int, end bool) *screen {
	t.Helper()
	f := newFake()
	f.logs, f.logsEnd = "", end
	for i := range n {
		f.logs += fmt.Sprintf("line %d of %d\n", i, n)
	}
	s := loaded(t, f, 120, 20, nil)
	s.press("4")
	s.shows(fmt.Sprintf("line %d of", n-1))
	return s
}

func TestTheLogOfTheContainerTheDaemonAndThisProgram(t *testing.T) {
	t.Parallel()
	s := withLogs(t, 3, false)
	for i, source := range []string{api.LogDaemon, api.LogProgram, api.LogContainer} {
		s.press("t")
		s.until(source+" is asked for", func() bool { return len(s.f.calls("Logs")) == i+2 })
		require.Equal(t, fmt.Sprintf("Logs my-sandbox %s 500 true", source), s.f.calls("Logs")[i+1])
		s.shows("line 2 of 3")
		require.Equal(t, 1, strings.Count(s.text(), "line 2 of 3"), "of one log only")
	}
}

func TestALogFollowsUntilItIsScrolled(t *testing.T) {
	t.Parallel()
	s := withLogs(t, 100, false)
	s.shows("following")
	s.f.writeLog("one more\n")
	s.shows("one more")
	s.press("up", "pgup")
	s.shows("PAUSED +0 · f follow")
	first := s.m.logs().View(true)[1]
	for i := range 7 {
		s.f.writeLog(fmt.Sprintf("late %d\n", i))
	}
	s.shows("PAUSED +7")
	require.Equal(t, first, s.m.logs().View(true)[1])
	require.NotContains(t, s.text(), "late")
	s.press("f")
	s.shows("following", "late 6")
	s.press("f")
	s.shows("PAUSED +0")
	s.press("up", "G")
	s.shows("following")

	s.f.writeLog(strings.Repeat("flood\n", 20_000)) // more than is buffered
	s.shows("flood", "earlier lines left out")
}

func TestAFilterOfALog(t *testing.T) {
	t.Parallel()
	s := withLogs(t, 50, false)
	s.press("/")
	s.word("LINE 4")
	s.shows("11 of 50", "line 4 of", "line 49 of")
	require.NotContains(t, s.text(), "line 39 of")
	s.press("enter")
	s.f.writeLog("line 400\n")
	s.f.writeLog("another\n")
	s.shows("12 of 52", "line 400")
	require.NotContains(t, s.text(), "another")
	s.press("/")
	s.word("x")
	s.shows("no line matches", "0 of 52")
	s.press("esc")
	s.shows("another", "line 39 of")
}

func TestTheEndOfALogIsSaid(t *testing.T) {
	t.Parallel()
	s := withLogs(t, 3, true)
	s.shows("the log ends: nothing more is written", "ended")
	s.press("R")
	s.until("it is opened again", func() bool { return len(s.f.calls("Logs")) == 2 })

	f := newFake()
	f.fail["Logs"] = &api.Problem{Detail: "there is no such container", Hint: "R"}
	s = loaded(t, f, 120, 20, nil)
	s.press("4")
	s.shows("the log ends: there is no such container   try: R")
}

func TestLogsAreAsDrawn(t *testing.T) {
	t.Parallel()
	desk := func() *fake {
		f := newFake()
		f.logs = "listening on 3000\n\x1b[32mGET /api/users " + strings.Repeat("long ", 60) + "\x1b[0mend\n" +
			strings.Repeat("/a/path/of/a/bundle", 40) + "\nlast line\n"
		return f
	}
	const windows = "80x24 120x40 120x30-ascii 120x30-mono"
	drawn(t, "logs", windows, desk, func(s *screen) {
		s.press("4")
		s.shows("last line")
	})
	drawn(t, "logs-empty", "80x24", func() *fake { f := newFake(); f.logs = ""; return f }, func(s *screen) {
		s.press("4")
		s.shows("nothing was written yet")
	})
}

func TestTheFullLogOfAFailureIsTheOneThatSaysWhy(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		step         api.InjectionStep
		daemon, want string
	}{
		"the daemon ran and says why": {api.StepWait, "last words of the daemon\n", "last words of the daemon"},
		"the daemon left no words":    {api.StepWait, "", "the program says why"},
		"the daemon did not run":      {api.StepCopy, "words of an earlier daemon\n", "the program says why"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFake()
			f.logsOf = map[string]string{api.LogDaemon: test.daemon,
				api.LogProgram: strings.Repeat("before\n", 100) + "the program says why\n"}
			told := make(chan struct{})
			f.injecting = func(_ context.Context, ref api.Ref) error {
				f.push(api.Event{Kind: api.EventInjection, Time: clock,
					Injection: &api.Injection{Sandbox: ref, Step: test.step, State: "failed"}})
				<-told
				return &api.Problem{Detail: "it failed"}
			}
			s := loaded(t, f, 120, 30, nil)
			s.press("j", "j", "i")
			s.shows("│ ✕ ")
			close(told)
			s.shows("4 full log")
			s.press("4")
			s.shows(test.want)
		})
	}
}
