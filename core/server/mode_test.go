package server

import (
	"maps"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"daemon-proxy/core/preview"
	"daemon-proxy/core/wiretest"
)

func TestM1ThePrefixAloneIsRedirected(t *testing.T) {
	t.Parallel()
	f, s := newStack(t, nil)
	token := f.link(s.port).Token
	for _, prefix := range []string{"/preview/" + token, "/proxy/" + strconv.Itoa(s.port), "/sandboxes/web/proxy/" + strconv.Itoa(s.port)} {
		for _, query := range []string{"", "?", "?a=b&a=%zz;c"} {
			for _, method := range []string{"GET", "HEAD", "POST"} {
				got := f.raw(request(method, prefix+query, f.host, ""))
				require.Equal(t, 308, got.StatusCode, prefix)
				require.Equal(t, prefix+"/"+query, got.Header.Get("Location"))
			}
		}
	}
	require.Empty(t, s.requests())
	require.Equal(t, 404, f.get("/preview/"+strings.Repeat("a", 32)).StatusCode, "no redirect for a link that is none")
}

func TestM2URLsComeBackUnderThePrefix(t *testing.T) {
	t.Parallel()
	var say atomic.Pointer[http.Header]
	say.Store(&http.Header{})
	f, s := newStack(t, func(w http.ResponseWriter, r *http.Request) {
		maps.Copy(w.Header(), *say.Load())
		status, _ := strconv.Atoi(r.URL.Query().Get("status"))
		w.WriteHeader(status)
	})
	port := strconv.Itoa(s.port)
	second := f.linkOf(preview.Request{Sandbox: web, Port: 4444})
	f.linkOf(preview.Request{Sandbox: other, Port: 5555})                      // another sandbox's is no answer
	f.linkOf(preview.Request{Sandbox: web, Port: 2280, AllowDaemonPort: true}) // nor is one that gives control of the sandbox
	link := f.link(s.port)
	for _, test := range []struct{ from, path, host string }{
		{"/x", "{p}/x", "/x"},
		{"/", "{p}/", "/"},
		{"http://localhost:" + port + "/x?y#z", "{p}/x?y#z", "http://{h}/x?y#z"},
		{"http://127.0.0.1:" + port + "/x", "{p}/x", "http://{h}/x"},
		{"http://localhost:" + port, "{p}/", "http://{h}/"},
		{"/proxy/" + port + "/x", "{p}/x", "/x"},
		{"{p}/x", "{p}/x", ""},
		{"x", "x", "x"},
		{"../x", "../x", "../x"},
		{"#x", "#x", "#x"},
		{"?a", "?a", "?a"},
		{"https://example.com/x", "https://example.com/x", "https://example.com/x"},
		{"//other/x", "//other/x", "//other/x"},
		{"http://localhost:4444/x", "/preview/{2}/x", "http://{2}.{d}/x"},
		{"http://localhost:5555/x", "http://localhost:5555/x", "http://localhost:5555/x"},
		{"http://localhost:2280/x", "http://localhost:2280/x", "http://localhost:2280/x"},
	} {
		for _, m := range f.modes(link) {
			fill := strings.NewReplacer("{p}", m.prefix, "{h}", m.host, "{2}", second.Token, "{d}", f.host).Replace
			want := test.path
			if m.prefix == "" {
				want = test.host
			}
			if want == "" {
				continue
			}
			from, want := fill(test.from), fill(want)
			say.Store(&http.Header{
				"Location": {from}, "Content-Location": {from}, "Refresh": {"5; url=" + from}, "Link": {"<" + from + ">; rel=preload, <" + from + ">;rel=next"},
			})
			got := f.get(m.prefix+"/a?status=302", "Host: "+m.host)
			require.Equal(t, want, got.Header.Get("Location"), "%s %s", m.name, from)
			require.Equal(t, want, got.Header.Get("Content-Location"), m.name)
			require.Equal(t, "5; url="+want, got.Header.Get("Refresh"), m.name)
			require.Equal(t, "<"+want+">; rel=preload, <"+want+">;rel=next", got.Header.Get("Link"), m.name)
		}
	}
	say.Store(&http.Header{})
	for _, m := range f.modes(link) {
		for _, status := range []string{"200", "304"} {
			require.NotContains(t, f.get(m.prefix+"/a?status="+status, "Host: "+m.host).Header, "Location")
		}
	}
}

func TestM3CookiesStayUnderThePrefix(t *testing.T) {
	t.Parallel()
	set := []string{
		"a=1; Path=/; HttpOnly", "b=\"2,;x\"; Path=/sub; Domain=localhost; Secure", "c=3", "d=%zz==; SameSite=Lax; path=/proxy/{port}/x",
		"__Host-e=5; Path=/; Secure", "__Secure-f=6; Secure; Path=/",
	}
	f, s := newStack(t, nil)
	port := strconv.Itoa(s.port)
	for i := range set {
		set[i] = strings.ReplaceAll(set[i], "{port}", port)
	}
	f.boxes.change("web", func(b *box) {
		lines := "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n"
		for _, line := range set {
			lines += "Set-Cookie: " + line + "\r\n"
		}
		b.up = reach(wiretest.Answering(t, lines+"\r\n").Addr)
	})
	link := f.link(s.port)
	m := f.modes(link)[0]
	got := f.get(m.prefix+"/", "Host: "+m.host)
	p := m.prefix
	require.Equal(t, []string{
		"a=1; Path=" + p + "/; HttpOnly", "b=\"2,;x\"; Path=" + p + "/sub", "c=3", "d=%zz==; SameSite=Lax; path=" + p + "/x",
		"__Host-e=5; Path=" + p + "/; Secure", "__Secure-f=6; Secure; Path=" + p + "/",
	}, got.Header["Set-Cookie"])
	require.Contains(t, f.log.Last(1)[0].Note, "needs host mode")

	m = f.modes(link)[1]
	got = f.get("/", "Host: "+m.host)
	require.Equal(t, []string{
		"a=1; Path=/; HttpOnly", "b=\"2,;x\"; Path=/sub; Secure", "c=3", "d=%zz==; SameSite=Lax; path=/proxy/" + port + "/x",
		"__Host-e=5; Path=/; Secure", "__Secure-f=6; Secure; Path=/",
	}, got.Header["Set-Cookie"])
}

// reach is the way to a raw daemon.
func reach(addr string) Upstream {
	return (&boxes{known: map[string]*box{}}).add(web, addr).up
}

func TestB1TheServiceSeesOneStory(t *testing.T) {
	t.Parallel()
	f, s := newStack(t, nil)
	own := "http://localhost:" + strconv.Itoa(s.port)
	link := f.link(s.port)
	second := f.link(4444)
	for _, m := range f.modes(link) {
		origin := "http://" + m.host
		for _, test := range []struct{ origin, referer, wantOrigin, wantReferer string }{
			{origin, origin + m.prefix + "/a/b?c=d", own, own + "/a/b?c=d"},
			{origin, origin + m.prefix + "/", own, own + "/"},
			{"https://example.com", "https://example.com/x", "https://example.com", "https://example.com/x"},
			{"null", "", "null", ""},
			{"http://127.0.0.1:1", "http://127.0.0.1:1/x", "http://127.0.0.1:1", "http://127.0.0.1:1/x"},
			{"http://" + second.Token + "." + f.host, "http://" + f.host + "/preview/" + second.Token + "/x", "", ""},
		} {
			headers := []string{"Host: " + m.host, "Origin: " + test.origin}
			if test.referer != "" {
				headers = append(headers, "Referer: "+test.referer)
			}
			require.Equal(t, 200, f.get(m.prefix+"/", headers...).StatusCode)
			r := s.one(t)
			if test.wantOrigin != "" {
				require.Equal(t, test.wantOrigin, r.Header.Get("Origin"), m.name)
			}
			require.Equal(t, test.wantReferer, r.Header.Get("Referer"), m.name)
			require.Equal(t, "localhost:"+strconv.Itoa(s.port), r.Host, m.name)
			require.NotContains(t, r.Header.Get("Referer"), second.Token)
		}
	}
}

func TestB2ForeignWebSocketsAreRefused(t *testing.T) {
	t.Parallel()
	d := wiretest.Answering(t, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
	f := newFront(t, d.Addr)
	link, sibling := f.link(3000), f.link(4000)
	stranger := f.linkOf(preview.Request{Sandbox: other, Port: 3000})
	gone := f.link(5000)
	_, err := f.links.Revoke(gone.Token)
	require.NoError(t, err)
	upgrade := "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
	for _, m := range f.modes(link) {
		for _, test := range []struct {
			headers string
			allowed bool
		}{
			{"", true},
			{"Origin: http://" + m.host + "\r\n", true},
			{"Origin: http://" + strings.ToUpper(m.host) + "\r\n", true},
			{"Origin: http://" + sibling.Token + "." + f.host + "\r\n", true},
			{"Origin: https://" + f.host + "\r\n", false},
			{"Origin: http://" + stranger.Token + "." + f.host + "\r\n", false},
			{"Origin: http://" + gone.Token + "." + f.host + "\r\n", false},
			{"Origin: https://evil.example\r\n", false},
			{"Origin: http://localhost:1\r\n", false},
			{"Origin: http://" + m.host + ".evil.example\r\n", false},
			{"Origin: null\r\n", false},
			{"User-Agent: Mozilla/5.0\r\n", false},
			{"Sec-Fetch-Site: same-origin\r\n", false},
		} {
			before := f.boxes.dials.Load()
			d.Heads()
			got := f.raw(request("GET", m.prefix+"/ws", m.host, upgrade+test.headers))
			if test.allowed {
				require.Equal(t, 200, got.StatusCode, "%s %s", m.name, test.headers)
				require.Len(t, d.Heads(), 1)
				continue
			}
			require.Equal(t, 403, got.StatusCode, "%s %s", m.name, test.headers)
			requireProblem(t, got, "cross_origin")
			require.Equal(t, before, f.boxes.dials.Load())
			require.Empty(t, d.Heads())
		}
	}
}

func TestB3SecretsNeverReachAService(t *testing.T) {
	t.Parallel()
	f, s := newStack(t, nil, withKey)
	for _, m := range f.ways(s.port) {
		got := f.get(m.prefix+"/", "Host: "+m.host, "X-API-Key: "+apiKey, "Authorization: Bearer "+apiKey, "Authorization: Basic dXNlcjpwYXNz",
			"Cookie: a=1; daemon-proxy-last=x; b=2", "X-Daemon-Proxy-Secret: mine")
		require.Equal(t, 200, got.StatusCode, m.name)
		r := s.one(t)
		require.Equal(t, []string{"Basic dXNlcjpwYXNz"}, r.Header["Authorization"], m.name)
		if m.name == "path mode" { // they are not of this link
			require.NotContains(t, r.Header, "Cookie")
		} else {
			require.Equal(t, []string{"a=1; b=2"}, r.Header["Cookie"], m.name)
		}
		var all strings.Builder
		require.NoError(t, r.Header.Write(&all))
		require.NotContains(t, all.String(), apiKey, m.name)
		require.NotContains(t, all.String(), daemonSecret, m.name)
		for _, name := range []string{"X-Api-Key", "X-Daemon-Proxy-Secret", "X-Allow-Daemon-Port"} {
			require.NotContains(t, r.Header, name, m.name)
		}
	}
}
