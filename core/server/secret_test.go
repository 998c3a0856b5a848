package server

import (
	"encoding/json"
	"io"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"daemon-proxy/core/api"
	"daemon-proxy/core/wiretest"
)

func TestS11SecretsAreNeverLogged(t *testing.T) {
	t.Parallel()
	f, s := newStack(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Set-Cookie", "sid=cookie-of-the-service; Path=/")
		w.Header().Set("Location", "/next?token=query-of-the-service")
		w.WriteHeader(http.StatusFound)
		_, _ = io.Copy(w, r.Body)
	}, withKey)
	link, gone := f.link(s.port), f.link(closedPort(t))
	_, err := f.links.Revoke(gone.Token)
	require.NoError(t, err)
	closed := f.link(closedPort(t))
	key := "X-API-Key: " + apiKey
	const query = "?token=query-of-the-service&API_KEY=query-of-the-service&password=query-of-the-service&x=shown"
	for _, l := range []api.Link{link, gone, closed} {
		for _, m := range f.modes(l) {
			headers := []string{"Host: " + m.host, key, "Referer: http://" + m.host + m.prefix + "/x" + query, "Origin: http://" + m.host,
				"Cookie: sid=cookie-of-the-service", "Authorization: Bearer secret-of-the-service"}
			f.do("POST", m.prefix+"/a"+query, "", headers...)
			f.get(m.prefix+"/vnc.html?path=preview/"+l.Token+"/websockify&host=localhost", headers...)
			f.get(m.prefix+"/vnc.html?path=preview%2F"+l.Token+"%2fwebsockify", headers...)
			f.raw(request("GET", m.prefix+"/ws", m.host, upgradeHeaders+"Origin: http://evil\r\n"))
			f.raw(request("GET", m.prefix+"/../x", m.host, ""))
		}
		for _, target := range []string{
			"/preview/" + l.Token, "//preview/" + l.Token + "/", "/%70review/" + l.Token + "/", "/api/preview/" + l.Token, "/api/preview/" + l.Token + "/x",
			"/proxy/" + l.Token + "/", "/sandboxes/" + l.Token + "/x", "/" + l.Token, "/nothing" + query, "/health" + query, "/api/preview?api_key=" + apiKey,
		} {
			f.get(target, key)
			f.get(target, "X-API-Key: wrong-"+apiKey)
			f.get(target, "Host: "+l.Token+".evil.example")
		}
	}
	require.Equal(t, 200, f.do("DELETE", "/api/preview/"+link.ID, "", key).StatusCode)
	require.Equal(t, 200, f.do("DELETE", "/api/preview/"+closed.Token, "", key).StatusCode)

	shown := map[string]string{"log": f.logged.String(), "events": f.events.String()}
	exchanges, err := json.Marshal(f.log.Last(0))
	require.NoError(t, err)
	shown["request log"] = string(exchanges)
	for _, x := range f.log.Last(0) {
		detail, ok := f.log.Get(x.ID)
		require.True(t, ok)
		detail.RequestBody, detail.ResponseBody = nil, nil
		text, err := json.Marshal(detail)
		require.NoError(t, err)
		shown["details"] += string(text)
	}
	for where, text := range shown {
		require.NotEmpty(t, text)
		for _, secret := range []string{link.Token, gone.Token, closed.Token, apiKey, daemonSecret, "query-of-the-service", "cookie-of-the-service", "secret-of-the-service"} {
			if i := strings.Index(text, secret); i >= 0 {
				require.Failf(t, "a secret is shown", "%s in the %s: …%s…", secret, where, text[max(0, i-200):min(len(text), i+100)])
			}
		}
	}
	require.Contains(t, shown["log"], link.Token[:3]+"…")
	require.Contains(t, shown["log"], "x=shown")
	require.Contains(t, shown["events"], link.ID)
}

func TestS11AnIDStandsForItsToken(t *testing.T) {
	t.Parallel()
	f := newFront(t, "127.0.0.1:1")
	link := f.link(3000)
	require.Len(t, link.ID, 10)
	require.Regexp(t, `^[a-z2-7]{26,}$`, link.Token)
	require.Equal(t, 404, f.get("/preview/"+link.ID+"/").StatusCode, "an id opens nothing")
	require.Equal(t, 404, f.get("/", "Host: "+link.ID+"."+f.host).StatusCode)
	got := f.do("DELETE", "/api/preview/"+link.ID, "")
	require.Equal(t, 200, got.StatusCode)
	require.Equal(t, 410, f.get("/preview/"+link.Token+"/").StatusCode)
}

func TestEveryExchangeHasOneRequestLine(t *testing.T) {
	t.Parallel()
	f, s := newStack(t, nil)
	link := f.link(s.port)
	for _, test := range []struct{ method, target, host, line string }{
		{"GET", "/preview/" + link.Token + "/a?b=c", f.host, `level=INFO msg="Request: GET /preview/…/a\?b=c 200" duration=\S+ bytes=5 sandbox=web port=PORT`},
		{"POST", "/b", link.Token + "." + f.host, `msg="Request: POST /preview/…/b 200" duration=\S+ bytes=5 sandbox=web port=PORT`},
		{"GET", "/proxy/" + portText(s.port) + "/c", f.host, `msg="Request: GET /proxy/PORT/c 200" duration=\S+ bytes=5 sandbox=web port=PORT`},
		{"GET", "/preview/" + link.Token + "?b=c", f.host, `level=INFO msg="Request: GET /preview/…\?b=c 308" duration=[1-9]\S* bytes=0 sandbox=web port=PORT`},
		{"GET", "/api/preview", f.host, `msg="Request: GET /api/preview 200" duration=\S+ bytes=[1-9]\d* `},
		{"GET", "/nothing", f.host, `msg="Request: GET /nothing 404" duration=\S+ bytes=[1-9]`},
		{"DELETE", "/health", f.host, `msg="Request: DELETE /health 405" `},
		{"GET", "/proxy/080/", f.host, `msg="Request: GET /proxy/080/ 400" duration=[1-9]\S* bytes=[1-9]\d* `},
		{"GET", "/x", "evil.example", `msg="Request: GET /x 421" `},
		{"GET", "/sandboxes/web/proxy/1/", f.host, `level=ERROR msg="Request: GET /sandboxes/web/proxy/1/ 502" duration=[1-9]\S* bytes=[1-9]\d* sandbox=web port=1`},
	} {
		before := len(f.logged.String())
		f.do(test.method, test.target, "", "Host: "+test.host)
		want := strings.NewReplacer("PORT", portText(s.port), "…", link.Token[:3]+"…").Replace(test.line)
		added := func() string {
			var found []string
			for line := range strings.Lines(f.logged.String()[before:]) {
				if strings.Contains(line, "Request: ") {
					found = append(found, line)
				}
			}
			return strings.Join(found, "")
		}
		require.Eventually(t, func() bool { return added() != "" }, wiretest.Patience, wiretest.Patience/1000)
		require.Regexp(t, regexp.MustCompile(want), added())
		require.Equal(t, 1, strings.Count(added(), "Request: "))
	}
}
