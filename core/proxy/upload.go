package proxy

import (
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"

	"golang.org/x/net/http/httpguts"
)

const (
	// continueWait is how long a daemon that was asked for a 100 (Continue) may
	// be silent before the body is sent anyway (RFC 9110 §10.1.1).
	continueWait = time.Second
	// uploadGrace is how long the rest of a request body may take once the
	// answer is complete.
	uploadGrace = 50 * time.Millisecond
	// drainTime is for how long the server may throw away the rest of a request
	// body, so that the client reads its answer before the connection ends.
	drainTime = 500 * time.Millisecond

	// refusedBytes is how much of an unwanted body is read to keep a connection.
	refusedBytes = 256 << 10

	bodyBuffer = 64 << 10
	chunkRoom  = 16 // before and after the data in a buffer, for chunk framing
)

var bodyBuffers = sync.Pool{New: func() any { b := make([]byte, bodyBuffer+2*chunkRoom); return &b }}

// upload is a request body on its way to the daemon. Its goroutine is ended
// and awaited by exchange.endUpload; n and complete are read after done.
type upload struct {
	proceed  chan struct{} // closed: the client may send
	quit     chan struct{} // closed: the answer is complete, so do not start
	done     chan struct{} // closed by the goroutine
	n        int64
	complete bool // all of it was sent, so the connection can be reused
	watch    watch
}

func (x *exchange) startUpload(up *upstream) {
	x.client.EnableFullDuplex()
	x.upload = &upload{proceed: make(chan struct{}), quit: make(chan struct{}), done: make(chan struct{})}
	u := x.upload
	u.watch.src, u.watch.dst = x.client.socket(), socketOf(up.Conn)
	u.watch.left = func(err error) { x.fail(&clientError{err}) }
	u.watch.silence, u.watch.silent = max(0, x.proxy.opts.BodySilence), x.bodySilent
	go x.sendBody(up, u)
}

// bodySilent cancels a request whose body has stalled, unless it has its answer:
// an exchange that goes both ways at once may pause.
func (x *exchange) bodySilent() {
	x.mu.Lock()
	committed := x.committed
	x.mu.Unlock()
	if !committed {
		x.fail(bodyTimeout(x.proxy.opts.BodySilence))
	}
}

// sendBody copies the client's body to the daemon. An error of the client
// fails the exchange. A daemon that stops reading does not: it may have
// answered (413), so the answer decides.
func (x *exchange) sendBody(up *upstream, u *upload) {
	defer close(u.done)
	defer x.proxy.recovered(x.fail)
	if x.expects && !x.awaitContinue(u) {
		return
	}
	x.proxy.watcher.add(&u.watch)
	defer x.proxy.watcher.remove(&u.watch)
	buf, _ := bodyBuffers.Get().(*[]byte)
	defer bodyBuffers.Put(buf)
	data := (*buf)[chunkRoom : chunkRoom+bodyBuffer]
	for {
		u.watch.now(reading)
		n, err := x.r.Body.Read(data)
		u.watch.now(writing)
		if n > 0 {
			if x.t.RequestBody != nil && u.n < TapBytes {
				x.t.RequestBody(data[:min(int64(n), TapBytes-u.n)])
			}
			u.n += int64(n)
			if x.r.ContentLength >= 0 && u.n > x.r.ContentLength {
				x.fail(&clientError{fmt.Errorf("it is longer than its Content-Length of %d", x.r.ContentLength)})
				return
			}
			if _, err := up.Write(x.frame(*buf, n)); err != nil {
				return
			}
		}
		if err == io.EOF {
			break
		}
		if err != nil {
			select {
			case <-u.quit: // endUpload ended the read
			default:
				x.fail(&clientError{err})
			}
			return
		}
	}
	if x.r.ContentLength < 0 {
		if _, err := up.Write(appendTrailer((*buf)[:0], x.r.Trailer)); err != nil {
			return
		}
	} else if u.n < x.r.ContentLength {
		x.fail(&clientError{io.ErrUnexpectedEOF})
		return
	}
	u.complete = true
}

// awaitContinue waits until the daemon wants the body, or has been silent for
// so long that it is sent anyway; false if it has answered instead.
func (x *exchange) awaitContinue(u *upload) bool {
	timer := time.NewTimer(continueWait)
	defer timer.Stop()
	select {
	case <-u.proceed:
		return true
	case <-u.quit:
		return false
	case <-timer.C:
		x.sendContinue()
		select {
		case <-u.proceed:
			return true
		default:
			return false
		}
	}
}

// frame is the n bytes of data in buf as they are sent: as they are, or as one chunk.
func (x *exchange) frame(buf []byte, n int) []byte {
	if x.r.ContentLength >= 0 {
		return buf[chunkRoom : chunkRoom+n]
	}
	size := strconv.AppendInt(make([]byte, 0, chunkRoom), int64(n), 16)
	size = append(size, "\r\n"...)
	copy(buf[chunkRoom-len(size):], size)
	copy(buf[chunkRoom+n:], "\r\n")
	return buf[chunkRoom-len(size) : chunkRoom+n+2]
}

// appendTrailer appends the last chunk and the trailer section (RFC 9112 §7.1).
func appendTrailer(b []byte, trailer http.Header) []byte {
	b = append(b, "0\r\n"...)
	names := make([]string, 0, len(trailer))
	for name := range trailer {
		if usableTrailer(name) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	for _, name := range names {
		for _, v := range trailer[name] {
			if httpguts.ValidHeaderFieldValue(v) {
				b = appendLine(b, name, v)
			}
		}
	}
	return append(b, "\r\n"...)
}

// usableTrailer reports whether a field is allowed in a trailer section (RFC 9110
// §6.5.1) and may be forwarded.
func usableTrailer(name string) bool {
	return httpguts.ValidTrailerHeader(name) && httpguts.ValidHeaderFieldName(name) &&
		!hopByHop(name) && !forwarding(name)
}

// endUpload ends the upload, with up to grace for the rest of it, and waits
// for its goroutine. It reports whether the whole body was sent. If not, the
// client's connection cannot be used for another request: what follows on it
// is the rest of this one.
func (x *exchange) endUpload(grace time.Duration) bool {
	u := x.upload
	if u == nil {
		return !x.hasBody
	}
	close(u.quit)
	broken := !waitFor(u.done, grace)
	if broken {
		x.up.Close()
		x.stop() // net/http cancels the connection's context when a read fails, which is no reason to cut the answer
		if err := x.client.SetReadDeadline(past); err != nil {
			x.r.Body.Close()
		}
		<-u.done
	}
	x.upload = nil
	x.result.BytesIn = u.n
	if broken || !u.complete { // the next request's context would be cancelled from the start
		x.client.CloseAfter()
	}
	return u.complete
}

// waitFor waits for done, at most that long.
func waitFor(done <-chan struct{}, grace time.Duration) bool {
	select {
	case <-done:
		return true
	default:
	}
	if grace <= 0 {
		return false
	}
	timer := time.NewTimer(grace)
	defer timer.Stop()
	select {
	case <-done:
		return true
	case <-timer.C:
		return false
	}
}
