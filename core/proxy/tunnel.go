package proxy

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"os"
	"slices"
	"sync"
	"time"

	"daemon-proxy/core/wsframe"
)

const (
	// halfOpen is how long a WebSocket of which one side has ended may be
	// silent. A FIN may mean "I have sent everything" or "the process is
	// gone": so what the other side still sends is delivered, and when it
	// pauses for this long, both are ended.
	halfOpen = 800 * time.Millisecond
	// closeGrace bounds what is done after ErrGoingAway: to finish a write that
	// is under way, to send the close frames, and to let them arrive.
	closeGrace = 400 * time.Millisecond

	smallBuffer = 4 << 10 // the buffer of an idle direction of a WebSocket
	statusGoing = 1001    // RFC 6455 §7.4.1
)

// tunnel carries the bytes of a WebSocket between client and daemon. It ends
// when both sides have, when one of them breaks, when one has ended and the
// other is silent for halfOpen, or when a context ends. While both are open
// there is no time limit on silence.
type tunnel struct {
	proxy   *Proxy
	in, out flow // client → daemon, daemon → client

	mu       sync.Mutex
	oneEnded bool  // one side has sent its FIN
	ended    bool  // the final deadlines are set
	cause    error // why it ended; nil for an ordinary end
	going    bool  // close frames are sent at the end
}

// flow is one direction of a tunnel.
type flow struct {
	src, dst net.Conn
	masked   bool   // frames on it are masked: it leads to the daemon
	head     []byte // the end of the handshake, which goes before all frames
	early    []byte // what src sent along with the handshake
	n        int64  // bytes passed on, without head
	frame    wsframe.Frame
	closed   bool // a close frame was passed on
	watch    watch
	tap      func([]byte) // gets what was passed on; may be nil
}

// run carries bytes until the tunnel has ended, and closes both connections.
func (t *tunnel) run(ctx context.Context) error {
	for _, c := range []context.Context{ctx, t.proxy.life} {
		stop := context.AfterFunc(c, func() { t.end(context.Cause(c)) })
		defer stop()
	}
	t.watchFlow(&t.in, &t.out)
	t.watchFlow(&t.out, &t.in)
	t.proxy.watcher.add(&t.in.watch, &t.out.watch)
	defer t.proxy.watcher.remove(&t.in.watch, &t.out.watch)
	done := make(chan struct{})
	go func() {
		defer close(done)
		t.carry(&t.in)
	}()
	t.carry(&t.out)
	<-done
	for _, c := range []net.Conn{t.in.src, t.in.dst} {
		if socketOf(c).stalled() {
			resetOnClose(c)
		}
		c.Close()
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.ended = true
	return t.cause
}

// watchFlow ends the tunnel when the source of f has ended and what it sent is
// not taken, unless back shows that the other side lives.
func (t *tunnel) watchFlow(f, back *flow) {
	f.watch.src, f.watch.dst, f.watch.back = socketOf(f.src), socketOf(f.dst), &back.watch
	f.watch.left = func(err error) {
		if errors.Is(err, errLeft) {
			err = nil
		}
		t.end(err)
	}
}

// carry copies one direction to its end and then ends what has to end with it.
func (t *tunnel) carry(f *flow) {
	defer t.proxy.recovered(t.end)
	err := t.copy(f)
	if err == nil && !t.goingAway() { // else it is the answer to our close frame
		if c, ok := f.dst.(interface{ CloseWrite() error }); ok && c.CloseWrite() == nil {
			t.halfClose(f.dst)
			return
		}
		t.end(nil)
		return
	}
	t.mu.Lock()
	silent := t.oneEnded && errors.Is(err, os.ErrDeadlineExceeded)
	t.mu.Unlock()
	if silent {
		err = nil
	}
	t.end(err)
	if t.goingAway() {
		f.sendClose()
	}
}

// copy copies until the source ends (nil) or something breaks. An idle
// direction holds a small buffer, a busy one a large one.
func (t *tunnel) copy(f *flow) error {
	if err := f.begin(); err != nil {
		return err
	}
	if s := plainSocket(f.src); s != nil {
		return t.copyReady(f, s)
	}
	small := make([]byte, smallBuffer)
	buf, pooled := small, (*[]byte)(nil)
	defer func() {
		if pooled != nil {
			bodyBuffers.Put(pooled)
		}
	}()
	for {
		t.extend(f.src)
		n, err := f.src.Read(buf)
		if n > 0 {
			if werr := f.pass(buf[:n]); werr != nil {
				return werr
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		switch {
		case pooled == nil && n == len(buf):
			pooled, _ = bodyBuffers.Get().(*[]byte)
			buf = *pooled
		case pooled != nil && n < smallBuffer:
			bodyBuffers.Put(pooled)
			buf, pooled = small, nil
		}
	}
}

// copyReady is copy for a source whose readiness can be awaited without a
// buffer: an idle direction holds none.
func (t *tunnel) copyReady(f *flow, src *socket) error {
	var buf *[]byte
	take := func() []byte {
		if buf == nil {
			buf, _ = bodyBuffers.Get().(*[]byte)
		}
		return *buf
	}
	give := func() {
		if buf != nil {
			bodyBuffers.Put(buf)
			buf = nil
		}
	}
	defer give()
	for {
		t.extend(f.src)
		n, err := src.read(take, give)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := f.pass((*buf)[:n]); err != nil {
			return err
		}
	}
}

// begin writes head and early, in one piece.
func (f *flow) begin() error {
	first, head := slices.Concat(f.head, f.early), len(f.head)
	f.head, f.early = nil, nil // early is part of a buffer, even if it is empty
	if len(first) == 0 {
		return nil
	}
	f.watch.now(writing)
	n, err := f.dst.Write(first)
	f.watch.now(resting)
	early := first[:n][min(n, head):]
	f.n += int64(len(early))
	f.seen(early)
	return err
}

// pass writes p on and keeps track of the frames in it.
func (f *flow) pass(p []byte) error {
	f.watch.now(writing)
	n, err := f.dst.Write(p)
	f.watch.now(resting)
	f.n += int64(n)
	f.seen(p[:n])
	return err
}

// seen tracks the frames in bytes that were passed on, and passes them to the tap.
func (f *flow) seen(p []byte) {
	for rest := p; len(rest) > 0; {
		var complete bool
		_, rest, complete = f.frame.Next(rest)
		f.closed = f.closed || complete && f.frame.Opcode() == wsframe.OpClose
	}
	if f.tap != nil && len(p) > 0 {
		f.tap(p)
	}
}

// halfClose begins to limit the silence of c, the side that has not ended.
func (t *tunnel) halfClose(c net.Conn) {
	t.mu.Lock()
	t.oneEnded = true
	t.mu.Unlock()
	t.extend(c)
}

// extend gives c another halfOpen to send something, once the other side has ended.
func (t *tunnel) extend(c net.Conn) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.oneEnded && !t.ended {
		_ = c.SetReadDeadline(time.Now().Add(halfOpen))
	}
}

// end ends both directions; only the first call counts.
func (t *tunnel) end(cause error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.ended {
		return
	}
	t.ended = true
	t.cause = cause
	t.going = errors.Is(cause, ErrGoingAway)
	writing := past
	if t.going {
		writing = time.Now().Add(closeGrace)
	}
	for _, c := range []net.Conn{t.in.src, t.in.dst} {
		_ = c.SetReadDeadline(past)
		_ = c.SetWriteDeadline(writing)
	}
}

func (t *tunnel) goingAway() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.going
}

// sendClose sends a close frame with 1001 (going away) if the direction is
// between two frames (within one it would be taken for payload) and none was
// sent. It then reads on for a moment: to close a connection with unread bytes
// would reset it, and the frame could be lost.
func (f *flow) sendClose() {
	if f.frame.Between() && !f.closed {
		_, _ = f.dst.Write(closeFrame(f.masked))
	}
	if c, ok := f.dst.(interface{ CloseWrite() error }); ok {
		_ = c.CloseWrite()
	}
	_ = f.src.SetReadDeadline(time.Now().Add(closeGrace))
	_, _ = io.Copy(io.Discard, f.src)
}

// closeFrame is a WebSocket close frame with 1001 (RFC 6455 §5.5.1).
func closeFrame(masked bool) []byte {
	code := binary.BigEndian.AppendUint16(nil, statusGoing)
	if !masked {
		return append([]byte{0x88, 2}, code...)
	}
	var key [4]byte
	_, _ = rand.Read(key[:]) // never fails
	return append(append([]byte{0x88, 0x80 | 2}, key[:]...), code[0]^key[0], code[1]^key[1])
}
