// Package bridge reaches a core on another machine through one process's
// standard input and output, such as the user's own ssh: many streams over
// one pair of pipes.
//
// The near end (Session) opens streams; the far end (Serve) connects each to
// the core on its machine. A stream is a connection in all that matters to
// what it carries: bytes pass as they come, either direction ends by itself
// (CloseWrite), and a reset of either side reaches the other, also while a
// write is blocked. The end of either process ends everything. What one session
// may hold in memory is bounded (Limits), however many streams stall.
//
// It knows the API only as much as it must: previews, which Previews offers
// to this machine's browsers, and calls, which Session.Transport carries. What
// they mean is for the core to decide.
package bridge

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

// budget is the memory that the streams of a session share beyond their first
// windows, whose number bounds them.
type budget struct {
	limit int64
	used  atomic.Int64
}

var errNoBudget = errors.New("no memory is left for a larger window")

// share is what one stream has taken of the budget.
type share struct {
	of    *budget
	taken atomic.Int64
}

func (b *budget) share() (yamux.MemoryManager, error) { return &share{of: b}, nil }

// firstWindow is the priority of the memory that a stream begins with.
const firstWindow = 255

// ReserveMemory refuses a larger window that the budget has no room for. The
// stream keeps the one that it has.
func (s *share) ReserveMemory(size int, priority uint8) error {
	if priority == firstWindow {
		return nil
	}
	if s.of.used.Add(int64(size)) > s.of.limit {
		s.of.used.Add(-int64(size))
		return errNoBudget
	}
	s.taken.Add(int64(size))
	return nil
}

// ReleaseMemory returns a part.
func (s *share) ReleaseMemory(size int) {
	s.of.used.Add(-int64(size))
	s.taken.Add(-int64(size))
}

// Done returns all that the stream has taken.
func (s *share) Done() { s.of.used.Add(-s.taken.Swap(0)) }

// mux is one end of the pipes.
type mux struct {
	*yamux.Session
	limits Limits
	slots  chan struct{} // a place for each open stream
	// replaced is called when a stream was reset because the core is another one by now.
	replaced func()

	mu      sync.Mutex
	ended   bool
	closing sync.WaitGroup // streams that are being closed
}

// side makes one side of a session of the multiplexer.
type side func(net.Conn, *yamux.Config, func() (yamux.MemoryManager, error)) (*yamux.Session, error)

func newMux(p pipes, l Limits, open side) (*mux, error) {
	l = l.orDefaults()
	b := &budget{limit: int64(l.Memory)}
	session, err := open(p, l.config(), b.share)
	if err != nil {
		return nil, fmt.Errorf("carry streams over the pipes: %w", err)
	}
	return &mux{Session: session, limits: l, slots: make(chan struct{}, l.Streams)}, nil
}

// open opens a stream. It waits while all places are taken.
func (m *mux) open(ctx context.Context) (*stream, error) {
	select {
	case m.slots <- struct{}{}:
	case <-m.CloseChan():
		return nil, errEnded
	case <-ctx.Done():
		if len(m.slots) < cap(m.slots) {
			return nil, ctx.Err()
		}
		return nil, api.NewProblem(api.CodeTooMany,
			fmt.Sprintf("%d connections through the bridge are open", m.limits.Streams), "close some previews")
	}
	s, err := m.OpenStream(ctx)
	if err != nil {
		<-m.slots
		return nil, fromMux(err)
	}
	return &stream{Stream: s, mux: m, slot: true}, nil
}

// accept waits for the next stream.
func (m *mux) accept() (*stream, error) {
	s, err := m.AcceptStream()
	if err != nil {
		return nil, fromMux(err)
	}
	return &stream{Stream: s, mux: m}, nil
}

// later runs f, unless the session has ended.
func (m *mux) later(f func()) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.ended {
		m.closing.Go(f)
	}
}

// end closes the pipes and waits until nothing of the session is left.
func (m *mux) end() {
	_ = m.Close() // the pipes report nothing that could be acted on
	m.mu.Lock()
	m.ended = true
	m.mu.Unlock()
	m.closing.Wait()
}

// errEnded is what streams return when their session has ended.
var errEnded = &net.OpError{Op: "read", Net: "bridge", Err: errors.New("the bridge has ended")}

// fromMux is an error of the multiplexer as net.Conn has it.
func fromMux(err error) error {
	var reset *yamux.StreamError
	switch {
	case err == nil, err == io.EOF: //nolint:errorlint // a session that ended with its pipes wraps their EOF
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
	return errEnded
}

// stream is a net.Conn that also has CloseWrite, and SetLinger as a
// *net.TCPConn has it.
type stream struct {
	*yamux.Stream
	mux    *mux
	slot   bool
	abrupt atomic.Bool
	closed atomic.Bool
}

func (s *stream) Read(p []byte) (int, error) {
	n, err := s.Stream.Read(p)
	return n, s.failure(err)
}

func (s *stream) Write(p []byte) (int, error) {
	n, err := s.Stream.Write(p)
	return n, s.failure(err)
}

func (s *stream) failure(err error) error {
	if err != nil && s.closed.Load() {
		return net.ErrClosed
	}
	if reset, ok := errors.AsType[*yamux.StreamError](err); ok && reset.Remote && reset.ErrorCode == resetReplaced &&
		s.mux.replaced != nil {
		s.mux.replaced()
	}
	return fromMux(err)
}

// SetLinger with 0 makes Close discard what was written and not yet sent.
func (s *stream) SetLinger(seconds int) error {
	s.abrupt.Store(seconds == 0)
	return nil
}

// Close ends both directions, and does not wait. What was written still
// arrives, unless SetLinger says otherwise; the other end learns that nobody reads.
func (s *stream) Close() error {
	if s.closed.Swap(true) {
		return nil
	}
	past := time.Unix(1, 0)
	_ = s.SetReadDeadline(past) // ends what is blocked; these two never fail
	_ = s.SetWriteDeadline(past)
	s.mux.later(func() { // the pipes may be full
		if !s.abrupt.Load() {
			_ = s.CloseWrite() // fails only if the stream has ended
		}
		_ = s.Reset() // after CloseWrite it concerns reading alone
		if s.slot {
			<-s.mux.slots
		}
	})
	return nil
}

// gone reports whether the other end reads no longer. It must not be called
// during a Write.
func (s *stream) gone() bool {
	_ = s.SetWriteDeadline(time.Unix(1, 0))
	_, err := s.Stream.Write([]byte{0}) // the state counts before the deadline; nothing is sent
	_ = s.SetWriteDeadline(time.Time{})
	return !errors.Is(err, yamux.ErrTimeout)
}
