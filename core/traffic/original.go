package traffic

import (
	"net/http"
	"slices"

	"daemon-proxy/core/api"
)

// Sent is what a request needs beside its header and body to be sent again. It
// holds secrets and is not for showing.
type Sent struct {
	Ref api.Ref
	// Scheme and Host are what the client saw, Prefix what stood before Target,
	// which is the part that the service got.
	Scheme, Host, Prefix, Target string
	HostMode                     bool
	// Length is the Content-Length; -1: it was not said.
	Length int64
}

// Original is a request as it was, secrets included: for repeating it, never
// for showing.
type Original struct {
	api.Exchange
	Sent
	Header http.Header
	// Body is what was captured of it; Whole says that this is all.
	Body  []byte
	Whole bool
}

// Sent keeps where the request went.
func (r *Recording) Sent(s Sent) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.sent = s
}

// OriginalRequest is the request of an exchange as it was, false if the log
// does not hold it any more.
func (l *Log) OriginalRequest(id uint64) (Original, bool) {
	r := l.find(id)
	if r == nil {
		return Original{}, false
	}
	o := Original{Exchange: r.snapshot()}
	r.mu.Lock()
	defer r.mu.Unlock()
	o.Sent, o.Header = r.sent, r.requestHeader.Clone()
	if !r.dropped.Load() {
		o.Body = slices.Clone(r.request.data)
	}
	length := int64(len(o.Body))
	switch {
	case r.sent.Length >= 0:
		o.Whole = length == r.sent.Length
	default: // chunked: it was read to its end if the exchange had an ordinary one
		o.Whole = !o.Live && o.Code == "" && length == o.BytesIn
	}
	return o, true
}
