package server

import (
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"daemon-proxy/core/api"
	"daemon-proxy/core/preview"
)

func fenceOf(siblings string) string {
	list := "'self' 'unsafe-inline' 'unsafe-eval' https: wss: data: blob: http://*." + siblings + " ws://*." + siblings
	return "default-src " + list + "; form-action " + list + "; webrtc 'block'"
}

func connectionsOf(siblings string) []string {
	return []string{`(response-origin "https://*:*" "wss://*:*" "ws://*:*" "http://*.` + siblings + `" "http://` + siblings +
		`/preview/*");redirects=allow`}
}

func TestB5EveryAnswerOfAPreviewIsFenced(t *testing.T) {
	t.Parallel()
	f, s := newStack(t, func(w http.ResponseWriter, r *http.Request) {
		status, _ := strconv.Atoi(r.URL.Query().Get("status"))
		w.Header().Set("Content-Type", r.URL.Query().Get("type"))
		if r.URL.Query().Has("own") {
			w.Header()["Content-Security-Policy"] = []string{"script-src 'none'", "img-src 'none'"}
		}
		w.WriteHeader(status)
	})
	ways := f.ways(s.port)
	for _, status := range []string{"200", "204", "206", "302", "304", "404", "500"} {
		for _, kind := range []string{"text/html", "text/javascript", "image/svg+xml", "application/pdf", "", "x"} {
			for _, m := range ways {
				got := f.get(m.prefix+"/?status="+status+"&type="+kind, "Host: "+m.host).Header["Content-Security-Policy"]
				if m.link.Token == "" {
					require.Empty(t, got, "programs have no use for it")
					continue
				}
				require.Equal(t, []string{fenceOf(f.host)}, got, "%s %s %s", m.name, status, kind)
				got = f.get(m.prefix+"/?status="+status+"&type="+kind, "Host: "+m.host).Header["Connection-Allowlist"]
				require.Equal(t, connectionsOf(f.host), got, "%s %s %s", m.name, status, kind)
			}
		}
	}
	for _, m := range ways[:2] {
		got := f.get(m.prefix+"/?status=200&own", "Host: "+m.host)
		require.Equal(t, []string{"script-src 'none'", "img-src 'none'", fenceOf(f.host)}, got.Header["Content-Security-Policy"], "it is added")
		got = f.get(m.prefix+"/?status=200", "Host: "+strings.Split(m.host, ":")[0])
		require.Equal(t, []string{fenceOf("localhost")}, got.Header["Content-Security-Policy"], "no port, the port of the scheme")
	}
	got := f.get(ways[0].prefix+"/?status=200", "Host: 127.0.0.1:9")
	require.Equal(t, []string{fenceOf("localhost:9")}, got.Header["Content-Security-Policy"])
}

// Chromium posts a violation's report to any port, whatever other policies say.
func TestB5ReportsGoNowhereThatAPageMayNot(t *testing.T) {
	t.Parallel()
	const report = "Content-Security-Policy-Report-Only"
	policies := []string{
		"img-src 'none'; REPORT-URI http://127.0.0.1:5000/x /y;script-src a", "report-uri //localhost:5000/", "a, report-uri https://x.example/ http://localhost, b",
		"report-uri /\\\\localhost:5000", "report-uri ws:x", "report-uri /csp https://x.example/csp; report-to group", "img-src 'none'",
	}
	kept := []string{
		"img-src 'none';script-src a", "", "a,, b", "", "", "report-uri /csp https://x.example/csp; report-to group", "img-src 'none'",
	}
	f, s := newStack(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header()["Content-Security-Policy"], w.Header()[report] = policies, policies
	})
	for _, m := range f.modes(f.link(s.port)) {
		got := f.get(m.prefix+"/", "Host: "+m.host).Header
		require.Equal(t, append(slices.Clone(kept), fenceOf(f.host)), got["Content-Security-Policy"])
		require.Equal(t, kept, got[report])
	}
	for _, m := range f.modes(f.linkOf(preview.Request{Sandbox: web, Port: s.port, NoFence: true})) {
		require.Equal(t, policies, f.get(m.prefix+"/", "Host: "+m.host).Header[report], "without a fence")
	}
}

// Browsers read the first Connection-Allowlist only, and Speculation-Rules have
// those that know none send requests that no policy covers.
func TestB7AServiceCannotOpenTheFence(t *testing.T) {
	t.Parallel()
	own := http.Header{
		"Connection-Allowlist": {`("*://*:*");redirects=allow`},
		"Speculation-Rules":    {`"/rules.json"`},
	}
	f, s := newStack(t, func(w http.ResponseWriter, _ *http.Request) { maps.Copy(w.Header(), own) })
	for _, m := range f.modes(f.link(s.port)) {
		got := f.get(m.prefix+"/", "Host: "+m.host).Header
		require.Equal(t, connectionsOf(f.host), got["Connection-Allowlist"], m.name)
		require.NotContains(t, got, "Speculation-Rules", m.name)
	}
	for _, m := range f.modes(f.linkOf(preview.Request{Sandbox: web, Port: s.port, NoFence: true})) {
		got := f.get(m.prefix+"/", "Host: "+m.host).Header
		require.Equal(t, own["Connection-Allowlist"], got["Connection-Allowlist"], "%s without a fence", m.name)
		require.Equal(t, own["Speculation-Rules"], got["Speculation-Rules"], "%s without a fence", m.name)
	}
}

func TestB5TheFenceCanBeLeftOut(t *testing.T) {
	t.Parallel()
	f, s := newStack(t, nil)
	for _, m := range f.modes(f.linkOf(preview.Request{Sandbox: web, Port: s.port, NoFence: true})) {
		require.NotContains(t, f.get(m.prefix+"/", "Host: "+m.host).Header, "Content-Security-Policy")
		require.NotContains(t, f.get(m.prefix+"/", "Host: "+m.host).Header, "Connection-Allowlist")
	}
	f, s = newStack(t, nil, func(s *settings) { s.config.Preview.Fence = false })
	for _, m := range f.modes(f.link(s.port)) {
		require.NotContains(t, f.get(m.prefix+"/", "Host: "+m.host).Header, "Content-Security-Policy")
	}
	body := `{"port":` + strconv.Itoa(s.port) + `,"fence":false}`
	made := f.do("POST", "/api/preview/create", body, "Content-Type: application/json")
	require.Contains(t, made.Body, `"fence":false`)
	require.Contains(t, made.Body, `"strip_prefix":true`)
	made = f.do("POST", "/api/preview/create", `{"port":1,"strip_prefix":false}`, "Content-Type: application/json")
	require.Contains(t, made.Body, `"fence":true`)
	require.Contains(t, made.Body, `"strip_prefix":false`)
}

func TestM7ServiceWorkersStayUnderThePrefix(t *testing.T) {
	t.Parallel()
	f, s := newStack(t, func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Service-Worker-Allowed", "/") })
	ways := f.ways(s.port)
	fetch := []string{"Service-Worker: script", "Sec-Fetch-Dest: serviceworker", "Sec-Fetch-Mode: same-origin", "Sec-Fetch-Site: same-origin"}
	for _, m := range ways[:2] {
		got := f.get(m.prefix+"/sw.js", append(fetch, "Host: "+m.host, "Referer: http://"+m.host+m.prefix+"/")...)
		require.Equal(t, 200, got.StatusCode, m.name)
		require.Equal(t, m.prefix == "", got.Header.Get("Service-Worker-Allowed") != "", m.name)
		s.one(t)
	}
	for _, target := range []string{"/sw.js", "/", "/api/sw.js", "/health", ways[2].prefix + "/sw.js", ways[3].prefix + "/sw.js", "/previews/sw.js"} {
		for _, more := range [][]string{nil, {"Referer: http://" + f.host + ways[0].prefix + "/"}} {
			got := f.get(target, append(fetch, more...)...)
			require.Equal(t, 403, got.StatusCode, target)
			requireProblem(t, got, api.CodeOutsidePrefix)
		}
	}
	require.Empty(t, s.requests())
}

func TestM8AServiceThatKnowsItsPrefixSeesIt(t *testing.T) {
	t.Parallel()
	f, s := newStack(t, func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		base := r.URL.Query().Get("base")
		h.Set("Location", base+"/login")
		h.Set("Content-Location", "http://localhost:"+r.URL.Query().Get("port")+base+"/x")
		h.Set("Set-Cookie", "a=1; Path="+base+"/")
	})
	link := f.linkOf(preview.Request{Sandbox: web, Port: s.port, KeepPrefix: true})
	base := "/preview/" + link.Token
	for _, m := range f.modes(link) {
		query := "?base=" + base + "&port=" + strconv.Itoa(s.port)
		got := f.get(base+"/a%2Fb//c"+query, "Host: "+m.host, "Referer: http://"+m.host+base+"/page")
		r := s.one(t)
		require.Equal(t, base+"/a%2Fb//c"+query, r.RequestURI, m.name)
		require.Equal(t, "http://localhost:"+strconv.Itoa(s.port)+base+"/page", r.Header.Get("Referer"), m.name)
		require.NotContains(t, r.Header, "X-Forwarded-Prefix", "it would be put before the one that it knows")
		require.Equal(t, base+"/login", got.Header.Get("Location"), m.name)
		want := base + "/x"
		if m.prefix == "" {
			want = "http://" + m.host + want
		}
		require.Equal(t, want, got.Header.Get("Content-Location"), m.name)
		require.Equal(t, "a=1; Path="+base+"/", got.Header.Get("Set-Cookie"), m.name)
	}
	stripped := f.link(s.port)
	f.get("/preview/" + stripped.Token + "/a")
	r := s.one(t)
	require.Equal(t, "/a", r.RequestURI)
	require.Equal(t, "/preview/"+stripped.Token, r.Header.Get("X-Forwarded-Prefix"))
	require.Equal(t, http.MethodGet, r.Method)
}
