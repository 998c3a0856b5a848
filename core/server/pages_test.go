package server

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"daemon-proxy/core/api"
	"daemon-proxy/core/wiretest"
)

// requireOwn checks the headers of an answer that is the front's own.
func requireOwn(t testing.TB, got wiretest.Answer) {
	t.Helper()
	policies := got.Header["Content-Security-Policy"]
	require.Len(t, policies, 1)
	require.Contains(t, policies[0], "default-src 'none'")
	require.Contains(t, policies[0], "frame-ancestors 'none'")
	require.NotContains(t, policies[0], "unsafe")
	require.Equal(t, "nosniff", got.Header.Get("X-Content-Type-Options"))
	require.Equal(t, "no-store", got.Header.Get("Cache-Control"))
}

func TestS12OurOwnAnswersAreNobodysFrame(t *testing.T) {
	t.Parallel()
	f := newFront(t, newDaemon(t))
	m := f.modes(f.link(closedPort(t)))
	for _, headers := range [][]string{nil, navigates, {"Sec-Fetch-Mode: no-cors"}} {
		for _, target := range []string{"/", "/nothing", "/preview/unknown/", "/openapi.json", "/api/requests", "/api/requests/1", m[0].prefix + "/", "/api/preview", "/health", "/daemon/status", "/proxy/0/", "/preview/x/../../y"} {
			requireOwn(t, f.get(target, headers...))
		}
		requireOwn(t, f.get("/", append(headers, "Host: "+m[1].host)...))
		requireOwn(t, f.get("/", append(headers, "Host: evil.example")...))
	}
}

func TestS12PagesAreEscapedAndNeedNothing(t *testing.T) {
	t.Parallel()
	const hostile = "</p><script>alert(1)</script>\"'&\u202egpj.exe\x1b[31m"
	f := newFront(t, "127.0.0.1:1")
	f.boxes.change("web", func(b *box) {
		b.err = &api.Problem{Title: "T" + hostile, Status: 503, Code: api.CodeSandboxStopped, Detail: "D" + hostile, Hint: "H" + hostile, Sandbox: "S" + hostile, Port: 1}
	})
	for _, m := range f.modes(f.link(80)) {
		page := f.get(m.prefix+"/<script>", append(navigates, "Host: "+m.host)...)
		requirePage(t, page, api.CodeSandboxStopped, true)
		require.NotContains(t, page.Body, "<script")
		require.NotContains(t, page.Body, "\u202e")
		require.NotContains(t, page.Body, "\x1b")
		for _, part := range []string{"T", "D", "H", "S"} {
			require.Contains(t, page.Body, part+"&lt;/p&gt;&lt;script&gt;")
		}
		require.Less(t, len(page.Body), 4<<10)
		for _, outside := range []string{"src=", "href=", "url(", "//", "@import"} {
			require.NotContains(t, page.Body, outside)
		}
		require.Contains(t, page.Body, "color-scheme:light dark")
		style, _, _ := strings.Cut(page.Body, "</style>")
		_, style, _ = strings.Cut(style, "<style>")
		require.Contains(t, page.Header.Get("Content-Security-Policy"), "style-src '"+hashSource(style)+"'", "or no browser shows the style")
	}
}

func TestP10PagesForPeopleSayWhatToTry(t *testing.T) {
	t.Parallel()
	f, s := newStack(t, nil)
	ended := f.link(s.port)
	_, err := f.links.Revoke(ended.Token)
	require.NoError(t, err)
	closed := closedPort(t)
	waiting := f.link(closed)
	for name, test := range map[string]struct {
		target, host, code, say string
		waits                   bool
	}{
		"not listening yet": {"/", waiting.Token + "." + f.host, api.CodePortClosed, "start the service", true},
		"revoked":           {"/preview/" + ended.Token + "/", f.host, api.CodeLinkRevoked, "ask for a new link", false},
		"unknown":           {"/preview/x/", f.host, api.CodeUnknownLink, "32 letters", false},
		"unknown by host":   {"/", "x." + f.host, api.CodeUnknownLink, "32 letters", false},
		"wrong host":        {"/", "evil.example", api.CodeWrongHost, "server.allowed_hosts", false},
		"nothing there":     {"/x", f.host, api.CodeUnknownRoute, "/preview/TOKEN/", false},
	} {
		page := f.get(test.target, append(navigates, "Host: "+test.host)...)
		requirePage(t, page, test.code, test.waits)
		require.Contains(t, page.Body, test.say, name)
	}
	head := f.do(http.MethodHead, "/preview/x/", "", navigates...)
	require.Equal(t, 404, head.StatusCode)
	require.Empty(t, head.Body)
}
