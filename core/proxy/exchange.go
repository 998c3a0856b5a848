package proxy

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"

	"golang.org/x/net/http/httpguts"
)

// exchange is one call of Forward. Its fields belong to the handler's
// goroutine, those under mu excepted.
type exchange struct {
	proxy  *Proxy
	client client
	r      *http.Request
	t      *Target
	start  time.Time
	result Result
	stop   func() bool // stops x.fail from being called when the context ends

	head      *[]byte // the request head, from headBuffers
	hasBody   bool
	expects   bool // the request has Expect: 100-continue
	websocket bool
	upload    *upload // nil until the body is on its way

	heads sync.Mutex // held while an interim head goes out; taken before mu

	mu        sync.Mutex
	up        *upstream
	failure   error // why the exchange was cancelled: the first reason
	interim   bool  // an interim head is going out
	committed bool  // the final head is going out
	continued bool  // the client was told to send its body
	over      bool  // Forward is returning: there is nothing left for fail to end
}

// past is a deadline that ends blocked reads and writes.
var past = time.Unix(1, 0)

var (
	headBuffers   = sync.Pool{New: func() any { b := make([]byte, 0, 2048); return &b }}
	headerMaps    = sync.Pool{New: func() any { return make(http.Header, 24) }}
	errNoTransfer = errors.New("the method CONNECT is not forwarded")
)

// forward is Forward; an error is always an *api.Problem.
func (x *exchange) forward() error {
	if err := x.prepare(); err != nil {
		return err
	}
	ctx := x.r.Context()
	stop := context.AfterFunc(ctx, func() { x.fail(context.Cause(ctx)) })
	x.stop = stop
	defer x.finish()
	defer stop()

	resp, err := x.send()
	headBuffers.Put(x.head)
	if err != nil {
		return err
	}
	x.result.FirstByte = time.Since(x.start)
	if resp.StatusCode == http.StatusSwitchingProtocols {
		if !stop() {
			x.fail(context.Cause(ctx))
			return x.failureProblem()
		}
		return x.upgrade(resp)
	}
	return x.answer(resp)
}

// prepare checks the request and renders its head.
func (x *exchange) prepare() error {
	r, t := x.r, x.t
	if err := checkURI(t.RequestURI); err != nil {
		return badPath(err)
	}
	if !httpguts.ValidHeaderFieldName(r.Method) || !httpguts.ValidHostHeader(t.Authority) {
		return badRequest(fmt.Errorf("invalid method %q or host %q", r.Method, t.Authority))
	}
	if r.Method == http.MethodConnect {
		return badRequest(errNoTransfer)
	}
	x.hasBody = r.ContentLength != 0 && r.Body != nil && r.Body != http.NoBody
	x.websocket = WantsWebSocket(r)

	h, _ := headerMaps.Get().(http.Header)
	defer func() { clear(h); headerMaps.Put(h) }()
	outgoing(h, r, t, x.hasBody)
	x.expects = x.hasBody && r.ProtoAtLeast(1, 1) && httpguts.HeaderValuesContainsToken(h["Expect"], "100-continue")

	x.head, _ = headBuffers.Get().(*[]byte)
	b := (*x.head)[:0]
	b = append(b, r.Method...)
	b = append(b, ' ')
	b = append(b, t.RequestURI...)
	b = append(b, " HTTP/1.1\r\n"...)
	b = appendLine(b, "Host", t.Authority)
	b, err := appendHeader(b, h)
	if err != nil {
		headBuffers.Put(x.head)
		return badRequest(err)
	}
	b = x.appendFraming(b)
	b = append(b, "\r\n"...)
	*x.head = b
	return nil
}

// appendFraming appends the headers that say where the request ends, and
// those of an upgrade.
func (x *exchange) appendFraming(b []byte) []byte {
	switch {
	case x.websocket:
		return append(b, "Connection: Upgrade\r\nUpgrade: websocket\r\n"...)
	case !x.hasBody:
		if _, said := x.r.Header["Content-Length"]; said {
			b = appendLine(b, "Content-Length", "0")
		}
		return b
	case x.r.ContentLength > 0:
		b = append(b, "Content-Length: "...)
		b = strconv.AppendInt(b, x.r.ContentLength, 10)
		return append(b, "\r\n"...)
	}
	b = append(b, "Transfer-Encoding: chunked\r\n"...)
	announced := make([]string, 0, len(x.r.Trailer))
	for name := range x.r.Trailer {
		if httpguts.ValidTrailerHeader(name) {
			announced = append(announced, name)
		}
	}
	slices.Sort(announced)
	for _, name := range announced {
		b = appendLine(b, "Trailer", name)
	}
	return b
}

// repeatable reports whether a request may be sent a second time when it is not
// known whether the first had an effect (RFC 9110 §9.2.2).
func repeatable(method string) bool {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodTrace, http.MethodPut, http.MethodDelete:
		return true
	}
	return false
}

// send sends the request and reads answers up to the final head. A request
// that may be repeated is, once and on a new connection, if an idle connection
// turns out to be dead before a byte of the body was read from the client.
func (x *exchange) send() (*http.Response, error) {
	again := repeatable(x.r.Method)
	for fresh := false; ; fresh = true {
		up, err := x.proxy.connect(x.r.Context(), x.t, fresh, again && !x.hasBody)
		if err != nil {
			if x.r.Context().Err() != nil {
				x.fail(context.Cause(x.r.Context()))
				return nil, x.failureProblem()
			}
			return nil, dialProblem(err)
		}
		if !x.attach(up) {
			return nil, x.failureProblem()
		}
		resp, err := x.try(up)
		if err == nil {
			return resp, nil
		}
		up.Close()
		stale := up.used && !up.src.answered && x.upload == nil
		x.endUpload(0)
		if x.failed() {
			return nil, x.failureProblem()
		}
		if fresh || !stale || !again {
			return nil, answerProblem(err)
		}
		x.proxy.log.Debug("an idle connection was dead, trying another", "error", err)
	}
}

// try sends the request on up and reads answers up to the final head.
func (x *exchange) try(up *upstream) (*http.Response, error) {
	up.src.limit = int64(x.proxy.opts.MaxHeadBytes)
	_, err := up.Write(*x.head)
	x.result.Wait = time.Since(x.start)
	if err == nil && x.hasBody {
		x.startUpload(up)
	} // else: the daemon may have answered and hung up before it read the request
	for interim := 0; ; interim++ {
		resp, err := up.readHead(x.r)
		if err != nil {
			return nil, err
		}
		if resp.StatusCode >= 200 || resp.StatusCode == http.StatusSwitchingProtocols {
			up.src.limit = -1
			if resp.StatusCode == http.StatusSwitchingProtocols && !x.websocket {
				return nil, errNotAsked
			}
			return resp, nil
		}
		if interim == x.proxy.opts.MaxInterim {
			return nil, errTooManyInterim
		}
		x.relayInterim(resp)
	}
}

var (
	errNotAsked       = errors.New("it switches protocols without being asked to")
	errTooManyInterim = errors.New("too many interim answers")
)

// relayInterim passes on an interim answer (RFC 9110 §15.2), but no 100 to a
// client that did not ask for one, and nothing to HTTP/1.0.
func (x *exchange) relayInterim(resp *http.Response) {
	if resp.StatusCode == http.StatusContinue {
		if x.expects {
			x.sendContinue()
		}
		return
	}
	if !x.r.ProtoAtLeast(1, 1) {
		return
	}
	x.heads.Lock()
	defer x.heads.Unlock()
	h := make(http.Header, len(resp.Header))
	incoming(h, resp.Header)
	if x.t.Response != nil {
		x.t.Response(resp.StatusCode, h)
	}
	x.sendInterim(resp.StatusCode, h)
}

// sendInterim sends an interim answer with h as its header, unless the exchange
// has failed or has its final answer. The caller holds x.heads, because the
// upload's goroutine may want to send a 100 at the same time, but not x.mu:
// where the client does not read, fail must be able to end the write.
func (x *exchange) sendInterim(status int, h http.Header) {
	x.mu.Lock()
	x.interim = x.failure == nil && !x.committed
	send := x.interim
	x.mu.Unlock()
	if !send {
		return
	}
	x.client.WriteInterim(status, h)
	x.mu.Lock()
	x.interim = false
	x.mu.Unlock()
}

// sendContinue tells the client to send its body, once, unless the final
// answer is on its way.
func (x *exchange) sendContinue() {
	x.heads.Lock()
	defer x.heads.Unlock()
	x.mu.Lock()
	send := x.upload != nil && !x.continued && !x.committed && x.failure == nil
	x.continued = x.continued || send
	x.mu.Unlock()
	if !send {
		return
	}
	x.sendInterim(http.StatusContinue, nil)
	close(x.upload.proceed)
}

// attach sets the connection that fail closes; false if the exchange has failed already.
func (x *exchange) attach(up *upstream) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.failure != nil {
		up.Close()
		return false
	}
	x.up = up
	return true
}

// commit is called before the final head is sent; false if the exchange has
// failed, and nothing may be written.
func (x *exchange) commit() bool {
	x.heads.Lock()
	defer x.heads.Unlock()
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.failure == nil {
		x.committed = true
	}
	return x.committed
}

// fail cancels the exchange: it ends every blocked read and write.
// It may be called from any goroutine; only the first cause counts.
func (x *exchange) fail(cause error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.over || x.failure != nil {
		return
	}
	x.failure = cause
	if x.up != nil {
		x.up.Close()
	}
	if x.hasBody {
		_ = x.client.SetReadDeadline(past) // endUpload has the remedy where this is not supported
	}
	if x.committed || x.interim {
		_ = x.client.SetWriteDeadline(past)
	}
}

func (x *exchange) failed() bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.failure != nil
}

// finish disables fail. If the exchange has failed, the client's connection is
// not used again.
func (x *exchange) finish() {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.over = true
	if x.failure != nil && x.hasBody {
		x.client.CloseAfter()
	}
}
