package tui

import (
	"strings"
	"testing"
	"time"

	tea "github.com/charmbracelet/bubbletea"
	"github.com/stretchr/testify/require"

	"daemon-proxy/core/api"
)

// share shows the second link on a phone.
func (s *screen) share() {
	s.t.Helper()
	s.press("3", "down", "Q", "right", "enter")
	s.until("it is shown", func() bool { return strings.Contains(s.text(), "scan it on this network") })
}

func TestThePhoneScreenIsAsDrawn(t *testing.T) {
	t.Parallel()
	drawn(t, "phone", "80x24 120x40 200x60 120x60-ascii-raw 80x24-ascii 120x40-mono 60x15", newFake, (*screen).share)
}

func TestSharingExplainsAndAsks(t *testing.T) {
	t.Parallel()
	s := loaded(t, newFake(), 120, 40, nil)
	s.press("3", "down", "Q")
	s.shows("Show port 3000 of my-sandbox on a phone?", "second listener", "59m left")
	s.press("y", "Q", "enter")
	s.nothingOver()
	require.Empty(t, s.f.calls("Share"))
	require.Empty(t, s.f.calls("CreateLink"))
}

func TestTheListenerEndsWithTheScreen(t *testing.T) {
	t.Parallel()
	inProcess(t, "the end of a call is seen at once")
	s := loaded(t, newFake(), 120, 40, nil)
	s.share()
	require.Equal(t, []string{"Share 9qf"}, s.f.calls("Share"))
	require.NoError(t, s.f.sharing.Err())
	s.press("y")
	s.until("the URL is copied", func() bool { return len(s.copied.get()) == 1 })
	require.Equal(t, s.f.shared, s.copied.get()[0])
	require.Contains(t, s.text(), "scan it on this network")
	s.press("esc")
	require.Error(t, s.f.sharing.Err(), "the listener is closed")
	s.nothingOver()
	s.shows("the network can no longer reach port 3000 of my-sandbox")
}

func TestALinkWithoutAnExpiryIsNotShared(t *testing.T) {
	t.Parallel()
	s := loaded(t, newFake(), 120, 40, nil)
	s.press("3", "Q")
	s.shows("Only a link that expires can be shared on a network", "make a link for 1h and show it")
	s.press("right", "enter")
	s.until("it is shown", func() bool { return len(s.f.calls("Share")) == 1 })
	require.Equal(t, []string{"CreateLink 6080 default/my-sandbox desktop"}, s.f.calls("CreateLink"))
	require.Equal(t, int64(3600), *s.f.requests[0].TTLSeconds)
	require.Equal(t, "Share new", s.f.calls("Share")[0])
}

func TestSharingThatFailsSaysWhy(t *testing.T) {
	t.Parallel()
	f := newFake()
	f.fail["Share"] = &api.Problem{Detail: "this machine has no address on a network", Hint: "connect it"}
	s := loaded(t, f, 120, 40, nil)
	s.press("3", "down", "Q", "right", "enter")
	s.shows("this machine has no address on a network", "try: connect it")
	s.nothingOver()
	require.Error(t, f.sharing.Err())
}

func TestASharedLinkThatEndsIsNotShownOn(t *testing.T) {
	t.Parallel()
	f := newFake()
	s := loaded(t, f, 120, 40, nil)
	s.share()
	revoked := f.links[1]
	revoked.State = "revoked"
	at := clock.Add(-time.Second)
	revoked.RevokedAt = &at
	f.push(api.Event{Kind: api.EventLink, Link: &revoked})
	s.shows("The link has ended")
}

func TestSharingNamesTheMachineThatListens(t *testing.T) {
	t.Parallel()
	for want, with := range map[string]func(*Options){
		"on the address of this machine":  func(o *Options) { o.Attached = &Attached{URL: "http://[::1]:8080"} },
		"on the address of dev-box (ssh)": attached,
		"on the address of box.example":   func(o *Options) { o.Attached = &Attached{URL: "https://box.example:8443"} },
	} {
		s := loaded(t, newFake(), 120, 40, with)
		s.shows("● " + strings.TrimPrefix(want, "on the address of ")) // in the list
		s.press("3", "down", "Q")
		s.shows(want)
	}
}

func TestASharedLinkIsNotShownOnWithoutItsCore(t *testing.T) {
	t.Parallel()
	f := newFake()
	s := loaded(t, f, 120, 40, attached)
	s.share()
	f.refuse("Attach", errGone)
	f.cut <- errGone
	s.shows("the network can no longer reach port 3000 of my-sandbox: dev-box (ssh) was lost")
	s.nothingOver()
	s.until("its listener ends", func() bool { f.mu.Lock(); defer f.mu.Unlock(); return f.sharing.Err() != nil })
}

func TestAListenerThatOpensTooLateIsClosed(t *testing.T) {
	t.Parallel()
	inProcess(t, "a call that is cancelled may never arrive")
	f := newFake()
	s := loaded(t, f, 120, 40, nil)
	s.send(shareMsg{link: f.links[1]})
	require.Contains(t, s.text(), "port 3000 of my-sandbox ")
	s.send(tea.KeyMsg{Type: tea.KeyEsc}) // before the answer is taken
	s.nothingOver()
	s.until("it was asked for", func() bool { return len(f.calls("Share")) == 1 })
	s.settle()
	s.nothingOver()
	require.Error(t, f.sharing.Err())
}
