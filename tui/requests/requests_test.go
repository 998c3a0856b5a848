package requests

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/charmbracelet/x/ansi"
	"github.com/stretchr/testify/require"

	"daemon-proxy/core/api"
	"daemon-proxy/tui/draw"
	"daemon-proxy/tui/pane"
	"daemon-proxy/tui/world"
)

var start = time.Date(2026, 5, 4, 14, 2, 30, 0, time.UTC)

// newPane is a pane of the requests of all sandboxes; its commands are not run.
func newPane(now func() time.Time) *Pane {
	key := func(action string) string { return action }
	p := New(pane.Env{Look: draw.New("mono", false), World: world.New(), Now: now, Key: key}, nil, State{Everywhere: true})
	p.Show(api.Host, 140, 20, true)
	return p
}

func atStart() time.Time { return start }

func drawnOf(p *Pane) string { return ansi.Strip(strings.Join(p.View(true), "\n")) }

func TestTheSpeedOfALiveExchangeIsShown(t *testing.T) {
	t.Parallel()
	now := start
	p := newPane(func() time.Time { return now })
	x := api.Exchange{ID: 1, Live: true, Protocol: "websocket", Frames: 2, BytesOut: 1000, Start: start}
	live := func(list ...api.Exchange) { p.HandleMsg(exchangesMsg{what: askedLive, number: p.scope, list: list}) }
	live(x)
	require.Contains(t, drawnOf(p), "websocket  ⇅ 2 frames ")
	now, x.BytesOut = start.Add(2*time.Second), 7200
	live(x)
	require.Contains(t, drawnOf(p), "websocket  ⇅ 2 frames  3.1 kB/s")
	live()
	require.Empty(t, p.flows)
}

func TestWhatIsWrongWithAFilterIsSaidWhole(t *testing.T) {
	t.Parallel()
	wrong := errors.New("localhost:8080/api: there is no filter named localhost; the names are code, host, link, live, " +
		"method, path, port, sandbox, status and more")
	for _, width := range []int{60, 80, 120} {
		p := newPane(atStart)
		p.Show(api.Host, width, 20, true)
		p.HandleMsg(exchangesMsg{what: askedFilter, number: p.asked, err: wrong})
		said := strings.Join(strings.Fields(drawnOf(p)), " ")
		require.Contains(t, said, wrong.Error())
	}
}

func TestAnOldAnswerForAFilterIsDropped(t *testing.T) {
	t.Parallel()
	p := newPane(atStart)
	p.HandleMsg(exchangesMsg{what: askedAll, number: p.scope, list: []api.Exchange{{ID: 2}, {ID: 1}}})
	p.filter.SetValue("logo")
	p.refilter()
	p.HandleMsg(exchangesMsg{what: askedFilter, number: p.asked, list: []api.Exchange{{ID: 2}}})
	p.HandleMsg(exchangesMsg{what: askedFilter, number: p.asked - 1, list: []api.Exchange{{ID: 2}, {ID: 1}}})
	p.HandleMsg(exchangesMsg{what: askedAll, number: p.scope - 1})
	require.Contains(t, drawnOf(p), "1 of 2")
}

func TestNoRequestIsSaidOnlyOnceThatIsKnown(t *testing.T) {
	t.Parallel()
	p := newPane(atStart)
	for range 2 {
		p.ToggleEverywhere()
		require.Contains(t, drawnOf(p), "asking…")
		p.HandleMsg(exchangesMsg{what: askedAll, number: p.scope})
		require.Contains(t, drawnOf(p), "no request went to")
	}
}

func TestBesideARequestThatTheFilterDroppedIsTheNextOne(t *testing.T) {
	t.Parallel()
	p := newPane(atStart)
	x := func(id uint64) api.Exchange { return api.Exchange{ID: id, Live: true} }
	p.store.load([]api.Exchange{x(99), x(97), x(95), x(93)})
	p.store.take([]api.Exchange{x(99), x(95), x(93)}) // 97 has ended
	p.Show(api.Host, 80, 20, true)
	at := func() uint64 { x, _ := p.Exchange(); return x.ID }
	for by, want := range map[int]uint64{1: 95, -1: 99} {
		p.Inspect(97)
		require.EqualValues(t, 97, at())
		p.Beside(by)
		require.Equal(t, want, at())
		require.Equal(t, want, p.Chosen)
	}
	p.Inspect(95)
	p.Beside(1)
	require.EqualValues(t, 93, at())
}
