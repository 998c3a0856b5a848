package mux

import (
	"errors"
	"net"
	"sync/atomic"
	"time"

	"github.com/libp2p/go-yamux/v5"
)

// Stream is a net.Conn that also has CloseWrite, and SetLinger as a
// *net.TCPConn has it.
type Stream struct {
	*yamux.Stream
	session *Session
	slot    bool
	abrupt  atomic.Bool
	closed  atomic.Bool
}

func (s *Stream) Read(p []byte) (int, error) {
	n, err := s.Stream.Read(p)
	return n, s.failure(err)
}

func (s *Stream) Write(p []byte) (int, error) {
	n, err := s.Stream.Write(p)
	return n, s.failure(err)
}

func (s *Stream) failure(err error) error {
	if err != nil && s.closed.Load() {
		return net.ErrClosed
	}
	if reset, ok := errors.AsType[*yamux.StreamError](err); ok && reset.Remote && s.session.OnReset != nil {
		s.session.OnReset(reset.ErrorCode)
	}
	return fromMux(err)
}

// SetLinger with 0 makes Close discard what was written and not yet sent.
func (s *Stream) SetLinger(seconds int) error {
	s.abrupt.Store(seconds == 0)
	return nil
}

// Close ends both directions, and does not wait. What was written still
// arrives, unless SetLinger says otherwise; the other end learns that nobody reads.
func (s *Stream) Close() error {
	if s.closed.Swap(true) {
		return nil
	}
	past := time.Unix(1, 0)
	_ = s.SetReadDeadline(past) // ends what is blocked; these two never fail
	_ = s.SetWriteDeadline(past)
	s.session.Later(func() { // the connection may be full
		if !s.abrupt.Load() {
			_ = s.CloseWrite() // fails only if the stream has ended
		}
		_ = s.Reset() // after CloseWrite it concerns reading alone
		if s.slot {
			<-s.session.slots
		}
	})
	return nil
}

// gone reports whether the other end reads no longer. It must not be called
// during a Write.
func (s *Stream) gone() bool {
	_ = s.SetWriteDeadline(time.Unix(1, 0))
	_, err := s.Stream.Write([]byte{0}) // the state counts before the deadline; nothing is sent
	_ = s.SetWriteDeadline(time.Time{})
	return !errors.Is(err, yamux.ErrTimeout)
}
