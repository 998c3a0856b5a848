package tui

import (
	"encoding/binary"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	tea "github.com/charmbracelet/bubbletea"
	"github.com/charmbracelet/x/ansi"
	"github.com/stretchr/testify/require"

	"daemon-proxy/core/api"
	"daemon-proxy/tui/pane"
	"daemon-proxy/tui/requests"
)

// busyFake is a fake with exchanges of every kind.
func busyFake() *fake {
	f := newFake()
	at := func(d time.Duration) time.Time { return clock.Add(-d) }
	frames := []api.Frame{
		{Time: at(3 * time.Second), FromClient: true, Opcode: 1, Size: 16, Final: true,
			Data: []byte(`{"type":"hello"}`)},
		{Time: at(2 * time.Second), Opcode: 2, Size: 2000, Final: true, Data: []byte{0xde, 0xad, 0xbe, 0xef}},
		{Time: at(time.Second), Opcode: 8, Size: 8, Final: true,
			Data: append(binary.BigEndian.AppendUint16(nil, 1001), "moving"...)},
	}
	list := []api.Exchange{
		{ID: 208, Start: at(19 * time.Second), Method: "GET", Path: "/api/users?page=2", Status: 502, Port: 5173,
			Kind: "preview", Protocol: "http", Duration: 1200 * time.Microsecond, Code: api.CodePortClosed},
		{ID: 207, Start: at(20*time.Second + 130*time.Millisecond), Method: "POST", Path: "/api/login", Status: 500,
			Port: 8000, LinkID: "9qf", Kind: "preview", Protocol: "http",
			Wait: 1100 * time.Microsecond, FirstByte: 87 * time.Millisecond, Duration: 88100 * time.Microsecond,
			BytesIn: 412, BytesOut: 1400},
		{ID: 206, Start: at(72 * time.Second), Method: "GET", Path: "/", Status: 101, Port: 5173, Kind: "preview",
			Protocol: "websocket", Live: true, Wait: time.Millisecond, FirstByte: 3 * time.Millisecond, Frames: 214,
			BytesIn: 16, BytesOut: 223_000},
		{ID: 205, Start: at(80 * time.Second), Method: "GET", Path: "/logo.png", Status: 200, Port: 3000,
			Kind: "preview", Protocol: "http", Wait: time.Millisecond, FirstByte: 2 * time.Millisecond,
			Duration: 5 * time.Millisecond, BytesOut: 90_000},
		{ID: 204, Start: at(90 * time.Second), Method: "DELETE", Path: "/api/items/7?token=***", Status: 204,
			Port: 8000, Kind: "proxy", Protocol: "http", Duration: 7 * time.Millisecond, Note: "replay of #12"},
	}
	for i := range list {
		list[i].Sandbox = "my-sandbox"
	}
	f.exchanges = append(list, f.exchanges...)
	f.exchanges = append(f.exchanges,
		api.Exchange{ID: 3, Start: at(time.Hour), Method: "GET", Path: "/elsewhere", Status: 200, Sandbox: "web",
			Port: 80, Kind: "preview", Protocol: "http", Duration: time.Millisecond})
	f.details = map[uint64]api.ExchangeDetail{
		207: {
			Exchange: list[1],
			RequestHeader: http.Header{"Content-Type": {"application/json"}, "Authorization": {"Bearer ••••"},
				"Accept": {"*/*"}},
			ResponseHeader: http.Header{"Content-Type": {"application/json; charset=utf-8"},
				"Set-Cookie": {"sid=••••; Path=/"}},
			RequestBody:  []byte(`{"user":"anna","password":"••••","nested":{"api_key":"••••","n":[1,2]}}`),
			ResponseBody: []byte(`{"error":"database is locked","trace":[{"line":12},{"line":99}],"ok":false`),
		},
		206: {Exchange: list[2], RequestHeader: http.Header{"Upgrade": {"websocket"}},
			ResponseHeader: http.Header{"Upgrade": {"websocket"}}, Frames: frames},
		205: {Exchange: list[3], RequestHeader: http.Header{"Accept": {"image/*"}},
			ResponseHeader: http.Header{"Content-Type": {"image/png"}},
			ResponseBody:   append([]byte("\x89PNG\r\n\x1a\n\x00\x00"), make([]byte, 200)...)},
	}
	f.details[207].ResponseHeader.Set("Content-Security-Policy",
		"default-src 'self'; script-src "+strings.Repeat("http://*.localhost:8080 ", 8)+"'last'")
	return f
}

// requestsScreen shows the requests of a busy sandbox.
func requestsScreen(t *testing.T, f *fake, width, height int, with func(*Options)) *screen {
	t.Helper()
	s := loaded(t, f, width, height, with)
	s.toRequests()
	return s
}

// toRequests goes to the requests and presses keys there.
func (s *screen) toRequests(keys ...string) {
	s.t.Helper()
	s.m.requests().Dir = s.t.TempDir()
	s.press("2")
	s.until("the requests are there", func() bool { _, ok := s.m.requests().Exchange(); return ok })
	s.press(keys...)
}

// pathAt is the path of the exchange at the cursor.
func (s *screen) pathAt() string {
	x, _ := s.m.requests().Exchange()
	return x.Path
}

func TestRequestsAreAsDrawn(t *testing.T) {
	t.Parallel()
	const windows = "80x24 120x40 200x60 120x30-ascii 120x30-mono"
	drawn(t, "requests", windows, busyFake, func(s *screen) { s.toRequests("down") })
	drawn(t, "inspector", windows, busyFake, func(s *screen) {
		s.toRequests("down", "enter")
		s.shows("anna")
	})
	drawn(t, "folded", "120x30 80x24-ascii", busyFake, func(s *screen) {
		s.toRequests("down", "enter")
		s.shows("anna")
		s.press("space")
	})
}

func TestNewRequestsAreFollowedUntilOneGoesDown(t *testing.T) {
	t.Parallel()
	s := requestsScreen(t, busyFake(), 120, 20, nil)
	require.Equal(t, "/api/users?page=2", s.pathAt())
	next := func(id uint64) api.Exchange {
		return api.Exchange{ID: id, Start: clock, Method: "GET", Path: fmt.Sprint("/new/", id), Status: 200,
			Sandbox: "my-sandbox", Port: 3000, Protocol: "http"}
	}
	s.f.add(next(300))
	s.shows("/new/300")
	require.Equal(t, "/new/300", s.pathAt(), "the newest is followed")

	s.press("down", "down")
	require.Equal(t, "/api/login", s.pathAt())
	line := strings.Index(s.text(), "▸ 14:02:09")
	for id := range uint64(37) {
		s.f.add(next(301 + id))
	}
	s.shows("PAUSED +37")
	require.Equal(t, "/api/login", s.pathAt())
	require.Equal(t, line, strings.Index(s.text(), "▸ 14:02:09"), "it does not move on the screen")

	s.press("f")
	require.Equal(t, "/new/337", s.pathAt())
	require.Contains(t, s.text(), "following")
	s.press("f")
	s.f.add(next(400))
	s.shows("PAUSED +1")
	s.press("g")
	require.Equal(t, "/new/400", s.pathAt(), "at the newest it follows again")
	require.Contains(t, s.text(), "following")
}

func TestLiveExchangesStayAtTheirPlaceAndCountUp(t *testing.T) {
	t.Parallel()
	inProcess(t, "the clock is made up")
	synctest.Test(t, liveExchangesStayAtTheirPlace)
}

func liveExchangesStayAtTheirPlace(t *testing.T) {
	t.Cleanup(func() { <-time.After(2 * time.Minute) }) // timers that have begun end
	f := busyFake()
	s := requestsScreen(t, f, 200, 30, nil)
	s.shows("⇅ 214 frames", "1m12s")
	live := f.exchanges[2]
	live.Frames, live.BytesOut = 240, 230_000
	f.mu.Lock()
	f.exchanges[2] = live // without an event: it is asked for once a second
	f.mu.Unlock()
	s.shows("⇅ 240 frames", "230.0 kB")
	live.Live, live.Duration = false, 75*time.Second
	f.add(live)
	s.shows("1m15s")
	late := live
	late.Live = true
	s.m.Update(pane.EventsMsg{{Kind: api.EventExchange, Exchange: &late}})
	require.Contains(t, s.text(), "1m15s", "late news do not bring it back to life")
	s.pass(10 * time.Second) // what was due
	asked := len(s.f.calls("Exchanges"))
	s.pass(10 * time.Second)
	require.Len(t, s.f.calls("Exchanges"), asked, "nothing is asked for when nothing is live")
}

func TestTheFilterOfRequestsIsLive(t *testing.T) {
	t.Parallel()
	s := requestsScreen(t, busyFake(), 120, 30, nil)
	s.press("/")
	s.word("status:5xx")
	s.shows("5 of 17")
	s.until("the whole filter is asked for",
		func() bool { return len(s.f.calls("Exchanges sandbox:default/my-sandbox status:5xx")) > 0 })
	require.Contains(t, s.f.calls("Exchanges"), "Exchanges sandbox:default/my-sandbox status:5xx 0")
	require.NotContains(t, s.text(), "/logo.png")

	s.send(tea.KeyMsg{Type: tea.KeyRunes, Runes: []rune(" bogus:"), Paste: true})
	s.shows(`there is no "bogus"`, "status:5xx bogus:", "5 of 17")
	require.Contains(t, s.text(), "/api/login", "the list stays while the filter is wrong")
	for range len(" bogus:") {
		s.press("backspace")
	}
	s.press("enter")
	s.hides(`there is no "bogus"`)

	s.f.add(api.Exchange{ID: 500, Start: clock, Method: "GET", Path: "/fine", Status: 200, Sandbox: "my-sandbox"},
		api.Exchange{ID: 501, Start: clock, Method: "GET", Path: "/broken", Status: 503, Sandbox: "my-sandbox"})
	s.shows("/broken", "6 of 19")
	require.NotContains(t, s.text(), "/fine")

	require.Equal(t, requests.State{Filter: "status:5xx"}, s.m.requests().State())
	s.press("esc")
	s.shows("/fine", "19 requests")
	require.False(t, s.m.listFocused, "esc clears the filter first")
	s.press("esc")
	require.True(t, s.m.listFocused)
}

func TestABurstBehindAFilterLeavesNoGap(t *testing.T) {
	t.Parallel()
	s := requestsScreen(t, busyFake(), 120, 30, nil)
	s.press("/")
	s.word("/burst")
	s.press("enter")
	s.shows("0 of 17", "no request matches")
	for id := range uint64(600) {
		s.f.add(api.Exchange{ID: 1000 + id, Start: clock, Method: "GET", Path: "/burst", Status: 200,
			Sandbox: "my-sandbox"})
	}
	s.shows("600 of 617")
	for i := range 600 {
		x, _ := s.m.requests().Exchange()
		require.EqualValues(t, 1599-i, x.ID)
		s.m.Update(tea.KeyMsg{Type: tea.KeyDown})
	}
	require.Less(t, len(s.f.calls("Exchanges")), 30, "not once for each event")
}

func TestRequestsOfAllSandboxes(t *testing.T) {
	t.Parallel()
	s := requestsScreen(t, busyFake(), 200, 40, nil)
	require.NotContains(t, s.text(), "/elsewhere")
	s.press("a")
	s.shows("all sandboxes", "/elsewhere", "18 requests")
	s.press("a")
	s.shows("17 requests")
	require.NotContains(t, s.text(), "/elsewhere")
	s.press("esc", "j", "2")
	s.shows("no request went to")
}

func TestRequestsOfAllSandboxesAreThereWhereTheListHidesAll(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "tui.json")
	require.NoError(t, os.WriteFile(file,
		[]byte(`{"filter":"nothing has that name","tab":1,"requests":{"everywhere":true}}`), 0o600))
	s := loaded(t, busyFake(), 200, 40, func(o *Options) { o.StateFile = file })
	s.shows("/elsewhere", "18 requests")
	require.Equal(t, api.Ref{}, s.m.list.Selected)
	s.press("2", "a")
	s.shows("no sandbox is chosen")
}

// readOnly takes no file away: it is this machine's.
func readOnly(o *Options) { o.ReadOnly = true }

func TestRequestsAreSavedAsHAR(t *testing.T) {
	t.Parallel()
	f := busyFake()
	f.har = []byte(`{"log": {"entries": []}}`)
	s := requestsScreen(t, f, 120, 30, readOnly)
	s.press("/")
	s.word("login")
	s.press("enter", "S")
	file := filepath.Join(s.m.requests().Dir, "daemon-proxy-20260504-140230.har")
	s.shows("nothing to save: the list has no request that has ended")
	require.NoFileExists(t, file)
	f.mu.Lock()
	f.har = []byte(`{"log": {"entries": [{}, {}]}}`)
	f.mu.Unlock()
	s.press("S")
	s.until("it is saved", func() bool { _, err := os.Stat(file); return err == nil })
	s.shows("saved 2 requests (30 B) in")
	require.Equal(t, "HAR sandbox:default/my-sandbox login", s.f.calls("HAR")[0])
	info, err := os.Stat(file)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
	s.press("S")
	s.shows("save the requests: ", "exists")
}

// newsOf is the news of exchanges that are given newest first.
func newsOf(newestFirst []api.Exchange) (batch pane.EventsMsg) {
	for _, x := range slices.Backward(newestFirst) {
		batch = append(batch, api.Event{Kind: api.EventExchange, Exchange: &x})
	}
	return batch
}

func BenchmarkRequests(b *testing.B) {
	f := crowd(500, 10_000)
	m := still(b, 200, 60, f, nil)
	m.follow.screen = fakeScreen{fake: f}
	m.goTo(tabRequests)
	m.Update(newsOf(f.exchanges))
	keys := []tea.KeyMsg{{Type: tea.KeyDown}, {Type: tea.KeyPgDown}, {Type: tea.KeyUp}, {Type: tea.KeyPgUp}}
	for i := 0; b.Loop(); i++ {
		m.Update(keys[i%len(keys)])
		_ = m.View()
	}
	require.NotEmpty(b, ansi.Strip(m.View()))
}

// TestKeysAreFastWithManyRequests holds Update and View together to an order
// of magnitude more than the 8 ms that they may take.
func TestKeysAreFastWithManyRequests(t *testing.T) {
	result := testing.Benchmark(BenchmarkRequests)
	each := time.Duration(result.NsPerOp())
	t.Logf("Update and View with 500 containers and 10,000 requests: %s", each)
	require.Less(t, each, 80*time.Millisecond)
}

func BenchmarkRequestsBurst(b *testing.B) {
	f := crowd(500, 10_000)
	m := still(b, 200, 60, f, nil)
	m.follow.screen = fakeScreen{fake: f}
	m.goTo(tabRequests)
	m.Update(newsOf(f.exchanges))
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
	require.Regexp(b, `1[01],\d{3} requests`, ansi.Strip(m.View()), "the oldest are dropped")
}
