package tui

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	tea "github.com/charmbracelet/bubbletea"
	"github.com/charmbracelet/x/ansi"
	"github.com/stretchr/testify/require"

	"daemon-proxy/core/api"
	"daemon-proxy/tui/pane"
	"daemon-proxy/tui/system"
	"daemon-proxy/tui/text"
)

// still is a screen whose commands are not run: all that it knows is sent to it.
func still(t testing.TB, width, height int, f *fake, with func(*Options)) *model {
	t.Helper()
	o := Options{Theme: "dark", Now: func() time.Time { return clock }}
	if with != nil {
		with(&o)
	}
	m, err := newModel(t.Context(), f, o)
	require.NoError(t, err)
	for _, msg := range []tea.Msg{
		tea.WindowSizeMsg{Width: width, Height: height}, statusMsg{value: f.status}, statesMsg{value: append([]api.EngineStatus{f.engine}, f.others...)},
		sandboxesMsg{value: f.sandboxes},
		linksMsg{value: f.links}, ratesMsg{value: f.rates}, recentMsg(f.exchanges),
	} {
		m.Update(msg)
	}
	for ref, cards := range f.ports {
		m.Update(pane.PortsMsg{Ref: ref, Cards: cards})
	}
	return m
}

func FuzzView(f *testing.F) {
	f.Add(uint8(80), uint8(24), "web\x1b[2J", "日本語👨‍👩‍👧", "jj1234?")
	f.Add(uint8(1), uint8(1), "", "", "q")
	f.Add(uint8(120), uint8(40), "\xff\x00\u202e", "a\nb", "i:x")
	f.Add(uint8(60), uint8(15), "각क्षि", strings.Repeat("long", 100), "4t/x")
	f.Fuzz(func(t *testing.T, width, height uint8, a, b, keys string) {
		keys = keys[:min(len(keys), 12)] // each one is a whole screen
		back := newFake()
		ref := api.Ref{Engine: "default", Name: "0" + a}
		problem := &api.Problem{Detail: a, Hint: b}
		back.status.URL, back.engine.Version = b, a
		back.sandboxes = append(back.sandboxes,
			api.Sandbox{Ref: ref, Container: "running", Image: b, Project: b, Platform: a, Address: b,
				SharesNetworkOf: a, Via: api.ViaExec, ViaReason: a, Default: true,
				Daemon: api.Daemon{State: api.DaemonHealthy, Version: b, Kind: a, LatencyHistory: []float64{0, 1},
					LastError: problem}})
		back.ports[ref] = []api.PortCard{{Port: api.Port{Port: 1, Address: b}, Name: a, Warning: b, Label: b}}
		back.links = append(back.links,
			api.Link{ID: "f", Label: a, Port: 6080, Sandbox: ref, URL: b, HostURL: a, State: "active"})
		back.exchanges = append(back.exchanges,
			api.Exchange{ID: 900, Method: a, Path: b, Sandbox: ref.String(), Status: 500, Note: a})
		for _, with := range []func(*Options){nil, func(o *Options) { o.ASCII = true }} {
			m := still(t, int(width), int(height), back, with)
			check(t, m)
			m.Update(pane.EventsMsg{{Kind: api.EventInjection, Time: clock,
				Injection: &api.Injection{Sandbox: ref, Step: api.StepCopy, State: "running", Detail: a, Bytes: 3,
					Total: 2}}})
			check(t, m)
			m.Update(injectedMsg{ref: ref, at: clock, err: problem})
			m.Update(openedMsg{url: a, label: b, err: system.ErrNoBrowser})
			check(t, m)
			m.Update(tea.KeyMsg{Type: tea.KeyEsc})
			for _, r := range keys {
				m.Update(tea.KeyMsg{Type: tea.KeyRunes, Runes: []rune{r}})
				check(t, m)
			}
			m.Update(tea.KeyMsg{Type: tea.KeyRunes, Runes: []rune(a), Paste: true})
			m.Update(tea.MouseMsg{X: int(height), Y: int(width) / 2, Action: tea.MouseActionPress,
				Button: tea.MouseButtonLeft})
			check(t, m)
		}
	})
}

func TestEverySizeIsDrawn(t *testing.T) {
	t.Parallel()
	m := still(t, 80, 24, newFake(), nil)
	for width := 1; width <= 220; width += 3 {
		for _, height := range []int{1, 2, 14, 15, 24, 70} {
			for tab := range tabNames {
				m.Update(tea.WindowSizeMsg{Width: width, Height: height})
				m.goTo(tab)
				m.changed()
				check(t, m)
			}
		}
	}
}

func TestAsciiScreensAreASCII(t *testing.T) {
	t.Parallel()
	f := newFake()
	f.sandboxes[1].Name = "日本語 é 👩"
	m := still(t, 120, 40, f, func(o *Options) { o.ASCII = true })
	for _, keys := range []string{"", "?", "4", "1", ":"} {
		for _, r := range keys {
			m.Update(tea.KeyMsg{Type: tea.KeyRunes, Runes: []rune{r}})
		}
		for _, r := range m.View() {
			require.Less(t, r, rune(0x7f))
		}
		m.overlays = nil
	}
}

// crowd is a desk with many containers and exchanges.
func crowd(containers, exchanges int) *fake {
	f := newFake()
	for i := range containers {
		f.sandboxes = append(f.sandboxes,
			api.Sandbox{Ref: api.Ref{Engine: "default", Name: fmt.Sprintf("worker-%03d", i)},
				Project: fmt.Sprintf("p%02d", i%20), Container: "running",
				Daemon: api.Daemon{State: api.DaemonHealthy, LatencyMS: 1}})
	}
	for i := range exchanges {
		x := f.exchanges[0]
		x.ID = uint64(1000 + i)
		f.exchanges = append(f.exchanges, x)
	}
	return f
}

func TestNothingIsDrawnWhileNothingChanges(t *testing.T) {
	t.Parallel()
	m := still(t, 120, 40, newFake(), nil)
	first := m.View()
	m.frame = "drawn already"
	m.Update(ratesMsg{value: m.World.Rates()})
	m.Update(pane.EventsMsg{})
	require.Equal(t, "drawn already", m.View())
	m.changed()
	require.Equal(t, first, m.View())
}

// BenchmarkKey is a key and the screen after it, with 500 containers and 10,000 exchanges.
func BenchmarkKey(b *testing.B) {
	m := still(b, 200, 60, crowd(500, 10_000), nil)
	keys := []tea.KeyMsg{{Type: tea.KeyDown}, {Type: tea.KeyUp}}
	for i := 0; b.Loop(); i++ {
		m.Update(keys[i%2])
		_ = m.View()
	}
}

// BenchmarkBatch is a tenth of a second at 5,000 exchanges a second.
func BenchmarkBatch(b *testing.B) {
	m := still(b, 200, 60, crowd(50, 10_000), nil)
	m.follow.screen = fakeScreen{fake: newFake()}
	id := uint64(100_000)
	for b.Loop() {
		batch := make(pane.EventsMsg, 500)
		for i := range batch {
			id++
			batch[i] = api.Event{Kind: api.EventExchange,
				Exchange: &api.Exchange{ID: id, Sandbox: "my-sandbox", Method: "GET", Path: "/", Status: 200,
					Start: clock}}
		}
		m.Update(batch)
		_ = m.View()
	}
}

func TestTheListGrowsForLongNamesAndStaysSo(t *testing.T) {
	t.Parallel()
	s := loaded(t, newFake(), 120, 40, nil)
	require.Equal(t, 43, s.m.layout.list.w)
	long := api.Sandbox{Ref: api.Ref{Engine: "default", Name: "daemon-proxy-demo"}, Container: "running",
		Daemon: api.Daemon{State: api.DaemonHealthy, Version: "0.190.0", LatencyMS: 123}}
	s.f.push(api.Event{Kind: api.EventSandbox, Sandbox: &long})
	s.shows("daemon-proxy-demo running")
	wide := s.m.layout.list.w
	require.Greater(t, wide, 43)
	longer := long
	longer.Name = strings.Repeat("very-", 20) + "long"
	s.f.push(api.Event{Kind: api.EventSandbox, Sandbox: &longer})
	s.until("the list is as wide as it gets", func() bool { return s.m.layout.list.w == 50 })
	for _, gone := range []*api.Sandbox{&long, &longer} {
		s.f.push(api.Event{Kind: api.EventRemoved, Sandbox: gone})
	}
	s.hides("very-")
	require.Equal(t, 50, s.m.layout.list.w, "nothing moves to and fro")
}

func TestAVersionIsNotCutInTheList(t *testing.T) {
	t.Parallel()
	for version, short := range map[string]string{
		"devel-1de186d": "devel", "devel-1de186d+dirty": "devel", "devel": "devel", "v0.190.0": "v0.190.0",
		"0.190.0+build.7": "v0.190.0", "v1.2.3+9": "v1.2.3+9",
	} {
		for width, height := range map[int]int{80: 24, 120: 40} {
			f := newFake()
			f.sandboxes[1].Daemon.Kind, f.sandboxes[1].Daemon.Version = "built-in", version
			m := still(t, width, height, f, nil)
			require.Regexp(t, `● my-sandbox +running  `+regexp.QuoteMeta(short)+` +1ms│`, ansi.Strip(m.View()), version)
			if width == 120 {
				require.Regexp(t, `Daemon +healthy +built-in v?`+regexp.QuoteMeta(version)+` `, ansi.Strip(m.View()),
					"the overview has it whole")
			}
		}
	}
}

func TestEveryWordOfAPortThatChangesIsRedrawn(t *testing.T) {
	t.Parallel()
	for what, change := range map[string]func(*api.PortCard){
		"a new name":    func(c *api.PortCard) { c.Name = "a new name" },
		"a new warning": func(c *api.PortCard) { c.Warning = "a new warning" },
		"9191":          func(c *api.PortCard) { c.Port.Port = 9191 },
		"metrics (TLS)": func(c *api.PortCard) { c.Service = "https" },
		"a new label":   func(c *api.PortCard) { c.Label = "a new label" },
	} {
		f := newFake()
		f.ports[boxRef][3].Name = "metrics"
		m := still(t, 120, 40, f, nil)
		require.NotContains(t, ansi.Strip(m.View()), what)
		cards := slices.Clone(f.ports[boxRef])
		change(&cards[3])
		m.Update(pane.PortsMsg{Ref: boxRef, Cards: cards})
		require.Contains(t, ansi.Strip(m.View()), what)
	}
}

func TestALongNameLeavesTheTabsWhole(t *testing.T) {
	t.Parallel()
	f := newFake()
	f.sandboxes[1].Name = strings.Repeat("very-", 20) + "long"
	for _, width := range []int{60, 75, 76, 109, 110, 120, 200} {
		m := still(t, width, 40, f, nil)
		m.list.Select(f.sandboxes[1].Ref)
		m.listFocused = false
		m.arrange()
		m.changed()
		top := strings.Split(ansi.Strip(m.View()), "\n")[1]
		require.Contains(t, top, "very-", width)
		before, _, whole := strings.Cut(top, "4 Logs ─")
		require.True(t, whole, width)
		x := text.Width(before)
		require.Equal(t, 3, m.head.tabAt(x), width)
		require.NotEqual(t, 3, m.head.tabAt(x-1), width)
	}
}

func TestTheOverviewSaysHowAContainerIsReached(t *testing.T) {
	t.Parallel()
	f := newFake()
	for i := range f.sandboxes {
		f.sandboxes[i].Via, f.sandboxes[i].ViaReason = api.ViaExec, "10.88.0.7 cannot be dialled from here"
	}
	s := loaded(t, f, 160, 40, nil)
	s.shows("via exec (10.88.0.7 cannot be dialled from here)")
}

func TestWhatEjectDoesDependsOnHowAContainerIsReached(t *testing.T) {
	t.Parallel()
	for via, says := range map[string]string{
		api.ViaExec: "its binary and its log are taken out", api.ViaHelper: "Its helper is removed",
	} {
		f := newFake()
		for i := range f.sandboxes {
			f.sandboxes[i].Via, f.sandboxes[i].ViaReason = via, "a reason"
		}
		s := loaded(t, f, 160, 40, nil)
		s.shows("via " + via + " (a reason)")
		s.press("U")
		s.shows(says)
	}
}
