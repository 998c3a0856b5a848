package proxy

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"daemon-proxy/core/api"
	"daemon-proxy/core/wiretest"
)

// net/http keeps a connection that it closes gently for 500 ms, in a goroutine
// that Server.Close does not wait for; goleak gives up just before. Only a
// goroutine that is in that very function is passed over: none of ours can be.
func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("net/http.(*conn).closeWriteAndWait"))
}

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
	l := wiretest.Listen(t)
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
	return wiretest.Receive(t, f.results, "the result of Forward")
}

// dial opens a client connection to the front.
func (f *front) dial(t testing.TB) *wiretest.Conn {
	t.Helper()
	return wiretest.Dial(t, f.addr)
}

// get is a GET by a client of its own.
func (f *front) get(t testing.TB, path string) (int, string, http.Header) {
	t.Helper()
	resp, err := wiretest.Client(t).Get("http://" + f.addr + path)
	require.NoError(t, err)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	return resp.StatusCode, string(body), resp.Header
}

func code(err error) string {
	p, ok := errors.AsType[*api.Problem](err)
	if !ok {
		return ""
	}
	return p.Code
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
