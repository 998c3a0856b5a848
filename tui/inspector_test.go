package tui

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	tea "github.com/charmbracelet/bubbletea"
	"github.com/stretchr/testify/require"

	"daemon-proxy/core/api"
)

func TestTheInspectorShowsAnExchangeWhole(t *testing.T) {
	t.Parallel()
	s := requestsScreen(t, busyFake(), 120, 40, nil)
	s.press("down", "enter")
	s.shows("POST /api/login ── 500 in 88ms ── my-sandbox:8000 via link 9qf ── 14:02:09.870",
		"waited 1.1ms", "first byte 86ms", "body 1.1ms", `"user": "anna"`, `"password": "••••"`,
		`"database is locked"`, "set-cookie: sid=••••; Path=/", "the first 74 B of 1.4 kB")
	require.NotContains(t, s.text(), "hunter2")
	require.NotContains(t, s.text(), "k1")

	s.press("left")
	s.shows("⇅"[:0], "GET / ── 101", "The last 3 of 214 frames", "→ client", `{"type":"hello"}`, "deadbeef",
		"1001 moving")
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
			socket.Frames = append(socket.Frames,
				api.Frame{Time: clock.Add(time.Duration(i) * time.Millisecond), Opcode: 1,
					Data: fmt.Append(nil, "frame ", i, ".")})
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
	s.nothingOver()
}

func TestAReplayIsLookedIntoWhateverTheFilterTakes(t *testing.T) {
	t.Parallel()
	s := requestsScreen(t, busyFake(), 120, 40, nil)
	s.press("/")
	s.word("status:5xx")
	s.shows("5 of 17")
	s.press("enter", "down", "enter")
	s.shows("POST /api/login")
	s.press("r", "right", "enter")
	s.shows("POST /again ── 201")
	s.press("left")
	s.shows("GET /api/users") // the next older one that it shows
	s.press("esc")
	s.shows("5 of 18")
	require.NotContains(t, s.text(), "/again", "the list does not show the new one")
}

func TestTheInspectorOfAllSandboxesStaysWhenOneGoes(t *testing.T) {
	t.Parallel()
	s := requestsScreen(t, busyFake(), 120, 40, nil)
	s.press("a")
	s.shows("18 requests")
	s.press("G", "enter")
	s.shows("GET /elsewhere ── 200")
	s.f.push(api.Event{Kind: api.EventRemoved, Sandbox: &api.Sandbox{Ref: boxRef}})
	s.until("another one is chosen", func() bool { return s.m.list.Selected != boxRef })
	require.Equal(t, inInspector, s.m.place())
	s.shows("GET /elsewhere ── 200")
	s.press("esc", "a", "2")
	s.until("the list is that of another sandbox", func() bool {
		_, any := s.m.requests().Exchange()
		return !any && !strings.Contains(s.text(), "asking")
	})
	require.Equal(t, inRequests, s.m.place())
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
	inProcess(t, "the server makes the command")
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
	request, err := os.ReadFile(filepath.Join(s.m.requests().Dir, "daemon-proxy-20260504-140230-207-request.json"))
	require.NoError(t, err)
	require.Equal(t, `{"user":"anna","password":"hunter2","nested":{"api_key":"hunter2","n":[1,2]}}`, string(request),
		"as it passed")
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
			x := api.Exchange{ID: 900, Method: evil, Path: evil, Status: 200, Sandbox: "my-sandbox",
				Protocol: "websocket", Note: evil, Code: evil, LinkID: evil, BytesIn: 1 << 40, BytesOut: 1 << 40,
				Live: true, Start: clock}
			f.exchanges = []api.Exchange{x}
			h := http.Header{evil: {evil, ""}, "Content-Type": {"text/plain"}}
			f.details = map[uint64]api.ExchangeDetail{900: {Exchange: x, RequestHeader: h,
				ResponseHeader: http.Header{"Content-Type": {"application/json"}},
				RequestBody:    []byte(evil),
				ResponseBody:   []byte(`{"` + strings.Repeat("a", 5000) + `":"\u001b[2J日本"}`),
				Frames:         []api.Frame{{Opcode: 1, Data: []byte(evil), Size: 1 << 40}, {Opcode: 99, Data: []byte(evil)}}}}
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

func TestTheInspectorSaysWhatTheLogHasNotKept(t *testing.T) {
	t.Parallel()
	f := busyFake()
	d := f.details[207]
	d.PathSize, d.RequestHeaderSize, d.ResponseHeaderSize = 900<<10, 950<<10, 80<<10
	f.details[207] = d
	s := requestsScreen(t, f, 160, 50, nil)
	s.press("down", "enter")
	s.shows("the path is cut: it has 921.6 kB", "the header is cut: with the path it has 972.8 kB",
		"the header is cut: it has 81.9 kB")

	f = busyFake()
	d = f.details[207]
	d.RequestHeader, d.ResponseHeader, d.RequestBody, d.ResponseBody, d.Discarded = http.Header{}, http.Header{}, nil,
		nil, true
	f.details[207] = d
	s = requestsScreen(t, f, 160, 50, nil)
	s.press("down", "enter")
	s.shows("headers discarded for later requests (traffic.memory)",
		"not kept: not captured, or discarded for later requests")
}
