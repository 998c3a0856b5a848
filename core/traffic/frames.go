package traffic

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"daemon-proxy/core/api"
	"daemon-proxy/core/wsframe"
)

const (
	// FrameLimit is how many bytes of each frame are captured, keepFrames how
	// many frames of a WebSocket are kept, both ways together.
	FrameLimit = 1 << 10
	keepFrames = 200
	// reportFrames is how often a WebSocket's counters are reported while it is open.
	reportFrames = time.Second
	// reserveFrames is how much more than a frame needs is reserved, so that not
	// every frame has to reserve.
	reserveFrames = 4 << 10
)

// socket reads the frames of one WebSocket.
type socket struct {
	count   atomic.Int64
	in, out frameParser

	mu       sync.Mutex
	reported time.Time
}

// frameRing holds the last frames of one WebSocket.
type frameRing struct {
	ring   []api.Frame // the oldest is at next once it is full
	next   int
	budget int // bytes that may be used without asking the log
	used   int
}

// TunnelIn is a tap for the bytes of a WebSocket that come from the client;
// nil with the capture of bodies off.
func (r *Recording) TunnelIn() func([]byte) {
	if !r.log.options.Bodies {
		return nil
	}
	return func(p []byte) {
		r.bytesIn.Add(int64(len(p)))
		s := r.reading()
		r.parse(s, &s.in, p, true)
	}
}

// TunnelOut is TunnelIn for the other direction.
func (r *Recording) TunnelOut() func([]byte) {
	if !r.log.options.Bodies {
		return nil
	}
	return func(p []byte) {
		r.bytesOut.Add(int64(len(p)))
		s := r.reading()
		r.parse(s, &s.out, p, false)
	}
}

// reading is the reader of frames; the first bytes create it.
func (r *Recording) reading() *socket {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.socket == nil {
		r.socket = &socket{}
	}
	return r.socket
}

// frames is how many have passed; r.mu is held.
func (r *Recording) frames() int64 {
	if r.socket == nil {
		return 0
	}
	return r.socket.count.Load()
}

// parse reads on; only the goroutine of its direction uses the parser.
func (r *Recording) parse(s *socket, parser *frameParser, p []byte, fromClient bool) {
	parser.feed(p, func(f api.Frame) {
		f.Time, f.FromClient = r.log.options.Now(), fromClient
		s.count.Add(1)
		r.keep(f)
		if s.due(f.Time) {
			r.log.changed(r)
		}
	})
}

// due reports whether it is time to report the counters.
func (s *socket) due(now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if now.Sub(s.reported) < reportFrames {
		return false
	}
	s.reported = now
	return true
}

// keep puts a frame into the ring. Frames that were discarded to make room are
// followed by new ones.
func (r *Recording) keep(f api.Frame) {
	d := r.detail.Load()
	if d == nil {
		if d = r.log.renew(r); d == nil {
			return
		}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.frames.put(f, func(n int) bool { return r.log.reserve(r, d, n) })
}

// put adds a frame in place of the oldest, without its bytes if there is no
// room for them, and not at all if there is none for the frame.
func (l *frameRing) put(f api.Frame, reserve func(int) bool) {
	if len(l.ring) == keepFrames {
		l.used -= frameCost + cap(l.ring[l.next].Data)
	}
	need := l.used + frameCost + cap(f.Data) - l.budget
	if need > 0 {
		switch more := need + reserveFrames; {
		case reserve(more):
			l.budget += more
		case l.used+frameCost <= l.budget:
			f.Data = nil
		default:
			return
		}
	}
	l.used += frameCost + cap(f.Data)
	if len(l.ring) < keepFrames {
		l.ring = append(l.ring, f)
	} else {
		l.ring[l.next] = f
		l.next = (l.next + 1) % keepFrames
	}
}

// last are the frames that are kept, oldest first.
func (l *frameRing) last() []api.Frame {
	if len(l.ring) == 0 {
		return nil
	}
	return append(slices.Clone(l.ring[l.next:]), l.ring[:l.next]...)
}

// frameParser cuts one direction of a WebSocket into frames.
type frameParser struct {
	wsframe.Frame
	data []byte // the beginning of the payload, unmasked
}

// feed reads p and calls done for each frame that is complete.
func (f *frameParser) feed(p []byte, done func(api.Frame)) {
	for len(p) > 0 {
		payload, rest, complete := f.Next(p)
		p = rest
		f.capture(payload)
		if complete {
			done(api.Frame{
				Opcode: f.Opcode(), Size: f.Size(), Data: f.data, Final: f.Final(), Compressed: f.Compressed(),
			})
			f.data = nil
		}
	}
}

func (f *frameParser) capture(p []byte) {
	n := min(len(p), FrameLimit-len(f.data))
	if n <= 0 {
		return
	}
	from := len(f.data)
	f.data = append(f.data, p[:n]...)
	if key := f.Key(); key != nil {
		for i := from; i < len(f.data); i++ {
			f.data[i] ^= key[i%4]
		}
	}
}
