package tui

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/charmbracelet/x/ansi"
	"github.com/stretchr/testify/require"

	"daemon-proxy/core/api"
	"daemon-proxy/tui/system"
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
	require.Equal(t, boxRef, s.m.list.Selected)
	s.until("the core is told", func() bool { return len(s.f.calls("Watch")) > 0 })
	require.Contains(t, s.f.calls("Watch")[0], "my-sandbox")
}

func TestContainersThatAreFoundLaterComeBeforeTheMachine(t *testing.T) {
	t.Parallel()
	f := newFake()
	all := f.sandboxes
	f.sandboxes, f.exchanges = f.sandboxes[:1], nil
	s := loaded(t, f, 120, 40, nil)
	require.Equal(t, api.Host, s.m.list.Selected)
	var found []api.Event
	for _, i := range []int{2, 5} {
		found = append(found, api.Event{Kind: api.EventSandbox, Sandbox: &all[i]})
	}
	f.push(found...)
	s.until("a container is chosen", func() bool { return s.m.list.Selected.Name == "old" })
	f.push(api.Event{Kind: api.EventSandbox, Sandbox: &all[1]})
	s.until("the default one is chosen", func() bool { return s.m.list.Selected == boxRef })
	s.press("G")
	require.Equal(t, api.Host, s.m.list.Selected)
	f.push(api.Event{Kind: api.EventSandbox, Sandbox: &all[1]})
	s.settle()
	require.Equal(t, api.Host, s.m.list.Selected, "the person chose")
}

func TestHowAContainerEndedIsSaid(t *testing.T) {
	t.Parallel()
	s := loaded(t, newFake(), 120, 40, nil)
	s.shows("✕ old ", " exited (137) ")
	s.press("down")
	s.shows("the container exited with 137 (killed, perhaps out of memory)", "s starts it")
	for code, words := range map[int]string{0: "exited with 0 (done)", 42: "exited with 42   s starts it"} {
		old := api.Sandbox{Ref: s.m.list.Selected, Container: api.ContainerExited, ExitCode: &code}
		s.f.push(api.Event{Kind: api.EventSandbox, Sandbox: &old})
		s.shows(words)
	}
	s.f.push(api.Event{Kind: api.EventSandbox,
		Sandbox: &api.Sandbox{Ref: s.m.list.Selected, Container: api.ContainerCreated}})
	s.shows("the container is created")
}

func TestTheChosenSandboxStaysChosen(t *testing.T) {
	t.Parallel()
	s := loaded(t, newFake(), 120, 40, nil)
	s.press("down", "down")
	require.Equal(t, webRef, s.m.list.Selected)
	s.f.push(api.Event{Kind: api.EventSandbox,
		Sandbox: &api.Sandbox{Ref: api.Ref{Engine: "default", Name: "a-new-one"}, Container: "running"}})
	s.shows("a-new-one")
	require.Equal(t, webRef, s.m.list.Selected)
	s.f.push(api.Event{Kind: api.EventRemoved, Sandbox: &api.Sandbox{Ref: webRef}})
	s.hides("○ web ")
	require.NotEqual(t, webRef, s.m.list.Selected)
	_, ok := s.m.selected()
	require.True(t, ok)
}

func TestAFilterTakesNamesAndProjects(t *testing.T) {
	t.Parallel()
	s := loaded(t, newFake(), 120, 40, nil)
	s.press("/shop") // fast fingers: one message
	s.press("enter")
	require.Contains(t, s.text(), "shop-api")
	require.NotContains(t, s.text(), "● my-sandbox")
	require.Equal(t, "shop-api", s.m.list.Selected.Name)
	s.press("esc")
	s.shows("● my-sandbox")
	s.press("G", "up") // over the empty line
	require.Equal(t, "shop-db", s.m.list.Selected.Name)
}

func TestOneKeyOpensTheDesktop(t *testing.T) {
	t.Parallel()
	inProcess(t, "the server makes the URLs")
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
		require.Equal(t, []string{"CreateLink 6080 default/web desktop"}, f.calls("CreateLink"))
	})
	t.Run("where nothing listens the desktop can be started", func(t *testing.T) {
		t.Parallel()
		f := newFake()
		f.ports[boxRef] = []api.PortCard{{Port: api.Port{Port: 3000}, Service: "http"}}
		s := loaded(t, f, 120, 40, nil)
		s.press("v")
		s.shows("None of its ports shows one")
		s.press("enter")
		require.Empty(t, f.calls("StartDesktop"), "no is in focus")
		s.press("v")
		s.shows("None of its ports shows one")
		s.press("right", "enter")
		s.until("the browser opens", func() bool { return len(s.opened.get()) == 1 })
		require.Equal(t, []string{"StartDesktop my-sandbox"}, f.calls("StartDesktop"))
	})
}

// A web server on the desktop's port is opened as what it is, and only if the
// person wants that.
func TestWhatIsNoDesktopIsNotOpenedAsOne(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		service, title string
		shows          []string
	}{
		"a page": {"http", "Vite + React",
			[]string{"Port 6080 has no noVNC page", "Vite + React", "open it as a page"}},
		"raw VNC": {"rfb", "", []string{"a VNC server listens on port 6080", "start noVNC in front of it", "localhost:6080"}},
		"TLS":     {"https", "localhost", []string{"no desktop in my-sandbox"}},
		"mute":    {"unknown", "", []string{"did not answer in time", "v tries again"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFake()
			f.ports[boxRef] = []api.PortCard{{Port: api.Port{Port: 6080}, Service: test.service, Name: test.title}}
			s := loaded(t, f, 120, 40, nil)
			s.press("v")
			s.shows(test.shows...)
			require.Empty(t, s.opened.get())
			require.Empty(t, f.calls("CreateLink"))
			if test.service != "http" {
				return
			}
			s.press("right", "enter")
			s.until("the browser opens", func() bool { return len(s.opened.get()) == 1 })
			require.Equal(t, "http://newtoken.localhost:8080/", s.opened.get()[0])
			require.Equal(t, []string{"CreateLink 6080 default/my-sandbox"}, f.calls("CreateLink"))
		})
	}
}

func TestADesktopIsFoundOnAnyPort(t *testing.T) {
	t.Parallel()
	card := func(port int, service, desktop string) api.PortCard {
		return api.PortCard{Port: api.Port{Port: port}, Service: service, Desktop: desktop}
	}
	selkies, root, kasm := card(3001, "http", "Selkies"), card(7900, "vnc", "noVNC"), card(6901, "https", "KasmVNC")
	root.Path, kasm.Warning = "/", "speaks TLS itself"
	guacamole := card(8080, "http", "Guacamole")
	guacamole.Path = "/guacamole/"
	chosen := card(9000, "http", "desktop")
	chosen.Path, chosen.Chosen = "/view/", true
	for name, test := range map[string]struct {
		cards []api.PortCard
		keys  []string
		opens string
		shows string
	}{
		"by what answers":     {cards: []api.PortCard{card(80, "http", ""), selkies}, opens: "/"},
		"noVNC at the root":   {cards: []api.PortCard{root}, opens: "/?autoconnect=true&resize=scale"},
		"in a folder":         {cards: []api.PortCard{guacamole}, opens: "/guacamole/"},
		"one of several":      {cards: []api.PortCard{root, selkies}, shows: "Desktops of my-sandbox", keys: []string{"down", "enter"}, opens: "/"},
		"the one of a label":  {cards: []api.PortCard{root, selkies, chosen}, opens: "/view/"},
		"what TLS hides":      {cards: []api.PortCard{kasm}, shows: "network.ssl.require_ssl: false"},
		"beside one over TLS": {cards: []api.PortCard{kasm, selkies}, opens: "/"},
		"VNC without a page":  {cards: []api.PortCard{card(5901, "rfb", "")}, shows: "websockify --web /usr/share/novnc 6080 localhost:5901"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFake()
			f.ports[boxRef], f.links = test.cards, nil
			s := loaded(t, f, 160, 40, nil)
			s.press("v")
			if test.shows != "" {
				s.shows(test.shows)
				require.Empty(t, s.opened.get())
			}
			s.press(test.keys...)
			if test.opens == "" {
				require.Empty(t, f.calls("CreateLink"))
				return
			}
			s.until("the browser opens", func() bool { return len(s.opened.get()) == 1 })
			require.Equal(t, "http://newtoken.localhost:8080"+test.opens, s.opened.get()[0])
			require.Len(t, f.calls("CreateLink"), 1)
			require.Contains(t, f.calls("CreateLink")[0], "/my-sandbox desktop")
		})
	}
}

func TestTheSmallerDesktopPageIsOpenedWhereThereIsNoOther(t *testing.T) {
	t.Parallel()
	f := newFake()
	f.ports[boxRef] = []api.PortCard{{Port: api.Port{Port: 6080}, Service: "vnc", Path: "/vnc_lite.html"}}
	s := loaded(t, f, 120, 40, nil)
	s.press("v")
	s.until("the browser opens", func() bool { return len(s.opened.get()) == 1 })
	require.Equal(t, "http://k3v9aaaabbbb.localhost:8080/vnc_lite.html?autoconnect=true&resize=scale&scale=true",
		s.opened.get()[0])
}

func TestTheBuiltInDaemonIsNotAskedForADesktop(t *testing.T) {
	t.Parallel()
	f := newFake()
	f.ports[boxRef], f.links = nil, nil
	f.sandboxes[1].Daemon.Kind = "built-in"
	s := loaded(t, f, 120, 40, nil)
	s.press("v")
	s.shows("no desktop in my-sandbox", "the built-in daemon has none", "start a VNC server")
	s.nothingOver()
	f.push(api.Event{Kind: api.EventPort,
		Port: &api.PortCard{Sandbox: boxRef, Port: api.Port{Port: 6080}, Service: "vnc", Name: "noVNC"}})
	s.until("the port is known", func() bool { return s.m.news.newPort.waits != nil })
	s.shows("the built-in daemon has none")
	s.press("o") // what o opens is not on the screen yet
	s.shows("my-sandbox: 6080 noVNC is up")
	require.Empty(t, f.calls("CreateLink"))
}

func TestWithoutABrowserTheURLIsCopiedAndShownWhole(t *testing.T) {
	t.Parallel()
	s := loaded(t, newFake(), 80, 24, func(o *Options) { o.Browse = func(string) error { return system.ErrNoBrowser } })
	s.press("o")
	s.shows("There is no browser here", "http://k3v9aaaabbbb.localhost:8080/")
	s.until("it is copied", func() bool { return len(s.copied.get()) == 1 })
	s.press("enter")
	s.nothingOver()
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
	for key, c := range map[string][2]string{"x": {"StopDaemon my-sandbox", "✓ my-sandbox: the daemon has ended"},
		"U": {"Eject my-sandbox", "✓ my-sandbox: nothing of ours is left in it"}} {
		want, said := c[0], c[1]
		method, _, _ := strings.Cut(want, " ")
		s := loaded(t, newFake(), 120, 40, nil)
		s.press(key, "enter")
		s.nothingOver()
		s.press(key, "right")
		require.Empty(t, s.f.calls(method))
		s.press("enter")
		s.until("it is done", func() bool { return len(s.f.calls(method)) == 1 })
		require.Equal(t, want, s.f.calls(method)[0])
		s.shows(said)
	}
}

func TestReadOnlyTakesEveryChangeAwayInDispatch(t *testing.T) {
	t.Parallel()
	s := loaded(t, newFake(), 120, 40, func(o *Options) { o.ReadOnly = true })
	for _, a := range s.m.dispatch.table {
		if !a.changes {
			continue
		}
		s.send(runMsg{a.id, s.m.dispatch.about(a)})
		s.nothingOver()
		s.shows("not in read-only mode")
		for _, key := range a.keys {
			s.press(key)
			s.nothingOver()
		}
	}
	s.settle()
	for _, method := range []string{"Inject", "StopDaemon", "Eject", "StartContainer", "StopContainer", "CreateLink",
		"RevokeLink", "Share", "Shell", "Demo", "SwitchEngine", "Replay", "StartDesktop"} {
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
	require.Equal(t, boxRef, s.m.list.Selected)
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
	demo := api.Sandbox{Ref: api.Ref{Engine: "default", Name: "daemon-proxy-demo"}, Container: "running",
		Daemon: api.Daemon{State: api.DaemonHealthy}}
	f.links = append([]api.Link{{ID: "demo", Token: "demo", Port: 8000, State: "active", Sandbox: demo.Ref,
		HostURL: "http://demo.localhost:8080"}}, f.links...)
	s := loaded(t, f, 120, 40, nil)
	s.press("/", "w", "e", "b", "enter", "D")
	s.shows("demo.localhost")
	require.Equal(t, webRef, s.m.list.Selected)
	f.push(api.Event{Kind: api.EventSandbox, Sandbox: &demo})
	s.until("the demo is chosen", func() bool { return s.m.list.Selected == demo.Ref })
	require.NotContains(t, s.text(), "hidden", "the filter would hide it")

	s.m.list.Select(api.Ref{Engine: "default", Name: "later"})
	s.press("esc", "G")
	f.push(api.Event{Kind: api.EventSandbox,
		Sandbox: &api.Sandbox{Ref: api.Ref{Engine: "default", Name: "later"}, Container: "running"}})
	s.shows(" later ")
	require.Equal(t, api.Host, s.m.list.Selected, "the person chose another meanwhile")
}

func TestAFailedActionStaysUntilAKey(t *testing.T) {
	t.Parallel()
	f := newFake()
	f.fail["StartContainer"] = errors.New("no such container")
	s := loaded(t, f, 120, 40, nil)
	s.press("down", "s") // old does not run
	s.shows("start old: no such container", "full log")
	s.m.notes.fail("a long story "+strings.Repeat("of something ", 20), "the next thing to try")
	s.shows("a long story", "try: the next thing to try")
	s.m.notes.failWith("start old", errors.New("no such container"))
	s.send(noteOverMsg(s.m.notes.age))
	s.shows("start old: no such container")
	s.press("j")
	require.NotContains(t, s.text(), "no such container")
}

func TestTheHelpSaysAllOfEveryAction(t *testing.T) {
	t.Parallel()
	for _, width := range []int{60, 120} {
		m := still(t, width, 200, newFake(), nil)
		m.dispatch.openHelp()
		check(t, m)
		words := strings.Join(strings.Fields(strings.ReplaceAll(ansi.Strip(strings.Join(m.overlays[0].View(width-4,
			196), " ")), "│", " ")), " ")
		for _, a := range actions(emptyModel()) {
			require.Contains(t, words, a.desc)
		}
	}
}

func TestTheWarningOfAPortIsReadWhole(t *testing.T) {
	t.Parallel()
	f := newFake()
	f.ports[boxRef][3].Warning = strings.Repeat("it may not answer, ", 8) + "and that was all"
	s := loaded(t, f, 120, 40, nil)
	s.shows("! 9090 it may not answer", "that was all")
}
