package proxy

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"slices"
	"strings"
	"syscall"
	"time"
)

// spliceMin is how much of a body must be left for the kernel to move it from
// socket to socket; below it, the system calls cost more than the copy.
const spliceMin = 256 << 10

// answer relays the final answer. An error is an *api.Problem, and then
// nothing was written.
func (x *exchange) answer(resp *http.Response) error {
	body := newAnswerBody(x.up, resp)
	if err := x.inspect(resp, body); err != nil {
		x.keepOrClose(resp, body, nil)
		if x.failed() {
			return x.failureProblem()
		}
		return err
	}
	if !x.commit() {
		x.endUpload(0)
		return x.failureProblem()
	}
	x.writeHead(resp)
	err := x.copyBody(body)
	if err == nil {
		x.writeTrailer(resp, body)
	}
	x.keepOrClose(resp, body, err)
	if err != nil || x.failed() {
		x.flushCut() // the connection ends all the same
		x.result.Cut = true
		x.result.Err = err
		x.mu.Lock()
		if x.failure != nil {
			x.result.Err = x.failure
		}
		x.mu.Unlock()
		x.reset()
	}
	return nil
}

// inspect looks for what makes an answer none before any of it goes out.
func (x *exchange) inspect(resp *http.Response, body *answerBody) error {
	if resp.StatusCode == http.StatusBadGateway {
		empty, err := body.empty()
		if err != nil {
			return answerProblem(err)
		}
		if empty && resp.ContentLength <= 0 { // to HEAD, a length tells of a body
			return portClosed()
		}
		return nil
	}
	if err := body.peek(false); err != nil {
		return badUpstream(err)
	}
	return nil
}

// reset breaks the client's connection where its end would mean the end of the
// body: an answer of unknown length to HTTP/1.0. Only a reset tells such a
// client that something is missing.
func (x *exchange) reset() {
	if _, known := x.w.Header()["Content-Length"]; known || x.r.ProtoAtLeast(1, 1) {
		return
	}
	c, _, err := x.rc.Hijack()
	if err != nil {
		return
	}
	if tcp, ok := c.(interface{ SetLinger(sec int) error }); ok {
		_ = tcp.SetLinger(0) // Close then sends RST
	}
	c.Close()
}

func (x *exchange) writeHead(resp *http.Response) {
	h := x.w.Header()
	incoming(h, resp.Header)
	if len(resp.Trailer) > 0 {
		h["Trailer"] = []string{strings.Join(slices.Sorted(maps.Keys(resp.Trailer)), ", ")}
	}
	if resp.StatusCode == http.StatusNoContent {
		delete(h, "Content-Length") // RFC 9110 §8.6 forbids it
	}
	if _, ok := h["Content-Type"]; !ok {
		h["Content-Type"] = nil // or net/http guesses one
	}
	if resp.Close && x.upload != nil && !waitFor(x.upload.done, 0) {
		h["Connection"] = []string{"close"} // the daemon takes no more of the body: tell the client
	}
	if x.t.Response != nil {
		x.t.Response(resp.StatusCode, h)
	}
	if strings.HasPrefix(resp.Header.Get("Content-Type"), "text/event-stream") {
		x.result.Protocol = "event-stream"
	}
	x.result.Status = resp.StatusCode
	x.w.WriteHeader(resp.StatusCode)
}

// copyBody copies the body as it comes. What was written is flushed whenever
// the daemon has nothing more to read for the moment, and at no other time.
func (x *exchange) copyBody(body *answerBody) error {
	if body.done {
		return nil
	}
	unsent := true // the head is
	x.up.src.pause = func() {
		if unsent {
			unsent = false
			_ = x.rc.Flush() // the next write tells
		}
	}
	defer func() { x.up.src.pause = nil }()
	buf, _ := bodyBuffers.Get().(*[]byte)
	defer bodyBuffers.Put(buf)
	var w *watch
	defer func() {
		if w != nil {
			x.proxy.watcher.remove(w)
		}
	}()
	for {
		splice := x.spliceable(body)
		if w == nil && (splice || x.result.BytesOut >= TapBytes || x.result.Protocol == "event-stream") {
			w = x.watchAnswer() // less fits into the socket
			x.proxy.watcher.add(w)
		}
		if splice {
			x.up.src.pause() // io.ReaderFrom would wait for data before it sends the head
			return x.splice(body, w)
		}
		n, err := body.Read(*buf)
		if n > 0 {
			if x.t.ResponseBody != nil && x.result.BytesOut < TapBytes {
				x.t.ResponseBody((*buf)[:min(int64(n), TapBytes-x.result.BytesOut)])
			}
			unsent = true
			w.now(writing)
			m, werr := x.w.Write((*buf)[:n])
			w.now(resting)
			x.result.BytesOut += int64(m)
			if werr != nil {
				return fmt.Errorf("write to the client: %w", werr)
			}
		}
		if err == io.EOF { //nolint:errorlint // answerBody promises the bare value
			return nil
		}
		if err != nil {
			return fmt.Errorf("read from the daemon: %w", err)
		}
	}
}

// watchAnswer sees a daemon that breaks off, and a client that takes nothing,
// while a write to the client waits.
func (x *exchange) watchAnswer() *watch {
	return &watch{src: socketOf(x.up.Conn), finIsEnd: true, dst: clientSocket(x.r.Context()), left: func(err error) {
		if errors.Is(err, syscall.ECONNRESET) {
			err = badUpstream(fmt.Errorf("read from the daemon: %w", err))
		}
		x.resetClient()
		x.fail(err)
	}}
}

// resetClient makes the end of the client's connection a reset. (net/http
// closes the connection itself when a write of a chunk fails, so afterwards it
// is too late.)
func (x *exchange) resetClient() {
	if c, ok := x.r.Context().Value(connKey{}).(net.Conn); ok && x.r.ProtoMajor == 1 { // later ones have other streams
		resetOnClose(c)
	}
}

// flushCut sends what there is of an answer that breaks off, unless the client
// takes nothing.
func (x *exchange) flushCut() {
	if clientSocket(x.r.Context()).stalled() {
		x.resetClient()
		_ = x.rc.SetWriteDeadline(past)
	} else {
		_ = x.rc.SetWriteDeadline(time.Now().Add(leftPatience))
	}
	_ = x.rc.Flush()
}

// spliceable says whether the rest of the body can go without passing through
// this program's memory: its length is known, it is long, nobody looks at it,
// and none of it waits in the buffer.
func (x *exchange) spliceable(body *answerBody) bool {
	return !body.chunked && body.left >= spliceMin && x.up.br.Buffered() == 0 &&
		(x.t.ResponseBody == nil || x.result.BytesOut >= TapBytes)
}

// splice moves the rest of a body with io.ReaderFrom, which net/http turns
// into splice(2) where both ends are TCP. That writes as data arrives.
func (x *exchange) splice(body *answerBody, w *watch) error {
	w.now(writing)
	rest := io.LimitedReader{R: x.up.Conn, N: body.left}
	n, err := io.Copy(x.w, &rest)
	body.took(n)
	x.result.BytesOut += n
	if err != nil {
		return fmt.Errorf("copy to the client: %w", err)
	}
	if !body.done {
		return fmt.Errorf("read from the daemon: %w", io.ErrUnexpectedEOF)
	}
	return nil
}

// writeTrailer passes trailers on, announced or not.
func (x *exchange) writeTrailer(resp *http.Response, body *answerBody) {
	h := x.w.Header()
	for name := range resp.Trailer {
		delete(h, name) // a header of that name has gone out; it is no trailer
	}
	if len(body.trailer) == 0 {
		return
	}
	_ = x.rc.Flush() // a short answer gets a length and no trailers otherwise
	for name, values := range body.trailer {
		if !usableTrailer(name) {
			continue
		}
		if _, announced := resp.Trailer[name]; !announced {
			name = http.TrailerPrefix + name
		}
		h[name] = values
	}
}

// keepOrClose ends the upload and keeps the connection if nothing is left of
// this exchange on it: both bodies are through, and neither side means to
// close. When in doubt it is closed.
func (x *exchange) keepOrClose(resp *http.Response, body *answerBody, err error) {
	up := x.up
	grace := uploadGrace
	if err != nil || resp.Close {
		grace = 0
	}
	sent := x.endUpload(grace)
	x.mu.Lock()
	clean := err == nil && sent && body.done && x.failure == nil && !resp.Close && resp.ProtoMinor >= 1
	x.up = nil // fail must not close what another request may use
	x.mu.Unlock()
	if clean {
		x.proxy.idle.put(up)
	} else {
		up.Close()
	}
}
