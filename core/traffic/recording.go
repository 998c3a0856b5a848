package traffic

import (
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"daemon-proxy/core/api"
	"daemon-proxy/core/logging"
)

// Recording is one exchange as it happens.
type Recording struct {
	log *Log

	change  uint64      // the number of its last change; guarded by log.mu
	held    int         // captured bytes; guarded by log.mu
	dropped atomic.Bool // the bodies were given up

	bytesIn, bytesOut atomic.Int64

	mu             sync.Mutex
	exchange       api.Exchange
	requestHeader  http.Header
	responseHeader http.Header
	request, reply body
	sent           Sent
	frames         frameLog
}

// body is the captured beginning of one.
type body struct {
	data []byte
	full atomic.Bool // no more is captured
}

func (r *Recording) id() uint64 { return r.exchange.ID } // never changes

// ID is the exchange's number.
func (r *Recording) ID() uint64 { return r.id() }

// Request keeps the request's header, which must not change afterwards.
func (r *Recording) Request(h http.Header) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.requestHeader = h
}

// Head records the answer's head; h must not change afterwards.
func (r *Recording) Head(status int, protocol string, h http.Header) {
	r.mu.Lock()
	r.exchange.Status, r.exchange.Protocol = status, protocol
	r.exchange.FirstByte = r.log.options.Now().Sub(r.exchange.Start)
	r.responseHeader = h
	r.mu.Unlock()
	if protocol != "http" {
		r.log.changed(r) // a long exchange is shown while it lives
	}
}

// RequestBody and ResponseBody are taps: each piece that passes is counted and
// its beginning captured. Once BodyLimit is reached they only count.
func (r *Recording) RequestBody(p []byte) {
	r.bytesIn.Add(int64(len(p)))
	r.capture(&r.request, p)
}

// ResponseBody is RequestBody for the other direction.
func (r *Recording) ResponseBody(p []byte) {
	r.bytesOut.Add(int64(len(p)))
	r.capture(&r.reply, p)
}

func (r *Recording) capture(b *body, p []byte) {
	if !r.log.options.Bodies || b.full.Load() || r.dropped.Load() || len(p) == 0 {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	n := min(len(p), BodyLimit-len(b.data))
	if !r.log.reserve(r, n) {
		b.full.Store(true)
		return
	}
	b.data = append(b.data, p[:n]...)
	if len(b.data) >= BodyLimit {
		b.full.Store(true)
	}
}

// Note adds a remark for people.
func (r *Recording) Note(note string) {
	if note == "" {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.exchange.Note != "" {
		note = r.exchange.Note + "; " + note
	}
	r.exchange.Note = note
}

// End is the outcome of an exchange.
type End struct {
	Status            int
	Protocol          string
	Wait, FirstByte   time.Duration
	BytesIn, BytesOut int64
	Code              string // of the problem that the program answered with
}

// End closes the recording and returns the exchange as it is kept.
func (r *Recording) End(end End) api.Exchange {
	r.mu.Lock()
	x := &r.exchange
	x.Status, x.Code, x.Live = end.Status, end.Code, false
	if end.Protocol != "" {
		x.Protocol = end.Protocol
	}
	x.Wait, x.FirstByte = end.Wait, end.FirstByte
	x.Duration = r.log.options.Now().Sub(x.Start)
	r.bytesIn.Store(end.BytesIn)
	r.bytesOut.Store(end.BytesOut)
	x.BytesIn, x.BytesOut = end.BytesIn, end.BytesOut
	done := *x
	r.mu.Unlock()
	done.Frames = r.frames.count.Load()
	r.log.end(r, done)
	return done
}

// snapshot is the exchange as it is now; a live one counts up.
func (r *Recording) snapshot() api.Exchange {
	r.mu.Lock()
	defer r.mu.Unlock()
	x := r.exchange
	if x.Live {
		x.BytesIn, x.BytesOut = r.bytesIn.Load(), r.bytesOut.Load()
		x.Duration = r.log.options.Now().Sub(x.Start)
	}
	x.Frames = r.frames.count.Load()
	return x
}

func (r *Recording) detail() api.ExchangeDetail {
	d := api.ExchangeDetail{Exchange: r.snapshot(), Frames: r.frames.last()}
	maskFrames(d.Frames)
	r.mu.Lock()
	sent, got := r.requestHeader, r.responseHeader // which never change
	r.mu.Unlock()
	request, response := r.bodies()
	d.RequestHeader, d.ResponseHeader = masked(sent), masked(got)
	d.RequestCaptured, d.ResponseCaptured = int64(len(request)), int64(len(response))
	d.RequestBody, d.ResponseBody = readable(sent, request), readable(got, response)
	return d
}

// bodies are what is captured of both.
func (r *Recording) bodies() (request, response []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.dropped.Load() {
		r.request.data, r.reply.data = nil, nil
	}
	return slices.Clone(r.request.data), slices.Clone(r.reply.data)
}

// mask stands for a secret.
const mask = "••••"

// masked is a copy of h that may be shown.
func masked(h http.Header) http.Header {
	shown := h.Clone()
	if shown == nil {
		return http.Header{} // never null in JSON: the program may have answered itself
	}
	for name, values := range shown {
		switch http.CanonicalHeaderKey(name) {
		case "Authorization", "Proxy-Authorization":
			for i, v := range values {
				scheme, _, found := strings.Cut(v, " ")
				if values[i] = mask; found {
					values[i] = scheme + " " + mask
				}
			}
		case "Cookie":
			for i, v := range values {
				values[i] = maskPairs(v, len(v))
			}
		case "Set-Cookie":
			for i, v := range values {
				values[i] = maskPairs(v, 1)
			}
		case "Sec-Websocket-Protocol":
			for i, v := range values {
				values[i] = maskProtocols(v)
			}
		case "Referer", "Location", "Content-Location":
			for i, v := range values {
				if url, query, found := strings.Cut(v, "?"); found {
					values[i] = url + "?" + logging.MaskQuery(query)
				}
			}
		default:
			if secretHeader(name) {
				for i := range values {
					values[i] = mask
				}
			}
		}
		for i, v := range values {
			values[i] = logging.MaskTokens(v)
		}
	}
	return shown
}

// secretHeader says whether a header that has no form of its own carries a
// secret. Those of CORS speak of credentials and hold none.
func secretHeader(name string) bool {
	return logging.SecretName(name) && !strings.HasPrefix(name, "Access-Control-")
}

// maskProtocols masks what looks random in the protocols of a WebSocket: pages
// have no other header to bring a token in.
func maskProtocols(header string) string {
	protocols := strings.Split(header, ",")
	for i := range protocols {
		protocols[i] = strings.TrimSpace(protocols[i])
		parts := strings.Split(protocols[i], ".")
		if n := slices.IndexFunc(parts, random); n >= 0 && len(protocols[i]) > 20 {
			protocols[i] = strings.Join(append(parts[:n], mask), ".") // without what follows, of a JWT
		}
	}
	return strings.Join(protocols, ", ")
}

// random says whether s is no word that a person has chosen.
func random(s string) bool {
	digits, lower, upper := 0, 0, 0
	for _, c := range s {
		switch {
		case c >= '0' && c <= '9':
			digits++
		case c >= 'a' && c <= 'z':
			lower++
		case c >= 'A' && c <= 'Z':
			upper++
		}
	}
	return len(s) >= 12 && (digits >= 4 || lower > 0 && upper > 0)
}

// maskPairs masks the values of the first n "name=value" pairs of a cookie header.
func maskPairs(header string, n int) string {
	pairs := strings.Split(header, ";")
	for i, pair := range pairs {
		if i >= n {
			break
		}
		if name, _, found := strings.Cut(pair, "="); found {
			pairs[i] = name + "=" + mask
		} else {
			pairs[i] = mask
		}
	}
	return strings.Join(pairs, ";")
}
