package proxy

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"daemon-proxy/core/api"
	"daemon-proxy/core/wiretest"
)

// What net/http/httputil promises of its ReverseProxy and the other files do
// not look at. Where this proxy means to differ, the test says so.

// dialling is how to reach addr.
func dialling(addr string) func(context.Context) (net.Conn, error) {
	return func(ctx context.Context) (net.Conn, error) { return new(net.Dialer).DialContext(ctx, "tcp", addr) }
}

func TestP1P4OneExchangeWithEverythingInIt(t *testing.T) {
	t.Parallel()
	seen := make(chan *http.Request, 1)
	up := wiretest.Serve(t, func(w http.ResponseWriter, r *http.Request) {
		seen <- r
		h := w.Header()
		h.Set("Trailers", "an ordinary header")
		h.Set("Trailer", "X-Announced")
		h.Set("Upgrade", "foo")
		h.Set("Keep-Alive", "foo")
		h["X-Several"] = []string{"1", "2"}
		http.SetCookie(w, &http.Cookie{Name: "flavor", Value: "chip"})
		w.WriteHeader(http.StatusNotFound)
		_, _ = io.WriteString(w, "not here")
		h.Set("X-Announced", "a")
		h.Set(http.TrailerPrefix+"X-Unannounced", "b")
	})
	f := newFront(t, up)
	req, err := http.NewRequest(http.MethodGet, "http://"+f.addr, nil)
	require.NoError(t, err)
	req.Host = "some-name"
	req.Close = true
	req.Header = http.Header{"Connection": {"close, TE"}, "Te": {"foo", "bar, trailers"}, "Proxy-Connection": {"x"}, "Upgrade": {"foo"}}
	resp, err := wiretest.Client(t).Do(req)
	require.NoError(t, err)
	defer resp.Body.Close()
	require.Equal(t, http.Header{"X-Announced": nil}, resp.Trailer, "before the body was read")
	body, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	require.Equal(t, "not here", string(body))
	require.Equal(t, http.StatusNotFound, resp.StatusCode)
	require.Equal(t, http.Header{"X-Announced": {"a"}, "X-Unannounced": {"b"}}, resp.Trailer)
	require.Equal(t, []string{"an ordinary header"}, resp.Header["Trailers"])
	require.Equal(t, []string{"1", "2"}, resp.Header["X-Several"])
	require.Equal(t, []string{"flavor=chip"}, resp.Header["Set-Cookie"])
	require.Empty(t, resp.Header["Upgrade"])
	require.Empty(t, resp.Header["Keep-Alive"])

	r := wiretest.Receive(t, seen, "the request")
	require.Empty(t, r.TransferEncoding)
	require.Equal(t, "daemon:2280", r.Host)
	require.Equal(t, []string{"trailers"}, r.Header["Te"])
	require.Equal(t, []string{"127.0.0.1"}, r.Header["X-Forwarded-For"])
	for _, name := range []string{"Connection", "Upgrade", "Proxy-Connection"} {
		require.Empty(t, r.Header[name], name)
	}
}

func TestP1ALongBodyArrivesWithItsLength(t *testing.T) {
	t.Parallel()
	sent := pattern(1 << 20)
	lengths := make(chan int64, 1)
	up := wiretest.Serve(t, func(w http.ResponseWriter, r *http.Request) {
		got, err := io.ReadAll(r.Body)
		lengths <- r.ContentLength
		if err != nil || !bytes.Equal(got, sent) || r.TransferEncoding != nil {
			w.WriteHeader(http.StatusTeapot)
		}
	})
	f := newFront(t, up)
	resp, err := wiretest.Client(t).Post("http://"+f.addr, "", bytes.NewReader(sent))
	require.NoError(t, err)
	resp.Body.Close()
	require.Equal(t, http.StatusOK, resp.StatusCode)
	require.EqualValues(t, len(sent), wiretest.Receive(t, lengths, "the length"))
	require.EqualValues(t, len(sent), f.result(t).BytesIn)
}

// A caller may hand on a request that no server has made.
func TestP1NeitherBodyNorHeaderIsNeeded(t *testing.T) {
	t.Parallel()
	up := wiretest.Answering(t, wiretest.OK("hi"))
	p := New(Options{})
	defer p.Close()
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	r.Body, r.Header, r.ContentLength = nil, nil, -1
	w := httptest.NewRecorder()
	var hooked http.Header
	res, err := p.Forward(w, r, Target{
		Dial: dialling(up.Addr), Authority: "a", RequestURI: "/",
		Header: func(h http.Header) { h.Set("X-A", "b"); hooked = h.Clone() },
	})
	require.NoError(t, err)
	require.Equal(t, 200, res.Status)
	require.Equal(t, "hi", w.Body.String())
	require.Equal(t, []string{"b"}, hooked["X-A"])
	require.Nil(t, r.Header)
}

// A hook that looks at the form, as url.Values or as r.Form, changes nothing:
// what two readers of a query could read in two ways arrives as it was sent.
func TestP3S7ALookAtTheFormChangesNothing(t *testing.T) {
	t.Parallel()
	const query = "a=1&a=2;b=3&b=%x&c=%&=&&d"
	h := headOf(t, "GET /x?"+query+" HTTP/1.1\r\nHost: x\r\n\r\n", withTarget(func(r *http.Request, t *Target) {
		_ = r.ParseForm()
		t.Header = func(http.Header) { _ = r.URL.Query() }
	}))
	require.Equal(t, "GET /x?"+query+" HTTP/1.1", wiretest.FirstLine(h))
}

func TestP4TheUserAgentIsTheClientsOwnOrNone(t *testing.T) {
	t.Parallel()
	for sent, want := range map[string][]string{"": nil, "User-Agent: \r\n": {""}, "User-Agent: mine/1\r\n": {"mine/1"}} {
		require.Equal(t, want, wiretest.Values(headOf(t, "GET / HTTP/1.1\r\nHost: x\r\n"+sent+"\r\n"), "User-Agent"))
	}
}

func TestP4AnEmptyConnectionLineHidesNoOther(t *testing.T) {
	t.Parallel()
	up := wiretest.Answering(t, "HTTP/1.1 200 OK\r\nConnection: \r\nConnection: X-Named\r\nX-Named: 1\r\nX-Other: 2\r\nContent-Length: 0\r\n\r\n")
	_, _, h := newFront(t, up.Addr).get(t, "/")
	require.Equal(t, "2", h.Get("X-Other"))
	require.Empty(t, h["X-Named"])
	require.Empty(t, h["Connection"])
}

// The request stays what it was: the caller logs it and may send it again.
func TestP4TheClientsRequestIsNotChanged(t *testing.T) {
	t.Parallel()
	type asked struct {
		method, uri, host, url string
		header                 http.Header
	}
	state := func(r *http.Request) asked {
		return asked{r.Method, r.RequestURI, r.Host, r.URL.String(), r.Header.Clone()}
	}
	var before asked
	var request *http.Request
	h := headOf(t, "GET /a?b HTTP/1.1\r\nHost: x\r\nConnection: X-Named, keep-alive\r\nX-Named: 1\r\nTE: gzip, trailers\r\nX-Forwarded-For: 1.2.3.4\r\nX-Kept: 1\r\n\r\n",
		withTarget(func(r *http.Request, t *Target) {
			before, request = state(r), r
			t.ForwardedPrefix = "/p"
			t.Header = func(h http.Header) { h["X-Kept"] = []string{"2"}; delete(h, "X-Forwarded-For") }
		}))
	require.Equal(t, []string{"2"}, wiretest.Values(h, "X-Kept"))
	require.Empty(t, wiretest.Values(h, "X-Named"))
	require.Equal(t, before, state(request))
}

// ReverseProxy appends to what the client said; here the client's is dropped,
// and a hook may leave the rest out.
func TestP9AHookMayLeaveTheClientsAddressOut(t *testing.T) {
	t.Parallel()
	h := headOf(t, "GET / HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: 6.6.6.6\r\n\r\n", withTarget(func(_ *http.Request, t *Target) {
		t.Header = func(h http.Header) { h["X-Forwarded-For"] = nil }
	}))
	require.Empty(t, wiretest.Values(h, "X-Forwarded-For"))
}

// wrapped is a writer of which only Unwrap leads to what can flush and hijack.
type wrapped struct{ inner http.ResponseWriter }

func (w wrapped) Header() http.Header                { return w.inner.Header() }
func (w wrapped) Write(p []byte) (int, error)        { return w.inner.Write(p) }
func (w wrapped) WriteHeader(status int)             { w.inner.WriteHeader(status) }
func (w wrapped) Unwrap() http.ResponseWriter        { return w.inner }
func wrap(w http.ResponseWriter) http.ResponseWriter { return wrapped{wrapped{w}} }

func TestP6AWrappedWriterIsFlushedAndUpgraded(t *testing.T) {
	t.Parallel()
	next := make(chan struct{})
	up := wiretest.Raw(t, func(_ int, c *wiretest.Conn) {
		if h := c.MustHead(); len(wiretest.Values(h, "Upgrade")) > 0 {
			c.Send(switching + "hi")
			return
		}
		c.Send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\na")
		<-next
		c.Send("b")
	})
	goOn := sync.OnceFunc(func() { close(next) })
	t.Cleanup(goOn)
	p := New(Options{})
	t.Cleanup(p.Close)
	addr := wiretest.Serve(t, func(w http.ResponseWriter, r *http.Request) {
		res, _ := p.Forward(wrap(w), r, Target{Dial: dialling(up.Addr), Authority: "a", RequestURI: "/"})
		if res.Tunnel != nil {
			res.Tunnel(context.Background())
		}
	})
	f := &front{addr: addr}
	c := f.dial(t)
	c.Send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	c.MustHead()
	require.Equal(t, "a", c.Next(1))
	goOn()
	require.Equal(t, "b", c.Next(1))
	c.Send(handshake)
	require.Equal(t, "HTTP/1.1 101 Switching Protocols", wiretest.FirstLine(c.MustHead()))
	require.Equal(t, "hi", c.Next(2))
}

// An answer that breaks off while a body still comes ends both, and the
// client's next request is not taken for the rest of the first.
func TestP6AnAnswerThatBreaksOffEndsTheUpload(t *testing.T) {
	t.Parallel()
	up := wiretest.Raw(t, func(_ int, c *wiretest.Conn) {
		c.MustHead()
		c.Send("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf of")
	})
	f := newFront(t, up.Addr)
	for range 5 {
		resp, err := wiretest.Client(t).Post("http://"+f.addr, "", io.LimitReader(strings.NewReader(strings.Repeat("x", 6<<20)), 6<<20))
		if err == nil {
			_, err = io.Copy(io.Discard, resp.Body)
			resp.Body.Close()
		}
		require.Error(t, err)
		if o := f.result(t); o.err == nil {
			require.True(t, o.Cut)
			require.Error(t, o.Err)
		}
	}
}

// deaf cannot close one direction alone.
type deaf struct{ net.Conn }

func TestP7AConnectionThatCannotHalfCloseIsEnded(t *testing.T) {
	t.Parallel()
	f, client, daemon := opened(t, withTarget(func(_ *http.Request, t *Target) {
		dial := t.Dial
		t.Dial = func(ctx context.Context) (net.Conn, error) {
			c, err := dial(ctx)
			return deaf{c}, err
		}
	}))
	client.Send("last words")
	require.Equal(t, "last words", daemon.Next(10))
	require.NoError(t, client.CloseWrite())
	_, err := daemon.Rest()
	require.NoError(t, err)
	_, err = client.Rest()
	require.NoError(t, err)
	require.NoError(t, f.result(t).Err)
}

func TestP7AWriterThatCannotBeHijackedGetsAProblem(t *testing.T) {
	t.Parallel()
	ended := make(chan struct{})
	up := wiretest.Raw(t, func(_ int, c *wiretest.Conn) {
		c.MustHead()
		c.Send(switching)
		_, _ = c.Rest()
		close(ended)
	})
	p := New(Options{})
	defer p.Close()
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	r.Header = http.Header{"Connection": {"Upgrade"}, "Upgrade": {"websocket"}}
	w := httptest.NewRecorder()
	_, err := p.Forward(w, r, Target{Dial: dialling(up.Addr), Authority: "a", RequestURI: "/"})
	require.Equal(t, api.CodeInternal, code(err))
	require.Empty(t, w.Header(), "nothing was written")
	wiretest.Receive(t, ended, "the end of the daemon's connection")
}

// A client that waits for a 100 before it sends its body is told at once that
// nobody will read it, or that what came in place of the 100 is none.
func TestP10NobodyWaitsForA100ThatCannotCome(t *testing.T) {
	t.Parallel()
	nobody := wiretest.Listen(t)
	require.NoError(t, nobody.Close())
	for name, tc := range map[string]struct {
		addr, code string
		status     string
	}{
		"nobody there": {nobody.Addr().String(), api.CodeDaemonDown, "503"},
		"no 100":       {wiretest.Answering(t, "HTTP/1.1 100 Continue\r\nno header\r\n\r\n").Addr, api.CodeBadUpstream, "502"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFront(t, tc.addr)
			c := f.dial(t)
			c.Send(postHead(16, "Expect: 100-continue\r\n"))
			require.Equal(t, tc.status, wiretest.FirstLine(c.MustHead())[9:12], "and no 100 before it")
			require.Equal(t, tc.code, code(f.result(t).err))
		})
	}
}
