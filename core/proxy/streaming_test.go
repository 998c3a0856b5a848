package proxy

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"daemon-proxy/core/api"
)

// postHead begins a POST whose body the test sends itself.
func postHead(length int, more string) string {
	return "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: " + strconv.Itoa(length) + "\r\n" + more + "\r\n"
}

// Each piece must reach the client before the next one is written, so a proxy
// that holds anything back does not get through.
func TestP6EachPieceArrivesBeforeTheNextIsWritten(t *testing.T) {
	t.Parallel()
	chunk := func(s string) string { return fmt.Sprintf("%x\r\n%s\r\n", len(s), s) }
	big := strings.Repeat("b", 300<<10)
	for name, tc := range map[string]struct {
		head   string
		pieces []string // as written
		want   []string // body bytes that each piece brings
	}{
		"server-sent events": {
			"Content-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n",
			[]string{chunk("data: 1\n\n"), chunk("data: 2\n\n"), chunk("data: 3\n\n")}, []string{"data: 1\n\n", "data: 2\n\n", "data: 3\n\n"},
		},
		"gzip": {
			"Content-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n",
			[]string{chunk("\x1f\x8b"), chunk("\x08\x00")}, []string{"\x1f\x8b", "\x08\x00"},
		},
		"of known length":        {"Content-Length: 6\r\n", []string{"ab", "cd", "ef"}, []string{"ab", "cd", "ef"}},
		"long, of known length":  {"Content-Length: 600000\r\n", []string{"ab", "cd", big}, []string{"ab", "cd", big}},
		"to the end of all":      {"", []string{"ab", "cd"}, []string{"ab", "cd"}},
		"within a chunk":         {"Transfer-Encoding: chunked\r\n", []string{"6\r\nab", "cd", "ef\r\n"}, []string{"ab", "cd", "ef"}},
		"with half a chunk line": {"Transfer-Encoding: chunked\r\n", []string{"2\r\nab\r\n1", "0\r\ncdcdcdcd"}, []string{"ab", "cdcdcdcd"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			next := make(chan string)
			up := newRaw(t, func(_ int, c *wire) {
				c.mustHead()
				c.send("HTTP/1.1 200 OK\r\n" + tc.head + "\r\n")
				for s := range next {
					c.send(s)
				}
			})
			f := newFront(t, up.addr)
			resp, err := f.client(t).Get("http://" + f.addr) // returns: the head arrived before any body
			require.NoError(t, err)
			defer resp.Body.Close()
			for i, piece := range tc.pieces {
				next <- piece
				got := make([]byte, len(tc.want[i]))
				_, err := io.ReadFull(resp.Body, got)
				require.NoError(t, err)
				require.Equal(t, tc.want[i], string(got))
			}
			close(next)
			_, _ = io.Copy(io.Discard, resp.Body)
			o := f.result(t)
			require.NoError(t, o.err)
			if name == "server-sent events" {
				require.Equal(t, "event-stream", o.Protocol)
			}
		})
	}
}

func TestP6RequestBodyStreams(t *testing.T) {
	t.Parallel()
	first := make(chan string)
	up := newService(t, func(_ http.ResponseWriter, r *http.Request) {
		b := make([]byte, 5)
		_, _ = io.ReadFull(r.Body, b)
		first <- string(b)
		_, _ = io.Copy(io.Discard, r.Body)
	})
	f := newFront(t, up)
	c := f.dial(t)
	c.send(postHead(10, "") + "first")
	require.Equal(t, "first", recv(t, first, "the first half, before the second was sent"))
	c.send("last.")
	require.Equal(t, "HTTP/1.1 200 OK", firstLine(c.mustHead()))
	require.EqualValues(t, 10, f.result(t).BytesIn)
}

func TestP6FullDuplex(t *testing.T) {
	t.Parallel()
	up := newRaw(t, func(_ int, c *wire) {
		c.mustHead()
		c.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
		for {
			line, err := c.br.ReadString('\n') // "1\r\n", "x\r\n"
			if err != nil || line == "0\r\n" {
				c.send("0\r\n\r\n")
				return
			}
			data, _ := c.br.ReadString('\n')
			c.send(line + data)
		}
	})
	f := newFront(t, up.addr)
	c := f.dial(t)
	c.send("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
	require.Equal(t, "HTTP/1.1 200 OK", firstLine(c.mustHead()))
	for range 3 {
		c.send("1\r\nx\r\n")
		require.Equal(t, "1\r\nx\r\n", c.read(6))
	}
	c.send("0\r\n\r\n")
	require.Equal(t, "0\r\n\r\n", c.read(5))
}

func TestP6UploadOfOneGiBTakesNoMemory(t *testing.T) {
	if testing.Short() {
		t.Skip("moves 1 GiB")
	}
	const size = 1 << 30
	up := newService(t, func(w http.ResponseWriter, r *http.Request) {
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
	resp, err := f.client(t).Do(req)
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
			up := newRaw(t, func(_ int, c *wire) {
				c.mustHead()
				c.read(1)
				c.send("HTTP/1.1 413 Content Too Large\r\nConnection: close\r\nContent-Length: 3\r\n\r\nbig")
			})
			f := newFront(t, up.addr)
			c := f.dial(t)
			// What follows the body's beginning would be another request, if the rest were taken for one.
			c.send("POST / HTTP/1.1\r\nHost: x\r\n" + framing + "\r\n\r\n1\r\nx\r\n")
			h := c.mustHead()
			require.Equal(t, "HTTP/1.1 413 Request Entity Too Large", firstLine(h))
			require.Equal(t, []string{"close"}, lines(h, "Connection"), "so that the client stops")
			require.Equal(t, "big", c.read(3))
			_, _ = io.WriteString(c, "GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n")
			rest, _ := c.rest()
			require.Empty(t, rest, "the connection ends with the answer")
			require.NoError(t, f.result(t).err)
			require.Empty(t, f.results)
			require.EqualValues(t, 1, up.conns.Load())
		})
	}
}

func TestP6EarlyAnswerOnAKeptConnectionEndsTheUpload(t *testing.T) {
	t.Parallel()
	up := answering(t, ok("early")) // does not read the body, and does not close either
	f := newFront(t, up.addr)
	c := f.dial(t)
	c.send(postHead(1000, "") + "some")
	require.Equal(t, "HTTP/1.1 200 OK", firstLine(c.mustHead()))
	require.Equal(t, "early", c.read(5))
	o := f.result(t)
	require.NoError(t, o.err)
	require.EqualValues(t, 4, o.BytesIn)
	_, _ = io.WriteString(c, "GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n")
	rest, _ := c.rest()
	require.Empty(t, rest)
	_, body, _ := f.get(t, "/")
	require.Equal(t, "early", body)
	require.EqualValues(t, 2, up.conns.Load(), "the half-used connection was not kept")
}

func TestP4ContinueIsForwarded(t *testing.T) {
	t.Parallel()
	head, wants := make(chan struct{}), make(chan struct{})
	up := newRaw(t, func(_ int, c *wire) {
		require.Equal(t, []string{"100-continue"}, lines(c.mustHead(), "Expect"))
		close(head)
		<-wants
		c.send("HTTP/1.1 100 Continue\r\n\r\n")
		c.send(ok(c.read(5)))
	})
	c := newFront(t, up.addr).dial(t)
	c.send(postHead(5, "Expect: 100-continue\r\n"))
	<-head
	close(wants)
	require.Equal(t, "HTTP/1.1 100 Continue\r\n", c.mustHead())
	c.send("hello")
	require.Equal(t, "HTTP/1.1 200 OK", firstLine(c.mustHead()))
	require.Equal(t, "hello", c.read(5))
}

func TestP4NoContinueAfterARefusal(t *testing.T) {
	t.Parallel()
	up := newRaw(t, func(_ int, c *wire) {
		c.mustHead()
		c.send("HTTP/1.1 401 Unauthorized\r\nContent-Length: 2\r\n\r\nno")
		_, _ = c.rest()
	})
	f := newFront(t, up.addr)
	c := f.dial(t)
	c.send(postHead(5, "Expect: 100-continue\r\n"))
	require.Equal(t, "HTTP/1.1 401 Unauthorized", firstLine(c.mustHead()), "and no 100 before it")
	require.Equal(t, "no", c.read(2))
	rest, _ := c.rest()
	require.Empty(t, rest)
	require.Zero(t, f.result(t).BytesIn)
}

func TestP4DaemonThatIgnoresExpectGetsTheBody(t *testing.T) {
	t.Parallel()
	up := newRaw(t, func(_ int, c *wire) {
		c.mustHead()
		c.send(ok(c.read(5)))
	})
	c := newFront(t, up.addr).dial(t)
	c.send(postHead(5, "Expect: 100-continue\r\n"))
	require.Equal(t, "HTTP/1.1 100 Continue\r\n", c.mustHead())
	c.send("hello")
	require.Equal(t, "HTTP/1.1 200 OK", firstLine(c.mustHead()))
	require.Equal(t, "hello", c.read(5))
}

// Whatever the exchange is doing, the client's leaving ends the daemon's side.
func TestP6ClientThatGoesAwayCancelsUpstream(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		request, answer string
		head            bool // the client has got a head before it leaves
	}{
		"before the answer":    {"GET / HTTP/1.1\r\nHost: x\r\n\r\n", "", false},
		"during a download":    {"GET / HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\nx", true},
		"during a stream":      {"GET / HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n", true},
		"during an upload":     {postHead(1000, "") + "some", "", false},
		"during a chunked one": {"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n", "", false},
		"during both":          {postHead(1000, "") + "some", "HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\nx", true},
		"waiting for a 100":    {postHead(1000, "Expect: 100-continue\r\n"), "", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			arrived, gone := make(chan struct{}), make(chan struct{})
			up := newRaw(t, func(_ int, c *wire) {
				c.mustHead()
				c.send(tc.answer)
				close(arrived)
				_, _ = c.rest() // returns when the front hangs up
				close(gone)
			})
			f := newFront(t, up.addr)
			c := f.dial(t)
			c.send(tc.request)
			recv(t, arrived, "request")
			if tc.head {
				c.mustHead()
			}
			c.Close()
			recv(t, gone, "the end of the connection to the daemon")
			o := f.result(t)
			if tc.head {
				require.True(t, o.Cut)
				require.Error(t, o.Err)
			} else {
				require.Equal(t, api.CodeCancelled, code(o.err))
				require.Zero(t, o.Status)
			}
		})
	}
}

func TestP6ContextEndsAnExchangeWhateverItWaitsFor(t *testing.T) {
	t.Parallel()
	revoked := &api.Problem{Code: api.CodeLinkRevoked, Status: 410, Title: "revoked"}
	for name, tc := range map[string]struct {
		request, answer string
		flood           bool // the daemon sends more than the client reads
		interim         bool // and that are interim answers
		head            bool
	}{
		"the answer":        {request: "GET / HTTP/1.1\r\nHost: x\r\n\r\n"},
		"the client's body": {request: postHead(1000, "") + "some"},
		"the next event":    {request: "GET / HTTP/1.1\r\nHost: x\r\n\r\n", answer: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", head: true},
		"a slow client":     {request: "GET / HTTP/1.1\r\nHost: x\r\n\r\n", answer: "HTTP/1.1 200 OK\r\n\r\n", flood: true, head: true},
		"a client that reads no interim answer": {
			request: "GET / HTTP/1.1\r\nHost: x\r\n\r\n", interim: true,
		},
		"a slow client of a long body": {
			request: "GET / HTTP/1.1\r\nHost: x\r\n\r\n", answer: "HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n", flood: true, head: true,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithCancelCause(context.Background())
			stuck := make(chan struct{})
			up := newRaw(t, func(_ int, c *wire) {
				c.mustHead()
				c.send(tc.answer)
				if tc.flood || tc.interim {
					block := make([]byte, 1<<20)
					if tc.interim {
						block = []byte("HTTP/1.1 103 Early Hints\r\nX-A: " + strings.Repeat("a", 100<<10) + "\r\n\r\n")
					}
					for {
						_ = c.SetWriteDeadline(time.Now().Add(300 * time.Millisecond))
						if _, err := c.Write(block); err != nil {
							break
						}
					}
				}
				close(stuck)
				_, _ = c.rest()
			})
			f := newFront(t, up.addr, withContext(func(context.Context) context.Context { return ctx }),
				withLimits(Options{MaxInterim: 1 << 20, MaxHeadBytes: 1 << 30}))
			c := f.dial(t)
			c.send(tc.request)
			recv(t, stuck, "request")
			if tc.head {
				c.mustHead()
			}
			cancel(revoked)
			o := f.result(t)
			if tc.head {
				require.True(t, o.Cut)
				require.ErrorIs(t, o.Err, revoked)
				got, _ := c.rest()
				require.False(t, strings.HasSuffix(got, "0\r\n\r\n"), "no clean end")
				return
			}
			require.ErrorIs(t, o.err, revoked)
			if tc.interim {
				return // and there is nobody to read it
			}
			require.Equal(t, "HTTP/1.1 410 Gone", firstLine(c.mustHead()), "nothing was written: the caller's answer gets through")
		})
	}
}

func TestP6UpstreamCutMidBodyCutsTheClient(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]string{
		"length":          "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\npart",
		"long length":     "HTTP/1.1 200 OK\r\nContent-Length: 10000000\r\n\r\npart",
		"chunk":           "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n10\r\npart",
		"between chunks":  "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\npart\r\n",
		"without a zero":  "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\npart",
		"before trailers": "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\npart\r\n0\r\n",
		"in trailers":     "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\npart\r\n0\r\nX-A: b\r\n",
		"trailers by LF":  "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\npart\r\n0\r\nX-A: b\n\n",
		"garbage":         "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\npartgarbage",
		"long chunk line": "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\npart\r\n1;" + strings.Repeat("a", 9<<10) + "\r\nx\r\n0\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			up := newRaw(t, func(_ int, c *wire) { c.mustHead(); c.send(answer) })
			f := newFront(t, up.addr)
			c := f.dial(t)
			c.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
			resp, err := http.ReadResponse(c.br, nil)
			require.NoError(t, err)
			body, err := io.ReadAll(resp.Body)
			require.Error(t, err, "the client sees that something is missing")
			require.Equal(t, "part", string(body), "and has what there was")
			o := f.result(t)
			require.True(t, o.Cut)
			require.Error(t, o.Err)
			require.NoError(t, o.err)
			require.EqualValues(t, 4, o.BytesOut)
		})
	}
}

// To a client of HTTP/1.0, the end of a connection is the end of a body of
// unknown length: only a reset says that something is missing.
func TestP6UpstreamCutMidBodyResetsHTTP10(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]string{
		"chunked": "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\npart\r\n",
		"to EOF":  "HTTP/1.1 200 OK\r\n\r\npart",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cut := make(chan struct{})
			up := newRaw(t, func(_ int, c *wire) {
				c.mustHead()
				c.send(answer)
				<-cut
				_ = c.SetLinger(0)
			})
			f := newFront(t, up.addr)
			c := f.dial(t)
			c.send("GET / HTTP/1.0\r\nHost: x\r\n\r\n")
			require.Equal(t, "HTTP/1.0 200 OK", firstLine(c.mustHead()))
			require.Equal(t, "part", c.read(4))
			close(cut)
			_, err := c.rest()
			require.ErrorIs(t, err, syscall.ECONNRESET)
			require.True(t, f.result(t).Cut)
		})
	}
}

func TestP6ResetOfABodyWithoutLengthCutsTheClient(t *testing.T) {
	t.Parallel()
	cut := make(chan struct{})
	up := newRaw(t, func(_ int, c *wire) {
		c.mustHead()
		c.send("HTTP/1.1 200 OK\r\n\r\npart")
		<-cut
		_ = c.SetLinger(0)
	})
	f := newFront(t, up.addr)
	c := f.dial(t)
	c.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	c.mustHead()
	require.Equal(t, "4\r\npart\r\n", c.read(9))
	close(cut)
	rest, _ := c.rest()
	require.Empty(t, rest, "no last chunk")
	require.True(t, f.result(t).Cut)
}

func TestP6LongBodiesArriveWhole(t *testing.T) {
	t.Parallel()
	want := pattern(5 << 20)
	up := newService(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/length" {
			w.Header().Set("Content-Length", strconv.Itoa(len(want)))
		}
		for rest := want; len(rest) > 0; {
			n := min(len(rest), 70001)
			_, _ = w.Write(rest[:n])
			rest = rest[n:]
		}
	})
	for _, path := range []string{"/length", "/chunked"} {
		for _, tap := range []bool{false, true} {
			t.Run(fmt.Sprint(path, tap), func(t *testing.T) {
				t.Parallel()
				var seen []byte
				f := newFront(t, up, withTarget(func(_ *http.Request, t *Target) {
					if tap {
						t.ResponseBody = func(p []byte) { seen = append(seen, p...) }
					}
				}))
				_, got, _ := f.get(t, path)
				require.True(t, string(want) == got, "%d bytes", len(got))
				require.EqualValues(t, len(want), f.result(t).BytesOut)
				if tap {
					require.True(t, string(want[:TapBytes]) == string(seen), "%d bytes", len(seen))
				}
			})
		}
	}
}

func TestS8TapsSeeTheFirst64KiBOnly(t *testing.T) {
	t.Parallel()
	want := pattern(300 << 10)
	up := newService(t, func(w http.ResponseWriter, r *http.Request) { _, _ = io.Copy(w, r.Body) })
	var in, out []byte
	f := newFront(t, up, withTarget(func(_ *http.Request, t *Target) {
		t.RequestBody = func(p []byte) { in = append(in, p...) }
		t.ResponseBody = func(p []byte) { out = append(out, p...) }
	}))
	resp, err := f.client(t).Post("http://"+f.addr, "", strings.NewReader(string(want)))
	require.NoError(t, err)
	got, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	resp.Body.Close()
	require.True(t, string(want) == string(got))
	f.result(t)
	require.True(t, string(want[:TapBytes]) == string(in))
	require.True(t, string(want[:TapBytes]) == string(out))
}

func TestP6BrokenRequestBodies(t *testing.T) {
	t.Parallel()
	up := newRaw(t, func(_ int, c *wire) { _, _ = c.rest() })
	t.Run("malformed chunk", func(t *testing.T) {
		t.Parallel()
		f := newFront(t, up.addr)
		c := f.dial(t)
		c.send("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n")
		h := c.mustHead()
		require.Equal(t, "HTTP/1.1 400 Bad Request", firstLine(h))
		require.Equal(t, []string{"close"}, lines(h, "Connection"))
		require.Equal(t, api.CodeBadRequest, code(f.result(t).err))
	})
	t.Run("over a limit", func(t *testing.T) {
		t.Parallel()
		f := newFront(t, up.addr, withTarget(func(r *http.Request, _ *Target) { r.Body = http.MaxBytesReader(nil, r.Body, 3) }))
		c := f.dial(t)
		c.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello")
		require.Equal(t, "HTTP/1.1 413 Request Entity Too Large", firstLine(c.mustHead()))
		require.Equal(t, api.CodeTooLarge, code(f.result(t).err))
	})
	t.Run("longer than it says", func(t *testing.T) {
		t.Parallel()
		f := newFront(t, up.addr, withTarget(func(r *http.Request, _ *Target) { r.Body = io.NopCloser(strings.NewReader("too long")) }))
		c := f.dial(t)
		c.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello")
		require.Equal(t, "HTTP/1.1 400 Bad Request", firstLine(c.mustHead()))
	})
	t.Run("shorter than it says", func(t *testing.T) {
		t.Parallel()
		f := newFront(t, up.addr, withTarget(func(r *http.Request, _ *Target) { r.Body = io.NopCloser(strings.NewReader("abc")) }))
		c := f.dial(t)
		c.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello")
		c.mustHead()
		require.Equal(t, api.CodeCancelled, code(f.result(t).err))
	})
}

func TestP6NoTimeLimitOnAStream(t *testing.T) {
	t.Parallel()
	// The dial's own limit must not reach the exchange.
	release := make(chan struct{})
	up := newRaw(t, func(_ int, c *wire) {
		c.mustHead()
		<-release
		c.send(ok("late"))
	})
	f := newFront(t, up.addr, withLimits(Options{DialTimeout: 50 * time.Millisecond}))
	c := f.dial(t)
	c.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	_ = c.SetReadDeadline(time.Now().Add(200 * time.Millisecond))
	_, err := c.br.Peek(1)
	require.Error(t, err, "nothing comes, for longer than the limit on dialling")
	_ = c.SetReadDeadline(time.Now().Add(patience))
	close(release)
	c.br = bufio.NewReader(c)
	require.Equal(t, "HTTP/1.1 200 OK", firstLine(c.mustHead()))
}

func TestP6WaitAndFirstByteAreMeasured(t *testing.T) {
	t.Parallel()
	up := answering(t, ok("x"))
	f := newFront(t, up.addr)
	f.get(t, "/")
	o := f.result(t)
	require.Positive(t, o.Wait)
	require.Greater(t, o.FirstByte, o.Wait)
	require.Equal(t, "http", o.Protocol)
	require.Equal(t, 200, o.Status)
	require.EqualValues(t, 1, o.BytesOut)
	require.False(t, errors.Is(o.err, io.EOF))
}
