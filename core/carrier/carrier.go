// Package carrier connects to the TCP ports of a container that this machine
// cannot dial. It starts one process in the container, a bridge, whose standard
// input and output carry all connections: the bridge connects each of them to a
// port on the container's loopback.
//
// A Carrier starts its bridge when a connection is wanted, ends it once it has
// been idle for a while, and starts another one when it has ended for any other
// reason. The bridge ends with its standard input, so nothing is left in the
// container when this program or the engine is killed. It listens on nothing and
// needs no secret: only those who may run processes in the container can use it.
//
// The package knows no engine: Options.Open starts the bridge.
package carrier

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"strings"
	"sync"
	"syscall"
	"time"

	"daemon-proxy/core/logging"
	"daemon-proxy/core/mux"
	"daemon-proxy/core/reach"
)

// StartWithin bounds the start of a bridge, which Dial may have to wait for.
const StartWithin = 10 * time.Second

const (
	// startPause is how long Dial does not try again after a failed start.
	startPause = 200 * time.Millisecond
	// defaultIdle is Options.Idle's default.
	defaultIdle = 10 * time.Minute
	// maxComplaint bounds what is kept of a bridge's standard error, in bytes, and
	// longestReason what an error quotes of it, in characters.
	maxComplaint  = 4 << 10
	longestReason = 300
	// maxListeners bounds what is read of the tables of sockets, in bytes.
	maxListeners = 4 << 20
)

// limits are those of both ends. The bridge's own memory counts as the container's.
var limits = mux.Limits{Streams: 4096, Memory: 16 << 20, KeepAlive: 10 * time.Second}

var (
	// ErrNoBridge is the error of a bridge that did not start, such as because its
	// program is not in the container.
	ErrNoBridge = errors.New("no bridge runs in the container")
	// ErrStalled is the error of a connection through a bridge that no longer answers.
	ErrStalled = errors.New("the bridge does not answer")
	// ErrIdle is the error of a connection that is only a check, while the bridge
	// has ended because it was idle.
	ErrIdle = errors.New("the bridge was idle and has ended")
)

// PortError is the error of a connection that the bridge could not make.
type PortError struct{ err *net.OpError }

// Error returns the text of a net.Dialer's error.
func (e *PortError) Error() string { return e.err.Error() }

// Unwrap returns the *net.OpError.
func (e *PortError) Unwrap() error { return e.err }

// Options configure New.
type Options struct {
	// Open starts the bridge and returns its standard input and output; its
	// standard error goes to complaints. An error that is ErrNoBridge says why it
	// cannot start. If the connection has a method End, as source.HelperConn, it is
	// called after Close and makes sure that nothing is left.
	Open func(ctx context.Context, complaints io.Writer) (net.Conn, error)
	// Log gets a line for each start and end of a bridge; nil: none.
	Log *slog.Logger
	// Idle is how long the bridge runs without connections; 0 means 10 minutes.
	Idle time.Duration
}

// endWithin bounds Options.Open's End.
const endWithin = 10 * time.Second

// Carrier connects to the ports of one container. It is safe for concurrent use.
type Carrier struct {
	o      Options
	ctx    context.Context // ended by Close
	cancel context.CancelFunc
	group  sync.WaitGroup // joined under mu while ctx lives

	mu      sync.Mutex
	bridge  *bridge     // the last one that was started; nil: there was none
	rested  bool        // it was ended because it was idle
	streams int         // connections that are open
	idle    *time.Timer // ends the bridge; armed while streams is 0
	used    time.Time   // when the last connection that is not a check was open
}

// bridge is one start of a bridge.
type bridge struct {
	started chan struct{} // closed when session or err is set
	session *mux.Session
	build   string // version.Build of its program; empty: it did not say
	err     error
	at      time.Time // of err
}

// New returns a Carrier, which starts nothing until it is used. Call Close.
func New(o Options) *Carrier {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Idle <= 0 {
		o.Idle = defaultIdle
	}
	c := &Carrier{o: o}
	c.ctx, c.cancel = context.WithCancel(context.Background())
	return c
}

// Close ends the bridge and all connections, and waits for that.
func (c *Carrier) Close() {
	c.mu.Lock()
	c.cancel()
	if c.idle != nil {
		c.idle.Stop()
	}
	c.mu.Unlock()
	c.group.Wait()
}

type checkKey struct{}

// Check returns a context for connections that only check the container: they do
// not keep the bridge from ending, and do not start it again then.
func Check(ctx context.Context) context.Context { return context.WithValue(ctx, checkKey{}, true) }

func isCheck(ctx context.Context) bool { return ctx.Value(checkKey{}) != nil }

// Reach returns the way to the container's ports; key identifies the container.
func (c *Carrier) Reach(key string) reach.Reach { return reach.Through(key, "localhost", c.Dial) }

// Ready starts the bridge unless it runs. Unlike Dial, it tries again at once after
// a failed start. The error may be ErrNoBridge or ErrIdle.
func (c *Carrier) Ready(ctx context.Context) error {
	_, err := c.session(ctx, true)
	return err
}

// Build returns version.Build of the bridge that runs; empty if it does not report
// that. It is false if none runs.
func (c *Carrier) Build() (build string, runs bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	b := c.bridge
	if b.ended() || b.failed() {
		return "", false
	}
	return b.build, b.session != nil
}

// Dial connects to a port of the container's loopback. If the bridge could not
// connect, the error is a *PortError with that of a net.Dialer: syscall.ECONNREFUSED
// if nothing listens, a timeout if what listens does not answer.
func (c *Carrier) Dial(ctx context.Context, port int) (net.Conn, error) {
	for again := true; ; again = false {
		session, err := c.session(ctx, false)
		if err != nil {
			return nil, err
		}
		conn, err := c.dial(ctx, session, port)
		if err == nil {
			return conn, nil
		}
		select {
		case <-session.Done(): // it ended just now, and the port has not got a byte
			if again {
				continue
			}
		default:
		}
		return nil, err
	}
}

// aliveWithin is how long a bridge may take to give a sign of life.
const aliveWithin = 5 * time.Second

// CheckStalled checks, after a connection through the bridge was not made in time,
// that the bridge itself answers. If it does not, it is given up, the next use starts
// another one, and the error is ErrStalled.
func (c *Carrier) CheckStalled() error {
	c.mu.Lock()
	b := c.bridge
	c.mu.Unlock()
	if b.ended() || b.failed() {
		return nil
	}
	select {
	case <-b.started:
	default:
		return nil
	}
	if b.session.Alive(aliveWithin) {
		return nil
	}
	b.session.Break()
	return ErrStalled
}

// session returns the session with the bridge, which it starts if needed.
func (c *Carrier) session(ctx context.Context, now bool) (*mux.Session, error) {
	c.mu.Lock()
	if c.ctx.Err() != nil {
		c.mu.Unlock()
		return nil, net.ErrClosed
	}
	b := c.bridge
	if b.ended() || b.failed() && (now || time.Since(b.at) > startPause) {
		b = nil
	}
	if b == nil {
		if c.rested && isCheck(ctx) {
			c.mu.Unlock()
			return nil, ErrIdle
		}
		b = &bridge{started: make(chan struct{})}
		c.bridge, c.rested = b, false
		c.group.Go(func() { c.run(b) })
	}
	c.mu.Unlock()
	select {
	case <-b.started:
		return b.session, b.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// ended reports whether the bridge has run and ended, or was never started. One
// that failed to start is not among them.
func (b *bridge) ended() bool {
	if b == nil {
		return true
	}
	select {
	case <-b.started:
	default:
		return false
	}
	if b.session == nil {
		return false
	}
	select {
	case <-b.session.Done():
		return true
	default:
		return false
	}
}

// failed reports whether the bridge did not start.
func (b *bridge) failed() bool {
	if b == nil {
		return false
	}
	select {
	case <-b.started:
		return b.err != nil
	default:
		return false
	}
}

// run starts a bridge and waits for its end.
func (c *Carrier) run(b *bridge) {
	session, build, end, err := c.start()
	c.mu.Lock()
	b.session, b.build, b.err, b.at = session, build, err, time.Now()
	if err == nil {
		c.armIdle()
	}
	close(b.started)
	c.mu.Unlock()
	if err != nil {
		c.o.Log.Debug("bridge not started", "error", err)
		return
	}
	c.o.Log.Debug("bridge started")
	select {
	case <-session.Done():
	case <-c.ctx.Done():
	}
	session.Close()
	end()
	c.o.Log.Debug("bridge ended", "reason", session.Err())
}

// start starts a bridge and returns which build it is; end is to be called once the
// session has ended.
func (c *Carrier) start() (session *mux.Session, build string, end func(), err error) {
	ctx, cancel := context.WithTimeout(c.ctx, StartWithin)
	defer cancel()
	said := &Complaints{}
	conn, err := c.o.Open(ctx, said)
	if err != nil {
		return nil, "", nil, err
	}
	end = func() { c.end(conn) }
	noise, err := mux.Greeting(ctx, conn, func(line []byte) (is bool) {
		var rest string
		rest, is = strings.CutPrefix(string(line), greeting)
		build, is = strings.TrimPrefix(rest, " "), is && (rest == "" || rest[0] == ' ')
		return is
	})
	if err == nil {
		session, err = mux.Near(conn, limits)
		if err == nil {
			return session, build, end, nil
		}
	}
	conn.Close()
	end()
	if reason := logging.Line(string(append(noise, said.kept...)), longestReason); reason != "" {
		return nil, "", nil, fmt.Errorf("%w: %s", ErrNoBridge, reason)
	}
	return nil, "", nil, fmt.Errorf("%w: %w", ErrNoBridge, err)
}

// end calls the End of a connection that has one.
func (c *Carrier) end(conn net.Conn) {
	ender, ok := conn.(interface {
		End(ctx context.Context) error
	})
	if !ok {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), endWithin)
	defer cancel()
	if err := ender.End(ctx); err != nil {
		c.o.Log.Warn("a bridge may be left behind", "error", err)
	}
}

// Listeners returns the lines of the kernel's tables of TCP sockets (/proc/net/tcp)
// that are about what listens in the container's network.
func (c *Carrier) Listeners(ctx context.Context) ([]byte, error) {
	conn, err := c.Dial(ctx, listeners)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { _ = conn.SetReadDeadline(time.Unix(1, 0)) })()
	return io.ReadAll(io.LimitReader(conn, maxListeners))
}

// armIdle starts the wait for the end of an idle bridge; mu is held.
func (c *Carrier) armIdle() {
	c.used = time.Now()
	if c.idle == nil {
		c.idle = time.AfterFunc(c.o.Idle, c.rest)
	} else {
		c.idle.Reset(c.o.Idle)
	}
}

// rest ends the bridge if it is idle.
func (c *Carrier) rest() {
	c.mu.Lock()
	defer c.mu.Unlock()
	b := c.bridge
	if c.ctx.Err() != nil || b.ended() || b.failed() {
		return
	}
	if left := c.o.Idle - time.Since(c.used); c.streams > 0 || left > 0 {
		c.idle.Reset(max(left, time.Second)) // a check does not take longer
		return
	}
	select {
	case <-b.started:
		c.rested = true
		b.session.Break()
	default:
	}
}

// dial opens a stream to a port.
func (c *Carrier) dial(ctx context.Context, session *mux.Session, port int) (net.Conn, error) {
	stream, err := session.Open(ctx)
	if err != nil {
		return nil, err
	}
	check := isCheck(ctx)
	c.mu.Lock()
	c.streams++
	if !check {
		c.used = time.Now()
	}
	c.mu.Unlock()
	conn := &conn{Stream: stream, carrier: c, check: check}
	stop := context.AfterFunc(ctx, func() { _ = stream.SetDeadline(time.Unix(1, 0)) })
	conn.remote, err = askFor(stream, port)
	if !stop() {
		err = ctx.Err()
	}
	if err != nil {
		_ = conn.Close() // never fails
		return nil, err
	}
	return conn, nil
}

// askFor asks the bridge for a port and returns the address that it has dialled.
func askFor(stream *mux.Stream, port int) (net.Addr, error) {
	if _, err := stream.Write(binary.BigEndian.AppendUint16(nil, uint16(port))); err != nil {
		return nil, err
	}
	var answer [1]byte
	if _, err := io.ReadFull(stream, answer[:]); err != nil {
		return nil, err
	}
	at := &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: port}
	failed := func(err error) error { return &PortError{&net.OpError{Op: "dial", Net: "tcp", Addr: at, Err: err}} }
	switch answer[0] {
	case connected4:
		return at, nil
	case connected6:
		return &net.TCPAddr{IP: net.IPv6loopback, Port: port}, nil
	case refused:
		return nil, failed(syscall.ECONNREFUSED)
	case silent:
		return nil, failed(os.ErrDeadlineExceeded)
	}
	text, err := io.ReadAll(io.LimitReader(stream, maxComplaint))
	if said := logging.Line(string(text), longestReason); err == nil && said != "" {
		return nil, failed(errors.New(said))
	}
	return nil, failed(errors.New("the bridge answered unexpectedly"))
}

// conn is a connection to a port.
type conn struct {
	*mux.Stream
	carrier *Carrier
	check   bool
	remote  net.Addr
	once    sync.Once
}

// RemoteAddr is the address that the bridge has dialled.
func (c *conn) RemoteAddr() net.Addr { return c.remote }

// Close implements net.Conn.
func (c *conn) Close() error {
	c.once.Do(func() {
		c.carrier.mu.Lock()
		defer c.carrier.mu.Unlock()
		c.carrier.streams--
		if !c.check {
			c.carrier.used = time.Now()
		}
	})
	return c.Stream.Close()
}

// Complaints keeps the first bytes of a process's standard error.
type Complaints struct{ kept []byte }

// String returns what was kept.
func (t *Complaints) String() string { return string(t.kept) }

// Write implements io.Writer.
func (t *Complaints) Write(p []byte) (int, error) {
	t.kept = append(t.kept, p[:min(len(p), maxComplaint-len(t.kept))]...)
	return len(p), nil
}
