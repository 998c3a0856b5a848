// Package mux carries many streams over one connection, such as the standard
// input and output of a process that ssh or a container engine has started.
//
// A stream is a connection in all that matters to what it carries: bytes pass as
// they come, either direction ends by itself (CloseWrite), and a reset of either
// side reaches the other, also while a write is blocked. The end of the
// connection ends everything. What one session may hold in memory is bounded
// (Limits), however many streams stall.
//
// It does not know what the streams are for: core/bridge carries those to a core
// on another machine, core/carrier those to the ports of a container.
package mux

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/libp2p/go-yamux/v5"

	"daemon-proxy/core/api"
)

// Limits bound a session. Zero values mean the defaults.
type Limits struct {
	// Streams is how many may be open at a time; default 512.
	Streams int
	// Window is how many bytes of one stream may be under way, once it has shown
	// that it needs them; default 8 MiB: at 100 ms of round trip, 80 MiB/s.
	Window int
	// Memory bounds what all streams together may hold beyond the first 256 KiB
	// of each; default 64 MiB.
	Memory int
	// KeepAlive is how long nothing may arrive before the other end is asked
	// for a sign of life, which it must give within twice that; default 20 s.
	KeepAlive time.Duration
}

func (l Limits) orDefaults() Limits {
	if l.Streams <= 0 {
		l.Streams = 512
	}
	if l.Window <= 0 {
		l.Window = 8 << 20
	}
	if l.Memory <= 0 {
		l.Memory = 64 << 20
	}
	if l.KeepAlive <= 0 {
		l.KeepAlive = 20 * time.Second
	}
	return l
}

// config is what the multiplexer needs to know.
func (l Limits) config() *yamux.Config {
	c := yamux.DefaultConfig()
	c.AcceptBacklog, c.MaxIncomingStreams = l.Streams, uint32(l.Streams)
	c.MaxStreamWindowSize = max(uint32(l.Window), c.InitialStreamWindowSize)
	c.KeepAliveInterval, c.ConnectionWriteTimeout = l.KeepAlive, 2*l.KeepAlive
	c.MaxMessageSize = 16 << 10 // what is short does not wait long behind what is long
	c.ReadBufSize = 64 << 10
	c.LogOutput = io.Discard // what goes wrong is returned as an error
	return c
}

// Session is one end of the connection.
type Session struct {
	// OnReset, unless it is nil, is called when the other end has reset a stream
	// with a code: see Stream.ResetWithError. Set it before the first stream.
	OnReset func(code uint32)

	mux    *yamux.Session
	from   *counted
	limits Limits
	slots  chan struct{} // a place for each open stream

	mu      sync.Mutex
	ended   bool
	closing sync.WaitGroup // streams that are being closed
}

// Near makes the end that opens streams; it accepts none. It closes conn, except
// if there is an error.
func Near(conn net.Conn, l Limits) (*Session, error) {
	return newSession(conn, l, func(conn net.Conn, c *yamux.Config, memory memory) (*yamux.Session, error) {
		c.MaxIncomingStreams = 0
		return yamux.Client(conn, c, memory)
	})
}

// Far makes the end that accepts streams. It closes conn, except if there is an error.
func Far(conn net.Conn, l Limits) (*Session, error) { return newSession(conn, l, yamux.Server) }

type memory = func() (yamux.MemoryManager, error)

// side makes one side of a session of the multiplexer.
type side func(net.Conn, *yamux.Config, memory) (*yamux.Session, error)

func newSession(conn net.Conn, l Limits, open side) (*Session, error) {
	l = l.orDefaults()
	b := &budget{limit: int64(l.Memory)}
	from := &counted{Conn: conn}
	session, err := open(from, l.config(), b.share)
	if err != nil {
		return nil, fmt.Errorf("carry streams over one connection: %w", err)
	}
	return &Session{mux: session, from: from, limits: l, slots: make(chan struct{}, l.Streams)}, nil
}

// counted counts the reads that returned something.
type counted struct {
	net.Conn
	reads atomic.Int64
}

func (c *counted) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if n > 0 {
		c.reads.Add(1)
	}
	return n, err
}

// aliveLook is how often Alive looks.
const aliveLook = 10 * time.Millisecond

// Alive asks the other end for a sign of life and reports whether anything arrives
// from it within that time: on a slow way, an answer can be behind other data.
func (s *Session) Alive(within time.Duration) bool {
	before := s.from.reads.Load()
	s.Later(func() { _, _ = s.mux.Ping() }) // whether it is answered shows below
	timeout := time.After(within)
	look := time.NewTicker(aliveLook)
	defer look.Stop()
	for s.from.reads.Load() == before {
		select {
		case <-s.Done():
			return false
		case <-timeout:
			return false
		case <-look.C:
		}
	}
	return true
}

// Open opens a stream. It waits while all places are taken.
func (s *Session) Open(ctx context.Context) (*Stream, error) {
	select {
	case s.slots <- struct{}{}:
	case <-s.Done():
		return nil, ErrEnded
	case <-ctx.Done():
		if len(s.slots) < cap(s.slots) {
			return nil, ctx.Err()
		}
		return nil, api.NewProblem(api.CodeTooMany,
			fmt.Sprintf("%d connections through the bridge are open", s.limits.Streams), "close some previews")
	}
	opened, err := s.mux.OpenStream(ctx)
	if err != nil {
		<-s.slots
		return nil, fromMux(err)
	}
	return &Stream{Stream: opened, session: s, slot: true}, nil
}

// Serve calls handle with each stream that the other end opens, each time in a
// goroutine of its own, until the session or ctx ends. It returns once the session
// is closed and all of them have ended.
func (s *Session) Serve(ctx context.Context, handle func(*Stream)) {
	defer context.AfterFunc(ctx, s.Break)()
	var streams sync.WaitGroup
	for {
		accepted, err := s.mux.AcceptStream()
		if err != nil {
			break // the session has ended
		}
		streams.Go(func() { handle(&Stream{Stream: accepted, session: s}) })
	}
	s.Close()
	streams.Wait()
}

// Done is closed when the session has ended.
func (s *Session) Done() <-chan struct{} { return s.mux.CloseChan() }

// Err returns why the session has ended; nil while it has not.
func (s *Session) Err() error {
	select {
	case <-s.Done():
		_, err := s.mux.AcceptStream()
		return err
	default:
		return nil
	}
}

// Later runs f in its own goroutine, which Close waits for, unless the session
// has ended.
func (s *Session) Later(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.ended {
		s.closing.Go(f)
	}
}

// Break ends the session and does not wait: see Close.
func (s *Session) Break() { _ = s.mux.Close() } // the connection reports nothing that could be acted on

// Close ends the session with its connection, and waits until nothing of it is left.
func (s *Session) Close() {
	s.Break()
	s.mu.Lock()
	s.ended = true
	s.mu.Unlock()
	s.closing.Wait()
}

// ErrEnded is what streams return when their session has ended.
var ErrEnded = &net.OpError{Op: "read", Net: "bridge", Err: errors.New("the bridge has ended")}

// fromMux is an error of the multiplexer as net.Conn has it.
func fromMux(err error) error {
	var reset *yamux.StreamError
	switch {
	case err == nil, err == io.EOF: //nolint:errorlint // a session that ended with its connection wraps the EOF
		return err
	case errors.Is(err, yamux.ErrTimeout):
		return os.ErrDeadlineExceeded
	case errors.As(err, &reset) && !reset.Remote, errors.Is(err, yamux.ErrStreamClosed):
		return net.ErrClosed
	case errors.As(err, &reset):
		return &net.OpError{Op: "read", Net: "bridge", Err: syscall.ECONNRESET}
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return err
	}
	return ErrEnded
}
