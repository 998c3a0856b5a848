// Package proxy forwards one request to a daemon and its answer back.
//
// It promises that what the client sent arrives as it was sent: method, path
// and query bytes, end-to-end headers, body and trailers; and that the answer
// comes back the same way, as it comes: nothing is held back while the daemon
// pauses, nothing is decompressed, no redirect is followed, no request is sent
// twice that must not be. Both sides are untrusted: what is not HTTP/1.1, or
// is too much of it, is refused and never reaches the other side with another
// meaning (RFC 9112 §11).
//
// It knows no links, prefixes, users or guards: those are the caller's, and
// come in as the fields of a Target.
//
// The upstream client is this package's own, on net.Conn, because that is
// where the time goes: the goroutine of the handler writes the request, reads
// the answer and puts the connection back, without a hand-over. Only a request
// with a body and a WebSocket have a second goroutine, which ends before
// Forward returns.
package proxy

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"runtime/debug"
	"sync"
	"time"

	"daemon-proxy/core/api"
)

// TapBytes is how much of each body a tap of Target is shown.
const TapBytes = 64 << 10

// ErrGoingAway is the cause (context.Cause) of a cancelled request context
// that means "the server shuts down": WebSockets then get a close frame with
// code 1001 where one fits.
var ErrGoingAway = errors.New("the server is going away")

// Options are the limits of a Proxy; zero values mean the defaults.
type Options struct {
	// Logger gets debug lines on repeats and on WebSockets that ended; nil discards them.
	Logger *slog.Logger
	// DialTimeout bounds one call of Target.Dial; default 900 ms, so that a
	// daemon that is down is reported within a second.
	DialTimeout time.Duration
	// IdleTimeout is how long an unused connection is kept; default 90 s.
	IdleTimeout time.Duration
	// MaxIdle is how many unused connections are kept for each Target.Pool; default 128.
	MaxIdle int
	// MaxHeadBytes bounds the heads of one answer, interim ones included; default 1 MiB.
	MaxHeadBytes int
	// BodySilence is how long a request body may pause before its request ends
	// with 408, unless it has its answer already; default 60 s, negative: for ever.
	BodySilence time.Duration
	// Crowded reports whether descriptors are short. A peer that reads nothing for
	// 5 minutes is then disconnected. Nil: they never are.
	Crowded func() bool
	// MaxInterim is how many interim (1xx) answers may precede the final one; default 16.
	MaxInterim int
}

// Target says where one request goes and how. Dial, Authority and RequestURI
// are required.
type Target struct {
	// Dial opens a connection to the daemon. An *api.Problem that it returns is
	// what Forward returns; any other error becomes "daemon_down".
	Dial func(ctx context.Context) (net.Conn, error)
	// DialTimeout bounds one call of Dial; 0: Options.DialTimeout.
	DialTimeout time.Duration
	// Pool names connections that are interchangeable: it changes when the
	// address does. Empty: the connection is neither taken from a pool nor kept. A
	// pool of one port of a place is the place's, PoolPort and the port.
	Pool string
	// Authority is the Host header on our hop.
	Authority string
	// RequestURI is sent byte for byte: path, and query if there is one.
	// It begins with "/" and holds no space and no control character.
	RequestURI string
	// Header has the last word on the request header, after hop-by-hop headers
	// were removed and X-Forwarded-For was set. It may replace, add and remove
	// entries of h, but must not write into their slices, which belong to the
	// client's request, nor keep h. Framing headers (Content-Length,
	// Connection, …) that it sets are ignored. Nil: as it is.
	Header func(h http.Header)
	// Response has the last word on each response header before it goes out:
	// the final one, a 101, and interim ones such as 103. Nil: as it is.
	Response func(status int, h http.Header)
	// ForwardedPrefix is sent as X-Forwarded-Prefix if not empty.
	ForwardedPrefix string
	// KeepForwarded is for a second hop, whose client is the first: Forwarded,
	// X-Forwarded-* and X-Real-IP pass as they came. Otherwise the client's own
	// are dropped, and X-Forwarded-For is its address.
	KeepForwarded bool
	// RequestBody and ResponseBody are shown the first TapBytes of each body,
	// chunk by chunk; they must not keep the slice. RequestBody is called from
	// another goroutine than ResponseBody. Bytes on a WebSocket are not shown.
	// Nil: no tap.
	RequestBody, ResponseBody func([]byte)
	// TunnelIn and TunnelOut are shown all bytes of a WebSocket after the
	// handshake, from the client and from the daemon, once they were passed on.
	// They must not keep the slice; each is called from a goroutine of its own.
	// Nil: no tap.
	TunnelIn, TunnelOut func([]byte)
}

// Result is what there is to record about a forwarded request.
type Result struct {
	// Status is what the client was sent; 0 if Forward returned an error.
	Status int
	// BytesIn and BytesOut count body bytes from and to the client; on a
	// WebSocket all bytes after the handshake.
	BytesIn, BytesOut int64
	// Wait is until the request head was written to the daemon, FirstByte
	// until the head of the final answer was read; both from the call of Forward.
	Wait, FirstByte time.Duration
	// Protocol is "http", "websocket" or "event-stream" (api.Exchange.Protocol).
	Protocol string
	// Err is what went wrong after the head went out; nil if nothing did.
	Err error
	// Cut reports that the client did not get the whole answer and that its
	// connection was ended in a way that shows it.
	Cut bool
	// Tunnel is not nil if a WebSocket is to be served now. It does that until
	// the WebSocket or ctx has ended, and returns the final result. It must be
	// called, best in a Proxy.Go: once the handler has returned, its stack, the
	// request and net/http's buffers are free.
	Tunnel func(ctx context.Context) Result
}

// Proxy forwards requests and keeps idle connections to daemons.
type Proxy struct {
	opts Options
	log  *slog.Logger
	idle pool

	watcher watcher

	// life ends with Close, and with it every tunnel.
	life    context.Context
	end     context.CancelCauseFunc
	mu      sync.Mutex
	closed  bool
	tunnels sync.WaitGroup
}

// New returns a Proxy; Close ends it.
func New(o Options) *Proxy {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	o.DialTimeout = orDefault(o.DialTimeout, 900*time.Millisecond)
	o.IdleTimeout = orDefault(o.IdleTimeout, 90*time.Second)
	o.MaxIdle = orDefault(o.MaxIdle, 128)
	o.MaxHeadBytes = orDefault(o.MaxHeadBytes, 1<<20)
	o.MaxInterim = orDefault(o.MaxInterim, 16)
	if o.BodySilence == 0 {
		o.BodySilence = time.Minute
	}
	if o.Crowded == nil {
		o.Crowded = func() bool { return false }
	}
	p := &Proxy{opts: o, log: o.Logger}
	p.watcher.crowded, p.watcher.set, p.watcher.stop = o.Crowded, make(map[*watch]struct{}), make(chan struct{})
	p.idle.perKey, p.idle.timeout = o.MaxIdle, o.IdleTimeout
	p.life, p.end = context.WithCancelCause(context.Background())
	return p
}

func orDefault[T int | time.Duration](v, def T) T {
	if v <= 0 {
		return def
	}
	return v
}

// Close closes idle connections, ends WebSockets as ErrGoingAway does, and
// waits for them. Plain requests under way are not touched; their connections
// are closed when they end.
func (p *Proxy) Close() {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	p.idle.close()
	p.end(ErrGoingAway)
	p.tunnels.Wait()
	p.watcher.close()
}

// PoolPort precedes the port in the name of a pool: see Target.Pool.
const PoolPort = " port "

// Drop closes the idle connections of a Target.Pool that leads nowhere any more,
// and of the pools of its ports.
func (p *Proxy) Drop(pool string) { p.idle.drop(pool) }

// Go runs f in a goroutine in which a panic is logged and does not end the
// program. net/http does that only for the goroutines of its handlers.
func (p *Proxy) Go(f func()) {
	go func() {
		defer p.recovered(func(error) {})
		f()
	}()
}

// recovered is deferred: it logs a panic and passes it to end as a problem.
func (p *Proxy) recovered(end func(error)) {
	if v := recover(); v != nil {
		p.log.Error(fmt.Sprintf("panic while forwarding: %v\n%s", v, debug.Stack()))
		end(api.NewProblem(api.CodeInternal, "unexpected internal error", "see the log"))
	}
}

// beginTunnel registers a WebSocket that Close waits for; false after Close.
func (p *Proxy) beginTunnel() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return false
	}
	p.tunnels.Add(1)
	return true
}

// Forward sends r to t and its answer to w, and returns when both bodies have
// ended. The end of r.Context() ends all of it. Of a WebSocket it leaves
// everything after the daemon's handshake to Result.Tunnel.
//
// An error means that no final status was written to w and that the caller
// answers in its place; it is an *api.Problem:
//
//   - bad_path, bad_request: the request cannot be sent as it is
//   - daemon_down, or the problem that Target.Dial returned: no connection
//   - port_closed: the daemon answered 502 with an empty body, which
//     means that nothing listens on the port
//   - bad_upstream: the answer is not HTTP/1.1 or exceeds a limit
//   - upstream_cut: the daemon hung up before it answered
//   - body_timeout: the request body has stopped for Options.BodySilence
//   - too_large: r.Body is an http.MaxBytesReader whose limit was reached
//   - cancelled, or the problem that is the cause of r.Context(): the request was cancelled
//
// With a nil error the answer went out, at least its head; see Result.Cut.
//
// w must be the http.ResponseWriter of a server that has ConnContext (see
// NewServer), or lead to it by Unwrap methods.
func (p *Proxy) Forward(w http.ResponseWriter, r *http.Request, t Target) (Result, error) {
	x := exchange{proxy: p, client: newHTTPClient(w, r), r: r, t: &t, start: time.Now()}
	x.result.Protocol = "http"
	if err := x.forward(); err != nil {
		x.result.Status = 0
		return x.result, err
	}
	return x.result, nil
}
