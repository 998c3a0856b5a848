package mux

import (
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// patience is how long a write may be blocked before it is checked whether
	// the other side is still there.
	patience = 250 * time.Millisecond
	// carried is how many bytes are carried at a time in one direction.
	carried = 16 << 10
)

// blocked calls check, again and again, while a write takes longer than patience.
// No write follows one that failed.
type blocked struct {
	timer  *time.Timer
	busy   atomic.Bool
	failed chan struct{} // closed when a write fails
}

func newBlocked(check func()) *blocked {
	b := &blocked{failed: make(chan struct{})}
	b.timer = time.AfterFunc(time.Hour, func() {
		if b.busy.Load() {
			check()
			b.timer.Reset(patience)
		}
	})
	b.timer.Stop()
	return b
}

func (b *blocked) write(w io.Writer, p []byte) (int, error) {
	b.busy.Store(true)
	b.timer.Reset(patience)
	n, err := w.Write(p)
	if err != nil {
		close(b.failed)
	}
	b.busy.Store(false)
	b.timer.Stop()
	return n, err
}

// fails reports whether a write has failed, or one that is blocked does so soon.
func (b *blocked) fails() bool {
	if b.busy.Load() {
		select {
		case <-b.failed:
		case <-time.After(patience):
		}
	}
	select {
	case <-b.failed:
		return true
	default:
		return false
	}
}

// Join carries bytes between a stream and a connection until both directions
// have ended, or one side is gone. It closes both.
func Join(s *Stream, service net.Conn) {
	var both sync.WaitGroup
	// A connection whose write is blocked is not read, and a stream shows its end
	// only to its writer: so the other direction is woken to see it.
	toService := newBlocked(func() { _ = service.SetReadDeadline(time.Unix(1, 0)) })
	both.Go(func() {
		if !toTheService(s, service, toService) {
			reset(service)
		}
	})
	toStream := newBlocked(func() {
		if broken(service) {
			_ = s.SetWriteDeadline(time.Unix(1, 0))
		}
	})
	if !toTheStream(s, service, toStream, toService) {
		_ = s.SetLinger(0) // never fails
		_ = s.Close()
		reset(service)
	}
	both.Wait()
	service.Close()
	_ = s.Close()
}

// toTheService reports whether the stream ended, and the service was told.
func toTheService(s *Stream, service net.Conn, b *blocked) bool {
	buf := make([]byte, carried)
	for {
		n, err := s.Read(buf)
		if n > 0 {
			if _, err := b.write(service, buf[:n]); err != nil {
				return false
			}
		}
		if errors.Is(err, io.EOF) {
			half, ok := service.(interface{ CloseWrite() error })
			return ok && half.CloseWrite() == nil
		}
		if err != nil {
			return false
		}
	}
}

// toTheStream reports whether the service's answer ended, and the stream was told.
// A reset that was reported to the writer looks like an end to the reader.
func toTheStream(s *Stream, service net.Conn, b, back *blocked) bool {
	buf := make([]byte, carried)
	for {
		n, err := service.Read(buf)
		if n > 0 {
			if _, err := b.write(s, buf[:n]); err != nil {
				return false
			}
		}
		switch {
		case errors.Is(err, io.EOF):
			return !back.fails() && s.CloseWrite() == nil
		case errors.Is(err, os.ErrDeadlineExceeded): // woken
			_ = service.SetReadDeadline(time.Time{})
			if s.gone() {
				return false
			}
		case err != nil:
			return false
		}
	}
}

// reset closes a connection so that its peer can tell it from an ordinary end.
func reset(c net.Conn) {
	plain := c
	if secure, ok := c.(interface{ NetConn() net.Conn }); ok { // TLS
		plain = secure.NetConn()
	}
	if tcp, ok := plain.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0) // it may be closed already
	}
	plain.Close()
}
