package tui

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"daemon-proxy/core/api"
	"daemon-proxy/tui/form"
)

// openForm opens the form of a new preview and waits for the ports.
func (s *screen) openForm() {
	s.t.Helper()
	before := len(s.f.calls("Ports"))
	s.press("n")
	s.shows("Preview a port of")
	s.until("the ports are asked for", func() bool { return len(s.f.calls("Ports")) > before })
	s.hides("Looking for ports")
}

func TestTheFormIsAsDrawn(t *testing.T) {
	t.Parallel()
	drawn(t, "newpreview", "80x24 120x40 200x60 120x30-ascii 120x30-mono 60x15", newFake,
		func(s *screen) { s.openForm() })
}

func TestTwoKeysFromTheListToAURLInTheClipboard(t *testing.T) {
	t.Parallel()
	s := loaded(t, newFake(), 120, 40, nil)
	s.press("n", "enter")
	s.until("the URL is in the clipboard", func() bool { return len(s.copied.get()) == 1 })
	require.Equal(t, "http://newtoken.localhost:8080/", s.copied.get()[0])
	require.Equal(t, []string{"CreateLink 3000 default/my-sandbox vite"}, s.f.calls("CreateLink"))
	require.Equal(t, int64(0), *s.f.requests[0].TTLSeconds, "until revoked")
	s.nothingOver()
	s.shows("Preview copied: http://newtoken.localhost:8080/")
	s.press("3")
	link, _ := s.m.links.current()
	require.Equal(t, "new", link.ID, "the new link is the chosen one")
}

func TestTheFormOpensWhatItMakes(t *testing.T) {
	t.Parallel()
	s := loaded(t, newFake(), 120, 40, nil)
	s.openForm()
	s.press("down", "o")
	s.until("the browser opens", func() bool { return len(s.opened.get()) == 1 })
	require.Equal(t, "http://newtoken.localhost:8080/vnc.html?autoconnect=true&resize=scale", s.opened.get()[0])
	require.Equal(t, []string{"CreateLink 6080 default/my-sandbox desktop"}, s.f.calls("CreateLink"))
	require.Empty(t, s.copied.get())
}

func TestAnotherPortIsTypedAndChecked(t *testing.T) {
	t.Parallel()
	s := loaded(t, newFake(), 120, 40, nil)
	s.openForm()
	for typed, why := range map[string]string{"0": "0 is not a port: 1 to 65535", "65536": "65536 is not a port",
		"2280": "2280 is the daemon's own"} {
		s.word(typed)
		s.press("enter")
		s.shows(why)
		for range typed {
			s.press("backspace")
		}
	}
	s.press("enter")
	s.shows("type a port, 1 to 65535")
	require.Empty(t, s.f.calls("CreateLink"))
	s.word("80x80") // the letter does nothing
	s.press("enter")
	s.until("it is made", func() bool { return len(s.f.calls("CreateLink")) == 1 })
	require.Equal(t, "CreateLink 8080 default/my-sandbox", s.f.calls("CreateLink")[0])
}

func TestARefusalStandsInTheForm(t *testing.T) {
	t.Parallel()
	f := newFake()
	f.fail["CreateLink"] = &api.Problem{Code: api.CodeDaemonPort, Detail: "22222 belongs to the daemon",
		Hint: "choose another port"}
	s := loaded(t, f, 120, 40, nil)
	s.openForm()
	s.word("22222")
	s.press("enter")
	s.shows("22222 belongs to the daemon   choose another port")
	s.shows("Preview a port of my-sandbox")
	s.press("esc")
	s.nothingOver()
}

func TestTheLabelIsThePortsUntilOneIsTyped(t *testing.T) {
	t.Parallel()
	s := loaded(t, newFake(), 120, 40, nil)
	s.openForm()
	s.shows("Label  vite_")
	s.press("down")
	s.shows("Label  desktop_")
	s.press("tab")
	s.word(" one")
	s.press("up")
	s.shows("Label  desktop one_")
	s.press("tab")
	s.word("o") // a letter of a label, not create and open
	s.press("enter")
	s.until("it is made", func() bool { return len(s.f.calls("CreateLink")) == 1 })
	require.Equal(t, "CreateLink 3000 default/my-sandbox desktop oneo", s.f.calls("CreateLink")[0])
}

func TestHowLongALinkLives(t *testing.T) {
	t.Parallel()
	s := loaded(t, newFake(), 120, 40, nil)
	s.openForm()
	s.press("right", "right")
	s.shows("▸1h ")
	s.press("shift+tab")
	s.word("2d")
	s.shows("▸2d")
	s.press("enter")
	s.until("it is made", func() bool { return len(s.f.calls("CreateLink")) == 1 })
	require.Equal(t, int64(2*24*3600), *s.f.requests[0].TTLSeconds)
}

func TestTheConfiguredTimeToLiveIsTheFirstChoice(t *testing.T) {
	t.Parallel()
	f := newFake()
	f.status.LinkTTLSeconds = 90 * 60
	s := loaded(t, f, 120, 40, nil)
	s.openForm()
	s.shows("▸90m")
	s.press("enter")
	s.until("it is made", func() bool { return len(f.calls("CreateLink")) == 1 })
	require.Equal(t, int64(90*60), *f.requests[0].TTLSeconds)
}

func TestTheFormWithoutADaemonOffersToInject(t *testing.T) {
	t.Parallel()
	f := newFake()
	f.ports[webRef] = []api.PortCard{{Port: api.Port{Port: 5173}, Service: "http", Name: "Vite"}}
	s := loaded(t, f, 120, 40, nil)
	s.press("down", "down", "n")
	s.shows("No daemon is running there", "i injects one")
	s.press("i")
	s.until("it is injected", func() bool { return len(f.calls("Inject")) == 1 })
	s.shows("▸ 5173   Vite")
	s.press("enter")
	s.until("it is made", func() bool { return len(f.calls("CreateLink")) == 1 })
	require.Equal(t, "CreateLink 5173 default/web vite", f.calls("CreateLink")[0])
}

func TestAnErrorOfThePortsSaysWhatToDo(t *testing.T) {
	t.Parallel()
	f := newFake()
	f.fail["Ports"] = &api.Problem{Detail: "the daemon does not answer", Hint: "look at its log"}
	s := newScreen(t, f, 120, 40, nil)
	s.shows("the daemon does not answer")
	s.openForm()
	s.shows("Its ports are unknown: the daemon does not answer", "look at its log", "R asks again")
	f.mu.Lock()
	delete(f.fail, "Ports")
	f.mu.Unlock()
	s.press("R")
	s.shows("Vite + React")
}

func TestTheFormWaitsForThePorts(t *testing.T) {
	t.Parallel()
	f := newFake()
	release := make(chan struct{})
	f.looking = func(ctx context.Context) {
		select {
		case <-release:
		case <-ctx.Done():
		}
	}
	s := newScreen(t, f, 120, 40, nil)
	s.shows("my-sandbox")
	s.press("n")
	s.shows("Looking for ports")
	s.press("enter")
	s.shows("still looking for ports")
	close(release)
	s.shows("▸ 3000")
}

func TestHostileWordsDoNotBreakPreviews(t *testing.T) {
	t.Parallel()
	f := withPreviews()
	hostile := "\x1b]0;owned\x07\x1b[2J\r\n\u202eabc\u202e \u6f22\u5b57\U0001f469\u200d\U0001f469 \t" +
		string([]byte{0xff, 0xfe}) + "e\u0301\u0301"
	for i := range f.links {
		f.links[i].Label = hostile
	}
	f.ports[boxRef] = []api.PortCard{
		{Port: api.Port{Port: 3000, Address: hostile}, Service: hostile, Name: hostile, Remarks: []string{hostile}},
		{Port: api.Port{Port: 3001}, Service: "http", Name: hostile, Warning: hostile, Label: hostile, Path: hostile},
	}
	for _, size := range [][2]int{{60, 15}, {80, 24}, {120, 40}} {
		s := loaded(t, f, size[0], size[1], nil) // every screen is checked as it is drawn
		s.press("3", "down", "down", "d", "esc", "Q", "esc", "n", "down", "up", "tab", "tab", "esc")
	}
}

func TestTheFormSaysThatATimeCanBeTyped(t *testing.T) {
	t.Parallel()
	s := loaded(t, newFake(), 60, 15, nil)
	s.press("n", "tab", "tab", "right", "right", "right", "right", "right")
	s.shows("▸e.g. 45m")
	s.press("4", "5", "m")
	s.shows("▸45m")
	require.NotContains(t, s.text(), "e.g.")
}

func TestWhatALabelHidesIsShownInTheForm(t *testing.T) {
	t.Parallel()
	f := newFake()
	f.ports[boxRef][1].Label = "a\x1b[31mred"
	s := loaded(t, f, 120, 40, nil)
	s.press("n")
	s.shows("Label  a␛[31mred")
	s.press("enter")
	s.until("it is made", func() bool { return len(f.calls("CreateLink")) == 1 })
	require.Equal(t, "a␛[31mred", f.requests[0].Label)
}

func TestAPortThatClosesIsStillTheOneThatIsMeant(t *testing.T) {
	t.Parallel()
	for name, before := range map[string][]string{"nothing was typed": nil,
		"another was typed": {"8", "0", "up", "up", "up"}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFake()
			s := loaded(t, f, 120, 40, nil)
			s.openForm()
			s.press(before...)
			s.shows("▸ 3000")
			closes := func(port int) {
				f.mu.Lock()
				f.ports[boxRef] = slices.DeleteFunc(slices.Clone(f.ports[boxRef]), func(c api.PortCard) bool {
					return c.Port.Port <= port
				})
				f.mu.Unlock()
				s.press("R")
				row := regexp.MustCompile(fmt.Sprintf(`│[▸ ] %d   [^o]`, port))
				s.until("the form has another list", func() bool { return !row.MatchString(s.text()) })
			}
			closes(3000)
			s.shows("▸ 3000   other port")
			closes(6080) // what closes elsewhere moves nothing
			s.shows("▸ 3000   other port")
			s.press("enter")
			s.until("it is made", func() bool { return len(f.calls("CreateLink")) == 1 })
			require.Equal(t, "CreateLink 3000 default/my-sandbox", f.calls("CreateLink")[0])
		})
	}
}

func TestALinkThatCameAfterEscIsOnlyListed(t *testing.T) {
	t.Parallel()
	for _, open := range []bool{false, true} {
		s := loaded(t, newFake(), 120, 40, nil)
		s.openForm()
		opened := s.m.overlays[0].(*form.Form)
		s.press("esc") // its answer comes below
		link := s.f.links[1]
		link.ID, link.Port = "late", 5173
		before := len(s.f.calls("Links"))
		s.send(form.CreatedMsg{Form: opened, Link: link, Open: open})
		require.Contains(t, s.text(), "preview made: port 5173 of my-sandbox", "and not that it was copied or opened")
		require.Regexp(t, `│ +5173  -  +7 requests`, s.text(), "it is listed")
		s.until("the links are asked for", func() bool { return len(s.f.calls("Links")) > before })
		require.Empty(t, s.copied.get())
		require.Empty(t, s.opened.get())
	}
}
