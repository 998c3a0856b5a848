package proxy

import (
	"context"
	"io"
	"net"
	"net/http"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"daemon-proxy/core/api"
	"daemon-proxy/core/wiretest"
)

// postHead begins a POST whose body the test sends itself.
func postHead(length int, more string) string {
	return "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: " + strconv.Itoa(length) + "\r\n" + more + "\r\n"
}

func TestP6RequestBodyStreams(t *testing.T) {
	t.Parallel()
	first := make(chan string)
	up := wiretest.Serve(t, func(_ http.ResponseWriter, r *http.Request) {
		b := make([]byte, 5)
		_, _ = io.ReadFull(r.Body, b)
		first <- string(b)
		_, _ = io.Copy(io.Discard, r.Body)
	})
	f := newFront(t, up)
	c := f.dial(t)
	c.Send(postHead(10, "") + "first")
	require.Equal(t, "first", wiretest.Receive(t, first, "the first half, before the second was sent"))
	c.Send("last.")
	require.Equal(t, "HTTP/1.1 200 OK", wiretest.FirstLine(c.MustHead()))
	require.EqualValues(t, 10, f.result(t).BytesIn)
}

func TestP6FullDuplex(t *testing.T) {
	t.Parallel()
	up := wiretest.Raw(t, func(_ int, c *wiretest.Conn) {
		c.MustHead()
		c.Send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
		for {
			line, err := c.Reader.ReadString('\n') // "1\r\n", "x\r\n"
			if err != nil || line == "0\r\n" {
				c.Send("0\r\n\r\n")
				return
			}
			data, _ := c.Reader.ReadString('\n')
			c.Send(line + data)
		}
	})
	f := newFront(t, up.Addr)
	c := f.dial(t)
	c.Send("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
	require.Equal(t, "HTTP/1.1 200 OK", wiretest.FirstLine(c.MustHead()))
	for range 3 {
		c.Send("1\r\nx\r\n")
		require.Equal(t, "1\r\nx\r\n", c.Next(6))
	}
	c.Send("0\r\n\r\n")
	require.Equal(t, "0\r\n\r\n", c.Next(5))
}

func TestP6UploadOfOneGiBTakesNoMemory(t *testing.T) {
	if testing.Short() {
		t.Skip("moves 1 GiB")
	}
	const size = 1 << 30
	up := wiretest.Serve(t, func(w http.ResponseWriter, r *http.Request) {
		n, _ := io.Copy(io.Discard, r.Body)
		_, _ = io.WriteString(w, strconv.FormatInt(n, 10))
	})
	f := newFront(t, up)
	var before, now runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	var most uint64
	body := &meter{left: size, every: 64 << 20, look: func() {
		runtime.ReadMemStats(&now)
		most = max(most, now.HeapInuse)
	}}
	req, err := http.NewRequest(http.MethodPost, "http://"+f.addr, body)
	require.NoError(t, err)
	req.ContentLength = size
	resp, err := wiretest.Client(t).Do(req)
	require.NoError(t, err)
	defer resp.Body.Close()
	got, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	require.Equal(t, strconv.Itoa(size), string(got))
	require.Less(t, most, before.HeapInuse+8<<20)
	require.EqualValues(t, size, f.result(t).BytesIn)
}

// meter is a body of zeros that calls look now and then.
type meter struct {
	left, since, every int
	look               func()
}

func (m *meter) Read(p []byte) (int, error) {
	if m.left == 0 {
		return 0, io.EOF
	}
	n := min(len(p), m.left)
	m.left -= n
	if m.since += n; m.since >= m.every {
		m.since = 0
		m.look()
	}
	return n, nil
}

func TestP6RefusalDuringAnUploadReachesTheClient(t *testing.T) {
	t.Parallel()
	for name, framing := range map[string]string{"length": "Content-Length: 1073741824", "chunked": "Transfer-Encoding: chunked"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			up := wiretest.Raw(t, func(_ int, c *wiretest.Conn) {
				c.MustHead()
				c.Next(1)
				c.Send("HTTP/1.1 413 Content Too Large\r\nConnection: close\r\nContent-Length: 3\r\n\r\nbig")
			})
			f := newFront(t, up.Addr)
			c := f.dial(t)
			// What follows the body's beginning would be another request, if the rest were taken for one.
			c.Send("POST / HTTP/1.1\r\nHost: x\r\n" + framing + "\r\n\r\n1\r\nx\r\n")
			h := c.MustHead()
			require.Equal(t, "HTTP/1.1 413 Request Entity Too Large", wiretest.FirstLine(h))
			require.Equal(t, []string{"close"}, wiretest.Values(h, "Connection"), "so that the client stops")
			require.Equal(t, "big", c.Next(3))
			_, _ = io.WriteString(c, "GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n")
			rest, _ := c.Rest()
			require.Empty(t, rest, "the connection ends with the answer")
			require.NoError(t, f.result(t).err)
			require.Empty(t, f.results)
			require.EqualValues(t, 1, up.Conns.Load())
		})
	}
}

func TestP6EarlyAnswerOnAKeptConnectionEndsTheUpload(t *testing.T) {
	t.Parallel()
	up := wiretest.Answering(t, wiretest.OK("early")) // does not read the body, and does not close either
	f := newFront(t, up.Addr)
	c := f.dial(t)
	c.Send(postHead(1000, "") + "some")
	require.Equal(t, "HTTP/1.1 200 OK", wiretest.FirstLine(c.MustHead()))
	require.Equal(t, "early", c.Next(5))
	o := f.result(t)
	require.NoError(t, o.err)
	require.EqualValues(t, 4, o.BytesIn)
	_, _ = io.WriteString(c, "GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n")
	rest, _ := c.Rest()
	require.Empty(t, rest)
	_, body, _ := f.get(t, "/")
	require.Equal(t, "early", body)
	require.EqualValues(t, 2, up.Conns.Load(), "the half-used connection was not kept")
}

func TestP4ContinueIsForwarded(t *testing.T) {
	t.Parallel()
	head, wants := make(chan struct{}), make(chan struct{})
	up := wiretest.Raw(t, func(_ int, c *wiretest.Conn) {
		require.Equal(t, []string{"100-continue"}, wiretest.Values(c.MustHead(), "Expect"))
		close(head)
		<-wants
		c.Send("HTTP/1.1 100 Continue\r\n\r\n")
		c.Send(wiretest.OK(c.Next(5)))
	})
	c := newFront(t, up.Addr).dial(t)
	c.Send(postHead(5, "Expect: 100-continue\r\n"))
	<-head
	close(wants)
	require.Equal(t, "HTTP/1.1 100 Continue\r\n", c.MustHead())
	c.Send("hello")
	require.Equal(t, "HTTP/1.1 200 OK", wiretest.FirstLine(c.MustHead()))
	require.Equal(t, "hello", c.Next(5))
}

func TestP4NoContinueAfterARefusal(t *testing.T) {
	t.Parallel()
	up := wiretest.Raw(t, func(_ int, c *wiretest.Conn) {
		c.MustHead()
		c.Send("HTTP/1.1 401 Unauthorized\r\nContent-Length: 2\r\n\r\nno")
		_, _ = c.Rest()
	})
	f := newFront(t, up.Addr)
	c := f.dial(t)
	c.Send(postHead(5, "Expect: 100-continue\r\n"))
	require.Equal(t, "HTTP/1.1 401 Unauthorized", wiretest.FirstLine(c.MustHead()), "and no 100 before it")
	require.Equal(t, "no", c.Next(2))
	rest, _ := c.Rest()
	require.Empty(t, rest)
	require.Zero(t, f.result(t).BytesIn)
}

func TestP4DaemonThatIgnoresExpectGetsTheBody(t *testing.T) {
	t.Parallel()
	up := wiretest.Raw(t, func(_ int, c *wiretest.Conn) {
		c.MustHead()
		c.Send(wiretest.OK(c.Next(5)))
	})
	c := newFront(t, up.Addr).dial(t)
	c.Send(postHead(5, "Expect: 100-continue\r\n"))
	require.Equal(t, "HTTP/1.1 100 Continue\r\n", c.MustHead())
	c.Send("hello")
	require.Equal(t, "HTTP/1.1 200 OK", wiretest.FirstLine(c.MustHead()))
	require.Equal(t, "hello", c.Next(5))
}

func TestP6BrokenRequestBodies(t *testing.T) {
	t.Parallel()
	up := wiretest.Raw(t, func(_ int, c *wiretest.Conn) { _, _ = c.Rest() })
	t.Run("malformed chunk", func(t *testing.T) {
		t.Parallel()
		f := newFront(t, up.Addr)
		c := f.dial(t)
		c.Send("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n")
		h := c.MustHead()
		require.Equal(t, "HTTP/1.1 400 Bad Request", wiretest.FirstLine(h))
		require.Equal(t, []string{"close"}, wiretest.Values(h, "Connection"))
		require.Equal(t, api.CodeBadRequest, code(f.result(t).err))
	})
	t.Run("over a limit", func(t *testing.T) {
		t.Parallel()
		f := newFront(t, up.Addr, withTarget(func(r *http.Request, _ *Target) { r.Body = http.MaxBytesReader(nil, r.Body, 3) }))
		c := f.dial(t)
		c.Send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello")
		require.Equal(t, "HTTP/1.1 413 Request Entity Too Large", wiretest.FirstLine(c.MustHead()))
		require.Equal(t, api.CodeTooLarge, code(f.result(t).err))
	})
	t.Run("longer than it says", func(t *testing.T) {
		t.Parallel()
		f := newFront(t, up.Addr, withTarget(func(r *http.Request, _ *Target) { r.Body = io.NopCloser(strings.NewReader("too long")) }))
		c := f.dial(t)
		c.Send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello")
		require.Equal(t, "HTTP/1.1 400 Bad Request", wiretest.FirstLine(c.MustHead()))
	})
	t.Run("shorter than it says", func(t *testing.T) {
		t.Parallel()
		f := newFront(t, up.Addr, withTarget(func(r *http.Request, _ *Target) { r.Body = io.NopCloser(strings.NewReader("abc")) }))
		c := f.dial(t)
		c.Send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello")
		c.MustHead()
		require.Equal(t, api.CodeCancelled, code(f.result(t).err))
	})
}

// lateEnd is a body whose end is told only a while after its last byte.
type lateEnd struct {
	io.ReadCloser
	end error
}

func (b *lateEnd) Read(p []byte) (int, error) {
	if b.end != nil {
		time.Sleep(uploadGrace + 300*time.Millisecond)
		return 0, b.end
	}
	n, err := b.ReadCloser.Read(p)
	b.end = err
	return n, nil
}

// The daemon has the whole body and has answered before the upload has seen its
// end, which a busy machine can make last. What was done to the connection to
// end the upload must not fail the next request on it.
func TestP5ARequestAfterAnUploadThatEndedLateIsServed(t *testing.T) {
	t.Parallel()
	up := wiretest.Raw(t, func(_ int, c *wiretest.Conn) {
		for {
			if _, err := c.Head(); err != nil {
				return
			}
			c.Next(2)
			c.Send(wiretest.OK("x"))
		}
	})
	p := New(Options{})
	defer p.Close()
	l := wiretest.Listen(t)
	server := &http.Server{ConnContext: ConnContext, ReadHeaderTimeout: wiretest.Patience, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/late" {
			r.Body = &lateEnd{ReadCloser: r.Body}
		}
		_, err := p.Forward(w, r, Target{Dial: func(ctx context.Context) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "tcp", up.Addr)
		}, Authority: "x", RequestURI: r.RequestURI})
		if err != nil {
			w.WriteHeader(http.StatusBadGateway)
		}
	})}
	defer server.Close()
	go func() { _ = server.Serve(l) }()
	client := &http.Client{Transport: &http.Transport{}}
	defer client.CloseIdleConnections()
	for _, path := range []string{"/late", "/", "/"} {
		resp, err := client.Post("http://"+l.Addr().String()+path, "text/plain", strings.NewReader("xy"))
		require.NoError(t, err, path)
		_, err = io.ReadAll(resp.Body)
		require.NoError(t, err, path)
		resp.Body.Close()
		require.Equal(t, http.StatusOK, resp.StatusCode, path)
	}
}
