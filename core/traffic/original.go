package traffic

import (
	"net/http"
	"slices"
	"strings"

	"daemon-proxy/core/api"
)

// Sent is what a request needs beside its header and body to be sent again. It
// holds secrets and is not for showing.
type Sent struct {
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
	// HeadWhole reports that Sent and Header are all that was sent. Otherwise they
	// are a part, or nothing but the path as it is shown.
	HeadWhole bool
	// Body is what was captured of it; Whole says that this is all.
	Body  []byte
	Whole bool
}

// OriginalRequest is the request of an exchange as it was, false if the log
// does not hold it any more.
func (l *Log) OriginalRequest(id uint64) (Original, bool) {
	r := l.find(id)
	if r == nil {
		return Original{}, false
	}
	o := Original{Exchange: r.snapshot()}
	d := r.detail.Load()
	if d == nil || d.renewed {
		o.Sent = Sent{Target: o.Path, Length: -1}
		return o, true
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	o.Sent, o.Header = d.address()
	o.HeadWhole = d.sent.packed != nil && d.sent.size == 0
	o.Body = slices.Clone(d.request)
	length := int64(len(o.Body))
	switch {
	case o.Length >= 0:
		o.Whole = length == o.Length
	default: // chunked: it was read to its end if the exchange had an ordinary one
		o.Whole = !o.Live && o.Code == "" && length == o.BytesIn
	}
	return o, true
}

// Replayable is the request of an exchange, if it can be sent again. Problems:
// unknown_exchange; not_replayable for a WebSocket, for a request that is still
// under way and for one whose head or body is not kept whole.
func (l *Log) Replayable(id uint64) (Original, error) {
	o, ok := l.OriginalRequest(id)
	if !ok {
		return o, UnknownExchange(id)
	}
	return o, replayable(o)
}

func replayable(o Original) error {
	var why string
	switch {
	case o.Protocol == "websocket" || strings.EqualFold(o.Header.Get("Upgrade"), "websocket"):
		why = "it is a WebSocket, whose frames are not replayed"
	case o.Live:
		why = "it is still under way"
	case strings.Contains(o.Method, "…"):
		why = "its method is not kept whole"
	case !o.HeadWhole:
		why = "its head is not kept whole (64 KiB at most, and only until later requests need the memory)"
	case !o.Whole:
		why = "its body was not captured whole (64 KiB at most, and only with traffic.bodies on)"
	default:
		return nil
	}
	return api.NewProblem(api.CodeNotReplayable,
		"the request cannot be replayed: "+why, "copy it as curl instead").In(o.Sandbox, o.Port)
}
