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
