package preview

import (
	"encoding/base64"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"
)

const prefix = "/preview/" + someToken

// pathView is a path link to port 3000 as a browser on the desk sees it.
func pathView() View {
	return View{Scheme: "http", Host: "localhost:8080", Prefix: prefix, Port: 3000}
}

// hostView is the same link by its own host name.
func hostView() View {
	return View{Scheme: "http", Host: someToken + ".localhost:8080", HostMode: true, Port: 3000}
}

func TestB1OriginAndRefererOfThePreviewBecomeTheServices(t *testing.T) {
	t.Parallel()
	tls := pathView()
	tls.Scheme, tls.Host = "https", "desk.example.org"
	own := "http://" + hostView().Host
	other := newToken()
	for _, c := range []struct {
		name            string
		view            View
		origin, referer string
		wantOrigin      string
		wantReferer     string
	}{
		{"path mode", pathView(), "http://localhost:8080", "http://localhost:8080" + prefix + "/a%2Fb?x=1", "http://localhost:3000", "http://localhost:3000/a%2Fb?x=1"},
		{"bare", pathView(), "", "http://localhost:8080" + prefix, "", "http://localhost:3000/"},
		{"bare with query", pathView(), "", "http://localhost:8080" + prefix + "?x", "", "http://localhost:3000/?x"},
		{"case", pathView(), "HTTP://LocalHost:8080", "", "http://localhost:3000", ""},
		{"default port", tls, "https://desk.example.org:443", "https://desk.example.org" + prefix + "/", "http://localhost:3000", "http://localhost:3000/"},
		{"host mode", hostView(), own, own + "/a?b", "http://localhost:3000", "http://localhost:3000/a?b"},
		{"host mode, origin only", hostView(), own, own, "http://localhost:3000", "http://localhost:3000/"},
		{"another site", pathView(), "https://evil.example", "https://evil.example" + "/x", "https://evil.example", "https://evil.example/x"},
		{"another scheme", pathView(), "https://localhost:8080", "", "https://localhost:8080", ""},
		{"another port", pathView(), "http://localhost:8081", "http://localhost:8081/", "http://localhost:8081", "http://localhost:8081/"},
		{"null", pathView(), "null", "", "null", ""},
		{"a look-alike", hostView(), own + ".evil.example", "", own + ".evil.example", ""},
		{"the front's own page", pathView(), "", "http://localhost:8080/", "", "http://localhost:8080/"},
		{"another preview by path", pathView(), "", "http://localhost:8080/preview/" + other + "/", "", ""},
		{"another preview by path, by host", hostView(), "", "http://localhost:8080/preview/" + other + "/", "", ""},
		{"another preview by host", hostView(), "", "http://" + other + ".localhost:8080/", "", ""},
		{"another preview by host, by path", pathView(), "", "http://" + other + ".localhost:8080/", "", ""},
		{"a longer token", pathView(), "", "http://localhost:8080" + prefix + "x/", "", "http://localhost:8080" + prefix + "x/"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			h := http.Header{}
			if c.origin != "" {
				h.Set("Origin", c.origin)
			}
			if c.referer != "" {
				h.Set("Referer", c.referer)
			}
			c.view.RewriteRequest(h)
			require.Equal(t, c.wantOrigin, h.Get("Origin"))
			require.Equal(t, c.wantReferer, h.Get("Referer"))
		})
	}
}

func TestP9ForwardedHeadersTellTheSameStory(t *testing.T) {
	t.Parallel()
	h := http.Header{
		"Forwarded": {"host=evil"}, "X-Real-Ip": {"6.6.6.6"}, "X-Forwarded-Host": {"evil", "evil"}, "X-Forwarded-Proto": {"https"},
		"X-Preview-Origin": {"http://evil"}, "X-Forwarded-Port": {"1"}, "X-Forwarded-Ssl": {"on"},
		"X-Forwarded-For": {"127.0.0.1"}, "X-Forwarded-Prefix": {prefix}, "X-Other": {"stays"},
	}
	pathView().RewriteRequest(h)
	require.Equal(t, http.Header{
		"X-Forwarded-Host": {"localhost:3000"}, "X-Forwarded-Proto": {"http"}, "X-Preview-Origin": {"http://localhost:8080"},
		"X-Forwarded-For": {"127.0.0.1"}, "X-Forwarded-Prefix": {prefix}, "X-Other": {"stays"},
	}, h)

	h = http.Header{}
	hostView().RewriteRequest(h)
	require.Equal(t, "http://"+hostView().Host, h.Get("X-Preview-Origin"))
}

func TestB3TheFrontsSecretsDoNotReachTheService(t *testing.T) {
	t.Parallel()
	view := pathView()
	view.IsKey = func(s string) bool { return s == "the-key" }
	basic := func(s string) string { return "Basic " + base64.StdEncoding.EncodeToString([]byte(s)) }
	for value, passes := range map[string]bool{
		"Bearer the-key": false, "bearer  the-key ": false, "the-key": false, basic("the-key:"): false, basic("u:the-key"): false,
		"Token the-key": false, "Bearer other": true, basic("u:p"): true, "Bearer": true, "": true, "Basic !!": true,
		"Bearer the-key2": true, "Digest a=\"b\"": true,
	} {
		h := http.Header{"Authorization": {value}, "X-Api-Key": {"anything"}}
		view.RewriteRequest(h)
		require.NotContains(t, h, "X-Api-Key")
		if passes {
			require.Equal(t, []string{value}, h["Authorization"], value)
		} else {
			require.NotContains(t, h, "Authorization", value)
		}
	}
	h := http.Header{"Authorization": {"Bearer the-key", "Bearer theirs"}}
	view.RewriteRequest(h)
	require.Equal(t, []string{"Bearer theirs"}, h["Authorization"])

	h = http.Header{"Authorization": {"Bearer the-key"}}
	pathView().RewriteRequest(h) // no key is set: it is the service's
	require.Equal(t, []string{"Bearer the-key"}, h["Authorization"])
}

func TestB3TheFrontsCookiesDoNotReachTheService(t *testing.T) {
	t.Parallel()
	for line, want := range map[string]string{
		`a=1; b="x y" ;c`:                                 `a=1; b="x y" ;c`,
		"a=1; daemon-proxy-last=x; b=2":                   "a=1; b=2",
		"daemon-proxy-last=x;  b=2":                       "b=2",
		"a=1;;  daemon-proxy-last=x":                      "a=1;",
		"daemon-proxy-last=x":                             "",
		"a=daemon-proxy-last=x; xdaemon-proxy-last=1":     "a=daemon-proxy-last=x; xdaemon-proxy-last=1",
		"daemon-proxy-a=1; daemon-proxy-b=2; c; =d; \x01": "c; =d; \x01",
	} {
		h := http.Header{"Cookie": {line}}
		pathView().RewriteRequest(h)
		require.Equal(t, want, h.Get("Cookie"), line)
		if want == "" {
			require.NotContains(t, h, "Cookie")
		}
	}
}

func TestRequestHeadersAreNotChangedInPlace(t *testing.T) {
	t.Parallel()
	original := http.Header{"Cookie": {"daemon-proxy-a=1; b=2", "c"}, "Origin": {"http://localhost:8080"}, "Authorization": {"k", "x"}}
	shallow := http.Header{}
	for name, values := range original {
		shallow[name] = values
	}
	view := pathView()
	view.IsKey = func(s string) bool { return s == "k" }
	view.RewriteRequest(shallow)
	require.Equal(t, http.Header{
		"Cookie": {"daemon-proxy-a=1; b=2", "c"}, "Origin": {"http://localhost:8080"}, "Authorization": {"k", "x"},
	}, original)
	require.Equal(t, []string{"b=2", "c"}, shallow["Cookie"])
}

func TestM7HeadersThatReachBeyondThePrefixAreRemoved(t *testing.T) {
	t.Parallel()
	full := func() http.Header {
		h := http.Header{}
		for _, name := range []string{
			"Service-Worker-Allowed", "Clear-Site-Data", "Strict-Transport-Security", "Alt-Svc", "NEL", "Report-To", "X-Stays",
		} {
			h.Add(name, "x")
		}
		return h
	}
	h := full()
	require.Empty(t, pathView().RewriteResponse(200, h))
	require.Equal(t, http.Header{"X-Stays": {"x"}}, h)

	h = full()
	hostView().RewriteResponse(200, h)
	want := full()
	want.Del("Strict-Transport-Security")
	require.Equal(t, want, h)

	h, view := full(), hostView()
	view.Scheme = "https"
	view.RewriteResponse(200, h)
	require.Equal(t, full(), h)
}

func BenchmarkRewriteRequest(b *testing.B) {
	view := pathView()
	view.IsKey = func(string) bool { return false }
	b.ReportAllocs()
	for b.Loop() {
		h := http.Header{
			"Origin": {"http://localhost:8080"}, "Referer": {"http://localhost:8080" + prefix + "/"}, "Cookie": {"a=1; b=2"},
		}
		view.RewriteRequest(h)
	}
}
