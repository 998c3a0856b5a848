package tui

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	tea "github.com/charmbracelet/bubbletea"
	"github.com/charmbracelet/x/ansi"
	"github.com/stretchr/testify/require"

	"daemon-proxy/core/api"
	"daemon-proxy/core/traffic"
)

// busyFake is a fake with exchanges of every kind.
func busyFake() *fake {
	f := newFake()
	at := func(d time.Duration) time.Time { return clock.Add(-d) }
	frames := []api.Frame{
		{Time: at(3 * time.Second), FromClient: true, Opcode: 1, Size: 16, Final: true, Data: []byte(`{"type":"hello"}`)},
		{Time: at(2 * time.Second), Opcode: 2, Size: 2000, Final: true, Data: []byte{0xde, 0xad, 0xbe, 0xef}},
		{Time: at(time.Second), Opcode: 8, Size: 8, Final: true, Data: append(binary.BigEndian.AppendUint16(nil, 1001), "moving"...)},
	}
	list := []api.Exchange{
		{ID: 208, Start: at(19 * time.Second), Method: "GET", Path: "/api/users?page=2", Status: 502, Port: 5173, Kind: "preview", Protocol: "http", Duration: 1200 * time.Microsecond, Code: api.CodePortClosed},
		{ID: 207, Start: at(20*time.Second + 130*time.Millisecond), Method: "POST", Path: "/api/login", Status: 500, Port: 8000, LinkID: "9qf", Kind: "preview", Protocol: "http",
			Wait: 1100 * time.Microsecond, FirstByte: 87 * time.Millisecond, Duration: 88100 * time.Microsecond, BytesIn: 412, BytesOut: 1400},
		{ID: 206, Start: at(72 * time.Second), Method: "GET", Path: "/", Status: 101, Port: 5173, Kind: "preview", Protocol: "websocket", Live: true, Wait: time.Millisecond, FirstByte: 3 * time.Millisecond, Frames: 214, BytesIn: 16, BytesOut: 223_000},
		{ID: 205, Start: at(80 * time.Second), Method: "GET", Path: "/logo.png", Status: 200, Port: 3000, Kind: "preview", Protocol: "http", Wait: time.Millisecond, FirstByte: 2 * time.Millisecond, Duration: 5 * time.Millisecond, BytesOut: 90_000},
		{ID: 204, Start: at(90 * time.Second), Method: "DELETE", Path: "/api/items/7?token=***", Status: 204, Port: 8000, Kind: "proxy", Protocol: "http", Duration: 7 * time.Millisecond, Note: "replay of #12"},
	}
	for i := range list {
		list[i].Sandbox = "my-sandbox"
	}
	f.exchanges = append(list, f.exchanges...)
	f.exchanges = append(f.exchanges, api.Exchange{ID: 3, Start: at(time.Hour), Method: "GET", Path: "/elsewhere", Status: 200, Sandbox: "web", Port: 80, Kind: "preview", Protocol: "http", Duration: time.Millisecond})
	f.details = map[uint64]api.ExchangeDetail{
		207: {
			Exchange:       list[1],
			RequestHeader:  http.Header{"Content-Type": {"application/json"}, "Authorization": {"Bearer ••••"}, "Accept": {"*/*"}},
			ResponseHeader: http.Header{"Content-Type": {"application/json; charset=utf-8"}, "Set-Cookie": {"sid=••••; Path=/"}},
			RequestBody:    []byte(`{"user":"anna","password":"••••","nested":{"api_key":"••••","n":[1,2]}}`),
			ResponseBody:   []byte(`{"error":"database is locked","trace":[{"line":12},{"line":99}],"ok":false`),
		},
		206: {Exchange: list[2], RequestHeader: http.Header{"Upgrade": {"websocket"}}, ResponseHeader: http.Header{"Upgrade": {"websocket"}}, Frames: frames},
		205: {Exchange: list[3], RequestHeader: http.Header{"Accept": {"image/*"}}, ResponseHeader: http.Header{"Content-Type": {"image/png"}},
			ResponseBody: append([]byte("\x89PNG\r\n\x1a\n\x00\x00"), make([]byte, 200)...)},
	}
	f.details[207].ResponseHeader.Set("Content-Security-Policy", "default-src 'self'; script-src "+strings.Repeat("http://*.localhost:8080 ", 8)+"'last'")
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
	s.m.requests().dir = s.t.TempDir()
	s.press("2")
	s.until("the requests are there", func() bool { return len(s.m.requests().store.all) > 0 })
	s.press(keys...)
}

// pathAt is the path of the exchange at the cursor.
func (s *screen) pathAt() string {
	x, _ := s.m.requests().store.row(s.m.requests().cursor.at)
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
		return api.Exchange{ID: id, Start: clock, Method: "GET", Path: fmt.Sprint("/new/", id), Status: 200, Sandbox: "my-sandbox", Port: 3000, Protocol: "http"}
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
	s.m.Update(eventsMsg{{Kind: api.EventExchange, Exchange: &late}})
	x, _ := s.m.requests().store.row(2)
	require.False(t, x.Live, "late news do not bring it back to life")
	require.EqualValues(t, 206, x.ID)
	s.m.requests().polling = false
	require.Nil(t, s.m.requests().pollSoon(), "nothing is asked for when nothing is live")
}

func TestTheSpeedOfALiveExchangeIsShown(t *testing.T) {
	t.Parallel()
	now := clock
	p := newRequests(newLook("mono", false), nil, commands{}, func() time.Time { return now }, nil, requestsState{})
	x := api.Exchange{ID: 1, Live: true, Protocol: "websocket", Frames: 2, BytesOut: 1000, Start: clock}
	p.takeLive([]api.Exchange{x})
	require.Equal(t, "websocket  ⇅ 2 frames", p.note(x))
	now, x.BytesOut = clock.Add(2*time.Second), 7200
	p.takeLive([]api.Exchange{x})
	require.Equal(t, "websocket  ⇅ 2 frames  3.1 kB/s", p.note(x))
	p.takeLive(nil)
	require.Empty(t, p.flows)
}

func TestTheFilterOfRequestsIsLive(t *testing.T) {
	t.Parallel()
	s := requestsScreen(t, busyFake(), 120, 30, nil)
	s.press("/")
	s.word("status:5xx")
	s.shows("5 of 17")
	s.until("the whole filter is asked for", func() bool { return len(s.f.calls("Exchanges sandbox:my-sandbox status:5xx")) > 0 })
	require.Contains(t, s.f.calls("Exchanges"), "Exchanges sandbox:my-sandbox status:5xx 0")
	require.NotContains(t, s.text(), "/logo.png")

	s.send(tea.KeyMsg{Type: tea.KeyRunes, Runes: []rune(" bogus:"), Paste: true})
	s.shows(`there is no "bogus"`, "status:5xx bogus:", "5 of 17")
	require.Contains(t, s.text(), "/api/login", "the list stays while the filter is wrong")
	for range len(" bogus:") {
		s.press("backspace")
	}
	s.press("enter")
	s.until("it is right again", func() bool { return s.m.requests().wrong == nil })

	s.f.add(api.Exchange{ID: 500, Start: clock, Method: "GET", Path: "/fine", Status: 200, Sandbox: "my-sandbox"},
		api.Exchange{ID: 501, Start: clock, Method: "GET", Path: "/broken", Status: 503, Sandbox: "my-sandbox"})
	s.shows("/broken", "6 of 19")
	require.NotContains(t, s.text(), "/fine")

	require.Equal(t, requestsState{Filter: "status:5xx"}, s.m.requests().state())
	s.press("esc")
	s.shows("/fine", "19 requests")
	require.False(t, s.m.listFocused, "esc clears the filter first")
	s.press("esc")
	require.True(t, s.m.listFocused)
}

func TestWhatIsWrongWithAFilterIsSaidWhole(t *testing.T) {
	t.Parallel()
	_, wrong := traffic.ParseFilter("localhost:8080/api")
	require.Error(t, wrong)
	for _, width := range []int{60, 80, 120} {
		s := requestsScreen(t, busyFake(), width, 30, nil)
		p := s.m.requests()
		p.wrong = wrong
		var said []string
		for _, line := range p.wrongLines() {
			said = append(said, strings.TrimSpace(ansi.Strip(line)))
		}
		require.Equal(t, wrong.Error(), strings.Join(said, " "))
	}
}

func TestAnOldAnswerForAFilterIsDropped(t *testing.T) {
	t.Parallel()
	s := requestsScreen(t, busyFake(), 120, 30, nil)
	p := s.m.requests()
	s.press("/")
	s.word("logo")
	s.shows("1 of 17")
	s.send(exchangesMsg{what: askedFilter, number: p.asked - 1, list: s.f.exchanges})
	s.send(exchangesMsg{what: askedAll, number: p.scope - 1})
	require.Equal(t, 1, p.store.count())
	require.Len(t, p.store.all, 17)
}

func TestABurstBehindAFilterLeavesNoGap(t *testing.T) {
	t.Parallel()
	s := requestsScreen(t, busyFake(), 120, 30, nil)
	s.press("/")
	s.word("/burst")
	s.press("enter")
	s.shows("0 of 17", "no request matches")
	for id := range uint64(3 * pageSize) {
		s.f.add(api.Exchange{ID: 1000 + id, Start: clock, Method: "GET", Path: "/burst", Status: 200, Sandbox: "my-sandbox"})
	}
	s.shows("600 of 617")
	for i := range 600 {
		x, _ := s.m.requests().store.row(i)
		require.EqualValues(t, 1599-i, x.ID)
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
	s.until("another sandbox has its own", func() bool { return s.m.requests().ref.Name != "my-sandbox" })
	s.shows("no request went to")
}

// readOnly takes no file away: it is this machine's.
func readOnly(o *Options) { o.ReadOnly = true }

func TestRequestsAreSavedAsHAR(t *testing.T) {
	t.Parallel()
	s := requestsScreen(t, busyFake(), 120, 30, readOnly)
	s.press("/")
	s.word("login")
	s.press("enter", "S")
	file := filepath.Join(s.m.requests().dir, "daemon-proxy-20260504-140230.har")
	s.until("it is saved", func() bool { _, err := os.Stat(file); return err == nil })
	s.shows("saved 2 B in")
	require.Equal(t, []string{"HAR sandbox:my-sandbox login"}, s.f.calls("HAR"))
	info, err := os.Stat(file)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
	s.press("S")
	s.shows("save the requests: ", "file exists")
}

func TestTheInspectorShowsAnExchangeWhole(t *testing.T) {
	t.Parallel()
	s := requestsScreen(t, busyFake(), 120, 40, nil)
	s.press("down", "enter")
	s.shows("POST /api/login ── 500 in 88ms ── my-sandbox:8000 via link 9qf ── 14:02:09.870",
		"waited 1.1ms", "first byte 86ms", "body 1.1ms", `"user": "anna"`, `"password": "••••"`, `"database is locked"`, "set-cookie: sid=••••; Path=/", "the first 74 B of 1.4 kB")
	require.NotContains(t, s.text(), "hunter2")
	require.NotContains(t, s.text(), "k1")

	s.press("left")
	s.shows("⇅"[:0], "GET / ── 101", "The last 3 of 214 frames", "→ client", `{"type":"hello"}`, "deadbeef", "1001 moving")
	s.press("left")
	s.shows("GET /logo.png", "image/png", "89 50 4e 47", ".PNG....")
	s.press("right", "right", "right")
	s.shows("GET /api/users", "nothing listens on 5173")
	s.press("right")
	s.shows("GET /api/users")
	s.press("esc")
	require.Equal(t, inRequests, s.m.place())
	require.Equal(t, "/api/users?page=2", s.pathAt(), "the cursor went along")
}

func TestTheInspectorFinds(t *testing.T) {
	t.Parallel()
	s := requestsScreen(t, busyFake(), 80, 16, nil)
	s.press("down", "enter")
	s.shows("anna", "← older  → newer  / find  c curl  r replay")
	require.NotContains(t, s.text(), `"line": 99`)
	s.press("/")
	s.word("LINE\": ")
	s.press("enter")
	s.shows("1 of 2", `"line": 12`)
	s.press("n")
	s.shows("2 of 2", `"line": 99`)
	s.press("n", "N")
	s.shows("2 of 2")
	s.press("esc")
	require.Equal(t, inInspector, s.m.place(), "esc ends the search first")
	s.press("g", "tab")
	s.shows("Response  first 74 B of 1.4 kB")
	s.press("esc")
	require.Equal(t, inRequests, s.m.place())
}

func TestSectionsOfTheInspectorFold(t *testing.T) {
	t.Parallel()
	s := requestsScreen(t, busyFake(), 120, 40, nil)
	s.press("down", "enter")
	s.shows("▾ Request  first 87 B of 412 B", "▾ Response  first 74 B of 1.4 kB", "anna")
	s.press("space")
	s.shows("▸ Request  first 87 B of 412 B", "│ ▾ Response  first 74 B of 1.4 kB") // it has the whole width
	require.NotContains(t, s.text(), "anna")
	s.press("tab", "space")
	s.shows("▸ Response  first 74 B of 1.4 kB")
	require.NotContains(t, s.text(), "database is locked")

	s.press("left") // the frames have the room now
	s.shows("▸ Request", "▸ Response", "▾ The last 3 of 214 frames", "deadbeef")
	s.press("tab", "space")
	s.shows("▸ The last 3 of 214 frames")
	require.NotContains(t, s.text(), "deadbeef")
	s.press("right")
	s.shows("POST /api/login", "▸ Request")
	s.press("space")
	s.shows("▾ Request", "anna")

	s.press("/")
	s.word("locked")
	s.shows("▾ Response", "1 of 1") // a search opens all
}

func TestALongHeaderIsOneLineUntilItIsWrapped(t *testing.T) {
	t.Parallel()
	s := requestsScreen(t, busyFake(), 120, 200, nil)
	s.press("down", "enter")
	s.shows("content-security-policy: default-src '… 216 more", "set-cookie: sid=")
	require.NotContains(t, s.text(), "'last'")
	s.press("w")
	s.shows("'last'")
	s.press("left", "right", "w")
	s.shows("216 more")
	s.press("/")
	s.word("'last'")
	s.shows("1 of 1") // a search looks into the whole header
}

func TestTwoSidesOfTheInspectorScrollOneByOne(t *testing.T) {
	t.Parallel()
	s := requestsScreen(t, busyFake(), 120, 16, nil)
	s.press("down", "enter")
	s.shows("▾ Request", "▾ Response", "request ↑↓ 58%")
	s.press("G")
	s.shows("the first 87 B", "▾ Response", "request ↑↓ 100%")
	require.NotContains(t, s.text(), "▾ Request")
	s.press("tab")
	s.shows("the first 87 B", "▾ Response", "response ↑↓ 58%")
	s.press("G")
	s.shows("the first 87 B", "the first 74 B", "response ↑↓ 100%")
	s.press("/")
	s.word("anna")
	s.shows("anna", "request ↑↓") // it stands on the other side
	s.press("esc", "G")
	s.send(tea.MouseMsg{X: 100, Y: 8, Action: tea.MouseActionPress, Button: tea.MouseButtonLeft})
	s.shows("the first 87 B", "response ↑↓") // a click goes to a side

	s.press("space", "space", "left", "left")
	s.shows("/logo.png", "response ↑↓") // a short request gives way to what can be scrolled
	s.press("tab", "down")
	s.shows("/logo.png", "response ↑↓", "▾ Request")
	require.NotContains(t, s.text(), "▾ Response")
}

func TestWhatTheInspectorWrapsLeavesTheFrameFree(t *testing.T) {
	t.Parallel()
	for _, width := range []int{80, 119, 120} {
		f := busyFake()
		d := f.details[207]
		d.RequestBody, d.ResponseBody = []byte(strings.Repeat("x", 3000)), []byte(strings.Repeat("y", 3000))
		f.details[207] = d
		s := requestsScreen(t, f, width, 30, nil)
		s.press("down", "enter")
		s.shows("xxxx")
		s.press("G")
		lines := strings.Split(s.text(), "\n")
		for _, line := range lines[2:26] {
			require.Regexp(t, `^│ .* │$`, line)
		}
	}
}

func TestFramesAreFollowedUntilOneScrollsUp(t *testing.T) {
	t.Parallel()
	f := busyFake()
	socket := f.details[206]
	come := func(n int64) { // the last 200 are kept
		socket.Exchange.Frames, socket.Frames = n, nil
		for i := max(0, n-200); i < n; i++ {
			socket.Frames = append(socket.Frames, api.Frame{Time: clock.Add(time.Duration(i) * time.Millisecond), Opcode: 1, Data: fmt.Append(nil, "frame ", i, ".")})
		}
		f.mu.Lock()
		f.details[206] = socket
		f.mu.Unlock()
	}
	come(214)
	s := requestsScreen(t, f, 80, 24, nil)
	s.press("down", "down", "enter")
	s.shows("frame 213.", "following", "f follow")
	come(300)
	s.shows("frame 299.")
	s.press("pgup")
	s.shows("PAUSED +0 · f follow", "frame 270.")
	was := strings.Split(s.text(), "\n")[5:15]
	come(337)
	s.shows("PAUSED +37")
	require.Equal(t, was, strings.Split(s.text(), "\n")[5:15])
	s.press("f")
	s.shows("frame 336.", "following")
	s.press("f")
	come(340)
	s.shows("PAUSED +3")
	require.NotContains(t, s.text(), "frame 339.")
	s.press("G")
	s.shows("frame 339.", "following")

	socket.Live = false
	come(341)
	s.until("it ended", func() bool { return !strings.Contains(s.text(), "following") })
	s.press("left", "right")
	s.shows("frame 340.") // the newest is what is opened
	s.press("g")
	s.shows("▾ Request")
	require.NotContains(t, s.text(), "PAUSED", "nothing comes any more")
}

func TestAClickOnATitleFolds(t *testing.T) {
	t.Parallel()
	s := requestsScreen(t, busyFake(), 120, 40, nil)
	s.press("down", "enter")
	s.shows("anna")
	click := func(title string) { s.point(tea.MouseButtonLeft, title) }
	click("accept: ")
	click("▾ Response")
	require.Contains(t, s.text(), "▸ Response")
	require.Contains(t, s.text(), "▾ Request")
	click("▾ Request")
	require.Contains(t, s.text(), "▸ Request")
	s.press("/")
	s.word("locked") // one line more above the titles
	click("▾ Request")
	require.Contains(t, s.text(), "▸ Request")
}

func TestS13AReplayAsksBeforeItChangesThings(t *testing.T) {
	t.Parallel()
	s := requestsScreen(t, busyFake(), 120, 40, nil)
	s.press("down", "enter")
	s.shows("anna")
	s.press("r")
	s.shows("Replay POST?", "goes to port 8000 of my-sandbox again")
	s.press("enter")
	require.Empty(t, s.f.calls("Replay"), "no is in focus")
	s.press("r", "right", "enter")
	s.shows("replayed: 201 in 1ms", "POST /again ── 201")
	require.Equal(t, []string{"Replay 207"}, s.f.calls("Replay"))

	s.press("left")
	s.shows("GET /api/users")
	s.press("r")
	s.until("a GET is sent at once", func() bool { return len(s.f.calls("Replay")) == 2 })
	require.Empty(t, s.m.overlays)
}

func TestAFailedReplayIsSaid(t *testing.T) {
	t.Parallel()
	f := busyFake()
	f.fail["Replay"] = &api.Problem{Detail: "its body was not captured whole", Hint: "send it from where it came"}
	s := requestsScreen(t, f, 120, 40, nil)
	s.press("r")
	s.shows("replay: its body was not captured whole", "try: send it from where it came")
}

func TestARequestIsCopiedAsCurl(t *testing.T) {
	t.Parallel()
	s := requestsScreen(t, busyFake(), 120, 40, nil)
	s.press("c")
	s.until("it is copied", func() bool { return len(s.copied.get()) == 1 })
	require.Equal(t, "curl http://localhost:8080/", s.copied.get()[0])
	s.press("down", "enter", "c")
	s.until("the one that is looked into", func() bool { return len(s.f.calls("Curl")) == 2 })
	require.Equal(t, "Curl 207", s.f.calls("Curl")[1])
}

func TestBodiesAreSaved(t *testing.T) {
	t.Parallel()
	s := requestsScreen(t, busyFake(), 200, 40, readOnly)
	s.press("down", "enter")
	s.shows("anna")
	s.press("x")
	s.shows("its first 74 B")
	request, err := os.ReadFile(filepath.Join(s.m.requests().dir, "daemon-proxy-20260504-140230-207-request.json"))
	require.NoError(t, err)
	require.Equal(t, `{"user":"anna","password":"hunter2","nested":{"api_key":"hunter2","n":[1,2]}}`, string(request), "as it passed")
}

func TestAnExchangeThatIsGoneIsSaid(t *testing.T) {
	t.Parallel()
	f := busyFake()
	s := requestsScreen(t, f, 120, 40, nil)
	f.mu.Lock()
	f.exchanges, f.details = nil, nil
	f.mu.Unlock()
	s.press("enter")
	s.shows("the request log does not hold request 208")
	f.fail["Exchanges"] = errors.New("the core does not answer")
	s.press("esc", "a")
	s.shows("the core does not answer")
}

func TestHostileBodiesFitTheScreen(t *testing.T) {
	t.Parallel()
	evil := "\x1b]0;owned\x07\x1b[2J\u202e日本語👨‍👩‍👧\xff\x00" + strings.Repeat("długi", 2000) + "\n\t\r\n"
	for _, width := range []int{60, 100, 200} {
		for _, ascii := range []bool{false, true} {
			f := newFake()
			x := api.Exchange{ID: 900, Method: evil, Path: evil, Status: 200, Sandbox: "my-sandbox", Protocol: "websocket", Note: evil, Code: evil, LinkID: evil, BytesIn: 1 << 40, BytesOut: 1 << 40, Live: true, Start: clock}
			f.exchanges = []api.Exchange{x}
			h := http.Header{evil: {evil, ""}, "Content-Type": {"text/plain"}}
			f.details = map[uint64]api.ExchangeDetail{900: {Exchange: x, RequestHeader: h, ResponseHeader: http.Header{"Content-Type": {"application/json"}},
				RequestBody: []byte(evil), ResponseBody: []byte(`{"` + strings.Repeat("a", 5000) + `":"\u001b[2J日本"}`),
				Frames: []api.Frame{{Opcode: 1, Data: []byte(evil), Size: 1 << 40}, {Opcode: 99, Data: []byte(evil)}}}}
			s := requestsScreen(t, f, width, 30, func(o *Options) { o.ASCII = ascii })
			s.press("enter")
			s.shows("opcode 99")
			s.press("g")
			s.shows("Request  ")
			for range 30 {
				s.press("pgdown") // every screen is checked
			}
			s.press("/")
			s.word("a")
			s.press("enter", "n", "g")
		}
	}
}

func TestWhatIsJSON(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ raw, want string }{
		{`{}`, `{}`},
		{`{"a":{"b":[]},"c":[1,2.50,"x<y",null]}`, "{\n  \"a\": {\n    \"b\": []\n  },\n  \"c\": [\n    1,\n    2.50,\n    \"x<y\",\n    null\n  ]\n}"},
		{`{"a":1}` + "\n" + `{"a":2}`, "{\n  \"a\": 1\n}\n{\n  \"a\": 2\n}"},
		{`{"a":"cut of`, "{\n  \"a\": "},
	} {
		got, ok := prettyJSON([]byte(test.raw))
		require.True(t, ok, test.raw)
		require.Equal(t, test.want, got)
	}
	for _, raw := range []string{"", "hello", `{"a" 1}`, `[1,2}`} {
		_, ok := prettyJSON([]byte(raw))
		require.False(t, ok, raw)
	}
	b := readBody(http.Header{"Content-Type": {"application/json"}}, []byte(`{"broken" oops}`), 15, 15)
	require.Equal(t, []string{`{"broken" oops}`}, b.lines)
	b = readBody(http.Header{"Content-Encoding": {"br"}}, nil, 15, 15)
	require.Equal(t, "packed in a way that is not read here", b.note)
	require.Contains(t, b.title(), "compressed (br)")
}

func BenchmarkRequests(b *testing.B) {
	f := crowd(500, 10_000)
	m := still(b, 200, 60, f, nil)
	m.events = f
	m.goTo(tabRequests)
	p := m.requests()
	m.Update(exchangesMsg{what: askedAll, number: p.scope, list: f.exchanges})
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
	m.events = f
	m.goTo(tabRequests)
	p := m.requests()
	m.Update(exchangesMsg{what: askedAll, number: p.scope, list: f.exchanges})
	id := uint64(100_000)
	for b.Loop() {
		batch := make(eventsMsg, 500)
		for i := range batch {
			id++
			batch[i] = api.Event{Kind: api.EventExchange, Exchange: &api.Exchange{ID: id, Sandbox: "my-sandbox", Method: "GET", Path: "/", Status: 200, Start: clock}}
		}
		m.Update(batch)
		_ = m.View()
	}
	require.LessOrEqual(b, len(p.store.all), exchangesKept+exchangesOver)
}
