package tui

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	tea "github.com/charmbracelet/bubbletea"
	"github.com/charmbracelet/x/ansi"
	"github.com/stretchr/testify/require"

	"daemon-proxy/core/api"
)

var (
	boxRef = api.Ref{Engine: "default", Name: "my-sandbox"}
	webRef = api.Ref{Engine: "default", Name: "web"}
)

func TestScreensAreAsDrawn(t *testing.T) {
	t.Parallel()
	drawn(t, "", "80x24 120x40 200x60 120x30-ascii 120x30-mono 40x10", newFake, func(*screen) {})
}

func TestTheDefaultSandboxIsChosenFirst(t *testing.T) {
	t.Parallel()
	s := loaded(t, newFake(), 120, 40, nil)
	require.Equal(t, boxRef, s.m.list.chosen)
	s.until("the core is told", func() bool { return len(s.f.calls("Watch")) > 0 })
	require.Contains(t, s.f.calls("Watch")[0], "my-sandbox")
}

func TestContainersThatAreFoundLaterComeBeforeTheMachine(t *testing.T) {
	t.Parallel()
	f := newFake()
	all := f.sandboxes
	f.sandboxes, f.exchanges = f.sandboxes[:1], nil
	s := loaded(t, f, 120, 40, nil)
	require.Equal(t, api.Host, s.m.list.chosen)
	var found []api.Event
	for _, i := range []int{2, 5} {
		found = append(found, api.Event{Kind: api.EventSandbox, Sandbox: &all[i]})
	}
	f.push(found...)
	s.until("a container is chosen", func() bool { return s.m.list.chosen.Name == "old" })
	f.push(api.Event{Kind: api.EventSandbox, Sandbox: &all[1]})
	s.until("the default one is chosen", func() bool { return s.m.list.chosen == boxRef })
	s.press("G")
	require.Equal(t, api.Host, s.m.list.chosen)
	f.push(api.Event{Kind: api.EventSandbox, Sandbox: &all[1]})
	s.settle()
	require.Equal(t, api.Host, s.m.list.chosen, "the person chose")
}

func TestHowAContainerEndedIsSaid(t *testing.T) {
	t.Parallel()
	s := loaded(t, newFake(), 120, 40, nil)
	s.shows("✕ old ", " exited (137) ")
	s.press("down")
	s.shows("the container exited with 137 (killed, perhaps out of memory)", "s starts it")
	for code, words := range map[int]string{0: "exited with 0 (done)", 42: "exited with 42   s starts it"} {
		old := api.Sandbox{Ref: s.m.list.chosen, Container: api.ContainerExited, ExitCode: &code}
		s.f.push(api.Event{Kind: api.EventSandbox, Sandbox: &old})
		s.shows(words)
	}
	s.f.push(api.Event{Kind: api.EventSandbox, Sandbox: &api.Sandbox{Ref: s.m.list.chosen, Container: api.ContainerCreated}})
	s.shows("the container is created")
}

func TestTheChosenSandboxStaysChosen(t *testing.T) {
	t.Parallel()
	s := loaded(t, newFake(), 120, 40, nil)
	s.press("down", "down")
	require.Equal(t, webRef, s.m.list.chosen)
	s.f.push(api.Event{Kind: api.EventSandbox, Sandbox: &api.Sandbox{Ref: api.Ref{Engine: "default", Name: "a-new-one"}, Container: "running"}})
	s.shows("a-new-one")
	require.Equal(t, webRef, s.m.list.chosen)
	s.f.push(api.Event{Kind: api.EventRemoved, Sandbox: &api.Sandbox{Ref: webRef}})
	s.until("web is gone", func() bool { _, ok := s.m.world.sandbox(webRef); return !ok })
	require.NotEqual(t, webRef, s.m.list.chosen)
	_, ok := s.m.chosen()
	require.True(t, ok)
}

func TestAFilterTakesNamesAndProjects(t *testing.T) {
	t.Parallel()
	s := loaded(t, newFake(), 120, 40, nil)
	s.press("/shop") // fast fingers: one message
	s.press("enter")
	require.Contains(t, s.text(), "shop-api")
	require.NotContains(t, s.text(), "● my-sandbox")
	require.Equal(t, "shop-api", s.m.list.chosen.Name)
	s.press("esc")
	s.shows("● my-sandbox")
	s.press("G", "up") // over the empty line
	require.Equal(t, "shop-db", s.m.list.chosen.Name)
}

func TestAnInjectionShowsItsStepsAndEscCancelsIt(t *testing.T) {
	t.Parallel()
	f := newFake()
	ended := make(chan error, 1)
	f.injecting = func(ctx context.Context, ref api.Ref) error {
		<-ctx.Done()
		ended <- ctx.Err()
		return ctx.Err()
	}
	s := loaded(t, f, 120, 40, nil)
	s.press("down", "down", "i")
	f.push(
		api.Event{Kind: api.EventInjection, Time: clock, Injection: &api.Injection{Sandbox: webRef, Step: api.StepInspect, State: "done", Detail: "linux/amd64, static binary fits"}},
		api.Event{Kind: api.EventInjection, Time: clock, Injection: &api.Injection{Sandbox: webRef, Step: api.StepCopy, State: "running", Detail: "copying daytona", Bytes: 1, Total: 58_100_000}},
	)
	s.shows("static binary fits")
	f.push(api.Event{Kind: api.EventInjection, Time: clock.Add(time.Second), Injection: &api.Injection{Sandbox: webRef, Step: api.StepCopy, State: "running", Detail: "copying daytona", Bytes: 36_200_000, Total: 58_100_000}})
	s.shows("36.2 MB / 58.1 MB", "36.2 MB/s", "copying  62 %")
	s.press("q")
	s.shows("Quit?", "1 injection runs")
	s.press("enter") // stay is in focus
	require.False(t, s.quit)
	s.press("esc")
	s.until("it is cancelled", func() bool { return len(ended) > 0 })
	require.ErrorIs(t, <-ended, context.Canceled)
	require.Equal(t, []string{"CancelInjection web"}, f.calls("CancelInjection"))
	s.shows("web: cancelled, nothing was kept")
	s.until("its steps are gone", func() bool { return len(s.m.world.injections) == 0 })
	f.push(api.Event{Kind: api.EventInjection, Time: clock, Injection: &api.Injection{Sandbox: webRef, Step: api.StepCopy, State: "running", Detail: "late"}},
		api.Event{Kind: api.EventSandbox, Sandbox: &api.Sandbox{Ref: api.Ref{Engine: "default", Name: "later"}, Container: "running"}})
	s.shows("later")
	require.Empty(t, s.m.world.injections, "news from before the end comes too late")
}

func TestEscCancelsAnInjectionThatBeganElsewhere(t *testing.T) {
	t.Parallel()
	begun := api.Event{Kind: api.EventInjection, Time: clock, Injection: &api.Injection{Sandbox: boxRef, Step: api.StepCopy, State: "running", Detail: "copying daytona"}}
	s := loaded(t, newFake(), 120, 40, nil)
	s.f.push(begun)
	s.shows("copying daytona", "esc cancel, nothing is kept")
	s.press("esc")
	s.shows("my-sandbox: cancelled, nothing was kept")
	require.Equal(t, []string{"CancelInjection my-sandbox"}, s.f.calls("CancelInjection"))
	s.f.push(api.Event{Kind: api.EventInjection, Time: clock, Injection: &api.Injection{Sandbox: boxRef, Step: api.StepCopy, State: "failed", Finished: true,
		Error: &api.Problem{Code: api.CodeCancelled, Detail: "the injection was cancelled"}}},
		api.Event{Kind: api.EventSandbox, Sandbox: &api.Sandbox{Ref: boxRef, Kind: "container", Container: "running", Daemon: api.Daemon{State: api.DaemonNone}}})
	s.shows("none   i inject")
	require.NotContains(t, s.text(), "the injection was cancelled")

	looking := loaded(t, newFake(), 120, 40, func(o *Options) { o.ReadOnly = true })
	looking.f.push(begun)
	looking.shows("copying daytona")
	require.NotContains(t, looking.text(), "cancel, nothing")
	looking.press("esc")
	looking.settle()
	require.Empty(t, looking.f.calls("CancelInjection"))
}

func TestAFailedInjectionSaysWhatToTry(t *testing.T) {
	t.Parallel()
	f := newFake()
	f.fail["Inject"] = &api.Problem{Detail: "daemon ended at once with exit code 2", Hint: "set daemon.env.DAYTONA_SANDBOX_ID"}
	s := loaded(t, f, 120, 40, nil)
	s.press("down", "down", "i")
	s.shows("daemon ended at once with exit code 2", "try: set daemon.env.DAYTONA_SANDBOX_ID", "try again")
	require.Contains(t, s.m.noteLines()[0], "daemon ended at once")
	s.press("down")
	require.Empty(t, s.m.note.text, "a key takes the error line away")
}

func TestADaemonThatIsTriedAgainSaysWhen(t *testing.T) {
	t.Parallel()
	s := loaded(t, newFake(), 120, 40, nil)
	at := clock.Add(20 * time.Second)
	failed := s.f.sandboxes[1]
	failed.Daemon = api.Daemon{State: api.DaemonFailed, LastError: &api.Problem{Code: api.CodePortTaken, Detail: "port 2280 is taken"}, RetryAt: &at}
	before := failed.Daemon // what the last event of the injection holds comes later, for the sandbox stands in the place of its first
	before.RetryAt = nil
	s.f.push(api.Event{Kind: api.EventSandbox, Sandbox: &failed},
		api.Event{Kind: api.EventInjection, Time: clock, Injection: &api.Injection{Sandbox: boxRef, Step: api.StepAdopt, State: "failed", Finished: true, Error: failed.Daemon.LastError, Daemon: &before}})
	s.shows("✕ my-sandbox", "failed   port taken", "failed, next try at "+at.Local().Format("15:04:05"))
}

func TestASandboxThatIsEjectedSaysSo(t *testing.T) {
	t.Parallel()
	s := loaded(t, newFake(), 120, 40, nil)
	ejecting := s.f.sandboxes[1]
	ejecting.Daemon = api.Daemon{State: api.DaemonEjecting}
	s.f.push(api.Event{Kind: api.EventSandbox, Sandbox: &ejecting})
	s.shows("my-sandbox ", " ejecting ", "ejecting: it is being taken out")
	s.press("i")
	s.settle()
	require.Empty(t, s.f.calls("Inject"))

	late := &api.Problem{Code: api.CodeCancelled, Detail: "the engine has not finished in time", Cause: context.DeadlineExceeded}
	s.m.failWith("eject from my-sandbox", late)
	s.shows("eject from my-sandbox: the engine has not finished in time")
}

func TestOneKeyOpensTheDesktop(t *testing.T) {
	t.Parallel()
	t.Run("an old link is used again", func(t *testing.T) {
		t.Parallel()
		s := loaded(t, newFake(), 120, 40, nil)
		s.press("v")
		s.until("the browser opens", func() bool { return len(s.opened.get()) == 1 })
		require.Equal(t, "http://k3v9aaaabbbb.localhost:8080/vnc.html?autoconnect=true&resize=scale", s.opened.get()[0])
		require.Empty(t, s.f.calls("CreateLink"))
		require.Empty(t, s.f.calls("Inject"))
	})
	t.Run("without a daemon it is injected first", func(t *testing.T) {
		t.Parallel()
		f := newFake()
		f.ports[webRef] = []api.PortCard{{Port: api.Port{Port: 6080}, Service: "vnc"}}
		f.status.HostLinks = false
		s := loaded(t, f, 120, 40, nil)
		s.press("down", "down", "v")
		s.until("the browser opens", func() bool { return len(s.opened.get()) == 1 })
		require.Equal(t, "http://localhost:8080/preview/newtoken/vnc.html?autoconnect=true&resize=scale&path=preview%2Fnewtoken%2Fwebsockify", s.opened.get()[0])
		require.Equal(t, []string{"Inject web"}, f.calls("Inject"))
		require.Equal(t, []string{"CreateLink 6080 web desktop"}, f.calls("CreateLink"))
	})
	t.Run("where nothing listens the desktop can be started", func(t *testing.T) {
		t.Parallel()
		f := newFake()
		f.ports[boxRef] = []api.PortCard{{Port: api.Port{Port: 3000}, Service: "http"}}
		s := loaded(t, f, 120, 40, nil)
		s.press("v")
		s.shows("Nothing listens on port 6080")
		s.press("enter")
		require.Empty(t, f.calls("StartDesktop"), "no is in focus")
		s.press("v")
		s.shows("Nothing listens on port 6080")
		s.press("right", "enter")
		s.until("the browser opens", func() bool { return len(s.opened.get()) == 1 })
		require.Equal(t, []string{"StartDesktop my-sandbox"}, f.calls("StartDesktop"))
	})
}

func TestTheBuiltInDaemonIsNotAskedForADesktop(t *testing.T) {
	t.Parallel()
	f := newFake()
	f.ports[boxRef], f.links = nil, nil
	f.sandboxes[1].Daemon.Kind = "built-in"
	s := loaded(t, f, 120, 40, nil)
	s.press("v")
	s.shows("no desktop in my-sandbox", "the built-in daemon brings none", "start a VNC server")
	require.Empty(t, s.m.overlays)
	f.push(api.Event{Kind: api.EventPort, Port: &api.PortCard{Sandbox: boxRef, Port: api.Port{Port: 6080}, Service: "vnc", Name: "noVNC"}})
	s.until("the port is known", func() bool { return s.m.newPort.waits })
	s.shows("the built-in daemon brings none")
	s.press("o") // what o opens is not on the screen yet
	s.shows("my-sandbox: 6080 noVNC is up")
	require.Empty(t, f.calls("CreateLink"))
}

func TestWithoutABrowserTheURLIsCopiedAndShownWhole(t *testing.T) {
	t.Parallel()
	s := loaded(t, newFake(), 80, 24, func(o *Options) { o.Browse = func(string) error { return errNoBrowser } })
	s.press("o")
	s.shows("There is no browser here", "http://k3v9aaaabbbb.localhost:8080/")
	s.until("it is copied", func() bool { return len(s.copied.get()) == 1 })
	s.press("enter")
	require.Empty(t, s.m.overlays)
}

func TestConfirmationsAreNoByDefaultAndTakeNoLetter(t *testing.T) {
	t.Parallel()
	s := loaded(t, newFake(), 120, 40, nil)
	s.press("s", "y", "enter")
	s.press("x", "n", "esc")
	s.press("s", "left", "left", "enter")
	require.Empty(t, s.f.calls("StopContainer"))
	require.Empty(t, s.copied.get(), "keys do not reach what lies under a question")
	s.press("s", "right", "enter")
	s.until("it is stopped", func() bool { return len(s.f.calls("StopContainer")) == 1 })
}

func TestWhatIsConfirmedIsDone(t *testing.T) {
	t.Parallel()
	for key, want := range map[string]string{"x": "StopDaemon my-sandbox", "U": "Eject my-sandbox"} {
		method, _, _ := strings.Cut(want, " ")
		s := loaded(t, newFake(), 120, 40, nil)
		s.press(key, "enter")
		require.Empty(t, s.m.overlays)
		s.press(key, "right")
		require.Empty(t, s.f.calls(method))
		s.press("enter")
		s.until("it is done", func() bool { return len(s.f.calls(method)) == 1 })
		require.Equal(t, want, s.f.calls(method)[0])
		s.until("it is said", func() bool { return s.m.note.text != "" && !s.m.note.failed })
	}
}

func TestReadOnlyTakesEveryChangeAwayInDispatch(t *testing.T) {
	t.Parallel()
	s := loaded(t, newFake(), 120, 40, func(o *Options) { o.ReadOnly = true })
	for _, a := range s.m.keys.actions {
		if !a.changes {
			continue
		}
		s.send(runMsg(a.id))
		require.Empty(t, s.m.overlays, a.id)
		s.shows("not in read-only mode")
		for _, key := range a.keys {
			s.press(key)
			require.Empty(t, s.m.overlays, a.id)
		}
	}
	s.settle()
	for _, method := range []string{"Inject", "StopDaemon", "Eject", "StartContainer", "StopContainer", "CreateLink", "RevokeLink", "Share", "Shell", "Demo", "SwitchEngine", "Replay", "StartDesktop"} {
		require.Empty(t, s.f.calls(method))
	}
}

func TestTheEngineIsLostAndComesBack(t *testing.T) {
	t.Parallel()
	s := loaded(t, newFake(), 120, 40, nil)
	lost := s.f.engine
	lost.State, lost.Since = "lost", clock.Add(-12*time.Second)
	s.f.push(api.Event{Kind: api.EventEngine, Engine: &lost})
	s.shows("lost 12s ago · retrying (R now)", "as last seen", "my-sandbox")
	at := clock.Add(2500 * time.Millisecond)
	soon := lost
	soon.RetryAt = &at
	s.f.push(api.Event{Kind: api.EventEngine, Engine: &soon})
	s.shows("lost 12s ago · retry in 3s (R now)")
	back := s.f.engine
	s.f.push(api.Event{Kind: api.EventEngine, Engine: &back})
	s.shows("engine back · 2 previews work again")
	require.Equal(t, boxRef, s.m.list.chosen)
}

func TestADaemonOfUnknownAgeIsSeenNotUp(t *testing.T) {
	t.Parallel()
	s := loaded(t, newFake(), 120, 40, nil)
	s.shows("up 3m")
	found := s.f.sandboxes[1]
	found.Daemon.StartedAt, found.Daemon.Since = time.Time{}, clock.Add(-72*time.Second)
	s.f.push(api.Event{Kind: api.EventSandbox, Sandbox: &found})
	s.shows("seen for 1m")
}

func TestANarrowScreenSaysThatTheEngineIsLost(t *testing.T) {
	t.Parallel()
	for width, words := range map[int]string{60: "engine lost", 80: "engine lost 12s ago"} {
		f := newFake()
		f.links = f.links[:1]
		f.engine.Name = "unix:///run/user/1000/docker.sock"
		f.links[0].Sandbox.Engine = f.engine.Name
		s := loaded(t, f, width, 24, nil)
		lost := f.engine
		lost.State, lost.Since = "lost", clock.Add(-12*time.Second)
		s.f.push(api.Event{Kind: api.EventEngine, Engine: &lost})
		s.until("the header says it", func() bool {
			header, _, _ := strings.Cut(s.text(), "\n")
			return strings.Contains(header, words)
		})
		back := f.engine
		s.f.push(api.Event{Kind: api.EventEngine, Engine: &back})
		s.shows("engine back · 1 preview works again")
	}
}

func TestTheDemoIsChosenOnceItIsThere(t *testing.T) {
	t.Parallel()
	f := newFake()
	demo := api.Sandbox{Ref: api.Ref{Engine: "default", Name: "daemon-proxy-demo"}, Container: "running", Daemon: api.Daemon{State: api.DaemonHealthy}}
	f.links = append([]api.Link{{ID: "demo", Token: "demo", Port: 8000, State: "active", Sandbox: demo.Ref, HostURL: "http://demo.localhost:8080"}}, f.links...)
	s := loaded(t, f, 120, 40, nil)
	s.press("/", "w", "e", "b", "enter", "D")
	s.shows("demo.localhost")
	require.Equal(t, webRef, s.m.list.chosen)
	f.push(api.Event{Kind: api.EventSandbox, Sandbox: &demo})
	s.until("the demo is chosen", func() bool { return s.m.list.chosen == demo.Ref })
	require.Empty(t, s.m.list.filter.Value(), "the filter would hide it")

	s.m.list.want(api.Ref{Engine: "default", Name: "later"})
	s.press("esc", "G")
	f.push(api.Event{Kind: api.EventSandbox, Sandbox: &api.Sandbox{Ref: api.Ref{Engine: "default", Name: "later"}, Container: "running"}})
	s.until("it is there", func() bool { _, ok := s.m.world.sandbox(api.Ref{Engine: "default", Name: "later"}); return ok })
	require.Equal(t, api.Host, s.m.list.chosen, "the person chose another meanwhile")
}

func TestAFailedActionStaysUntilAKey(t *testing.T) {
	t.Parallel()
	f := newFake()
	f.fail["StartContainer"] = errors.New("no such container")
	s := loaded(t, f, 120, 40, nil)
	s.press("down", "s") // old does not run
	s.shows("start old: no such container", "full log")
	s.m.fail("a long story "+strings.Repeat("of something ", 20), "the next thing to try")
	s.shows("a long story", "try: the next thing to try")
	s.m.failWith("start old", errors.New("no such container"))
	s.send(noteOverMsg(s.m.noteAge))
	s.shows("start old: no such container")
	s.press("j")
	require.NotContains(t, s.text(), "no such container")
}

func TestASecondInterruptEndsAtOnce(t *testing.T) {
	t.Parallel()
	s := loaded(t, newFake(), 120, 40, nil)
	s.m.world.injections[webRef] = &injection{}
	s.press("ctrl+c")
	require.Len(t, s.m.overlays, 1)
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
		s.m.world.injections[webRef] = &injection{}
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
			m.world.injections[api.Ref{Name: fmt.Sprint(i)}] = &injection{}
		}
		for i, n := range test.sockets {
			for j := range n {
				m.world.takeSocket(api.Exchange{ID: uint64(10*i + j), LinkID: fmt.Sprint(i), Protocol: "websocket", Live: true})
			}
		}
		require.Nil(t, m.quit(), test.want) // it asks
		require.Equal(t, test.want, strings.Join(m.quitting.lines[:2], " "))
		require.False(t, m.quitting.onYes)
	}
}

func TestQuittingIsAskedOnce(t *testing.T) {
	t.Parallel()
	now := clock
	f := newFake()
	f.status.StopOnExit = true
	s := loaded(t, f, 120, 40, func(o *Options) { o.Now = func() time.Time { return now } })
	s.m.world.injections[webRef] = &injection{}
	s.press("ctrl+c")
	s.shows("daemon.stop_on_exit")
	now = now.Add(2 * twice)
	s.press("ctrl+c")
	require.Len(t, s.m.overlays, 1, "a late ctrl+c asked once more")
	s.press("n")
	require.Empty(t, s.m.overlays)
	require.False(t, s.quit)
	s.press("q")
	require.Len(t, s.m.overlays, 1)
}

func TestTheHelpSaysAllOfEveryAction(t *testing.T) {
	t.Parallel()
	for _, width := range []int{60, 120} {
		m := still(t, width, 200, newFake(), nil)
		m.openHelp()
		check(t, m)
		words := strings.Join(strings.Fields(strings.ReplaceAll(ansi.Strip(strings.Join(m.overlays[0].View(width-4, 196), " ")), "│", " ")), " ")
		for _, a := range actions() {
			require.Contains(t, words, a.desc)
		}
	}
}
