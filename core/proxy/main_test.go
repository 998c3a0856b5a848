package proxy

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"daemon-proxy/core/api"
)

// net/http keeps a connection that it closes gently for 500 ms, in a goroutine
// that Server.Close does not wait for; goleak gives up just before. Only a
// goroutine that is in that very function is passed over: none of ours can be.
func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("net/http.(*conn).closeWriteAndWait"))
}

// patience is how long a test waits for what should happen at once.
const patience = 10 * time.Second

// front is a server whose handler does nothing but Forward.
type front struct {
	proxy   *Proxy
	addr    string
	server  *http.Server
	results chan outcome
	// target changes the target of a request before it is forwarded.
	target func(r *http.Request, t *Target)
	// accepted may change each client connection; nil: it stays as it is.
	accepted func(net.Conn)
	// context gives the request another context.
	context func(context.Context) context.Context
}

// outcome is what one call of Forward returned.
type outcome struct {
	Result
	err error
}

type option func(*front)

func withTarget(f func(r *http.Request, t *Target)) option { return func(s *front) { s.target = f } }
func withContext(f func(context.Context) context.Context) option {
	return func(s *front) { s.context = f }
}
func withLimits(o Options) option { return func(s *front) { s.proxy = New(o) } }

// newFront starts a front for the upstream at addr.
func newFront(t testing.TB, upstream string, opts ...option) *front {
	t.Helper()
	f := &front{results: make(chan outcome, 1024)}
	for _, o := range opts {
		o(f)
	}
	if f.proxy == nil {
		f.proxy = New(Options{})
	}
	l := listen(t)
	f.addr = l.Addr().String()
	f.server = &http.Server{
		DisableGeneralOptionsHandler: true,
		ConnContext: func(ctx context.Context, c net.Conn) context.Context {
			if f.accepted != nil {
				f.accepted(c)
			}
			return ConnContext(ctx, c)
		},
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { f.serve(w, r, upstream) }),
	}
	done := make(chan struct{})
	go func() { defer close(done); _ = f.server.Serve(l) }()
	t.Cleanup(func() {
		_ = f.server.Close()
		f.proxy.Close()
		<-done
	})
	return f
}

func (f *front) serve(w http.ResponseWriter, r *http.Request, upstream string) {
	if f.context != nil {
		r = WithContext(f.context(r.Context()), r)
	}
	t := Target{
		Dial: func(ctx context.Context) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "tcp", upstream)
		},
		Pool: upstream, Authority: "daemon:2280", RequestURI: r.RequestURI,
	}
	if f.target != nil {
		f.target(r, &t)
	}
	res, err := f.proxy.Forward(w, r, t)
	if res.Tunnel != nil {
		ctx := context.Background()
		if f.context != nil {
			ctx = f.context(ctx)
		}
		f.proxy.Go(func() { f.report(res.Tunnel(ctx), nil) })
		return
	}
	f.report(res, err)
	if err != nil {
		p := api.AsProblem(err)
		w.Header().Set("X-Problem", p.Code)
		w.WriteHeader(p.Status)
	}
}

func (f *front) report(res Result, err error) {
	select {
	case f.results <- outcome{res, err}:
	default:
	}
}

// result waits for the next outcome of Forward.
func (f *front) result(t testing.TB) outcome {
	t.Helper()
	select {
	case o := <-f.results:
		return o
	case <-time.After(patience):
		require.FailNow(t, "Forward did not return")
		return outcome{}
	}
}

// dial opens a client connection to the front.
func (f *front) dial(t testing.TB) *wire {
	t.Helper()
	c, err := net.Dial("tcp", f.addr)
	require.NoError(t, err)
	t.Cleanup(func() { c.Close() })
	require.NoError(t, c.SetDeadline(time.Now().Add(patience)))
	return &wire{TCPConn: c.(*net.TCPConn), br: bufio.NewReader(c), t: t}
}

// client is an HTTP client of the front that decides nothing by itself.
func (f *front) client(t testing.TB) *http.Client {
	t.Helper()
	tr := &http.Transport{DisableCompression: true}
	t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{
		Transport: tr, Timeout: 3 * patience,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// get is a GET by a client of its own.
func (f *front) get(t testing.TB, path string) (int, string, http.Header) {
	t.Helper()
	resp, err := f.client(t).Get("http://" + f.addr + path)
	require.NoError(t, err)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	return resp.StatusCode, string(body), resp.Header
}

// wire is a connection that a test speaks on byte by byte.
type wire struct {
	*net.TCPConn
	br *bufio.Reader
	t  testing.TB
}

func listen(t testing.TB) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	return l
}

// rawUpstream accepts connections and hands each to serve, with its number
// from 0; the connection is closed when serve returns.
type rawUpstream struct {
	addr  string
	l     net.Listener
	conns atomic.Int64
}

func newRaw(t testing.TB, serve func(n int, c *wire)) *rawUpstream {
	t.Helper()
	u := &rawUpstream{}
	l := listen(t)
	u.addr, u.l = l.Addr().String(), l
	var wg sync.WaitGroup
	var mu sync.Mutex
	open := map[net.Conn]bool{}
	wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			open[c] = true
			mu.Unlock()
			n := int(u.conns.Add(1)) - 1
			wg.Go(func() {
				defer c.Close()
				serve(n, &wire{TCPConn: c.(*net.TCPConn), br: bufio.NewReader(c), t: t})
			})
		}
	})
	t.Cleanup(func() {
		l.Close()
		mu.Lock()
		for c := range open {
			c.Close()
		}
		mu.Unlock()
		wg.Wait()
	})
	return u
}

// answering is a raw upstream that reads a request without body and answers
// with these bytes, as often as it is asked, and keeps the connection.
func answering(t testing.TB, answer string) *rawUpstream {
	return newRaw(t, func(_ int, c *wire) {
		for {
			if _, err := c.head(); err != nil {
				return
			}
			if _, err := io.WriteString(c, answer); err != nil {
				return
			}
		}
	})
}

// newService is an upstream of net/http.
func newService(t testing.TB, h http.HandlerFunc) string {
	t.Helper()
	l := listen(t)
	s := &http.Server{Handler: h}
	done := make(chan struct{})
	go func() { defer close(done); _ = s.Serve(l) }()
	t.Cleanup(func() { _ = s.Close(); <-done })
	return l.Addr().String()
}

// head reads lines up to the empty one, which it leaves out.
func (c *wire) head() (string, error) {
	var b strings.Builder
	for {
		line, err := c.br.ReadString('\n')
		if err != nil {
			return b.String(), err
		}
		if line == "\r\n" {
			return b.String(), nil
		}
		b.WriteString(line)
	}
}

// mustHead is head, where nothing else is expected.
func (c *wire) mustHead() string {
	h, err := c.head()
	require.NoError(c.t, err, "read so far: %q", h)
	return h
}

// send writes s whole.
func (c *wire) send(s string) {
	_, err := io.WriteString(c.TCPConn, s)
	require.NoError(c.t, err)
}

// read reads exactly n bytes.
func (c *wire) read(n int) string {
	b := make([]byte, n)
	_, err := io.ReadFull(c.br, b)
	require.NoError(c.t, err)
	return string(b)
}

// rest reads to the end, however it comes.
func (c *wire) rest() (string, error) {
	b, err := io.ReadAll(c.br)
	return string(b), err
}

// lines are the header lines of a head that begin with name, in any case.
func lines(head, name string) (found []string) {
	for line := range strings.SplitSeq(head, "\r\n") {
		if k, v, ok := strings.Cut(line, ":"); ok && strings.EqualFold(k, name) {
			found = append(found, strings.TrimSpace(v))
		}
	}
	return found
}

func firstLine(head string) string {
	line, _, _ := strings.Cut(head, "\r\n")
	return line
}

func ok(body string) string {
	return "HTTP/1.1 200 OK\r\nContent-Length: " + strconv.Itoa(len(body)) + "\r\n\r\n" + body
}

func code(err error) string {
	p, ok := errors.AsType[*api.Problem](err)
	if !ok {
		return ""
	}
	return p.Code
}

// recv waits for a value.
func recv[T any](t testing.TB, ch <-chan T, what string) T {
	t.Helper()
	select {
	case v := <-ch:
		return v
	case <-time.After(patience):
		require.FailNow(t, "nothing came: "+what)
		panic("unreachable")
	}
}

// pattern is n bytes of which no two places look alike.
func pattern(n int) []byte {
	var b bytes.Buffer
	for i := 0; b.Len() < n; i++ {
		b.WriteString(strconv.Itoa(i))
		b.WriteByte(' ')
	}
	return b.Bytes()[:n]
}

func withValue(key any) func(context.Context) context.Context {
	return func(ctx context.Context) context.Context { return context.WithValue(ctx, key, true) }
}
