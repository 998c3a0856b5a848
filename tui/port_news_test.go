package tui

import (
	"testing"

	tea "github.com/charmbracelet/bubbletea"
	"github.com/charmbracelet/x/ansi"
	"github.com/stretchr/testify/require"

	"daemon-proxy/core/api"
	"daemon-proxy/tui/pane"
)

func TestANewPortIsToldAndItsKeysActOnIt(t *testing.T) {
	t.Parallel()
	inProcess(t, "the ports are those of the fake, unserialised")
	start := func(t *testing.T) *screen {
		f := newFake()
		s := loaded(t, f, 120, 40, nil)
		card := api.PortCard{Port: api.Port{Port: 5173}, Sandbox: boxRef, Service: "http", Name: "Vite"}
		f.mu.Lock()
		f.ports[boxRef] = append(f.ports[boxRef], card)
		f.mu.Unlock()
		f.push(api.Event{Kind: api.EventPort, Port: &card})
		s.shows("my-sandbox: 5173 Vite is up   n preview   o open")
		return s
	}
	t.Run("o opens it", func(t *testing.T) {
		t.Parallel()
		s := start(t)
		s.press("o")
		s.until("the browser opens", func() bool { return len(s.opened.get()) == 1 })
		require.Equal(t, []string{"CreateLink 5173 default/my-sandbox vite"}, s.f.calls("CreateLink"))
		require.Equal(t, "http://newtoken.localhost:8080/", s.opened.get()[0])
	})
	t.Run("n stands at it", func(t *testing.T) {
		t.Parallel()
		s := start(t)
		s.press("n")
		s.shows("▸ 5173")
	})
	t.Run("n stands at it even where a link that has ended is chosen", func(t *testing.T) {
		t.Parallel()
		s := start(t)
		at := clock
		revoked := s.f.links[0]
		revoked.State, revoked.RevokedAt = "revoked", &at
		s.f.push(api.Event{Kind: api.EventLink, Link: &revoked})
		s.hides("desktop")
		s.press("3", "G", "n")
		s.shows("▸ 5173")
	})
	t.Run("it is told once, whichever way it is learnt of", func(t *testing.T) {
		t.Parallel()
		s := start(t)
		s.press("esc")
		s.hides("is up")
		s.send(pane.PortsMsg{Ref: boxRef, Round: s.m.follow.portsRound, Cards: s.f.ports[boxRef]})
		card := s.f.ports[boxRef][len(s.f.ports[boxRef])-1]
		s.m.takeEvents(pane.EventsMsg{{Kind: api.EventPort, Port: &card}})
		require.NotContains(t, s.text(), "is up")
		card.Port.Port = 4000
		s.send(pane.PortsMsg{Ref: boxRef, Round: s.m.follow.portsRound, Cards: append(s.f.ports[boxRef], card)})
		s.shows("my-sandbox: 4000 Vite is up")
	})
	t.Run("later o is the newest preview again", func(t *testing.T) {
		t.Parallel()
		s := start(t)
		s.send(noteOverMsg(s.m.notes.age))
		s.press("o")
		s.until("the browser opens", func() bool { return len(s.opened.get()) == 1 })
		require.Contains(t, s.opened.get()[0], "k3v9aaaabbbb")
		require.Empty(t, s.f.calls("CreateLink"))
	})
}

// comesUp tells a screen whose commands are not run of ports that came up.
func comesUp(m *model, cards ...api.PortCard) {
	var batch pane.EventsMsg
	for i := range cards {
		batch = append(batch, api.Event{Kind: api.EventPort, Port: &cards[i]})
	}
	m.Update(batch)
}

func TestTheKeysOfANewPortAreOfferedOnlyWhereTheyActOnIt(t *testing.T) {
	t.Parallel()
	m := still(t, 120, 40, newFake(), nil)
	const keys = "   n preview   o open"
	comesUp(m, api.PortCard{Port: api.Port{Port: 5173}, Sandbox: webRef, Service: "http", Name: "Vite"})
	require.Contains(t, ansi.Strip(m.View()), "web: 5173 Vite is up ")
	require.NotContains(t, ansi.Strip(m.View()), keys, "they are about my-sandbox")
	m.list.Select(webRef)
	m.arrange()
	m.changed()
	require.Contains(t, ansi.Strip(m.View()), "web: 5173 Vite is up"+keys)
}

func TestOfSeveralNewPortsTheOneForABrowserIsNamed(t *testing.T) {
	t.Parallel()
	other := api.PortCard{Port: api.Port{Port: 9000}, Sandbox: boxRef, Service: "other"}
	vite := api.PortCard{Port: api.Port{Port: 5173}, Sandbox: boxRef, Service: "http", Name: "Vite"}
	there := api.PortCard{Port: api.Port{Port: 80}, Sandbox: webRef, Service: "http", Name: "nginx"}
	for _, batch := range [][]api.PortCard{{vite, other}, {other, vite}, {there, vite}} {
		m := still(t, 120, 40, newFake(), nil)
		comesUp(m, batch...)
		require.Contains(t, ansi.Strip(m.View()), "my-sandbox: 5173 Vite is up and 1 more   n preview   o open")
	}
	m := still(t, 120, 40, newFake(), nil)
	m.Update(pane.PortsMsg{Ref: boxRef, Cards: append([]api.PortCard{other, vite}, m.World.Ports(boxRef).Cards...)})
	require.Contains(t, ansi.Strip(m.View()), "my-sandbox: 5173 Vite is up and 1 more")

	m = still(t, 120, 40, newFake(), nil)
	m.notes.fail("it broke", "")
	comesUp(m, vite, there)
	comesUp(m, other)
	comesUp(m, there)
	require.NotContains(t, ansi.Strip(m.View()), "is up")
	m.Update(tea.KeyMsg{Type: tea.KeyEsc})
	require.Contains(t, ansi.Strip(m.View()), "my-sandbox: 5173 Vite is up and 2 more",
		"none is lost to an error, none counts twice")
}
