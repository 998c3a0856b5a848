package traffic

import (
	"net/http"
	"slices"
	"sync"

	"daemon-proxy/core/api"
	"daemon-proxy/core/logging"
)

// PathLimit is how many bytes of a path are shown, BodyLimit how many of each
// body are captured.
const (
	PathLimit = 2 << 10
	BodyLimit = 64 << 10
)

// detail is what is kept of an exchange beside its line: heads, bodies, frames.
// It is discarded as a whole, by dropping the only lasting reference to it;
// a goroutine that still uses it finishes undisturbed.
type detail struct {
	held    int  // bytes, as they are counted; guarded by log.mu
	renewed bool // it replaces one that was discarded, and is for frames only

	mu                sync.Mutex
	hostMode          bool
	length            int64
	sent, got         head // of the request with its address, of the response
	request, response []byte
	frames            frameRing
}

// sentTexts are the texts of Sent that are packed with the request's head.
const sentTexts = 4

// address gives back what Request was called with.
func (d *detail) address() (Sent, http.Header) {
	texts, header := d.sent.unpack(sentTexts)
	return Sent{Scheme: texts[0], Host: texts[1], Prefix: texts[2], Target: texts[3], HostMode: d.hostMode,
		Length: d.length}, header
}

// bodies are copies of what is captured of both.
func (d *detail) bodies() (request, response []byte) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.request), slices.Clone(d.response)
}

// show is the exchange with what is kept of it, secrets masked.
func (r *Recording) show() api.ExchangeDetail {
	shown := api.ExchangeDetail{Exchange: r.snapshot()}
	shown.FrameCount = shown.Exchange.Frames
	d := r.detail.Load()
	if d == nil || d.renewed {
		shown.Discarded = true
	}
	if d == nil {
		shown.RequestHeader, shown.ResponseHeader = http.Header{}, http.Header{}
		return shown
	}
	d.mu.Lock()
	sent, got := d.sent, d.got // their bytes never change
	shown.Frames = d.frames.last()
	d.mu.Unlock()
	maskFrames(shown.Frames)
	request, response := d.bodies()
	_, sentHeader := sent.unpack(sentTexts)
	_, gotHeader := got.unpack(0)
	shown.RequestHeader, shown.ResponseHeader = masked(sentHeader), masked(gotHeader)
	shown.RequestHeaderSize, shown.ResponseHeaderSize = sent.size, got.size
	shown.RequestCaptured, shown.ResponseCaptured = int64(len(request)), int64(len(response))
	shown.RequestBody, shown.ResponseBody = readable(sentHeader, request), readable(gotHeader, response)
	return shown
}

// ShownPath is a request's target as the log shows it: its secrets masked, and
// of a long one the beginning; size is then its length in bytes, else 0.
func ShownPath(target string) (path string, size int64) {
	if len(target) > PathLimit {
		size = int64(len(target))
	}
	return logging.Printable(logging.MaskTarget(logging.Cut(target, PathLimit))), size
}
