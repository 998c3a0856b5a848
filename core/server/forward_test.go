package server

import (
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"daemon-proxy/core/wiretest"
)

func TestP1AnyMethodBodyAndStatusPasses(t *testing.T) {
	t.Parallel()
	f, s := newStack(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		status, _ := strconv.Atoi(r.Header.Get("Give"))
		w.Header().Set("Method", r.Method)
		if status == http.StatusNoContent || status == http.StatusNotModified {
			w.WriteHeader(status)
			return
		}
		w.Header().Set("Content-Length", strconv.Itoa(len(body)))
		w.WriteHeader(status)
		_, _ = w.Write(body)
	})
	for _, m := range f.ways(s.port) {
		for _, method := range []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND", "BREW"} {
			for _, status := range []int{200, 201, 204, 304, 404, 405, 418, 500, 502, 503, 599} {
				body := method + " body"
				if method == "GET" || method == "HEAD" {
					body = ""
				}
				if status == 502 && body == "" {
					continue // that is how the daemon says that nothing listens
				}
				got := f.do(method, m.prefix+"/x", body, "Host: "+m.host, "Give: "+strconv.Itoa(status))
				name := m.name + " " + method + " " + strconv.Itoa(status)
				require.Equal(t, status, got.StatusCode, name)
				require.Equal(t, method, got.Header.Get("Method"), name)
				if status == 204 || status == 304 || method == "HEAD" {
					body = ""
				}
				require.Equal(t, body, got.Body, name)
			}
		}
	}
}

func TestP1HeadHasItsContentLength(t *testing.T) {
	t.Parallel()
	f, s := newStack(t, func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Content-Length", "4711") })
	for _, m := range f.ways(s.port) {
		got := f.do("HEAD", m.prefix+"/", "", "Host: "+m.host)
		require.Equal(t, "4711", got.Header.Get("Content-Length"), m.name)
		require.Equal(t, "HEAD", s.one(t).Method, m.name)
	}
}

// paths must arrive as they are.
var paths = []string{
	"/", "/a%2Fb", "/%5b%5D", "/100%25", "/a%3Fb%23c", "/%40", "/a;b=c", "/@vite/client", "/(x)", "//a//b", "/a/../b",
	"/a/./b/", "/trailing/", "/ü/%2F", "/%C3%BC", "/a%20b", "/a+b", "/a:b", "/~x", "/a|b", "/preview/x/", "/proxy/2280/proxy/1/",
	"/api/preview/create", "/health", "/daemon/status", "/sandboxes/x/proxy/1/", "/%7Euser", "/a'b\"c", "/a\\b",
}

func TestP2PathBytesArriveAsSent(t *testing.T) {
	t.Parallel()
	d := wiretest.Answering(t, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
	f := newFront(t, d.Addr)
	for _, m := range f.ways(3000) {
		for _, path := range paths {
			got := f.raw(request("GET", m.prefix+path, m.host, ""))
			require.Equal(t, 200, got.StatusCode, "%s %s: %s", m.name, path, got.Body)
			require.Equal(t, "/proxy/3000"+path, target(t, d.One(t)), m.name)
		}
	}
}

func TestP2PathsThatLeadOutAreRefused(t *testing.T) {
	t.Parallel()
	d := wiretest.Answering(t, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
	f := newFront(t, d.Addr)
	for _, m := range f.ways(3000) {
		for _, path := range []string{
			"/..", "/../", "/../2280/", "/%2e%2e/2280/x", "/%2E./2280/", "/..%2f2280/", "/a/../../2280/", "/a/..%2f..%2f2280",
			"//../2280/", "/..%5c2280/", `/..\2280/`, "/./../2280", "/a/%2e%2e/%2e%2e/2280?x=/y",
		} {
			got := f.raw(request("GET", m.prefix+path, m.host, ""))
			require.Equal(t, 400, got.StatusCode, "%s %s", m.name, path)
			requireProblem(t, got, "bad_path")
		}
	}
	require.Zero(t, f.boxes.dials.Load())
}

func TestP2AnEncodedPrefixIsNoPrefix(t *testing.T) {
	t.Parallel()
	f := newFront(t, "127.0.0.1:1")
	token := f.link(3000).Token
	for _, path := range []string{
		"/%70review/" + token + "/", "/preview/" + token + "%2Fx", "/preview%2F" + token + "/", "/previe%77/" + token + "/x",
		"/preview/%" + "61" + token[1:] + "/", "/PREVIEW/" + token + "/", "/%70roxy/3000/", "/proxy%2f3000/", "/sandboxes/%77eb/proxy/3000/",
		"/sandboxes/web/%70roxy/3000/", "/./preview/" + token + "/", "/x/../preview/" + token + "/", "//proxy/3000/",
	} {
		got := f.raw(request("GET", path, f.host, ""))
		require.Equal(t, 404, got.StatusCode, path)
		requireProblem(t, got, "unknown_route")
	}
	require.Zero(t, f.boxes.dials.Load())
}

func TestP3QueryBytesArriveAsSent(t *testing.T) {
	t.Parallel()
	d := wiretest.Answering(t, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
	f := newFront(t, d.Addr)
	for _, m := range f.ways(3000) {
		for _, query := range []string{"?", "?b=2&a=1&b=3", "?a;b", "?a=%zz", "?%", "??", "?a=b?c=/../d", "?a=+%20", "?x=ü", "?&&=", "?u=http://x/%2F", "?a#b"} {
			got := f.raw(request("GET", m.prefix+"/p"+query, m.host, ""))
			require.Equal(t, 200, got.StatusCode, "%s %s", m.name, query)
			require.Equal(t, "/proxy/3000/p"+query, target(t, d.One(t)), m.name)
		}
	}
}

func TestP4HopByHopHeadersStay(t *testing.T) {
	t.Parallel()
	d := wiretest.Answering(t, "HTTP/1.1 200 OK\r\nConnection: X-Hop, keep-alive\r\nX-Hop: 1\r\nKeep-Alive: timeout=5\r\nProxy-Authenticate: Basic\r\nX-End: 1\r\nContent-Length: 0\r\n\r\n")
	f := newFront(t, d.Addr)
	for _, m := range f.ways(3000) {
		got := f.raw(request("GET", m.prefix+"/", m.host, "Connection: X-Named, X-Forwarded-For\r\nConnection: x-forwarded-host, X-Preview-Origin, cdn-loop\r\n"+
			"X-Named: 1\r\nKeep-Alive: 5\r\nProxy-Connection: x\r\nProxy-Authorization: x\r\nTE: trailers, gzip\r\nUpgrade: h2c\r\nHTTP2-Settings: x\r\nX-End: 1\r\n"))
		require.Equal(t, 200, got.StatusCode, m.name)
		head := d.One(t)
		for _, name := range []string{"Connection", "X-Named", "Keep-Alive", "Proxy-Connection", "Proxy-Authorization", "Upgrade", "HTTP2-Settings"} {
			require.Empty(t, wiretest.Values(head, name), "%s %s", m.name, name)
		}
		require.Equal(t, []string{"trailers"}, wiretest.Values(head, "TE"), m.name)
		require.Equal(t, []string{"1"}, wiretest.Values(head, "X-End"), m.name)
		require.Equal(t, []string{"127.0.0.1"}, wiretest.Values(head, "X-Forwarded-For"), m.name)
		require.Equal(t, []string{"localhost:3000"}, wiretest.Values(head, "X-Forwarded-Host"), m.name)
		require.Equal(t, []string{"http://" + m.host}, wiretest.Values(head, "X-Preview-Origin"), m.name)
		require.Len(t, wiretest.Values(head, "CDN-Loop"), 1, m.name)
		require.Empty(t, got.Header["X-Hop"], m.name)
		require.Empty(t, got.Header["Keep-Alive"], m.name)
		require.Empty(t, got.Header["Proxy-Authenticate"], m.name)
		require.Equal(t, "1", got.Header.Get("X-End"), m.name)
	}
}

func TestP4TrailersAndInterimAnswersPass(t *testing.T) {
	t.Parallel()
	f, s := newStack(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("Link", "</style.css>; rel=preload")
		w.WriteHeader(http.StatusEarlyHints)
		w.Header().Del("Link")
		w.Header().Set("Trailer", "X-Announced")
		_, _ = io.WriteString(w, "body")
		w.Header().Set("X-Announced", "a")
		w.Header().Set(http.TrailerPrefix+"X-Other", r.Trailer.Get("X-Sum"))
	})
	for _, m := range f.ways(s.port) {
		c := f.dial()
		c.Send("POST " + m.prefix + "/ HTTP/1.1\r\nHost: " + m.host + "\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\nX-Sum: 42\r\n\r\n")
		head, err := c.Head()
		require.NoError(t, err, m.name)
		require.True(t, strings.HasPrefix(head, "HTTP/1.1 103 "), head)
		require.Equal(t, []string{"<" + m.prefix + "/style.css>; rel=preload"}, wiretest.Values(head, "Link"), m.name)
		got := c.Answer("POST")
		require.Equal(t, 200, got.StatusCode, m.name)
		require.Equal(t, "body", got.Body, m.name)
		require.Equal(t, http.Header{"X-Announced": {"a"}, "X-Other": {"42"}}, got.Trailer, m.name)
	}
}

func TestP4ContinueIsSentOnlyWhenAsked(t *testing.T) {
	t.Parallel()
	f, s := newStack(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Refuse") != "" {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		b, _ := io.ReadAll(r.Body)
		_, _ = w.Write(b)
	})
	for _, m := range f.ways(s.port) {
		c := f.dial()
		c.Send(request("PUT", m.prefix+"/", m.host, "Expect: 100-continue\r\nContent-Length: 4\r\n"))
		head, err := c.Head()
		require.NoError(t, err)
		require.Equal(t, "HTTP/1.1 100 Continue\r\n", head, m.name)
		c.Send("body")
		require.Equal(t, "body", c.Answer("PUT").Body, m.name)

		c = f.dial()
		c.Send(request("PUT", m.prefix+"/", m.host, "Expect: 100-continue\r\nContent-Length: 4\r\nRefuse: 1\r\n"))
		require.Equal(t, 403, c.Answer("PUT").StatusCode, m.name)
	}
}

func TestP9ForwardedHeadersTellOneStory(t *testing.T) {
	t.Parallel()
	d := wiretest.Answering(t, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
	f := newFront(t, d.Addr)
	for _, m := range f.ways(3000) {
		got := f.raw(request("GET", m.prefix+"/x", m.host, "X-Forwarded-For: 1.2.3.4\r\nX-Forwarded-Host: evil\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Prefix: /evil\r\n"+
			"X-Forwarded-Port: 1\r\nX-Forwarded-Scheme: https\r\nX-Forwarded-Ssl: on\r\nForwarded: for=1.2.3.4\r\nX-Real-IP: 1.2.3.4\r\nX-Preview-Origin: http://evil\r\nX-Forwarded-Server: a\r\n"))
		require.Equal(t, 200, got.StatusCode)
		head := d.One(t)
		require.Equal(t, []string{"127.0.0.1"}, wiretest.Values(head, "X-Forwarded-For"), m.name)
		require.Equal(t, []string{"localhost:3000"}, wiretest.Values(head, "X-Forwarded-Host"), m.name)
		require.Equal(t, []string{"http"}, wiretest.Values(head, "X-Forwarded-Proto"), m.name)
		require.Equal(t, []string{"http://" + m.host}, wiretest.Values(head, "X-Preview-Origin"), m.name)
		var prefix []string
		if m.prefix != "" {
			prefix = []string{m.prefix}
		}
		require.Equal(t, prefix, wiretest.Values(head, "X-Forwarded-Prefix"), m.name)
		for _, name := range []string{"X-Forwarded-Port", "X-Forwarded-Scheme", "X-Forwarded-Ssl", "X-Forwarded-Server", "Forwarded", "X-Real-IP"} {
			require.Empty(t, wiretest.Values(head, name), "%s %s", m.name, name)
		}
	}
}

func TestP9ATrustedProxyIsBelieved(t *testing.T) {
	t.Parallel()
	d := wiretest.Answering(t, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
	f := newFront(t, d.Addr, func(s *settings) { s.config.Server.TrustedProxies = []string{"127.0.0.0/8"} })
	m := f.modes(f.link(3000))[0]
	f.raw(request("GET", m.prefix+"/x", m.host, "X-Forwarded-For: 9.9.9.9, 1.2.3.4, 127.0.0.9\r\nX-Forwarded-Proto: https\r\n"))
	head := d.One(t)
	require.Equal(t, []string{"1.2.3.4"}, wiretest.Values(head, "X-Forwarded-For"))
	require.Equal(t, []string{"https://" + m.host}, wiretest.Values(head, "X-Preview-Origin"))
	require.Equal(t, []string{"http"}, wiretest.Values(head, "X-Forwarded-Proto"))
	require.Equal(t, "1.2.3.4", f.log.Last(1)[0].Remote)
}

func TestP11OtherTargetsGoNowhere(t *testing.T) {
	t.Parallel()
	f := newFront(t, "127.0.0.1:1")
	token := f.link(3000).Token
	for _, host := range []string{f.host, token + "." + f.host} {
		for _, line := range []string{
			"GET *", "OPTIONS *", "CONNECT localhost:3000", "CONNECT /preview/" + token + "/", "GET http://" + f.host + "/preview/" + token + "/",
			"GET http://" + f.host + "/proxy/3000/", "CONNECT /proxy/3000/",
		} {
			c := f.dial()
			c.Send(line + " HTTP/1.1\r\nHost: " + host + "\r\n\r\n")
			got := c.Answer("GET")
			require.Equal(t, 4, got.StatusCode/100, "%s: %d", line, got.StatusCode)
		}
	}
	require.Zero(t, f.boxes.dials.Load())
}

func TestP11RedirectsAreNotFollowed(t *testing.T) {
	t.Parallel()
	f, s := newStack(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Location", "next")
		w.WriteHeader(http.StatusFound)
	})
	for _, m := range f.ways(s.port) {
		got := f.get(m.prefix+"/a", "Host: "+m.host)
		require.Equal(t, 302, got.StatusCode)
		require.Equal(t, "next", got.Header.Get("Location"))
		require.Equal(t, "/a", s.one(t).RequestURI)
	}
}
