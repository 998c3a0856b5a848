package proxy

import (
	"bufio"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"daemon-proxy/core/api"
	"daemon-proxy/core/wiretest"
)

func TestP1AnyMethodBodyAndStatusPasses(t *testing.T) {
	t.Parallel()
	up := wiretest.Serve(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		w.Header().Set("X-Method", r.Method)
		w.WriteHeader(299)
		_, _ = w.Write(body)
	})
	f := newFront(t, up)
	for _, method := range []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND", "m-Search", "X"} {
		for _, body := range []string{"", "some body"} {
			req, err := http.NewRequest(method, "http://"+f.addr+"/x", strings.NewReader(body))
			require.NoError(t, err)
			resp, err := wiretest.Client(t).Do(req)
			require.NoError(t, err)
			got, err := io.ReadAll(resp.Body)
			require.NoError(t, err)
			resp.Body.Close()
			require.Equal(t, 299, resp.StatusCode, method)
			require.Equal(t, method, resp.Header.Get("X-Method"))
			if method == http.MethodHead {
				body = ""
			}
			require.Equal(t, body, string(got), method)
		}
	}
}

func TestP1StatusesWithoutBody(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name, method, answer string
		status               int
		length               string // Content-Length that the client sees
	}{
		{"204", "GET", "HTTP/1.1 204 No Content\r\nX-A: b\r\n\r\n", 204, ""},
		{"204 with a length", "GET", "HTTP/1.1 204 No Content\r\nContent-Length: 0\r\nX-A: b\r\n\r\n", 204, ""},
		{"304", "GET", "HTTP/1.1 304 Not Modified\r\nETag: \"e\"\r\nX-A: b\r\n\r\n", 304, ""},
		{"HEAD", "HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 12345\r\nX-A: b\r\n\r\n", 200, "12345"},
		{"HEAD of a stream", "HEAD", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nX-A: b\r\n\r\n", 200, ""},
		{"unknown status", "GET", "HTTP/1.1 799 Whatever\r\nContent-Length: 0\r\nX-A: b\r\n\r\n", 799, "0"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			up := wiretest.Answering(t, tc.answer)
			f := newFront(t, up.Addr)
			c := f.dial(t)
			for range 2 { // the second time on the same two connections
				c.Send(tc.method + " / HTTP/1.1\r\nHost: x\r\n\r\n")
				resp, err := http.ReadResponse(c.Reader, &http.Request{Method: tc.method})
				require.NoError(t, err)
				body, err := io.ReadAll(resp.Body)
				require.NoError(t, err)
				require.Empty(t, body)
				require.Equal(t, tc.status, resp.StatusCode)
				require.Equal(t, tc.length, resp.Header.Get("Content-Length"))
				require.Equal(t, "b", resp.Header.Get("X-A"))
				require.Empty(t, resp.TransferEncoding, "nothing follows")
			}
			require.EqualValues(t, 1, up.Conns.Load())
		})
	}
}

// passes sends each target and expects it to arrive byte for byte.
func passes(t *testing.T, targets ...string) {
	t.Helper()
	heads := make(chan string, 1)
	up := wiretest.Raw(t, func(_ int, c *wiretest.Conn) {
		for {
			h, err := c.Head()
			if err != nil {
				return
			}
			heads <- h
			c.Send(wiretest.OK(""))
		}
	})
	c := newFront(t, up.Addr).dial(t)
	for _, uri := range targets {
		c.Send("GET " + uri + " HTTP/1.1\r\nHost: x\r\n\r\n")
		require.Equal(t, "GET "+uri+" HTTP/1.1", wiretest.FirstLine(wiretest.Receive(t, heads, uri)))
		c.MustHead()
	}
}

func TestP2PathPassesByteForByte(t *testing.T) {
	t.Parallel()
	passes(t, "/", "/a%2Fb", "/%5b%5B%25%3F%23%40", "/;a=b;/@x(y)'!*", "//a//b", "/a/../b/./c", "/slash/", "/ü/€%2F", "/%41", "/%c3%BC")
}

func TestP3QueryPassesByteForByte(t *testing.T) {
	t.Parallel()
	passes(t, "/x?", "/x??", "/x?a=1&b=2&a=3", "/x?b;c;d", "/x?%zz&%", "/x?q=a+b%20c", "/x?u=http://h/p?x#", "/?a=ü", "/x?\"<>\\^`{|}", "/x?%41")
}

func TestP2S7TargetThatCouldEndTheRequestLineIsRefusedWithoutADial(t *testing.T) {
	t.Parallel()
	up := wiretest.Answering(t, wiretest.OK(""))
	for _, uri := range []string{"", "*", "x", "http://h/", "/a b", "/a\r\nX: y", "/a\x00", "/a\x7f", "/\t"} {
		f := newFront(t, up.Addr, withTarget(func(_ *http.Request, t *Target) { t.RequestURI = uri }))
		status, _, h := f.get(t, "/")
		require.Equal(t, 400, status, "%q", uri)
		require.Equal(t, api.CodeBadPath, h.Get("X-Problem"))
	}
	require.Zero(t, up.Conns.Load())
}

func TestS7HeaderThatCouldEndTheHeadIsRefusedWithoutADial(t *testing.T) {
	t.Parallel()
	up := wiretest.Answering(t, wiretest.OK(""))
	for name, set := range map[string]func(*Target){
		"value":     func(t *Target) { t.Header = func(h http.Header) { h["X-A"] = []string{"b\r\nX-B: c"} } },
		"nul":       func(t *Target) { t.Header = func(h http.Header) { h["X-A"] = []string{"b\x00"} } },
		"name":      func(t *Target) { t.Header = func(h http.Header) { h["X-A: b\r\nX"] = []string{"c"} } },
		"authority": func(t *Target) { t.Authority = "a\r\nX: b" },
		"prefix":    func(t *Target) { t.ForwardedPrefix = "/a\nb" },
	} {
		f := newFront(t, up.Addr, withTarget(func(_ *http.Request, t *Target) { set(t) }))
		status, _, h := f.get(t, "/")
		require.Equal(t, 400, status, name)
		require.Equal(t, api.CodeBadRequest, h.Get("X-Problem"))
	}
	require.Zero(t, up.Conns.Load())
}

func TestP11ConnectIsRefusedWithoutADial(t *testing.T) {
	t.Parallel()
	up := wiretest.Answering(t, wiretest.OK(""))
	f := newFront(t, up.Addr, withTarget(func(_ *http.Request, t *Target) { t.RequestURI = "/" }))
	c := f.dial(t)
	c.Send("CONNECT h:80 HTTP/1.1\r\nHost: h:80\r\n\r\n")
	require.Equal(t, "HTTP/1.1 400 Bad Request", wiretest.FirstLine(c.MustHead()))
	require.Zero(t, up.Conns.Load())
}

func TestP11RedirectsAreNotFollowed(t *testing.T) {
	t.Parallel()
	up := wiretest.Answering(t, "HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/x\r\nContent-Length: 0\r\n\r\n")
	f := newFront(t, up.Addr)
	status, _, h := f.get(t, "/")
	require.Equal(t, 302, status)
	require.Equal(t, "http://127.0.0.1:1/x", h.Get("Location"))
	require.EqualValues(t, 1, up.Conns.Load())
}

func TestS7OneRequestStaysOneRequest(t *testing.T) {
	t.Parallel()
	const inner = "GET /smuggled HTTP/1.1\r\nHost: y\r\n\r\n"
	n, hex := strconv.Itoa(len(inner)), strconv.FormatInt(int64(len(inner)), 16)
	for _, tc := range []struct {
		name, raw string
		refused   bool
	}{
		{"two lengths", "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nContent-Length: " + n + "\r\n\r\nabc" + inner, true},
		{"length and chunked", "POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", false},
		{"space before colon", "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n", true},
		{"two hosts", "GET / HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n", true},
		{"folded", "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nX-A: b\r\n c\r\n\r\n", false},
		{"nul", "GET / HTTP/1.1\r\nHost: x\r\nX-A: b\x00c\r\n\r\n", true},
		{"length named", "POST / HTTP/1.1\r\nHost: x\r\nConnection: close, Content-Length\r\nContent-Length: " + n + "\r\n\r\n" + inner, false},
		{"encoding named", "POST / HTTP/1.1\r\nHost: x\r\nConnection: close, Transfer-Encoding\r\nTransfer-Encoding: chunked\r\n\r\n" + hex + "\r\n" + inner + "\r\n0\r\n\r\n", false},
		{"body of a GET", "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: " + n + "\r\n\r\n" + inner, false},
		{"websocket with a body", "GET / HTTP/1.1\r\nHost: x\r\nConnection: close, Upgrade\r\nUpgrade: websocket\r\nContent-Length: " + n + "\r\n\r\n" + inner, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			paths := make(chan string, 8)
			up := wiretest.Serve(t, func(_ http.ResponseWriter, r *http.Request) {
				_, _ = io.Copy(io.Discard, r.Body)
				paths <- r.RequestURI
			})
			c := newFront(t, up).dial(t)
			c.Send(tc.raw)
			answer, _ := c.Rest()
			if tc.refused {
				require.Regexp(t, "^HTTP/1.1 400 ", answer)
				require.Empty(t, paths)
				return
			}
			require.Regexp(t, "^HTTP/1.1 200 ", answer)
			require.Equal(t, 1, strings.Count(answer, "HTTP/1.1"), "one answer")
			require.Equal(t, "/", wiretest.Receive(t, paths, "the request"))
			require.Empty(t, paths)
		})
	}
}

func TestP1LengthIsPassedAsItWas(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct{ in, length, encoding string }{
		"none":    {"GET / HTTP/1.1\r\nHost: x\r\n\r\n", "", ""},
		"zero":    {"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n", "0", ""},
		"length":  {"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc", "3", ""},
		"chunked": {"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n", "", "chunked"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := make(chan string, 1)
			up := wiretest.Raw(t, func(_ int, c *wiretest.Conn) {
				h := c.MustHead()
				r, err := http.ReadRequest(bufio.NewReader(io.MultiReader(strings.NewReader(h+"\r\n"), c.Reader)))
				if err == nil {
					_, _ = io.Copy(io.Discard, r.Body)
				}
				got <- h
				c.Send(wiretest.OK(""))
			})
			c := newFront(t, up.Addr).dial(t)
			c.Send(tc.in)
			h := wiretest.Receive(t, got, "request")
			require.Equal(t, tc.length, strings.Join(wiretest.Values(h, "Content-Length"), ","))
			require.Equal(t, tc.encoding, strings.Join(wiretest.Values(h, "Transfer-Encoding"), ","))
			c.MustHead()
		})
	}
}
