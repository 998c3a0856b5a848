package tui

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"daemon-proxy/core/api"
)

// form is the new-preview form that is open.
func (s *screen) form() *newPreview {
	s.t.Helper()
	require.NotEmpty(s.t, s.m.overlays)
	f, ok := s.m.overlays[len(s.m.overlays)-1].(*newPreview)
	require.True(s.t, ok)
	return f
}

func (s *screen) openForm() *newPreview {
	s.t.Helper()
	s.press("n")
	f := s.form()
	s.until("the ports are there", func() bool { return !f.loading })
	return f
}

func TestTheFormIsAsDrawn(t *testing.T) {
	t.Parallel()
	drawn(t, "newpreview", "80x24 120x40 200x60 120x30-ascii 120x30-mono 60x15", newFake, func(s *screen) { s.openForm() })
}

func TestTwoKeysFromTheListToAURLInTheClipboard(t *testing.T) {
	t.Parallel()
	s := loaded(t, newFake(), 120, 40, nil)
	s.press("n", "enter")
	s.until("the URL is in the clipboard", func() bool { return len(s.copied.get()) == 1 })
	require.Equal(t, "http://newtoken.localhost:8080/", s.copied.get()[0])
	require.Equal(t, []string{"CreateLink 3000 my-sandbox vite"}, s.f.calls("CreateLink"))
	require.Equal(t, int64(0), *s.f.requests[0].TTLSeconds, "until revoked")
	s.nothingOver()
	s.shows("Preview copied: http://newtoken.localhost:8080/")
	s.press("3")
	link, _ := s.m.chosenLink()
	require.Equal(t, "new", link.ID, "the new link is the chosen one")
}

func TestTheFormOpensWhatItMakes(t *testing.T) {
	t.Parallel()
	s := loaded(t, newFake(), 120, 40, nil)
	s.openForm()
	s.press("down", "o")
	s.until("the browser opens", func() bool { return len(s.opened.get()) == 1 })
	require.Equal(t, "http://newtoken.localhost:8080/vnc.html?autoconnect=true&resize=scale", s.opened.get()[0])
	require.Equal(t, []string{"CreateLink 6080 my-sandbox desktop"}, s.f.calls("CreateLink"))
	require.Empty(t, s.copied.get())
}

func TestAnotherPortIsTypedAndChecked(t *testing.T) {
	t.Parallel()
	s := loaded(t, newFake(), 120, 40, nil)
	s.openForm()
	for typed, why := range map[string]string{"0": "0 is not a port: 1 to 65535", "65536": "65536 is not a port", "2280": "2280 is the daemon's own"} {
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
	require.Equal(t, "CreateLink 8080 my-sandbox", s.f.calls("CreateLink")[0])
}

func TestARefusalStandsInTheForm(t *testing.T) {
	t.Parallel()
	f := newFake()
	f.fail["CreateLink"] = &api.Problem{Code: api.CodeDaemonPort, Detail: "22222 belongs to the daemon", Hint: "choose another port"}
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
	f := s.openForm()
	require.Equal(t, "vite", f.label.Value())
	s.press("down")
	require.Equal(t, "desktop", f.label.Value())
	s.press("tab")
	s.word(" one")
	s.press("up")
	require.Equal(t, "desktop one", f.label.Value())
	s.press("tab")
	s.word("o") // a letter of a label, not create and open
	s.press("enter")
	s.until("it is made", func() bool { return len(s.f.calls("CreateLink")) == 1 })
	require.Equal(t, "CreateLink 3000 my-sandbox desktop oneo", s.f.calls("CreateLink")[0])
}

func TestSuggestedLabels(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{
		"Vite + React": "vite", "Jupyter Server": "jupyter-server", "Home | My App": "home", "nginx/1.27": "nginx-1-27", "": "",
		"\x1b[31mred\x1b[0m": "red", "日本語 タイトル": "日本語-タイトル",
	} {
		require.Equal(t, want, suggestedLabel(api.PortCard{Service: "http", Name: name}), name)
	}
	require.Equal(t, "Front end", suggestedLabel(api.PortCard{Service: "http", Name: "Vite", Label: "Front end"}))
	require.Equal(t, "desktop", suggestedLabel(api.PortCard{Service: "vnc", Name: "noVNC"}))
}

func TestHowLongALinkLives(t *testing.T) {
	t.Parallel()
	s := loaded(t, newFake(), 120, 40, nil)
	f := s.openForm()
	s.press("right", "right")
	seconds, err := f.lives.seconds()
	require.NoError(t, err)
	require.Equal(t, int64(3600), seconds)
	s.press("shift+tab")
	s.word("2d")
	s.shows("▸2d")
	s.press("enter")
	s.until("it is made", func() bool { return len(s.f.calls("CreateLink")) == 1 })
	require.Equal(t, int64(2*24*3600), *s.f.requests[0].TTLSeconds)

	for in, want := range map[string]time.Duration{"90m": 90 * time.Minute, "1h30m": 90 * time.Minute, "2d": 48 * time.Hour, "1w": 7 * 24 * time.Hour, "45": 45 * time.Minute, "10s": 10 * time.Second} {
		got, err := parseTime(in)
		require.NoError(t, err, in)
		require.Equal(t, want, got, in)
	}
	for _, in := range []string{"", "x", "h", "1x", "0", "0m", "-5m", "99999999999h", "5000w5000w", "1h30"} {
		_, err := parseTime(in)
		require.Error(t, err, in)
	}
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
	s.shows("No daemon answers in it", "i injects one")
	s.press("i")
	s.until("it is injected", func() bool { return len(f.calls("Inject")) == 1 })
	s.shows("5173", "Vite")
	s.press("enter")
	s.until("it is made", func() bool { return len(f.calls("CreateLink")) == 1 })
	require.Equal(t, "CreateLink 5173 web vite", f.calls("CreateLink")[0])
}

func TestAnErrorOfThePortsSaysWhatToDo(t *testing.T) {
	t.Parallel()
	f := newFake()
	f.fail["Ports"] = &api.Problem{Detail: "the daemon does not answer", Hint: "look at its log"}
	s := newScreen(t, f, 120, 40, nil)
	s.shows("the daemon does not answer")
	s.openForm()
	s.shows("What listens is not known: the daemon does not answer", "look at its log", "R asks again")
	f.mu.Lock()
	delete(f.fail, "Ports")
	f.mu.Unlock()
	s.press("R")
	s.shows("Vite + React")
}

func TestALateAnswerIsDropped(t *testing.T) {
	t.Parallel()
	f := newFake()
	s := loaded(t, f, 120, 40, nil)
	form := s.openForm()
	stale := []api.PortCard{{Port: api.Port{Port: 1111}, Service: "http", Name: "stale"}}
	s.send(formPortsMsg{form, form.asked - 1, stale, nil})
	s.send(formPortsMsg{&newPreview{}, form.asked, stale, nil})
	require.NotContains(t, s.text(), "stale")
	s.press("down")
	s.send(formPortsMsg{form, form.asked, append([]api.PortCard{{Port: api.Port{Port: 80}, Service: "http", Name: "fresh"}}, f.ports[boxRef]...), nil})
	s.shows("fresh")
	card, _ := form.card()
	require.Equal(t, 6080, card.Port.Port, "the same port stays chosen")
	s.press("esc")
	s.send(formPortsMsg{form, form.asked, nil, errors.New("too late")})
	require.NotContains(t, s.text(), "too late")
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
	s.shows("Looking for what listens")
	s.press("enter")
	s.shows("still looking for what listens")
	close(release)
	s.shows("▸ 3000")
}

func TestHostileWordsDoNotBreakPreviews(t *testing.T) {
	t.Parallel()
	f := withPreviews()
	hostile := "\x1b]0;owned\x07\x1b[2J\r\n\u202eabc\u202e \u6f22\u5b57\U0001f469\u200d\U0001f469 \t" + string([]byte{0xff, 0xfe}) + "e\u0301\u0301"
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
	for name, before := range map[string][]string{"nothing was typed": nil, "another was typed": {"8", "0", "up", "up", "up"}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFake()
			s := loaded(t, f, 120, 40, nil)
			form := s.openForm()
			s.press(before...)
			card, _ := form.card()
			require.Equal(t, 3000, card.Port.Port)
			s.send(formPortsMsg{form, form.asked, f.ports[boxRef][2:], nil})
			s.shows("▸ 3000", "other port")
			s.send(formPortsMsg{form, form.asked, f.ports[boxRef][3:], nil}) // what closes elsewhere moves nothing
			s.press("enter")
			s.until("it is made", func() bool { return len(f.calls("CreateLink")) == 1 })
			require.Equal(t, "CreateLink 3000 my-sandbox", f.calls("CreateLink")[0])
		})
	}
}

func TestALinkThatCameAfterEscIsOnlyListed(t *testing.T) {
	t.Parallel()
	for _, open := range []bool{false, true} {
		s := loaded(t, newFake(), 120, 40, nil)
		form := s.openForm()
		form.creating = true // its answer comes below
		s.press("esc")
		link := s.f.links[1]
		link.ID, link.Port = "late", 5173
		before := len(s.f.calls("Links"))
		s.send(createdMsg{form: form, link: link, open: open})
		require.Contains(t, s.text(), "preview made: port 5173 of my-sandbox", "and not that it was copied or opened")
		require.Regexp(t, `│ +5173  -  +7 requests`, s.text(), "it is listed")
		s.until("the links are asked for", func() bool { return len(s.f.calls("Links")) > before })
		require.Empty(t, s.copied.get())
		require.Empty(t, s.opened.get())
	}
}
