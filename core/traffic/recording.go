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

	// Guarded by log.mu.
	change uint64 // the number of its last change
	cost   int    // what the line counts; 0 once the log does not hold it
	over   bool   // it has ended
	links  [chains]links

	detail                    atomic.Pointer[detail] // nil once it is discarded; changed under log.mu
	bytesIn, bytesOut         atomic.Int64
	requestFull, responseFull atomic.Bool // no more of the body is captured

	mu       sync.Mutex
	exchange api.Exchange
	socket   *socket // nil unless frames are read
}

func (r *Recording) id() uint64 { return r.exchange.ID } // never changes

// ID is the exchange's number.
func (r *Recording) ID() uint64 { return r.id() }

// Request keeps a copy of the request's address and header.
func (r *Recording) Request(s Sent, h http.Header) {
	packed := packHead(h, s.Scheme, s.Host, s.Prefix, s.Target)
	r.keepHead(packed, func(d *detail) {
		d.hostMode, d.length, d.sent = s.HostMode, s.Length, packed
	})
}

// Head records the answer's head and keeps a copy of the header.
func (r *Recording) Head(status int, protocol string, h http.Header) {
	packed := packHead(h)
	r.keepHead(packed, func(d *detail) { d.got = packed })
	r.mu.Lock()
	r.exchange.Status, r.exchange.Protocol = status, protocol
	r.exchange.FirstByte = r.log.options.Now().Sub(r.exchange.Start)
	r.mu.Unlock()
	if protocol != "http" {
		r.log.changed(r) // a long exchange is shown while it lives
	}
}

// keepHead puts a head into the detail if there is room.
func (r *Recording) keepHead(h head, put func(*detail)) {
	d := r.detail.Load()
	if d == nil || d.renewed || !r.log.reserve(r, d, roundUp(cap(h.packed))) {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	put(d)
}

// RequestBody and ResponseBody are taps: each piece that passes is counted and
// its beginning captured. Once BodyLimit is reached they only count.
func (r *Recording) RequestBody(p []byte) {
	r.bytesIn.Add(int64(len(p)))
	r.capture(&r.requestFull, p, func(d *detail) *[]byte { return &d.request })
}

// ResponseBody is RequestBody for the other direction.
func (r *Recording) ResponseBody(p []byte) {
	r.bytesOut.Add(int64(len(p)))
	r.capture(&r.responseFull, p, func(d *detail) *[]byte { return &d.response })
}

func (r *Recording) capture(full *atomic.Bool, p []byte, of func(*detail) *[]byte) {
	if !r.log.options.Bodies || full.Load() || len(p) == 0 {
		return
	}
	d := r.detail.Load()
	if d == nil || d.renewed {
		full.Store(true) // what follows a gap is not the beginning
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	body := of(d)
	size := min(len(*body)+len(p), BodyLimit)
	if size > cap(*body) {
		room := min(max(size, 2*cap(*body)), BodyLimit)
		if !r.log.reserve(r, d, roundUp(room-cap(*body))) {
			full.Store(true)
			return
		}
		*body = append(make([]byte, 0, room), *body...)
	}
	*body = append(*body, p[:size-len(*body)]...)
	full.CompareAndSwap(false, len(*body) == BodyLimit)
}

// noteLimit bounds the remarks on one exchange.
const noteLimit = 1 << 10

// Note adds a remark for people.
func (r *Recording) Note(note string) {
	if note == "" {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	before := len(r.exchange.Note)
	if before > noteLimit {
		return
	}
	if before > 0 {
		note = r.exchange.Note + "; " + note
	}
	r.exchange.Note = logging.Cut(note, noteLimit)
	r.log.grow(r, len(r.exchange.Note)-before)
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
	x.Frames = r.frames()
	done := *x
	r.mu.Unlock()
	r.log.end(r, done)
	return done
}

// snapshot is the current state of the exchange; that of a live one counts up.
func (r *Recording) snapshot() api.Exchange {
	r.mu.Lock()
	defer r.mu.Unlock()
	x := r.exchange
	if x.Live {
		x.BytesIn, x.BytesOut = r.bytesIn.Load(), r.bytesOut.Load()
		x.Duration = r.log.options.Now().Sub(x.Start)
	}
	x.Frames = r.frames()
	return x
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

// secretHeader reports whether a header that has no form of its own carries a
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

// random reports whether s does not look like a word that a person has chosen.
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
