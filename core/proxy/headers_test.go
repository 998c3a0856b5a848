package proxy

import (
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"daemon-proxy/core/wiretest"
)

// headOf sends one raw request through a front and returns the head that the
// upstream got.
func headOf(t *testing.T, raw string, opts ...option) string {
	t.Helper()
	heads := make(chan string, 1)
	up := wiretest.Raw(t, func(_ int, c *wiretest.Conn) {
		h, err := c.Head()
		if err != nil {
			return
		}
		heads <- h
		_, _ = io.WriteString(c, wiretest.OK(""))
	})
	c := newFront(t, up.Addr, opts...).dial(t)
	c.Send(raw)
	return wiretest.Receive(t, heads, "request head")
}

func TestP4HopByHopRequestHeadersAreNotForwarded(t *testing.T) {
	t.Parallel()
	h := headOf(t, "GET / HTTP/1.1\r\nHost: x\r\n"+
		"Connection: keep-alive, X-Named\r\nconnection: x-second ,,\r\nConnection: \r\n"+
		"Keep-Alive: timeout=5\r\nProxy-Connection: keep-alive\r\nProxy-Authorization: Basic eA==\r\nProxy-Authenticate: x\r\n"+
		"TE: gzip;q=0.5, Trailers\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n"+
		"X-Named: 1\r\nX-Second: 2\r\nX-Third: 3\r\nCookie: a=b\r\nCookie: c=d\r\n\r\n")
	require.Equal(t, []string{"GET / HTTP/1.1", "Cookie: a=b", "Cookie: c=d", "Host: daemon:2280", "Te: trailers", "X-Forwarded-For: 127.0.0.1", "X-Third: 3"},
		sortedLines(h), "the whole head: nothing is added either (User-Agent, Accept-Encoding)")
}

// sortedLines are the request line and the header lines in order.
func sortedLines(head string) []string {
	all := strings.Split(strings.TrimSuffix(head, "\r\n"), "\r\n")
	slices.Sort(all[1:])
	return all
}

func TestP4TEWithoutTrailersIsDropped(t *testing.T) {
	t.Parallel()
	require.Empty(t, wiretest.Values(headOf(t, "GET / HTTP/1.1\r\nHost: x\r\nTE: gzip\r\n\r\n"), "TE"))
}

func TestP4P9ForwardedHeadersCannotBeDroppedOrForged(t *testing.T) {
	t.Parallel()
	h := headOf(t, "GET / HTTP/1.1\r\nHost: x\r\n"+
		"Connection: close, X-Forwarded-For, x-forwarded-prefix, X-Forwarded-Host, X-Mine\r\n"+
		"X-Forwarded-For: 6.6.6.6\r\nX-Forwarded-For: 7.7.7.7\r\nX-Forwarded-Prefix: /evil\r\nX-Forwarded-Host: evil\r\n"+
		"X-Forwarded-Proto: evil\r\nX-Forwarded-Anything: evil\r\nForwarded: for=6.6.6.6\r\nX-Real-IP: 6.6.6.6\r\n\r\n",
		withTarget(func(_ *http.Request, t *Target) {
			t.ForwardedPrefix = "/preview/t"
			t.Header = func(h http.Header) {
				h.Set("X-Forwarded-Host", "localhost:3000")
				h.Set("X-Mine", "1")
			}
		}))
	require.Equal(t, []string{"GET / HTTP/1.1", "Host: daemon:2280", "X-Forwarded-For: 127.0.0.1", "X-Forwarded-Host: localhost:3000",
		"X-Forwarded-Prefix: /preview/t", "X-Mine: 1"}, sortedLines(h))
}

func TestP9SecondHopKeepsWhatTheFirstOneSaid(t *testing.T) {
	t.Parallel()
	h := headOf(t, "GET / HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: 10.0.0.7\r\nX-Forwarded-Prefix: /p\r\nForwarded: for=a\r\n\r\n",
		withTarget(func(_ *http.Request, t *Target) { t.KeepForwarded = true }))
	require.Equal(t, []string{"GET / HTTP/1.1", "Forwarded: for=a", "Host: daemon:2280", "X-Forwarded-For: 10.0.0.7", "X-Forwarded-Prefix: /p"}, sortedLines(h))
}

func TestP4HeaderHookHasTheLastWordButNotOnFraming(t *testing.T) {
	t.Parallel()
	var kept http.Header
	h := headOf(t, "GET / HTTP/1.1\r\nHost: x\r\nX-Gone: 1\r\n\r\n", withTarget(func(r *http.Request, t *Target) {
		kept = r.Header
		t.Header = func(h http.Header) {
			delete(h, "X-Gone")
			h["Content-Length"] = []string{"5"}
			h["Transfer-Encoding"] = []string{"chunked"}
			h["Connection"] = []string{"close"}
			h["Host"] = []string{"other"}
			h["X-Added"] = []string{"a", "b"}
		}
	}))
	require.Equal(t, []string{"GET / HTTP/1.1", "Host: daemon:2280", "X-Added: a", "X-Added: b", "X-Forwarded-For: 127.0.0.1"}, sortedLines(h))
	require.Equal(t, http.Header{"X-Gone": {"1"}}, kept, "the client's own header is as it was")
}

func TestP4HopByHopResponseHeadersAreNotForwarded(t *testing.T) {
	t.Parallel()
	up := wiretest.Answering(t, "HTTP/1.1 200 OK\r\nConnection: keep-alive, X-Named\r\nConnection: x-second\r\nKeep-Alive: timeout=5\r\n"+
		"Proxy-Connection: x\r\nProxy-Authenticate: x\r\nUpgrade: h2c\r\nTrailer: X-T\r\nTe: x\r\n"+
		"X-Named: 1\r\nX-Second: 2\r\nX-Third: 3\r\nSet-Cookie: a=b\r\nSet-Cookie: c=d\r\nDate: then\r\nContent-Length: 2\r\n\r\nhi")
	f := newFront(t, up.Addr, withTarget(func(_ *http.Request, t *Target) {
		t.Response = func(status int, h http.Header) { h.Set("X-Second", "ours") }
	}))
	status, body, h := f.get(t, "/")
	require.Equal(t, 200, status)
	require.Equal(t, "hi", body)
	require.Equal(t, http.Header{
		"X-Third": {"3"}, "X-Second": {"ours"}, "Set-Cookie": {"a=b", "c=d"}, "Date": {"then"}, "Content-Length": {"2"},
	}, h, "and no guessed Content-Type")
}

// Connection may name headers beside "close", in a line of its own or in
// another: they are for one hop too, whichever way the message goes.
func TestP4P12HeadersThatConnectionNamesBesideCloseAreDropped(t *testing.T) {
	t.Parallel()
	for name, connection := range map[string]string{
		"after close":   "Connection: close, X-Hop\r\n",
		"before close":  "Connection: x-hop,Close\r\n",
		"two lines":     "Connection: close\r\nConnection: X-Hop\r\n",
		"folded":        "Connection: close,\r\n X-Hop\r\n",
		"without close": "Connection: keep-alive, X-Hop\r\n",
	} {
		const fields = "X-Hop: 1\r\nX-End: 2\r\n"
		t.Run("answer, "+name, func(t *testing.T) {
			t.Parallel()
			for _, answer := range []string{
				"HTTP/1.1 200 OK\r\n" + connection + fields + "Content-Length: 2\r\n\r\nhi",
				"HTTP/1.1 200 OK\r\n" + connection + fields + "Transfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n",
				"HTTP/1.0 200 OK\r\n" + connection + fields + "Content-Length: 2\r\n\r\nhi",
			} {
				_, body, h := newFront(t, wiretest.Answering(t, answer).Addr).get(t, "/")
				require.Equal(t, "hi", body)
				require.NotContains(t, h, "X-Hop", answer)
				require.Equal(t, "2", h.Get("X-End"), answer)
			}
		})
		t.Run("interim answer, "+name, func(t *testing.T) {
			t.Parallel()
			c := newFront(t, wiretest.Answering(t, "HTTP/1.1 103 Early Hints\r\n"+connection+fields+"\r\n"+wiretest.OK("hi")).Addr).dial(t)
			c.Send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
			require.Equal(t, "HTTP/1.1 103 Early Hints\r\nX-End: 2\r\n", c.MustHead())
		})
		t.Run("handshake, "+name, func(t *testing.T) {
			t.Parallel()
			c := newFront(t, wiretest.Answering(t, strings.Replace(switching, "\r\n\r\n", "\r\n"+connection+fields+"\r\n", 1)).Addr).dial(t)
			c.Send(handshake)
			h := c.MustHead()
			require.Equal(t, "HTTP/1.1 101 Switching Protocols", wiretest.FirstLine(h))
			require.Empty(t, wiretest.Values(h, "X-Hop"))
			require.Equal(t, []string{"2"}, wiretest.Values(h, "X-End"))
		})
		t.Run("request, "+name, func(t *testing.T) {
			t.Parallel()
			h := headOf(t, "GET / HTTP/1.1\r\nHost: x\r\n"+connection+fields+"\r\n")
			require.Empty(t, wiretest.Values(h, "X-Hop"))
			require.Equal(t, []string{"2"}, wiretest.Values(h, "X-End"))
		})
	}
}

func TestP5EncodingsAndRangesPassUntouched(t *testing.T) {
	t.Parallel()
	const gzip = "\x1f\x8b\x08\x00not really gzip"
	up := wiretest.Raw(t, func(_ int, c *wiretest.Conn) {
		for {
			h, err := c.Head()
			if err != nil {
				return
			}
			encoding := strings.Join(wiretest.Values(h, "Accept-Encoding"), "|")
			c.Send("HTTP/1.1 206 Partial Content\r\nContent-Encoding: gzip\r\nETag: W/\"x\"\r\nContent-Range: bytes 0-18/99\r\n" +
				"X-Range: " + strings.Join(append(wiretest.Values(h, "Range"), wiretest.Values(h, "If-Range")...), "|") + "\r\n" +
				"X-Accept: " + encoding + "\r\nContent-Length: 19\r\n\r\n" + gzip)
		}
	})
	f := newFront(t, up.Addr)
	for _, accept := range []string{"", "gzip", "br;q=1, *;q=0"} {
		c := f.dial(t)
		c.Send("GET / HTTP/1.1\r\nHost: x\r\nRange: bytes=0-18\r\nIf-Range: \"e\"\r\n")
		if accept != "" {
			c.Send("Accept-Encoding: " + accept + "\r\n")
		}
		c.Send("\r\n")
		h := c.MustHead()
		require.Equal(t, "HTTP/1.1 206 Partial Content", wiretest.FirstLine(h))
		require.Equal(t, []string{accept}, wiretest.Values(h, "X-Accept"))
		require.Equal(t, []string{"gzip"}, wiretest.Values(h, "Content-Encoding"))
		require.Equal(t, []string{`W/"x"`}, wiretest.Values(h, "ETag"))
		require.Equal(t, []string{"bytes 0-18/99"}, wiretest.Values(h, "Content-Range"))
		require.Equal(t, []string{`bytes=0-18|"e"`}, wiretest.Values(h, "X-Range"))
		require.Equal(t, gzip, c.Next(19))
	}
}

func TestP4ResponseTrailersPassAnnouncedOrNot(t *testing.T) {
	t.Parallel()
	for name, announce := range map[string]string{"announced": "Trailer: X-T, X-Never\r\n", "not announced": ""} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			up := wiretest.Answering(t, "HTTP/1.1 200 OK\r\n"+announce+"X-Never: a header\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\nX-T: 1\r\nX-T: 2\r\nContent-Length: 7\r\nConnection: x\r\n\r\n")
			f := newFront(t, up.Addr)
			for range 2 {
				resp, err := wiretest.Client(t).Get("http://" + f.addr)
				require.NoError(t, err)
				body, err := io.ReadAll(resp.Body)
				require.NoError(t, err)
				resp.Body.Close()
				require.Equal(t, "hi", string(body))
				require.Equal(t, []string{"1", "2"}, resp.Trailer["X-T"])
				got := slices.DeleteFunc(slices.Sorted(maps.Keys(resp.Trailer)), func(k string) bool { return resp.Trailer[k] == nil })
				require.Equal(t, []string{"X-T"}, got, "and no other")
			}
			require.EqualValues(t, 1, up.Conns.Load(), "the connection is used again")
		})
	}
}

func TestP4RequestTrailersPassAnnouncedOrNot(t *testing.T) {
	t.Parallel()
	for name, announce := range map[string]string{"announced": "Trailer: X-T\r\n", "not announced": ""} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := make(chan string, 2)
			up := wiretest.Raw(t, func(_ int, c *wiretest.Conn) {
				h := c.MustHead()
				got <- strings.Join(wiretest.Values(h, "Trailer"), ",")
				var all strings.Builder
				for !strings.HasSuffix(all.String(), "\r\n\r\n") {
					b, err := c.Reader.ReadByte()
					if err != nil {
						return
					}
					all.WriteByte(b)
				}
				got <- all.String()
				c.Send(wiretest.OK(""))
			})
			type key struct{}
			f := newFront(t, up.Addr, withContext(withValue(key{})))
			c := f.dial(t)
			c.Send("POST / HTTP/1.1\r\nHost: x\r\n" + announce + "Transfer-Encoding: chunked\r\n\r\n" +
				"2\r\nhi\r\n0\r\nX-T: 1\r\nX-Forwarded-For: 6.6.6.6\r\nHost: evil\r\n\r\n")
			require.Equal(t, strings.TrimSuffix(strings.TrimPrefix(announce, "Trailer: "), "\r\n"), wiretest.Receive(t, got, "announcement"))
			require.Equal(t, "2\r\nhi\r\n0\r\nX-T: 1\r\n\r\n", wiretest.Receive(t, got, "body"))
			require.Equal(t, "HTTP/1.1 200 OK", wiretest.FirstLine(c.MustHead()))
		})
	}
}

func TestP4InterimAnswersArriveBeforeTheFinalOne(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	up := wiretest.Raw(t, func(_ int, c *wiretest.Conn) {
		c.MustHead()
		c.Send("HTTP/1.1 100 Continue\r\n\r\n" + // nobody asked for it
			"HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\nConnection: X-Named\r\nX-Named: 1\r\nKeep-Alive: 1\r\n\r\n" +
			"HTTP/1.1 103 Early Hints\r\nLink: </b.css>; rel=preload\r\n\r\n")
		<-release
		c.Send(wiretest.OK("done"))
	})
	var seen []int
	f := newFront(t, up.Addr, withTarget(func(_ *http.Request, t *Target) {
		t.Response = func(status int, h http.Header) { seen = append(seen, status); h.Set("X-Hook", "1") }
	}))
	c := f.dial(t)
	c.Send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	require.Equal(t, "HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\nX-Hook: 1\r\n", c.MustHead())
	require.Equal(t, "HTTP/1.1 103 Early Hints\r\nLink: </b.css>; rel=preload\r\nX-Hook: 1\r\n", c.MustHead())
	close(release)
	h := c.MustHead()
	require.Equal(t, "HTTP/1.1 200 OK", wiretest.FirstLine(h))
	require.Empty(t, wiretest.Values(h, "Link"), "the headers of an interim answer are its own")
	require.Equal(t, "done", c.Next(4))
	require.NoError(t, f.result(t).err)
	require.Equal(t, []int{103, 103, 200}, seen)
}

func TestP4NoInterimAnswerToHTTP10(t *testing.T) {
	t.Parallel()
	up := wiretest.Answering(t, "HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n"+wiretest.OK("done"))
	c := newFront(t, up.Addr).dial(t)
	c.Send("GET / HTTP/1.0\r\nHost: x\r\n\r\n")
	require.Equal(t, "HTTP/1.0 200 OK", wiretest.FirstLine(c.MustHead()))
	body, err := c.Rest()
	require.NoError(t, err)
	require.Equal(t, "done", body)
}
