package server

import (
	"context"
	"io"
	"net/http"
	"runtime"
	"strings"
	"testing"

	"github.com/coder/websocket"
	"github.com/stretchr/testify/require"

	"daemon-proxy/core/wiretest"
)

// fromPage is what a browser sends with a request that a page made.
func fromPage(referer string) []string {
	return []string{"User-Agent: Mozilla/5.0", "Sec-Fetch-Site: same-origin", "Sec-Fetch-Mode: no-cors", "Referer: " + referer}
}

func TestM5APathThatLostItsPrefixIsSentBack(t *testing.T) {
	t.Parallel()
	f, s := newStack(t, nil)
	first, second := f.modes(f.link(s.port))[0], f.modes(f.link(s.port))[0]
	own := "http://" + f.host
	for _, m := range []way{first, second} {
		for _, target := range []string{"/app.js", "/", "/a%2Fb//c?d=%zz", "/api/users", "/api/preview", "/daemon/x", "/health", "/previews", "//x/y"} {
			for _, method := range []string{"GET", "POST", "DELETE"} {
				got := f.do(method, target, "", fromPage(own+m.prefix+"/deep/style.css?v=1")...)
				require.Equal(t, 307, got.StatusCode, target)
				require.Equal(t, m.prefix+target, got.Header.Get("Location"))
				require.Equal(t, "no-store", got.Header.Get("Cache-Control"))
			}
		}
	}
	got := f.get("/x", "Referer: "+own+first.prefix+"/", "User-Agent: Mozilla/5.0")
	require.Equal(t, 307, got.StatusCode, "beyond loopback there is no Sec-Fetch-Site")
	require.Empty(t, s.requests())

	revoked := f.modes(f.link(s.port))[0]
	_, err := f.links.Revoke(revoked.link.Token)
	require.NoError(t, err)
	for name, headers := range map[string][]string{
		"no referer":          {"User-Agent: Mozilla/5.0", "Sec-Fetch-Site: same-origin"},
		"the bare origin":     fromPage(own + "/"),
		"another origin":      fromPage("http://evil.example" + first.prefix + "/"),
		"another port":        fromPage("http://localhost:1" + first.prefix + "/"),
		"two referers":        append(fromPage(own+first.prefix+"/"), "Referer: "+own+second.prefix+"/"),
		"an unknown link":     fromPage(own + "/preview/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa/"),
		"another site's page": {"Sec-Fetch-Site: cross-site", "Referer: " + own + first.prefix + "/"},
	} {
		require.Equal(t, 404, f.get("/app.js", headers...).StatusCode, name)
	}
	for target, status := range map[string]int{"/app.js": 410, "/api/preview": 403} {
		require.Equal(t, status, f.get(target, fromPage(own+revoked.prefix+"/")...).StatusCode, "a link that has ended")
	}
	for _, target := range []string{"/proxy/" + portText(s.port) + "/", "/sandboxes/web/proxy/" + portText(s.port) + "/"} {
		require.Equal(t, 403, f.get(target, fromPage(own+first.prefix+"/")...).StatusCode, "these are the front's own")
	}
	require.Equal(t, 200, f.get("/api/preview").StatusCode, "programs come first")
	require.NotContains(t, f.logged.String(), first.link.Token)
}

func TestM5TheKeyGoesBeforeTheRescue(t *testing.T) {
	t.Parallel()
	f, s := newStack(t, nil, withKey)
	m := f.modes(f.link(s.port))[0]
	page := fromPage("http://" + f.host + m.prefix + "/")
	require.Equal(t, 307, f.get("/api/preview", page...).StatusCode)
	require.Equal(t, 200, f.get("/api/preview", append(page, "X-API-Key: "+apiKey)...).StatusCode)
}

func TestM5TheRescueCanBeTurnedOff(t *testing.T) {
	t.Parallel()
	f, s := newStack(t, nil, func(s *settings) { s.config.Preview.Rescue = false })
	m := f.modes(f.link(s.port))[0]
	require.Equal(t, 404, f.get("/app.js", fromPage("http://"+f.host+m.prefix+"/")...).StatusCode)
	require.NotContains(t, f.get(m.prefix+"/", navigates...).Header, "Set-Cookie")
}

// lastOf is the cookie that tells which preview was opened last.
func lastOf(t *testing.T, got wiretest.Answer) string {
	t.Helper()
	lines := got.Header["Set-Cookie"]
	require.Len(t, lines, 1)
	pair, attributes, _ := strings.Cut(lines[0], "; ")
	require.Equal(t, "Path=/; HttpOnly; SameSite=Strict", attributes)
	require.True(t, strings.HasPrefix(pair, "daemon-proxy-last="))
	return pair
}

// talk opens a WebSocket, says something and returns what the echo says.
func (f *front) talk(target string, header http.Header) (string, error) {
	header.Set("User-Agent", "Mozilla/5.0")
	conn, resp, err := websocket.Dial(f.t.Context(), "ws://"+f.addr+target, &websocket.DialOptions{HTTPHeader: header, Host: f.host, HTTPClient: wiretest.Client(f.t)})
	if err != nil {
		if resp != nil {
			return resp.Status, err
		}
		return "", err
	}
	defer conn.CloseNow()
	if err := conn.Write(f.t.Context(), websocket.MessageText, []byte("hello")); err != nil {
		return "", err
	}
	_, said, err := conn.Read(f.t.Context())
	return string(said), err
}

// sayWhere is a service whose WebSockets say the service's name, the path and the message.
func sayWhere(name string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Upgrade") == "" {
			_, _ = io.WriteString(w, name)
			return
		}
		conn, err := websocket.Accept(w, r, nil)
		if err != nil {
			return
		}
		defer conn.CloseNow()
		_, m, err := conn.Read(context.Background())
		if err == nil {
			_ = conn.Write(context.Background(), websocket.MessageText, []byte(name+" "+r.RequestURI+" "+string(m)))
		}
	}
}

func TestM5AWebSocketGoesToTheNewestNavigation(t *testing.T) {
	t.Parallel()
	f, s := newStack(t, sayWhere("first"))
	other := newService(t, sayWhere("second"))
	first, second := f.modes(f.link(s.port))[0], f.modes(f.link(other.port))[0]
	own := http.Header{"Origin": {"http://" + f.host}}
	_, err := f.talk("/socket", own.Clone())
	require.Error(t, err, "nothing was opened yet")

	cookie := lastOf(t, f.get(first.prefix+"/", navigates...))
	require.NotContains(t, cookie, first.link.Token)
	own.Set("Cookie", cookie+"; a=b")
	for _, target := range []string{"/socket?x=%zz", "/api/ws"} {
		said, err := f.talk(target, own.Clone())
		require.NoError(t, err)
		require.Equal(t, "first "+target+" hello", said)
	}
	require.Contains(t, f.log.Last(1)[0].Note, "guessed")

	require.NotContains(t, f.get(second.prefix+"/", append(navigates, "Cookie: "+cookie)...).Header, "Set-Cookie", "the id stays")
	f.get(first.prefix+"/app.js", append(fromPage("http://"+f.host+first.prefix+"/"), "Cookie: "+cookie)...)
	said, err := f.talk("/socket", own.Clone())
	require.NoError(t, err)
	require.Equal(t, "second /socket hello", said, "an asset is no navigation")

	evil := own.Clone()
	evil.Set("Origin", "http://evil.example")
	_, err = f.talk("/socket", evil)
	require.Error(t, err)
	unknown := http.Header{"Origin": {"http://" + f.host}, "Cookie": {"daemon-proxy-last=x"}}
	_, err = f.talk("/socket", unknown)
	require.Error(t, err)
	for _, r := range append(s.requests(), other.requests()...) {
		require.NotContains(t, r.Header.Get("Cookie"), "daemon-proxy-last")
	}

	_, err = f.links.Revoke(second.link.Token)
	require.NoError(t, err)
	status, err := f.talk("/socket", own.Clone())
	require.Error(t, err, "it is not given to another one")
	require.Equal(t, "410 Gone", status)
}

func TestM6BothFormsOfTheNoVNCPathWork(t *testing.T) {
	t.Parallel()
	f, s := newStack(t, sayWhere("vnc"))
	m := f.modes(f.link(s.port))[0]
	for _, target := range []string{m.prefix + "/websockify", "/" + m.prefix + "/websockify", "/" + m.prefix + "/websockify?a=b"} {
		said, err := f.talk(target, http.Header{"Origin": {"http://" + f.host}})
		require.NoError(t, err, target)
		_, rest, _ := strings.Cut(target, m.link.Token)
		require.Equal(t, "vnc "+rest+" hello", said)
	}
	require.Equal(t, 404, f.get("//preview/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa/").StatusCode)
	require.Equal(t, 404, f.get("///preview/"+m.link.Token+"/").StatusCode)
	require.Equal(t, 400, f.get("/"+m.prefix+"/../../x").StatusCode)
}

func TestM5BrowsersAreBounded(t *testing.T) { // not parallel: it measures the heap
	var browsers newest
	heap := func() int64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc)
	}
	with := func(id string) *http.Request {
		return &http.Request{Header: http.Header{"Cookie": {lastCookie + "=" + id}}}
	}
	var ids []string
	visit := func(n int) {
		for range n {
			id, made := browsers.visit(&http.Request{}, "t")
			require.True(t, made)
			require.Len(t, id, 26)
			ids = append(ids[max(0, len(ids)-maxBrowsers):], id)
		}
	}
	visit(2 * maxBrowsers)
	before := heap()
	visit(200 * maxBrowsers) // 20 MiB if all were kept
	require.Less(t, heap()-before, int64(2<<20))
	_, known := browsers.of(with(ids[0]))
	require.False(t, known, "the oldest is forgotten")
	for _, id := range ids[1:] {
		_, known := browsers.of(with(id))
		require.True(t, known, "the newest are not")
	}
}
