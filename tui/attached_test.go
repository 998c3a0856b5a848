package tui

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"daemon-proxy/core/api"
	"daemon-proxy/core/wiretest"
)

var errGone = &api.Problem{Code: api.CodeCoreUnreachable, Detail: "http://localhost:8080 does not answer", Cause: io.EOF}

// attached is a screen on a core of another machine.
func attached(o *Options) {
	o.Undo = nil
	o.Attached = &Attached{Name: "dev-box (ssh)", URL: "http://localhost:9000", Carries: true}
}

// refuse makes a method of the fake fail, or succeed again.
func (f *fake) refuse(method string, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.fail[method] = err
}

func TestTheHeaderNamesACoreThatRunsElsewhere(t *testing.T) {
	t.Parallel()
	f := newFake()
	f.status.Screens = []api.ScreenStatus{{ID: "a", Name: "ann@desk pts/3"}}
	s := loaded(t, f, 132, 40, attached)
	s.shows("⇄ dev-box (ssh)  http://localhost:9000 ", "2 previews · 2 screens ")
	s.f.push(api.Event{Kind: api.EventScreens, Screens: []api.ScreenStatus{{ID: "1", Name: "me"}}})
	s.hides("screens ")
	s = loaded(t, newFake(), 120, 40, func(o *Options) { o.Attached = &Attached{} })
	s.shows("⇄ http://localhost:8080 ")
}

func TestW20ALostCoreKeepsTheScreenUntilItIsBack(t *testing.T) {
	t.Parallel()
	f := newFake()
	s := loaded(t, f, 120, 40, attached)
	s.press("down", "down")
	s.until("the core is told what is chosen", func() bool {
		watched := f.calls("Watch")
		return len(watched) > 0 && watched[len(watched)-1] == "Watch web"
	})
	before := len(f.calls("Watch"))
	f.refuse("Attach", errGone)
	f.cut <- errGone
	s.shows("⇄ dev-box (ssh) ✕ not reachable · retry in 1s (R now)", "● my-sandbox", "○ web ")
	s.hides("s start/stop")
	require.NotContains(t, s.m.View(), s.m.Ink.Good.Paint("●"), "all is grey")
	s.press("i")
	s.shows("dev-box (ssh) is not reachable: nothing can be changed now   try: R tries it now")
	s.press("up", "down")
	require.Empty(t, f.calls("Inject"))
	require.Equal(t, webRef, s.m.list.Selected, "keys that only move work")
	tried := len(f.calls("Attach"))
	s.until("it is tried again", func() bool { return len(f.calls("Attach")) > tried })
	f.refuse("Attach", nil)
	s.press("R")
	s.shows("✓ dev-box (ssh) is back", "⇄ dev-box (ssh)  http://localhost:9000 ", "s start/stop")
	require.Equal(t, webRef, s.m.list.Selected)
	s.until("the core is told again what is chosen", func() bool {
		watched := f.calls("Watch")
		return len(watched) > before && watched[len(watched)-1] == "Watch web"
	})
}

func TestALostCoreIsNotAlsoAnError(t *testing.T) {
	t.Parallel()
	f := newFake()
	s := loaded(t, f, 120, 40, attached)
	f.refuse("Attach", errGone)
	f.cut <- errGone
	s.shows("not reachable")
	s.send(linksMsg{err: errGone})
	s.send(sandboxesMsg{err: errGone})
	s.send(statusMsg{err: errGone})
	s.hides("✕ list", "✕ ask", errGone.Detail)
	s.send(doneMsg{what: "stop web", err: errGone})
	s.shows("✕ stop web: " + errGone.Detail)
}

func TestALostCoreIsLoggedOnce(t *testing.T) {
	t.Parallel()
	var log wiretest.Buffer
	f := newFake()
	s := loaded(t, f, 120, 40, func(o *Options) { attached(o); o.Logger = slog.New(slog.NewTextHandler(&log, nil)) })
	f.refuse("Attach", errGone)
	f.cut <- errGone
	s.shows("not reachable")
	tried := len(f.calls("Attach"))
	s.until("it is tried again", func() bool { return len(f.calls("Attach")) > tried+1 })
	require.Equal(t, 1, strings.Count(log.String(), "no events from the core"))
}

func TestACoreThatHangsIsLost(t *testing.T) {
	t.Parallel()
	f := newFake()
	s := loaded(t, f, 120, 40, attached)
	late := fmt.Errorf("POST /api/sandboxes/web/stop: %w", context.DeadlineExceeded)
	asked := len(f.calls("Status"))
	s.send(doneMsg{what: "stop web", err: late})
	s.until("it is asked whether it answers", func() bool { return len(f.calls("Status")) > asked })
	s.settle()
	s.hides("not reachable")
	f.refuse("Status", errGone)
	f.refuse("Attach", errGone)
	s.send(watchedMsg{webRef, late})
	s.shows("⇄ dev-box (ssh) ✕ not reachable")
}

func TestACallWithoutAnAnswerInTimeMayStillHappen(t *testing.T) {
	t.Parallel()
	s := loaded(t, newFake(), 120, 40, attached)
	s.send(doneMsg{what: "stop web", err: fmt.Errorf("POST /api/sandboxes/web/stop: %w", context.DeadlineExceeded)})
	s.shows("✕ stop web: there was no answer in time", "try: see what changed before you repeat it: it may still happen")
	s.hides("POST /api", "deadline")
}

func TestTheHeaderSaysThatALostCoreIsTried(t *testing.T) {
	t.Parallel()
	f := newFake()
	s := loaded(t, f, 120, 40, attached)
	hold := make(chan struct{})
	defer close(hold)
	f.mu.Lock()
	f.hold = hold
	f.mu.Unlock()
	f.cut <- errGone
	s.shows("not reachable · retry in 1s (R now)")
	s.press("R")
	s.shows("not reachable · trying…")
}

func TestWhyACoreRefusesIsSaidOnce(t *testing.T) {
	t.Parallel()
	f := newFake()
	s := loaded(t, f, 120, 40, attached)
	refusal := api.NewProblem(api.CodeUnauthorized, "the core does not accept the API key that was sent", "send another")
	f.refuse("Attach", refusal)
	f.cut <- refusal
	s.shows("the core does not accept the API key that was sent", "try: quit, set DAEMON_PROXY_API_KEY to the API key of the core")
	s.shows("refuses this screen")
	s.press("up")
	tried := len(f.calls("Attach"))
	s.until("it is tried again", func() bool { return len(f.calls("Attach")) > tried+1 })
	require.NotContains(t, s.text(), "does not accept the API key")
}

func TestARetryDuringARetryAttachesOnce(t *testing.T) {
	t.Parallel()
	f := newFake()
	s := loaded(t, f, 120, 40, attached)
	hold := make(chan struct{})
	f.mu.Lock()
	f.hold = hold
	f.mu.Unlock()
	f.cut <- errGone
	s.shows("not reachable")
	s.press("R", "R")
	s.until("it is tried", func() bool { return len(f.calls("Attach")) == 2 })
	s.press("R")
	close(hold)
	s.shows("is back")
	s.settle()
	require.Len(t, f.calls("Attach"), 2)
}

func TestAReadOnlyCoreOffersNoChanges(t *testing.T) {
	t.Parallel()
	f := newFake()
	f.status.ReadOnly = true
	s := loaded(t, f, 120, 40, attached)
	s.shows("http://localhost:9000 read-only")
	s.hides("i inject", "n new preview", "v VNC")
	s.press("down", "down")
	s.hides("i inject", "i try again", "v VNC")
	s.press("i")
	s.shows("not on a read-only core: inject the daemon and start it   try: start the core without server.read_only")
	s.press("esc", "?")
	s.shows("(not in read-only mode)")
	require.Empty(t, f.calls("Inject"))
}

func TestW21LeavingACoreLeavesItsInjections(t *testing.T) {
	t.Parallel()
	f := newFake()
	f.injecting = func(ctx context.Context, _ api.Ref) error { <-ctx.Done(); return ctx.Err() }
	s := loaded(t, f, 120, 40, attached)
	s.press("down", "down", "i")
	s.injects(webRef)
	s.injects(api.Ref{Engine: "default", Name: "shop-db"}) // another screen's
	s.press("q")
	s.until("it quits", func() bool { return s.quit })
	require.Equal(t, []string{"LeaveInjection web"}, f.calls("LeaveInjection"))
	require.Empty(t, f.calls("UndoInjections"))
}

func TestQuittingWhileTheCoreIsLostAsksNothing(t *testing.T) {
	t.Parallel()
	f := newFake()
	f.injecting = func(ctx context.Context, _ api.Ref) error { <-ctx.Done(); return ctx.Err() }
	s := loaded(t, f, 120, 40, attached)
	s.press("down", "down", "i")
	s.injects(webRef)
	f.refuse("Attach", errGone)
	f.cut <- errGone
	s.shows("not reachable")
	s.press("q")
	s.until("it quits", func() bool { return s.quit })
	require.Empty(t, f.calls("LeaveInjection"))
}

func TestW25QuittingAsksWhereOthersWouldLoseTheCore(t *testing.T) {
	t.Parallel()
	screens := func(names ...string) (list []api.ScreenStatus) {
		for _, name := range names {
			list = append(list, api.ScreenStatus{ID: name, Name: name})
		}
		return list
	}
	live := api.Exchange{ID: 300, LinkID: "k3v", Protocol: "websocket", Live: true, Sandbox: "my-sandbox", Start: clock}
	for name, c := range map[string]struct {
		screens []api.ScreenStatus
		socket  bool
		with    func(*Options)
		want    []string // nil: no question
	}{
		"its own core": {screens("ann@desk"), false, nil,
			[]string{"1 other screen is attached: ann@desk", "Quitting ends the core for it too."}},
		"many": {screens("a", "b", "c", "d"), false, nil,
			[]string{"4 other screens are attached: a, b, c, …", "Quitting ends the core for them too."}},
		"a core that goes on": {screens("ann@desk"), true, func(o *Options) { o.Attached = &Attached{} }, nil},
		"previews through this program": {nil, true, attached,
			[]string{"1 preview is being watched by 1 open socket.", "Quitting closes the socket.",
				"The core keeps running on dev-box (ssh)."}},
		"a core of this session": {screens("ann@desk"), false, func(o *Options) { attached(o); o.Attached.Ends = true },
			[]string{"1 other screen is attached", "Daemons that run go on"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFake()
			f.status.Screens = c.screens
			if c.socket {
				f.exchanges = append(f.exchanges, live)
			}
			s := loaded(t, f, 120, 40, c.with)
			s.until("the sockets are known", func() bool { return !c.socket || s.m.World.OpenSockets() != nil })
			s.press("q")
			if c.want == nil {
				s.until("it quits", func() bool { return s.quit })
				return
			}
			s.shows("Quit?")
			s.shows(c.want...)
			require.False(t, s.quit)
			s.press("y")
			s.until("it quits", func() bool { return s.quit })
		})
	}
}

func TestAShellThatFailedIsReported(t *testing.T) {
	t.Parallel()
	s := loaded(t, newFake(), 120, 40, nil)
	s.send(shellEndedMsg{ref: webRef, code: 127})
	s.shows("the shell in web ended with exit code 127")
}
