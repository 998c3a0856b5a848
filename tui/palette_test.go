package tui

import (
	"strings"
	"testing"

	"github.com/charmbracelet/x/ansi"
	"github.com/stretchr/testify/require"

	"daemon-proxy/core/api"
	"daemon-proxy/tui/dialog"
	"daemon-proxy/tui/pane"
	"daemon-proxy/tui/world"
)

func TestThePaletteRunsWhatItFinds(t *testing.T) {
	t.Parallel()
	s := loaded(t, newFake(), 120, 40, nil)
	s.press(":")
	s.word("engi")
	s.press("enter")
	s.shows("Engines", "ssh://lab")
	s.press("down", "enter")
	s.until("it is switched", func() bool { return len(s.f.calls("SwitchEngine")) == 1 })
}

// found are the actions that the open palette lists for what is typed.
func found(s *screen, typed string) (names []string) {
	for range 20 {
		s.press("backspace")
	}
	s.word(typed)
	for line := range strings.Lines(s.text()) {
		_, row, _ := strings.Cut(line, "│")
		for _, part := range strings.Split(row, "│") {
			words := strings.Fields(strings.TrimPrefix(strings.TrimSpace(part), "▸"))
			if len(words) > 0 && s.m.dispatch.byID(words[0]) != nil {
				names = append(names, words[0])
			}
		}
	}
	return names
}

func TestThePaletteRanksPlainWordsFirst(t *testing.T) {
	t.Parallel()
	s := loaded(t, newFake(), 120, 40, nil)
	s.press("2", ":")
	for typed, want := range map[string][]string{
		"har":      {"save-har", "share"}, // shell has these letters too
		"shell":    {"shell"},
		"PHONE":    {"share"},
		"requests": {"all-requests", "filter-requests"},
		"eng":      {"engine", "refresh"},
	} {
		require.Equal(t, want, found(s, typed)[:len(want)], typed)
	}
	require.Equal(t, "save-har", found(s, "svhr")[0], "letters in their order do")
}

func TestThePaletteKeepsItsColumnsApart(t *testing.T) {
	t.Parallel()
	s := loaded(t, newFake(), 80, 24, nil)
	s.press(":")
	s.shows(" vnc          open the desktop in the browser; injects the daemon an…  v │",
		" new-preview  create a preview")
}

func TestThePaletteOffersWhatWorksHere(t *testing.T) {
	t.Parallel()
	for _, readOnly := range []bool{false, true} {
		m := still(t, 200, 100, newFake(), func(o *Options) { o.ReadOnly = readOnly })
		for _, ref := range []api.Ref{boxRef, webRef, api.Host} {
			m.list.Select(ref)
			for tab := range tabNames {
				m.goTo(tab)
				m.dispatch.openPalette()
				offered := map[string]bool{}
				for _, c := range m.overlays[0].(*dialog.Picker).All {
					name, _, _ := strings.Cut(c.Words, " ")
					offered[name] = true
				}
				m.overlays = nil
				for i := range m.dispatch.table {
					if a := m.dispatch.table[i]; a.group != groupMove {
						require.Equal(t, m.dispatch.usable(a, m.place()), offered[a.id], "%s in %s of %s", a.id,
							tabNames[tab], ref)
					}
				}
			}
		}
	}
}

func TestAnActionThatNoLongerAppliesIsNotRun(t *testing.T) {
	t.Parallel()
	s := loaded(t, newFake(), 120, 40, nil)
	s.send(runMsg{action: "find"}) // it was offered in an inspector that is closed now
	s.shows("find does not apply here now")
}

// offered is what enter sends in the open palette for an action.
func offered(t *testing.T, m *model, action string) runMsg {
	t.Helper()
	for _, c := range m.overlays[0].(*dialog.Picker).All {
		if c.Words == action {
			m.overlays = nil
			return c.Then().(runMsg)
		}
	}
	require.Fail(t, "the palette does not offer "+action)
	return runMsg{}
}

func TestThePaletteActsOnTheSandboxThatItWasOpenedOn(t *testing.T) {
	t.Parallel()
	m := still(t, 120, 40, newFake(), nil)
	m.list.Select(webRef)
	m.dispatch.openPalette()
	inject := offered(t, m, "inject")
	m.Update(pane.EventsMsg{{Kind: api.EventRemoved, Sandbox: &api.Sandbox{Ref: webRef}}})
	s, _ := m.selected()
	require.True(t, world.Injectable(s), "another one is chosen that could be injected")
	m.Update(inject)
	require.False(t, m.World.Injecting(s.Ref))
	require.Empty(t, m.sandboxes.waiting)
	require.Contains(t, ansi.Strip(m.View()), "inject: selection changed; nothing was done")

	m.dispatch.openPalette()
	m.Update(offered(t, m, "inject"))
	require.True(t, m.sandboxes.waiting[s.Ref])
}

func TestThePaletteActsOnTheRequestThatItWasOpenedOn(t *testing.T) {
	t.Parallel()
	f := busyFake()
	m := still(t, 120, 40, f, nil)
	m.goTo(tabRequests)
	m.Update(newsOf(f.exchanges[1:]))
	newer := func(id uint64) {
		m.Update(pane.EventsMsg{{Kind: api.EventExchange,
			Exchange: &api.Exchange{ID: id, Start: clock, Method: "PUT", Path: "/newer", Sandbox: "my-sandbox"}}})
	}
	m.dispatch.openPalette()
	replay := offered(t, m, "replay")
	newer(300)
	m.Update(replay)
	require.Contains(t, ansi.Strip(m.View()), "POST /api/login")
	x, _ := m.requests().Exchange()
	require.EqualValues(t, 207, x.ID, "the cursor is at what the question is about")

	m.overlays = nil
	m.dispatch.openPalette()
	har := offered(t, m, "save-har")
	newer(301)
	_, cmd := m.Update(har)
	require.NotNil(t, cmd)
	require.NotContains(t, ansi.Strip(m.View()), "selection changed", "that is about no one request")

	m.list.Select(webRef) // it is not in the list any more
	m.arrange()
	m.Update(replay)
	requireNothingOver(t, m)
	require.Contains(t, ansi.Strip(m.View()), "replay: selection changed; nothing was done")
}

func TestThePaletteActsOnThePreviewThatItWasOpenedOn(t *testing.T) {
	t.Parallel()
	m := still(t, 120, 40, newFake(), nil)
	m.dispatch.openPalette()
	revoke := offered(t, m, "revoke")
	m.World.ApplyLink(api.Link{ID: "new", Token: "newtoken", URL: "http://localhost:8080/preview/newtoken",
		Port: 3000, Sandbox: boxRef, SandboxName: "my-sandbox", State: "active", CreatedAt: clock})
	m.Update(revoke)
	requireNothingOver(t, m)
	m.dispatch.openPalette()
	m.Update(offered(t, m, "revoke"))
	require.Contains(t, ansi.Strip(m.View()), "Revoke the preview of port 3000")
}

func TestWhyThereAreNoEnginesStandsInTheirPicker(t *testing.T) {
	t.Parallel()
	f := newFake()
	f.engines = nil
	f.fail["Engines"] = &api.Problem{Detail: "the docker contexts cannot be read " +
		strings.Repeat("by anybody ", 10), Hint: "look at ~/.docker/contexts"}
	s := loaded(t, f, 80, 24, nil)
	s.press("E")
	s.shows("the docker contexts cannot be read", "look at ~/.docker/contexts")
	require.NotContains(t, s.text(), "asking")
	s.press("x", "esc")
	s.nothingOver()
}
