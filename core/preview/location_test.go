package preview

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestM2LocationsComeBackUnderThePrefixOnce(t *testing.T) {
	t.Parallel()
	other := newToken()
	view := pathView()
	view.OtherPort = func(port int) (string, bool) { return "/preview/" + other, port == 5173 }
	for ref, want := range map[string]string{
		"/":                                     prefix + "/",
		"/x":                                    prefix + "/x",
		"/x?a=/b#/c":                            prefix + "/x?a=/b#/c",
		"/a%2Fb%5b;(x)/../ä?%zz":                prefix + "/a%2Fb%5b;(x)/../ä?%zz",
		"http://localhost:3000/x":               prefix + "/x",
		"HTTP://LOCALHOST:3000/x":               prefix + "/x",
		"http://127.0.0.1:3000/x?y#z":           prefix + "/x?y#z",
		"http://[::1]:3000/x":                   prefix + "/x",
		"http://[::1]:3000":                     prefix + "/",
		"http://localhost:3000":                 prefix + "/",
		"http://localhost:3000?a":               prefix + "/?a",
		"http://localhost:3000#a":               prefix + "/#a",
		"//localhost:3000/x":                    prefix + "/x",
		"/proxy/3000/x":                         prefix + "/x",
		"/proxy/3000":                           prefix + "/",
		"/proxy/3000?a":                         prefix + "/?a",
		"/proxy/3000/proxy/3000/x":              prefix + "/proxy/3000/x",
		"/proxy/30000/x":                        prefix + "/proxy/30000/x",
		"/proxy/3001/x":                         prefix + "/proxy/3001/x",
		prefix:                                  prefix,
		prefix + "/x":                           prefix + "/x",
		prefix + "?x":                           prefix + "?x",
		prefix + "y/x":                          prefix + prefix + "y/x",
		"http://localhost:3000" + prefix + "/x": prefix + "/x",
		"http://localhost:5173/x":               "/preview/" + other + "/x",
		"http://127.0.0.1:5173":                 "/preview/" + other + "/",
	} {
		require.Equal(t, want, view.mapURL(ref), ref)
	}
	for _, ref := range []string{
		"", "x", "./x", "../x", "#x", "?a", "?a=/x", "x/http://localhost:3000/", "//other/x", "//other:3000/x", "///x", `/\host/x`,
		"http://other/x", "http://other:3000/x", "https://localhost:3000/x", "ws://localhost:3000/", "ftp://localhost:3000/",
		"http://localhost:3001/x", "http://localhost/x", "http://localhost.evil:3000/", "http://user@localhost:3000/",
		"http://localhost:3000@evil/", "http://localhost:03000/", "http://localhost:3000x/", "http://[::1", "http://[::2]:3000/",
		"mailto:a@b", "javascript:alert(1)", "data:,/x", "http://localhost:8080" + prefix + "/x", "http:", "http://", "//",
	} {
		require.Equal(t, ref, view.mapURL(ref))
	}
	view.Port = 80
	require.Equal(t, prefix+"/x", view.mapURL("http://localhost/x"))
	require.Equal(t, prefix+"/x", view.mapURL("http://localhost:80/x"))
	view.Port = 8080 // the service's port is the front's
	require.Equal(t, prefix+"/x", view.mapURL("http://localhost:8080"+prefix+"/x"))
	require.Equal(t, prefix+"/x", view.mapURL("http://localhost:8080/x"))
}

func TestM2DirectProxyRoutesAreKept(t *testing.T) {
	t.Parallel()
	view := View{Scheme: "http", Host: "localhost:8080", Prefix: "/proxy/3000", Port: 3000}
	require.Equal(t, "/proxy/3000/x", view.mapURL("/x"))
	require.Equal(t, "/proxy/3000/x", view.mapURL("/proxy/3000/x"))
	view.Prefix = "/sandboxes/a/proxy/3000"
	require.Equal(t, "/sandboxes/a/proxy/3000/x", view.mapURL("/x"))
	require.Equal(t, "/sandboxes/a/proxy/3000/x", view.mapURL("/proxy/3000/x"))
}

func TestH3OnlyTheHostIsRewrittenInHostMode(t *testing.T) {
	t.Parallel()
	view := hostView()
	view.OtherPort = func(port int) (string, bool) { return "http://other.localhost:8080", port == 5173 }
	own := "http://" + view.Host
	for ref, want := range map[string]string{
		"/x": "/x", "": "", "x": "x", "//other/x": "//other/x", "http://other/x": "http://other/x", "/preview/T/x": "/preview/T/x",
		"http://localhost:3000/x": own + "/x", "http://127.0.0.1:3000": own + "/", "http://[::1]:3000?a": own + "/?a",
		"/proxy/3000/x": "/x", "http://localhost:5173/x": "http://other.localhost:8080/x",
		"http://localhost:1/x": "http://localhost:1/x", own + "/x": own + "/x",
	} {
		require.Equal(t, want, view.mapURL(ref), ref)
	}
}

func TestM2AllHeadersWithURLsAreMapped(t *testing.T) {
	t.Parallel()
	h := http.Header{
		"Location": {"/x"}, "Content-Location": {"http://localhost:3000/y"}, "Refresh": {"5; url=/z"},
		"Link": {"</a>; rel=preload", "<b>; rel=next, </c>"}, "X-Location": {"/x"},
	}
	require.Empty(t, pathView().RewriteResponse(302, h))
	require.Equal(t, http.Header{
		"Location": {prefix + "/x"}, "Content-Location": {prefix + "/y"}, "Refresh": {"5; url=" + prefix + "/z"},
		"Link": {"<" + prefix + "/a>; rel=preload", "<b>; rel=next, <" + prefix + "/c>"}, "X-Location": {"/x"},
	}, h)

	h = http.Header{"Etag": {`"x"`}}
	pathView().RewriteResponse(304, h)
	require.Equal(t, http.Header{"Etag": {`"x"`}}, h, "none is gained")
}

func TestM2Refresh(t *testing.T) {
	t.Parallel()
	for value, want := range map[string]string{
		"5":                                  "5",
		"5;":                                 "5;",
		"5; url=/x":                          "5; url=" + prefix + "/x",
		"0;URL=/x":                           "0;URL=" + prefix + "/x",
		"0 ; Url = '/x'; y":                  "0 ; Url = '" + prefix + "/x'; y",
		`1.5, url="/x"`:                      `1.5, url="` + prefix + `/x"`,
		"5;/x":                               "5;" + prefix + "/x",
		`5; url="/x`:                         `5; url="` + prefix + `/x`,
		"5; url=http://other/x":              "5; url=http://other/x",
		"5; url=x":                           "5; url=x",
		"5; url=http://localhost:3000/a?b=c": "5; url=" + prefix + "/a?b=c",
		"5; urlx":                            "5; urlx",
		"":                                   "",
	} {
		require.Equal(t, want, pathView().mapRefresh(value), value)
	}
}

func TestM2Link(t *testing.T) {
	t.Parallel()
	for value, want := range map[string]string{
		"</style.css>; rel=preload; as=style": "<" + prefix + "/style.css>; rel=preload; as=style",
		"</a,b>; rel=x, </c>;rel=y,<d>":       "<" + prefix + "/a,b>; rel=x, <" + prefix + "/c>;rel=y,<d>",
		`</a>; title="x, </b>", </c>`:         "<" + prefix + `/a>; title="x, </b>", <` + prefix + "/c>",
		`</a>; title="\", </b>", </c>`:        "<" + prefix + `/a>; title="\", </b>", <` + prefix + "/c>",
		"<http://localhost:3000/a>; rel=next": "<" + prefix + "/a>; rel=next",
		"<https://cdn.example/a>; rel=x":      "<https://cdn.example/a>; rel=x",
		"</a":                                 "</a", "": "", "rel=x; </a>": "rel=x; </a>", "<>": "<>", ", ,": ", ,",
	} {
		require.Equal(t, want, pathView().mapLink(value), value)
	}
}

func FuzzLocation(f *testing.F) {
	for _, seed := range []string{
		"/x", "http://localhost:3000/x", "//other/x", "/proxy/3000/x", prefix + "/x", "#x", "http://[::1]:3000?x", `/\x`, "5; url='/x'",
		"</a>, <b>", "http://localhost:3000//x",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, ref string) {
		view := pathView()
		once := view.mapURL(ref)
		require.Equal(t, once, view.mapURL(once), "once is enough")
		if once != ref {
			rest, under := cutPrefix(once, prefix)
			require.True(t, under)
			require.True(t, strings.HasSuffix(ref, rest) || strings.HasPrefix(rest, "/") && strings.HasSuffix(ref, rest[1:]),
				"all after the prefix are bytes of the service")
		}
		if ref == "" || ref[0] != '/' && !strings.HasPrefix(strings.ToLower(ref), "http://") {
			require.Equal(t, ref, once)
		}
		if !strings.Contains(ref, ">") {
			require.Equal(t, "<"+once+">; rel=x", view.mapLink("<"+ref+">; rel=x"))
		}
		if ref == "" || !strings.ContainsAny(ref[:1], " \t;,'\"") && !hasPrefixFold(ref, "url") {
			require.Equal(t, "5; url="+once, view.mapRefresh("5; url="+ref))
		}
		for _, mapped := range []func(string) string{view.mapRefresh, view.mapLink} {
			got := mapped(ref) // any bytes
			require.Equal(t, got, mapped(got))
		}
	})
}
