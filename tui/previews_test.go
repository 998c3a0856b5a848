package tui

import (
	"fmt"
	"strings"
	"testing"
	"time"

	tea "github.com/charmbracelet/bubbletea"
	"github.com/stretchr/testify/require"

	"daemon-proxy/core/api"
	"daemon-proxy/tui/draw"
)

// withPreviews is a desk with links of every kind in my-sandbox.
func withPreviews() *fake {
	f := newFake()
	in := func(d time.Duration) *time.Time { t := clock.Add(d); return &t }
	link := func(id, label string, port int, change func(*api.Link)) api.Link {
		token := id + strings.Repeat("x", 29)
		l := api.Link{Token: token, ID: id, URL: "http://localhost:8080/preview/" + token,
			HostURL: "http://" + token + ".localhost:8080", Port: port, Sandbox: boxRef, SandboxName: "my-sandbox",
			Label: label, State: "active", Fence: true, StripPrefix: true, CreatedAt: clock.Add(-3 * time.Hour)}
		change(&l)
		return l
	}
	f.links = append(f.links,
		link("exp", "old one", 8888, func(l *api.Link) { l.State, l.ExpiresAt = "expired", in(-3*time.Minute) }),
		link("rev", "", 3000, func(l *api.Link) {
			l.State, l.RevokedAt, l.Requests = "revoked", in(-2*time.Hour),
				1204
		}),
		link("day", "a label that is much longer than the column", 3000,
			func(l *api.Link) { l.ExpiresAt = in(26*time.Hour + 10*time.Second) }),
	)
	for i := range f.links {
		f.links[i].Fence = true
	}
	f.exchanges = append(f.exchanges,
		api.Exchange{ID: 7, Start: clock.Add(-time.Minute), Method: "GET", Path: "/hmr", Status: 101,
			Sandbox: "my-sandbox", Port: 3000, LinkID: "9qf", Kind: "preview", Protocol: "websocket", Live: true})
	return f
}

func TestThePreviewsAreAsDrawn(t *testing.T) {
	t.Parallel()
	drawn(t, "previews", "80x24 120x40 200x60 120x30-ascii 120x30-mono 60x15", withPreviews, func(s *screen) {
		s.press("3", "down")
		s.shows("live ")
	})
}

func TestOnlyTheChosenLinkIsShownWhole(t *testing.T) {
	t.Parallel()
	s := loaded(t, withPreviews(), 120, 40, nil)
	s.press("3")
	require.Contains(t, s.text(), "http://k3v9aaaabbbb.localhost:8080/vnc.html?autoconnect=true&resize=scale")
	require.NotContains(t, s.text(), "9qfdccccdddd")
	s.press("down")
	require.Contains(t, s.text(), "http://9qfdccccdddd.localhost:8080/")
	require.NotContains(t, s.text(), "k3v9aaaabbbb")
}

func TestALinkIsShownWholeWhateverItsLength(t *testing.T) {
	t.Parallel()
	inProcess(t, "the server makes the URLs")
	f := newFake()
	f.links = f.links[:1]
	f.links[0].HostURL, f.links[0].Label = "https://"+strings.Repeat("very-long-name.", 20)+"example.org", "-"
	f.ports[boxRef] = []api.PortCard{}
	s := loaded(t, f, 80, 24, nil)
	s.press("3")
	got := ""
	for line := range strings.SplitSeq(s.text(), "\n") {
		if inner := strings.TrimSpace(strings.Trim(line, "│")); inner != "" {
			got += inner
		}
	}
	require.Contains(t, got, f.links[0].HostURL+"/")
}

func TestWhatOneSeesIsWhatIsCopiedAndOpened(t *testing.T) {
	t.Parallel()
	f := withPreviews()
	f.ports[boxRef][1].Path = "/admin/"
	s := loaded(t, f, 120, 40, nil)
	s.press("3", "down", "y")
	s.until("it is copied", func() bool { return len(s.copied.get()) == 1 })
	s.press("enter")
	s.until("it is opened", func() bool { return len(s.opened.get()) == 1 })
	require.Equal(t, "http://9qfdccccdddd.localhost:8080/admin/", s.copied.get()[0])
	require.Equal(t, s.copied.get(), s.opened.get())
	s.shows("http://9qfdccccdddd.localhost:8080/admin/")
}

func TestALinkThatHasEndedCanOnlyBeMadeAnew(t *testing.T) {
	t.Parallel()
	f := withPreviews()
	s := loaded(t, f, 120, 40, nil)
	s.press("3", "G", "up")
	s.shows("This link has ended: expired 3m ago")
	s.press("o", "enter", "y", "d", "Q")
	s.nothingOver()
	require.Empty(t, s.opened.get())
	require.Empty(t, s.copied.get())
	s.press("n")
	s.shows("8888", "old one")
	s.press("enter")
	s.until("it is made", func() bool { return len(f.calls("CreateLink")) == 1 })
	require.Equal(t, "CreateLink 8888 default/my-sandbox old one", f.calls("CreateLink")[0])
}

func TestTheChosenLinkStaysChosen(t *testing.T) {
	t.Parallel()
	f := withPreviews()
	s := loaded(t, f, 120, 40, nil)
	s.press("3", "down")
	link, _ := s.m.links.current()
	require.Equal(t, "9qf", link.ID)
	newer := link
	newer.ID, newer.Token, newer.Label, newer.CreatedAt = "newer", "newertoken", "a newer one", clock
	f.push(api.Event{Kind: api.EventLink, Link: &newer})
	s.shows("a newer one")
	link, _ = s.m.links.current()
	require.Equal(t, "9qf", link.ID)
}

func TestRevokingAsksAndTakesNoLetter(t *testing.T) {
	t.Parallel()
	f := withPreviews()
	s := loaded(t, f, 120, 40, nil)
	s.press("3", "down", "d")
	s.shows("Revoke the preview of port 3000 of my-sandbox?", "1 socket is open on it")
	s.press("y", "d", "enter")
	s.nothingOver()
	require.Empty(t, f.calls("RevokeLink"), "no is in focus and letters do nothing")
	require.Empty(t, s.copied.get())
	s.press("d", "right", "enter")
	s.until("it is revoked", func() bool { return len(f.calls("RevokeLink")) == 1 })
	require.Equal(t, "RevokeLink 9qf", f.calls("RevokeLink")[0])
}

func TestOpenSocketsAreCountedByLink(t *testing.T) {
	t.Parallel()
	s := loaded(t, withPreviews(), 120, 40, nil)
	s.press("3")
	s.shows("live ⇄1")
	s.f.push(api.Event{Kind: api.EventExchange,
		Exchange: &api.Exchange{ID: 200, LinkID: "9qf", Sandbox: "my-sandbox", Protocol: "event-stream", Live: true}})
	s.shows("live ⇄2")
	for _, id := range []uint64{7, 200} {
		s.f.push(api.Event{Kind: api.EventExchange,
			Exchange: &api.Exchange{ID: id, LinkID: "9qf", Sandbox: "my-sandbox", Protocol: "websocket"}})
	}
	s.hides("live ⇄")
}

func TestALabelOfUsualLengthIsShownWhole(t *testing.T) {
	t.Parallel()
	f := newFake()
	f.links[0].Label, f.links[1].Label = "my frontend project", "vite and react for the shop"
	for width, words := range map[int][2]string{80: {"my frontend pr", "vite and react"},
		120: {"my frontend", "vite and re"}, 200: {"my frontend project ", "vite and react for the shop "}} {
		s := loaded(t, f, width, 40, nil)
		s.press("1")
		s.shows(words[0], words[1])
		s.press("3")
		s.shows("my frontend project  ", "vite and react")
	}
}

func TestWhereThereAreNoLinksNothingIsSaidOfThem(t *testing.T) {
	t.Parallel()
	s := loaded(t, newFake(), 120, 40, nil)
	s.press("down", "3")
	s.shows("old ──", "No preview of old yet")
	require.NotContains(t, s.text(), "Links to old")
}

func TestLinksOfOtherEnginesAreNotCounted(t *testing.T) {
	t.Parallel()
	inProcess(t, "two events become one")
	f := newFake()
	far, near := f.links[0], f.links[0]
	far.ID, far.Sandbox = "far", api.Ref{Engine: "lab", Name: "my-sandbox"}
	near.ID, near.Sandbox, near.SandboxName = "near", api.Host, "host"
	f.links = append(f.links, far, near)
	s := loaded(t, f, 200, 40, nil)
	s.shows("engine default 28.5 · 5 containers · 3 previews")
	lost, back := f.engine, f.engine
	lost.State = "lost"
	s.f.push(api.Event{Kind: api.EventEngine, Engine: &lost}, api.Event{Kind: api.EventEngine, Engine: &back})
	s.shows("engine back · 2 previews work again")
}

func TestThePageSaysWhyLinksCannotWork(t *testing.T) {
	t.Parallel()
	s := loaded(t, withPreviews(), 120, 40, nil)
	s.press("3")
	require.NotContains(t, s.text(), "Links to my-sandbox")
	lost := s.f.engine
	lost.State = "lost"
	s.f.push(api.Event{Kind: api.EventEngine, Engine: &lost})
	s.shows("Links to my-sandbox may not work until engine default is back")
	s.press("1", "esc", "G", "3")
	s.shows("this machine ──", "3 links to containers may not work until engine default is back")
	s.press("esc", "g", "3")
	back := s.f.engine
	s.f.push(api.Event{Kind: api.EventEngine, Engine: &back})
	s.until("the engine is back", func() bool { return !strings.Contains(s.text(), "Links to my-sandbox may") })
	stopped := s.f.sandboxes[1]
	stopped.Container, stopped.Daemon = api.ContainerExited, api.Daemon{State: api.DaemonStopped}
	s.f.push(api.Event{Kind: api.EventSandbox, Sandbox: &stopped})
	s.shows("Links to my-sandbox cannot work while it is exited", "s starts it")
}

func TestTimesInThePreviewsChangeOnceAMinute(t *testing.T) {
	t.Parallel()
	now := clock
	s := loaded(t, withPreviews(), 120, 40, func(o *Options) { o.Now = func() time.Time { return now } })
	s.press("3")
	s.shows("59m")
	now = now.Add(time.Minute)
	s.send(ratesMsg{value: s.f.rates})
	require.Contains(t, s.text(), "59m", "nothing that is shown changed, so nothing is drawn")
	s.send(minuteMsg(now))
	require.Contains(t, s.text(), "58m")
}

// manyLinks is a desk with n links more, the half of which have ended.
func manyLinks(n int) *fake {
	f := newFake()
	for i := range n {
		l := f.links[1]
		l.ID, l.Label, l.CreatedAt = fmt.Sprint("l", i), fmt.Sprint("label ", i),
			clock.Add(-time.Duration(i)*time.Minute)
		if i%2 == 1 {
			l.State, l.RevokedAt = "revoked", &l.CreatedAt
		}
		f.links = append(f.links, l)
	}
	return f
}

func TestAKeyCostsTheSameHoweverManyLinksThereAre(t *testing.T) { // not parallel: it takes times
	for name, show := range map[string]func(*model){
		"previews":        func(m *model) { m.goTo(tabPreviews) },
		"of this machine": func(m *model) { m.list.Move(draw.ToBottom); m.goTo(tabPreviews) },
		"overview":        func(m *model) { m.goTo(tabOverview) },
		"list":            func(*model) {},
	} {
		cost := map[int]time.Duration{}
		for _, n := range []int{10, 1000} {
			m := still(t, 120, 40, manyLinks(n), nil)
			show(m)
			cost[n] = time.Hour
			for range 30 {
				begun := time.Now()
				for _, key := range []tea.KeyType{tea.KeyDown, tea.KeyUp} {
					m.Update(tea.KeyMsg{Type: key})
					_ = m.View()
				}
				cost[n] = min(cost[n], time.Since(begun))
			}
		}
		require.Less(t, cost[1000], 4*cost[10]+2*time.Millisecond, "%s: %v", name, cost)
	}
}

func TestALinkThatExpiresMovesToThoseThatHaveEnded(t *testing.T) {
	t.Parallel()
	now := clock
	s := loaded(t, withPreviews(), 120, 40, func(o *Options) { o.Now = func() time.Time { return now } })
	s.press("3", "down")
	s.shows("http://9qfdccccdddd.localhost:8080/")
	now = now.Add(time.Hour)
	s.send(minuteMsg(now))
	s.shows("This link has ended: expired")
	require.Equal(t, 2, strings.Count(s.text(), ".localho…"), "those that work have an address")
	require.Regexp(t, `▸ 3000 +- +expired .*\n.* 8888 +old one +expired `, s.text())
}

func TestTheOverviewShowsTheNewestLinksAndHowManyMoreThereAre(t *testing.T) {
	t.Parallel()
	s := loaded(t, manyLinks(100), 120, 60, nil)
	s.shows("label 0", "and 32 more   3 all of them")
	require.NotContains(t, s.text(), "label 60")
}

func TestAClickChoosesALink(t *testing.T) {
	t.Parallel()
	s := loaded(t, withPreviews(), 120, 40, nil)
	s.press("3")
	p := s.m.previews()
	p.Click(4, 2)
	link, _ := s.m.links.current()
	require.Equal(t, "9qf", link.ID)
	p.Click(4, 20)
	link, _ = s.m.links.current()
	require.Equal(t, "9qf", link.ID, "below the list nothing is chosen")
}

func TestWithoutPreviewsThePageSaysHowToMakeOne(t *testing.T) {
	t.Parallel()
	f := newFake()
	f.links = nil
	s := loaded(t, f, 80, 24, nil)
	s.press("3")
	s.shows("No preview of my-sandbox yet", "n  a link to a port of it")
}

func TestLinksOfAContainerThatIsGoneCanBeRevoked(t *testing.T) {
	t.Parallel()
	s := loaded(t, withPreviews(), 120, 40, nil)
	s.f.push(api.Event{Kind: api.EventRemoved, Sandbox: &api.Sandbox{Ref: boxRef}})
	s.hides("● my-sandbox")
	s.press("G", "3")
	s.shows("3 links to containers that are not there now", "my-sandbox: desktop")
	s.press("g", "d", "right", "enter")
	s.until("it is revoked", func() bool { return len(s.f.calls("RevokeLink")) == 1 })
}
