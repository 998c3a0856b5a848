package proxy

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"syscall"
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
		x.client.Cut()
		x.result.Cut = true
		x.result.Err = err
		x.mu.Lock()
		if x.failure != nil {
			x.result.Err = x.failure
		}
		x.mu.Unlock()
	}
	return nil
}

// inspect checks, before anything is sent, that the answer can be used.
func (x *exchange) inspect(resp *http.Response, body *answerBody) error {
	if resp.StatusCode == http.StatusBadGateway {
		empty, err := body.empty()
		if err != nil {
			return answerProblem(err)
		}
		if empty && resp.ContentLength <= 0 { // an answer to HEAD may have a length and no body
			return portClosed()
		}
		return nil
	}
	if err := body.peek(false); err != nil {
		return badUpstream(err)
	}
	return nil
}

func (x *exchange) writeHead(resp *http.Response) {
	h := x.client.Header()
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
		h["Connection"] = []string{"close"} // the daemon reads no more of the body: tell the client
	}
	if x.t.Response != nil {
		x.t.Response(resp.StatusCode, h)
	}
	if strings.HasPrefix(resp.Header.Get("Content-Type"), "text/event-stream") {
		x.result.Protocol = "event-stream"
	}
	x.result.Status = resp.StatusCode
	x.client.WriteHeader(resp.StatusCode)
}

// copyBody copies the body as it arrives. It flushes when it has to wait for
// the daemon, and at no other time.
func (x *exchange) copyBody(body *answerBody) error {
	if body.done {
		return nil
	}
	unsent := true // the head is
	x.up.src.pause = func() {
		if unsent {
			unsent = false
			x.client.Flush()
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
			w = x.watchAnswer() // a smaller answer fits into the socket
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
			m, werr := x.client.Write((*buf)[:n])
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

// watchAnswer detects a daemon that breaks off and a client that reads nothing
// while a write to the client is blocked.
func (x *exchange) watchAnswer() *watch {
	return &watch{src: socketOf(x.up.Conn), finIsEnd: true, dst: x.client.socket(), left: func(err error) {
		if errors.Is(err, syscall.ECONNRESET) {
			err = badUpstream(fmt.Errorf("read from the daemon: %w", err))
		}
		x.client.ResetOnClose()
		x.fail(err)
	}}
}

// spliceable reports whether the rest of the body can go without passing through
// this program's memory: its length is known, it is long, no tap needs it,
// and none of it is in the buffer.
func (x *exchange) spliceable(body *answerBody) bool {
	return !body.chunked && body.left >= spliceMin && x.up.br.Buffered() == 0 &&
		(x.t.ResponseBody == nil || x.result.BytesOut >= TapBytes)
}

// splice moves the rest of a body with io.ReaderFrom, which net/http turns
// into splice(2) where both ends are TCP. That writes as data arrives.
func (x *exchange) splice(body *answerBody, w *watch) error {
	w.now(writing)
	rest := io.LimitedReader{R: x.up.Conn, N: body.left}
	n, err := x.client.ReadFrom(&rest)
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
	maps.DeleteFunc(body.trailer, func(name string, _ []string) bool { return !usableTrailer(name) })
	x.client.WriteTrailer(resp.Trailer, body.trailer)
}

// keepOrClose ends the upload and keeps the connection if nothing of this
// exchange is left on it: both bodies are complete and neither side wants to
// close it. When in doubt, it closes the connection.
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
