package traffic

import (
	"encoding/binary"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"daemon-proxy/core/api"
)

const (
	// FrameLimit is how many bytes of each frame are captured, keepFrames how
	// many frames of a WebSocket are kept, both ways together.
	FrameLimit = 1 << 10
	keepFrames = 200
	// frameBytes bounds the frames of all WebSockets together; frameCost is
	// what one counts beside its bytes.
	frameBytes = 8 << 20
	frameCost  = 96
	// tellFrames is how often a WebSocket's counters are told while it lives.
	tellFrames = time.Second
)

// frameLog holds the last frames of one WebSocket.
type frameLog struct {
	count atomic.Int64
	held  int // bytes; guarded by log.mu

	mu     sync.Mutex
	ring   []api.Frame // the oldest is at next once it is full
	next   int
	told   time.Time
	in     frameParser
	out    frameParser
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
		r.parse(&r.frames.in, p, true)
	}
}

// TunnelOut is TunnelIn for the other direction.
func (r *Recording) TunnelOut() func([]byte) {
	if !r.log.options.Bodies {
		return nil
	}
	return func(p []byte) {
		r.bytesOut.Add(int64(len(p)))
		r.parse(&r.frames.out, p, false)
	}
}

// parse reads on; only the goroutine of its direction uses the parser.
func (r *Recording) parse(parser *frameParser, p []byte, fromClient bool) {
	parser.feed(p, func(f api.Frame) {
		f.Time, f.FromClient = r.log.options.Now(), fromClient
		r.frames.count.Add(1)
		r.keep(f)
	})
}

// keep puts a frame into the ring, without its bytes if there is no room.
func (r *Recording) keep(f api.Frame) {
	l := &r.frames
	l.mu.Lock()
	if len(l.ring) == keepFrames {
		l.used -= frameCost + len(l.ring[l.next].Data)
	}
	if need := l.used + frameCost + len(f.Data); need > l.budget {
		// A little more than asked for, so that not every frame asks.
		more := need - l.budget + 4<<10
		if r.log.reserveFrames(r, more) {
			l.budget += more
		} else {
			f.Data = nil
		}
	}
	l.used += frameCost + len(f.Data)
	if len(l.ring) < keepFrames {
		l.ring = append(l.ring, f)
	} else {
		l.ring[l.next] = f
		l.next = (l.next + 1) % keepFrames
	}
	tell := f.Time.Sub(l.told) >= tellFrames
	if tell {
		l.told = f.Time
	}
	l.mu.Unlock()
	if tell {
		r.log.changed(r)
	}
}

// last are the frames that are kept, oldest first.
func (l *frameLog) last() []api.Frame {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.ring) == 0 {
		return nil
	}
	return append(slices.Clone(l.ring[l.next:]), l.ring[:l.next]...)
}

// reserveFrames asks for n bytes of frames for r; those of WebSockets that
// have ended are given up for it, the oldest first.
func (l *Log) reserveFrames(r *Recording, n int) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i := 0; l.framesHeld+n > frameBytes; {
		if i == len(l.framed) {
			return false
		}
		old := l.framed[i]
		if _, lives := l.live[old.id()]; lives {
			i++
			continue
		}
		l.releaseFrames(old)
		l.framed = slices.Delete(l.framed, i, i+1)
	}
	if r.frames.held == 0 {
		l.framed = append(l.framed, r)
	}
	r.frames.held += n
	l.framesHeld += n
	return true
}

// releaseFrames drops the frames of an exchange that has ended; l.mu is held.
func (l *Log) releaseFrames(r *Recording) {
	if r.frames.held == 0 {
		return
	}
	l.framesHeld -= r.frames.held
	r.frames.held = 0
	r.frames.drop()
}

func (l *frameLog) drop() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ring, l.next = nil, 0
}

// frameParser cuts one direction of a WebSocket into frames (RFC 6455 §5.2). On
// bytes that are no frames it says something, but never fails.
type frameParser struct {
	head [14]byte
	have int    // bytes of head seen
	left uint64 // bytes of payload to come
	size uint64
	data []byte // the beginning of the payload
}

// feed reads on, and tells of each frame when it is complete.
func (f *frameParser) feed(p []byte, tell func(api.Frame)) {
	for len(p) > 0 {
		if f.left == 0 {
			n := copy(f.head[f.have:f.headLen()], p)
			f.have += n
			p = p[n:]
			if f.have < 2 || f.have < f.headLen() {
				continue
			}
			f.begin()
		} else {
			n := min(f.left, uint64(len(p)))
			f.capture(p[:n])
			f.left -= n
			p = p[n:]
		}
		if f.left == 0 {
			tell(f.finish())
		}
	}
}

// headLen is the length of the header whose first bytes are in head.
func (f *frameParser) headLen() int {
	if f.have < 2 {
		return 2
	}
	n := 2
	switch f.head[1] & 0x7f {
	case 126:
		n += 2
	case 127:
		n += 8
	}
	if f.head[1]&0x80 != 0 {
		n += 4
	}
	return n
}

// begin reads the header, which is complete.
func (f *frameParser) begin() {
	switch f.head[1] & 0x7f {
	case 126:
		f.size = uint64(binary.BigEndian.Uint16(f.head[2:]))
	case 127:
		f.size = binary.BigEndian.Uint64(f.head[2:]) &^ (1 << 63)
	default:
		f.size = uint64(f.head[1] & 0x7f)
	}
	f.left = f.size
}

// capture keeps the beginning of a payload, unmasked.
func (f *frameParser) capture(p []byte) {
	n := min(len(p), FrameLimit-len(f.data))
	if n <= 0 {
		return
	}
	from := len(f.data)
	f.data = append(f.data, p[:n]...)
	if f.head[1]&0x80 == 0 {
		return
	}
	key := f.head[f.have-4 : f.have]
	for i := from; i < len(f.data); i++ {
		f.data[i] ^= key[i%4]
	}
}

// finish is the frame that ended, and makes room for the next.
func (f *frameParser) finish() api.Frame {
	done := api.Frame{
		Opcode: int(f.head[0] & 0x0f), Size: int64(f.size), Data: f.data,
		Final: f.head[0]&0x80 != 0, Compressed: f.head[0]&0x40 != 0,
	}
	f.have, f.size, f.data = 0, 0, nil
	return done
}
