package server

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"daemon-proxy/core/api"
	"daemon-proxy/core/preview"
)

// lookups is a resolver that remembers what it was asked.
type lookups struct {
	known map[string]string
	asked []string
}

func (l *lookups) look(_ context.Context, _, host string) ([]netip.Addr, error) {
	l.asked = append(l.asked, host)
	if a, ok := l.known[host]; ok {
		return []netip.Addr{netip.MustParseAddr(a)}, nil
	}
	return nil, errors.New("no such host")
}

func TestH1NoHostFormWhereNoCertificateIsForIt(t *testing.T) {
	t.Parallel()
	for domain, works := range map[string]bool{"localhost": false, "box.localhost": true} {
		f := newFront(t, "127.0.0.1:1", func(s *settings) {
			s.config.Server.TLS.Mode, s.config.Server.PreviewDomain, s.config.Preview.RedirectToHost = "files", domain, true
		})
		l := &lookups{}
		f.urls.FindHostLinks(t.Context(), l.look)
		require.Empty(t, l.asked)
		require.Equal(t, works, f.urls.HostLinks(), domain)
		got := f.get("/preview/"+f.link(3000).Token+"/", "Host: "+f.host, "Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: document")
		require.Equal(t, works, got.StatusCode == http.StatusTemporaryRedirect, "a browser that is sent there meets a warning that it cannot pass")
	}
}

func TestH1HostFormIsHandedOutOnlyWhereItWorks(t *testing.T) {
	t.Parallel()
	own, err := net.InterfaceAddrs()
	require.NoError(t, err)
	require.NotEmpty(t, own)
	here := netip.MustParsePrefix(own[0].String()).Addr()
	for _, a := range own {
		if a := netip.MustParsePrefix(a.String()).Addr(); a.Is4() && !a.IsLoopback() { // others come and go with containers
			here = a
			break
		}
	}
	for name, test := range map[string]struct {
		domain, public string
		known          map[string]string
		asked          []string
		works          bool
	}{
		"localhost":            {"localhost", "", nil, nil, true},
		"under localhost":      {"box.localhost", "", nil, nil, true},
		"nobody knows it":      {"p.example", "", nil, []string{"probe.p.example"}, false},
		"it leads here":        {"p.example", "", map[string]string{"probe.p.example": here.String()}, []string{"probe.p.example"}, true},
		"it leads to loopback": {"p.example", "", map[string]string{"probe.p.example": "127.0.0.1"}, []string{"probe.p.example"}, true},
		"it leads elsewhere":   {"p.example", "", map[string]string{"probe.p.example": "203.0.113.9"}, []string{"probe.p.example"}, false},
		"it leads to the proxy before": {"p.example", "https://desk.example", map[string]string{"probe.p.example": "203.0.113.9", "desk.example": "203.0.113.9"},
			[]string{"probe.p.example", "desk.example"}, true},
		"no look-alike": {"evillocalhost", "", nil, []string{"probe.evillocalhost"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFront(t, "127.0.0.1:1", func(s *settings) {
				s.config.Server.PreviewDomain, s.config.Server.PublicURL = test.domain, test.public
			})
			l := &lookups{known: test.known}
			f.urls.FindHostLinks(t.Context(), l.look)
			made := f.do("POST", "/api/preview/create", `{"port":80}`, "Content-Type: application/json")
			var link api.Link
			require.NoError(t, json.Unmarshal([]byte(made.Body), &link))
			require.Equal(t, test.asked, l.asked, "a token is never looked up")
			require.Equal(t, test.works, f.urls.HostLinks())
			require.Equal(t, test.works, link.HostURL != "", link.HostURL)
			require.NotEmpty(t, link.URL)
			for label := range strings.SplitSeq(link.HostURL, ".") {
				label = strings.TrimPrefix(strings.TrimPrefix(label, "http://"), "https://")
				require.LessOrEqual(t, len(label), 63)
			}
		})
	}
}

func TestH2HostsAreMatchedStrictly(t *testing.T) {
	t.Parallel()
	f, s := newStack(t, nil)
	link := f.link(s.port)
	_, port, _ := strings.Cut(f.host, ":")
	token := link.Token
	for host, status := range map[string]int{
		token + ".localhost": 200, strings.ToUpper(token) + ".LocalHost:" + port: 200, token + ".localhost.:" + port: 200, token + ".localhost:1": 200,
		token + ".localhost.evil.com": 421, "a." + token + ".localhost": 421, token + ".a.localhost": 421, ".localhost": 421, "..localhost": 421,
		token + "..localhost": 421, token + ".localhost..": 421, token + ".localhost:x": 421, token + "_.localhost": 421, token + "%2e.localhost": 421,
		strings.Repeat("a", 64) + ".localhost": 421, token + ".": 421, token: 421, "evil.com": 421,
		"unknown.localhost": 404,
	} {
		before := f.boxes.dials.Load()
		for _, headers := range []string{"", upgradeHeaders} {
			got := f.raw(request("GET", "/", host, headers))
			require.Equal(t, status, got.StatusCode, host)
		}
		require.Equal(t, status == 200, f.boxes.dials.Load() > before || len(s.requests()) > 0, host)
		s.requests()
	}
}

func TestH3NothingIsRewrittenButTheHost(t *testing.T) {
	t.Parallel()
	f, s := newStack(t, func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		local := "http://" + r.Host
		h["Location"] = []string{local + "/x?y#z"}
		h["Link"] = []string{"</a.css>; rel=preload", "<" + local + "/b.css>; rel=preload"}
		h["Set-Cookie"] = []string{"a=1; Domain=localhost; Path=/x", "__Host-b=2; Secure; Path=/"}
		h["Service-Worker-Allowed"] = []string{"/"}
		h["Clear-Site-Data"] = []string{`"cache"`}
		h["Strict-Transport-Security"] = []string{"max-age=1"}
		h["Content-Security-Policy"] = []string{"img-src " + local}
		h["X-Path"] = []string{"/proxy/1/x"}
	}, func(s *settings) { s.config.Preview.Fence = false })
	m := f.modes(f.link(s.port))[1]
	got := f.get("/a%2F..;?b", "Host: "+m.host)
	require.Equal(t, "/a%2F..;?b", s.one(t).RequestURI)
	for name, want := range map[string][]string{
		"Location": {"http://" + m.host + "/x?y#z"}, "Link": {"</a.css>; rel=preload", "<http://" + m.host + "/b.css>; rel=preload"},
		"Set-Cookie": {"a=1; Path=/x", "__Host-b=2; Secure; Path=/"}, "Service-Worker-Allowed": {"/"}, "Clear-Site-Data": {`"cache"`},
		"Strict-Transport-Security": nil, "Content-Security-Policy": {"img-src http://localhost:" + portText(s.port)}, "X-Path": {"/proxy/1/x"},
	} {
		require.Equal(t, want, got.Header[http.CanonicalHeaderKey(name)], name)
	}
}

func TestH5BrowsersAreSentToTheHostForm(t *testing.T) {
	t.Parallel()
	on := func(s *settings) { s.config.Preview.RedirectToHost = true }
	f, s := newStack(t, nil, on)
	link := f.link(s.port)
	kept := f.linkOf(preview.Request{Sandbox: web, Port: s.port, KeepPrefix: true})
	ended := f.link(s.port)
	_, err := f.links.Revoke(ended.Token)
	require.NoError(t, err)
	path := "/preview/" + link.Token
	own := "http://" + link.Token + "." + f.host
	for target, want := range map[string]string{
		path: own + "/", path + "?a": own + "/?a", path + "/": own + "/", path + "/a%2Fb//c?d=%zz": own + "/a%2Fb//c?d=%zz",
		"/preview/" + kept.Token + "/x?y": "http://" + kept.Token + "." + f.host + "/preview/" + kept.Token + "/x?y",
	} {
		got := f.get(target, navigates...)
		require.Equal(t, 307, got.StatusCode, target)
		require.Equal(t, want, got.Header.Get("Location"))
		require.Equal(t, "no-store", got.Header.Get("Cache-Control"))
	}
	require.Empty(t, s.requests())
	require.Equal(t, 410, f.get("/preview/"+ended.Token+"/", navigates...).StatusCode)

	const safari = "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.4 Safari/605.1.15"
	const onPhone = "Mozilla/5.0 (iPhone; CPU iPhone OS 17_4 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) CriOS/123.0 Mobile/15E148 Safari/604.1"
	const chrome = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36"
	const firefox = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
	for _, agent := range []string{chrome, firefox} {
		require.Equal(t, 307, f.get(path+"/", append(navigates[1:], "User-Agent: "+agent)...).StatusCode)
	}
	_, port, _ := strings.Cut(f.host, ":")
	for name, headers := range map[string][]string{
		"a program": nil, "an address": append(navigates, "Host: 127.0.0.1:"+port), "a LAN name": append(navigates, "Host: my-desk:"+port),
		"a frame":   {"User-Agent: Mozilla/5.0", "Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: iframe"},
		"an asset":  {"User-Agent: Mozilla/5.0", "Sec-Fetch-Mode: no-cors", "Sec-Fetch-Dest: script"},
		"Safari":    append(navigates[1:], "User-Agent: "+safari),
		"an iPhone": append(navigates[1:], "User-Agent: "+onPhone),
	} {
		require.Equal(t, 200, f.get(path+"/", headers...).StatusCode, name)
	}
	require.Equal(t, 200, f.do("POST", path+"/", "x", navigates...).StatusCode, "a form stays")

	f, s = newStack(t, nil, func(s *settings) { s.config.Preview.RedirectToHost = false })
	require.Equal(t, 200, f.get("/preview/"+f.link(s.port).Token+"/", navigates...).StatusCode)
	f, s = newStack(t, nil, on, func(s *settings) { s.config.Server.PreviewDomain = "p.example" })
	require.Equal(t, 200, f.get("/preview/"+f.link(s.port).Token+"/", navigates...).StatusCode, "there is no host form")
}
