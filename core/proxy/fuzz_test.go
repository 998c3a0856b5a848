package proxy

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"daemon-proxy/core/wiretest"
)

// canned is a connection to a daemon that has said all it will.
type canned struct {
	net.Conn
	answer io.Reader
	got    bytes.Buffer
}

func (c *canned) Read(p []byte) (int, error)  { return c.answer.Read(p) }
func (c *canned) Write(p []byte) (int, error) { return c.got.Write(p) }
func (c *canned) Close() error                { return nil }

func (c *canned) SetReadDeadline(time.Time) error  { return nil }
func (c *canned) SetWriteDeadline(time.Time) error { return nil }

// forwarded is what r would send to a daemon; false if it is refused.
func forwarded(r *http.Request, uri string) (string, bool) {
	x := exchange{r: r, t: &Target{Authority: "localhost:3000", RequestURI: uri}}
	if x.prepare() != nil {
		return "", false
	}
	return string(*x.head), true
}

// FuzzRequestHead feeds raw requests to net/http's server side, forwards what
// it takes, and reads the result the way a daemon does: it must be one request
// with one framing, that of the client, and upgrade to nothing but a WebSocket.
func FuzzRequestHead(f *testing.F) {
	for _, seed := range []string{
		handshake,
		asking("Connection: keep-alive, Upgrade", "Connection: X-A", "Upgrade: h2c, websocket", "X-A: b", "HTTP2-Settings: x"),
		asking("Connection: ,\tupgrade ,,", "upgrade: WEBSOCKET", "sec-websocket-key: x"),
		"POST /a%2Fb?c;d HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nConnection: content-length\r\nExpect: 100-continue\r\n\r\nabc",
		"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nTrailer: X-T, Host\r\nTE: trailers\r\n\r\n1\r\na\r\n0\r\nX-T: 1\r\n\r\n",
		"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nx",
		"GET /\xff HTTP/1.0\r\nX-A: b\r\n c\r\n\r\n",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		r, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(raw)))
		if err != nil {
			return
		}
		head, ok := forwarded(r, r.RequestURI)
		if !ok {
			return
		}
		require.Equal(t, 1, strings.Count(head, "\r\n\r\n"))
		require.True(t, strings.HasSuffix(head, "\r\n\r\n"))
		require.Equal(t, strings.Count(head, "\n"), strings.Count(head, "\r\n"))
		require.Equal(t, strings.Count(head, "\r"), strings.Count(head, "\r\n"))
		require.NotContains(t, head, "\x00")
		require.Equal(t, r.Method+" "+r.RequestURI+" HTTP/1.1", wiretest.FirstLine(head))
		require.Equal(t, []string{"localhost:3000"}, wiretest.Values(head, "Host"))

		lengths, encodings := wiretest.Values(head, "Content-Length"), wiretest.Values(head, "Transfer-Encoding")
		require.LessOrEqual(t, len(lengths)+len(encodings), 1, "one framing")
		body := "chunked"
		if len(lengths) == 1 {
			body = lengths[0]
		}
		upgrade := wiretest.Values(head, "Upgrade")
		require.Equal(t, len(upgrade) > 0, len(wiretest.Values(head, "Connection")) > 0)
		if len(upgrade) > 0 {
			require.Equal(t, []string{"websocket"}, upgrade)
			require.Equal(t, []string{"Upgrade"}, wiretest.Values(head, "Connection"))
			require.Zero(t, r.ContentLength)
			require.Empty(t, encodings)
		}
		for _, name := range []string{"Keep-Alive", "Proxy-Authorization", "HTTP2-Settings", "X-Real-IP", "Forwarded"} {
			require.Empty(t, wiretest.Values(head, name))
		}

		again, err := http.ReadRequest(bufio.NewReader(strings.NewReader(head)))
		require.NoError(t, err, "%q", head)
		require.Equal(t, r.Method, again.Method)
		require.Equal(t, r.RequestURI, again.RequestURI)
		require.Equal(t, max(r.ContentLength, -1), again.ContentLength, "%s: %q", body, head)
	})
}

// FuzzUpgradeAnswer lets a daemon answer a handshake with anything: what the
// client gets is either a whole 101 to websocket, or an ordinary answer, or
// nothing; never a header of the daemon's that ends the head early.
func FuzzUpgradeAnswer(f *testing.F) {
	for _, seed := range []string{
		switching + "\x81\x02hi",
		"HTTP/1.1 101 X\r\nupgrade: h2c, websocket\r\nConnection: x-a\r\nX-A: b\r\nSet-Cookie: a=b\r\n\r\n",
		"HTTP/1.1 101 X\r\nUpgrade: websocket\r\nX A: b\r\nX-B: \x01\r\n\r\n",
		"HTTP/1.1 103 X\r\nLink: <a>\r\n\r\n" + switching,
		"HTTP/1.1 426 X\r\nContent-Length: 2\r\n\r\nno",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, answer []byte) {
		conn := &canned{answer: bytes.NewReader(answer)}
		proxy := New(Options{})
		defer proxy.Close()
		server, client := net.Pipe()
		w := &hijackable{ResponseRecorder: httptest.NewRecorder(), conn: server}
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.Header.Set("Connection", "Upgrade")
		r.Header.Set("Upgrade", "websocket")
		sent := make(chan []byte, 1)
		go func() {
			b, _ := io.ReadAll(client)
			client.Close()
			sent <- b
		}()
		res, err := proxy.Forward(w, r, Target{
			Dial: func(context.Context) (net.Conn, error) { return conn, nil }, Authority: "a", RequestURI: "/",
		})
		if res.Tunnel != nil {
			res = res.Tunnel(t.Context())
		}
		server.Close()
		got := <-sent
		if !w.hijacked {
			require.Empty(t, got)
			require.NotEqual(t, http.StatusSwitchingProtocols, res.Status)
			return
		}
		require.NoError(t, err)
		require.Equal(t, http.StatusSwitchingProtocols, res.Status)
		head, rest, ok := bytes.Cut(got, []byte("\r\n\r\n"))
		require.True(t, ok)
		require.Equal(t, []string{"websocket"}, wiretest.Values(string(head), "Upgrade"))
		require.Equal(t, []string{"Upgrade"}, wiretest.Values(string(head), "Connection"))
		require.Empty(t, wiretest.Values(string(head), "Content-Length"))
		require.Empty(t, wiretest.Values(string(head), "Transfer-Encoding"))
		require.Equal(t, bytes.Count(head, []byte("\n")), bytes.Count(head, []byte("\r\n")))
		require.True(t, bytes.HasSuffix(answer, rest), "every byte after the head, and no other")
	})
}

type hijackable struct {
	*httptest.ResponseRecorder
	conn     net.Conn
	hijacked bool
}

func (h *hijackable) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	h.hijacked = true
	return h.conn, bufio.NewReadWriter(bufio.NewReader(h.conn), bufio.NewWriter(h.conn)), nil
}

// FuzzAnswerBody compares the reader of bodies with net/http's: what it takes
// for a whole body is one to net/http too, with the same bytes, the same
// trailers and the same end. It may refuse more, never less.
func FuzzAnswerBody(f *testing.F) {
	const chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
	for _, seed := range []string{
		chunked + "2\r\nhi\r\n0\r\n\r\nnext", chunked + "2;a=b\r\nhi\r\n0\r\nX-T: 1\r\n\r\n", chunked + "2;a\rb\r\nhi\r\n0\r\n\r\n", chunked + "2 \t\r\nhi\r\n00\r\n\r\n",
		chunked + "2\nhi\n0\n\n", chunked + "02\r\nhi\r\n0\r\n\r\n", chunked + "0x2\r\nhi\r\n0\r\n\r\n", chunked + "2\r\nhi0\r\n\r\n",
		chunked + "0\r\n\n0", chunked + "0\r\nX-T: 1\r\n\n", chunked + "0\r\nX-T: 1\n\r\n", chunked + "0\r\nX-T: 1\r\n 2\r\n\r\n",
		chunked + "ffffffffffffffff\r\nhi", chunked + "0\r\nX-T : 1\r\n\r\n", chunked + "0\r\n X-T: 1\r\n\r\n",
		wiretest.OK("hello") + "next", "HTTP/1.1 200 OK\r\n\r\nto the end", "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "HTTP/1.1 204 No\r\nContent-Length: 3\r\n\r\nabc",
	} {
		f.Add([]byte(seed), uint16(1))
		f.Add([]byte(seed), uint16(4096))
	}
	get := &http.Request{Method: http.MethodGet}
	f.Fuzz(func(t *testing.T, answer []byte, step uint16) {
		pieces := int(step%4096) + 1
		up := &upstream{Conn: &canned{answer: &slow{bytes.NewReader(answer), pieces}}}
		up.src = source{conn: up.Conn, limit: -1}
		up.br = bufio.NewReaderSize(&up.src, upstreamBuffer)
		resp, err := up.readHead(get)
		if err != nil || resp.StatusCode < 200 {
			return
		}
		body := newAnswerBody(up, resp)
		got, err := io.ReadAll(struct{ io.Reader }{body})
		if err != nil {
			return
		}
		left, _ := io.ReadAll(up.br)

		br := bufio.NewReader(bytes.NewReader(answer))
		theirs, err := http.ReadResponse(br, get)
		require.NoError(t, err)
		want, err := io.ReadAll(theirs.Body)
		require.NoError(t, err, "net/http refuses it")
		require.Equal(t, want, got)
		rest, _ := io.ReadAll(br)
		require.Equal(t, string(rest), string(left), "they disagree about where the answer ends")
		for name, values := range body.trailer {
			require.Equal(t, values, theirs.Trailer[name], name)
		}
	})
}

// slow reads a few bytes at a time.
type slow struct {
	r io.Reader
	n int
}

func (s *slow) Read(p []byte) (int, error) { return s.r.Read(p[:min(len(p), s.n)]) }

// FuzzRequestURI gives Forward any target: it is refused, or is the second word
// of the request line, byte for byte.
func FuzzRequestURI(f *testing.F) {
	for _, seed := range []string{"/", "/a%2Fb?c;d=%zz#e", "/ü//../", "*", "", "http://h/", "/a b", "/a\r\nX: y", "/\x00", "/a HTTP/1.1\r\n\r\nGET /b"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, uri string) {
		r := &http.Request{Method: http.MethodGet, ProtoMajor: 1, ProtoMinor: 1, Header: http.Header{}}
		head, ok := forwarded(r, uri)
		if !ok {
			require.True(t, !strings.HasPrefix(uri, "/") || strings.ContainsFunc(uri, func(c rune) bool { return c <= ' ' || c == 0x7f }),
				"%q need not be refused", uri)
			return
		}
		require.Equal(t, []string{"GET", uri, "HTTP/1.1"}, strings.Split(wiretest.FirstLine(head), " "))
		require.Equal(t, "GET "+uri+" HTTP/1.1\r\nHost: localhost:3000\r\n\r\n", head)
	})
}
