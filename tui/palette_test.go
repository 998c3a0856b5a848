package tui

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"daemon-proxy/core/api"
)

func TestThePaletteRunsWhatItFinds(t *testing.T) {
	t.Parallel()
	s := loaded(t, newFake(), 120, 40, nil)
	s.press(":")
	s.word("engi")
	s.press("enter")
	s.shows("Engines", "ssh://lab")
	s.word("lab")
	s.press("enter")
	s.until("it is switched", func() bool { return len(s.f.calls("SwitchEngine")) == 1 })
}

func TestThePaletteRanksPlainWordsFirst(t *testing.T) {
	t.Parallel()
	s := loaded(t, newFake(), 120, 40, nil)
	s.press("2", ":")
	palette := s.m.overlays[0].(*picker)
	for typed, want := range map[string][]string{
		"har":      {"save-har", "share"}, // shell has these letters too
		"shell":    {"shell"},
		"PHONE":    {"share"},
		"requests": {"all-requests", "filter-requests"},
		"eng":      {"engine", "refresh"},
	} {
		palette.input.SetValue(typed)
		palette.search()
		var got []string
		for _, c := range palette.found[:len(want)] {
			got = append(got, c.words)
		}
		require.Equal(t, want, got, typed)
	}
	palette.input.SetValue("svhr")
	palette.search()
	require.Equal(t, "save-har", palette.found[0].words, "letters in their order do")
}

func TestThePaletteKeepsItsColumnsApart(t *testing.T) {
	t.Parallel()
	s := loaded(t, newFake(), 80, 24, nil)
	s.press(":")
	s.shows(" vnc          open the VNC desktop in the browser: injects and makes…  v │", " new-preview  a new preview")
}

func TestThePaletteOffersWhatWorksHere(t *testing.T) {
	t.Parallel()
	for _, readOnly := range []bool{false, true} {
		m := still(t, 200, 100, newFake(), func(o *Options) { o.ReadOnly = readOnly })
		for _, ref := range []api.Ref{boxRef, webRef, api.Host} {
			m.list.want(ref)
			for tab := range tabNames {
				m.goTo(tab)
				m.openPalette()
				offered := map[string]bool{}
				for _, c := range m.overlays[0].(*picker).all {
					name, _, _ := strings.Cut(c.words, " ")
					offered[name] = true
				}
				m.overlays = nil
				for i := range m.keys.actions {
					if a := &m.keys.actions[i]; a.group != groupMove {
						require.Equal(t, m.keys.usable(m, a, m.place()), offered[a.id], "%s in %s of %s", a.id, tabNames[tab], ref)
					}
				}
			}
		}
	}
}

func TestAnActionThatNoLongerAppliesIsNotRun(t *testing.T) {
	t.Parallel()
	s := loaded(t, newFake(), 120, 40, nil)
	s.send(runMsg("find")) // it was offered in an inspector that is closed now
	s.shows("find does not apply here now")
}
