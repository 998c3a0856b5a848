package carrier

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"daemon-proxy/core/wiretest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// bridges starts bridges in this process and counts them.
type bridges struct {
	t       *testing.T
	started atomic.Int64
	ended   chan error
	last    atomic.Pointer[os.File] // the standard output of the last one
}

func (b *bridges) open(context.Context, io.Writer) (net.Conn, error) {
	in, toBridge, err := os.Pipe()
	require.NoError(b.t, err)
	fromBridge, out, err := os.Pipe()
	require.NoError(b.t, err)
	b.started.Add(1)
	b.last.Store(out)
	go func() { b.ended <- Serve(context.Background(), in, out) }()
	return &files{in: fromBridge, out: toBridge}, nil
}

// files are a bridge's standard output and input.
type files struct {
	net.Conn // nil: addresses are not used
	in, out  *os.File
}

func (f *files) Read(p []byte) (int, error)         { return f.in.Read(p) }
func (f *files) Write(p []byte) (int, error)        { return f.out.Write(p) }
func (f *files) Close() error                       { return errors.Join(f.in.Close(), f.out.Close()) }
func (f *files) SetReadDeadline(t time.Time) error  { return f.in.SetReadDeadline(t) }
func (f *files) SetWriteDeadline(t time.Time) error { return f.out.SetWriteDeadline(t) }
func (f *files) SetDeadline(t time.Time) error {
	return errors.Join(f.SetReadDeadline(t), f.SetWriteDeadline(t))
}
func (f *files) LocalAddr() net.Addr  { return &net.UnixAddr{} }
func (f *files) RemoteAddr() net.Addr { return &net.UnixAddr{} }

// opened is a Carrier whose bridges run in this process.
func opened(t *testing.T, idle time.Duration) (*Carrier, *bridges) {
	t.Helper()
	b := &bridges{t: t, ended: make(chan error, 100)}
	c := New(Options{Open: b.open, Idle: idle})
	t.Cleanup(func() {
		c.Close()
		for range b.started.Load() {
			require.NoError(t, wiretest.Receive(t, b.ended, "the bridge ends"))
		}
	})
	return c, b
}

// echoing is a service that sends back what it gets, up to the half-close.
func echoing(t *testing.T, at string) (port int) {
	t.Helper()
	l, err := net.Listen("tcp", at)
	if err != nil {
		wiretest.Skip(t, err.Error())
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				_, _ = io.Copy(c, c)
			}()
		}
	}()
	return wiretest.Port(t, l.Addr())
}

func echoes(t *testing.T, c net.Conn) {
	t.Helper()
	_, err := c.Write([]byte("hello"))
	require.NoError(t, err)
	require.NoError(t, c.(interface{ CloseWrite() error }).CloseWrite())
	all, err := io.ReadAll(c)
	require.NoError(t, err)
	require.Equal(t, "hello", string(all))
}

func TestOneBridgeReachesThePortsOfBothLoopbackAddresses(t *testing.T) {
	t.Parallel()
	c, b := opened(t, 0)
	require.Zero(t, b.started.Load(), "none is started before it is needed")
	for _, host := range []string{"127.0.0.1", "::1"} {
		port := echoing(t, net.JoinHostPort(host, "0"))
		conn, err := c.Reach("box").Dial(t.Context(), port)
		require.NoError(t, err)
		require.Equal(t, net.JoinHostPort(host, fmt.Sprint(port)), conn.RemoteAddr().String())
		echoes(t, conn)
		require.NoError(t, conn.Close())
	}
	require.EqualValues(t, 1, b.started.Load())
}

func TestARefusalIsToldFromSilence(t *testing.T) {
	t.Parallel()
	c, _ := opened(t, 0)
	_, err := c.Dial(t.Context(), wiretest.FreePort(t))
	require.ErrorIs(t, err, syscall.ECONNREFUSED)

	for _, answer := range []struct {
		err  error
		want byte
	}{
		{&net.OpError{Err: syscall.ECONNREFUSED}, refused},
		{errors.Join(&net.OpError{Err: syscall.ECONNREFUSED}, &net.OpError{Err: syscall.EADDRNOTAVAIL}), refused},
		{&net.OpError{Err: os.ErrDeadlineExceeded}, silent},
		{errors.New("no memory"), broken},
	} {
		require.Equal(t, answer.want, whyNot(answer.err)[0], answer.err)
	}
	_, err = c.Dial(t.Context(), -1) // 65535, on which nothing listens
	require.Error(t, err)
}

func TestADialEndsWithItsContext(t *testing.T) {
	t.Parallel()
	mute, theirs := net.Pipe()
	c := New(Options{Open: func(context.Context, io.Writer) (net.Conn, error) { return mute, nil }})
	defer theirs.Close()
	defer c.Close()
	ctx, cancel := context.WithCancel(t.Context())
	failed := make(chan error, 1)
	go func() {
		_, err := c.Dial(ctx, 80)
		failed <- err
	}()
	cancel()
	require.ErrorIs(t, wiretest.Receive(t, failed, "the dial ends"), context.Canceled)
}

func TestABridgeThatEndedIsReplacedByTheNextDial(t *testing.T) {
	t.Parallel()
	c, b := opened(t, 0)
	port := echoing(t, "127.0.0.1:0")
	first, err := c.Dial(t.Context(), port)
	require.NoError(t, err)
	b.last.Load().Close()
	_, err = io.ReadAll(first)
	require.Error(t, err)
	second, err := c.Dial(t.Context(), port)
	require.NoError(t, err)
	echoes(t, second)
	require.NoError(t, second.Close())
	require.EqualValues(t, 2, b.started.Load())
}

func TestAnIdleBridgeEndsAndOnlyUseStartsAnother(t *testing.T) {
	t.Parallel()
	c, b := opened(t, 50*time.Millisecond)
	port := echoing(t, "127.0.0.1:0")
	conn, err := c.Dial(t.Context(), port)
	require.NoError(t, err)
	select {
	case <-b.ended:
		require.Fail(t, "it ended while a connection was open")
	case <-time.After(200 * time.Millisecond):
	}
	require.NoError(t, conn.Close())
	require.NoError(t, wiretest.Receive(t, b.ended, "the bridge ends"))
	b.ended <- nil // for the clean-up
	require.Eventually(t, func() bool {
		_, err := c.Dial(Check(t.Context()), port)
		return errors.Is(err, ErrIdle)
	}, wiretest.Patience, wiretest.Tick)
	require.ErrorIs(t, c.Ready(Check(t.Context())), ErrIdle)
	require.EqualValues(t, 1, b.started.Load())

	conn, err = c.Dial(t.Context(), port)
	require.NoError(t, err)
	echoes(t, conn)
	require.NoError(t, conn.Close())
	require.EqualValues(t, 2, b.started.Load())
}

func TestChecksDoNotKeepABridge(t *testing.T) {
	t.Parallel()
	c, b := opened(t, 100*time.Millisecond)
	port := echoing(t, "127.0.0.1:0")
	require.Eventually(t, func() bool {
		conn, err := c.Dial(Check(t.Context()), port)
		if err != nil {
			return errors.Is(err, ErrIdle)
		}
		conn.Close()
		return false
	}, wiretest.Patience, wiretest.Tick)
	require.EqualValues(t, 1, b.started.Load())
}

func TestABridgeThatDoesNotStartSaysWhy(t *testing.T) {
	t.Parallel()
	starts := 0
	c := New(Options{Open: func(_ context.Context, complaints io.Writer) (net.Conn, error) {
		starts++
		ours, theirs := net.Pipe()
		go func() {
			_, _ = complaints.Write([]byte("exec \x1b[31mfailed\n"))
			_, _ = theirs.Write([]byte("no such file\r\n"))
			theirs.Close()
		}()
		return ours, nil
	}})
	defer c.Close()
	_, err := c.Dial(t.Context(), 80)
	require.ErrorIs(t, err, ErrNoBridge)
	require.ErrorContains(t, err, "no such file exec ␛[31mfailed")
	_, err = c.Dial(t.Context(), 80)
	require.ErrorIs(t, err, ErrNoBridge)
	require.Equal(t, 1, starts, "a failure is remembered for a moment")
	require.ErrorIs(t, c.Ready(t.Context()), ErrNoBridge)
	require.Equal(t, 2, starts)
}

func TestACarrierThatIsClosedDialsNothing(t *testing.T) {
	t.Parallel()
	c, _ := opened(t, 0)
	port := echoing(t, "127.0.0.1:0")
	conn, err := c.Dial(t.Context(), port)
	require.NoError(t, err)
	c.Close()
	_, err = conn.Read(make([]byte, 1))
	require.Error(t, err)
	_, err = c.Dial(t.Context(), port)
	require.ErrorIs(t, err, net.ErrClosed)
}

// A connection that is closed while bytes of it are under way ends nothing else.
func TestABridgeSurvivesConnectionsThatAreClosedAtAnyTime(t *testing.T) {
	t.Parallel()
	c, b := opened(t, 0)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			service, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer service.Close()
				go func() { _, _ = io.Copy(io.Discard, service) }()
				for {
					if _, err := service.Write(make([]byte, 64<<10)); err != nil {
						return
					}
				}
			}()
		}
	}()
	port := wiretest.Port(t, l.Addr())
	kept, err := c.Dial(t.Context(), echoing(t, "127.0.0.1:0"))
	require.NoError(t, err)
	for i := range 100 {
		conn, err := c.Dial(t.Context(), port)
		require.NoError(t, err)
		go func() {
			for {
				if _, err := conn.Write(make([]byte, 64<<10)); err != nil {
					return
				}
			}
		}()
		_, err = io.CopyN(io.Discard, conn, int64(i)<<14)
		require.NoError(t, err)
		if i%2 == 0 {
			require.NoError(t, conn.(interface{ SetLinger(int) error }).SetLinger(0))
		}
		require.NoError(t, conn.Close())
	}
	echoes(t, kept)
	require.EqualValues(t, 1, b.started.Load())
}

func TestABridgeThatGivesNoSignOfLifeIsGivenUp(t *testing.T) {
	t.Parallel()
	c, b := opened(t, 0)
	require.NoError(t, c.CheckStalled(), "there is none yet")
	port := echoing(t, "127.0.0.1:0")
	conn, err := c.Dial(t.Context(), port)
	require.NoError(t, err)
	require.NoError(t, c.CheckStalled())
	echoes(t, conn)
	require.NoError(t, conn.Close())
	require.EqualValues(t, 1, b.started.Load())

	starts := 0
	stalled := New(Options{Open: func(ctx context.Context, w io.Writer) (net.Conn, error) {
		if starts++; starts > 1 {
			return b.open(ctx, w)
		}
		ours, theirs := net.Pipe()
		go func() {
			_, _ = theirs.Write([]byte(greeting + "\n"))
			_, _ = io.Copy(io.Discard, theirs)
		}()
		return ours, nil
	}})
	defer stalled.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	_, err = stalled.Dial(ctx, port)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.ErrorIs(t, stalled.CheckStalled(), ErrStalled)
	conn, err = stalled.Dial(t.Context(), port)
	require.NoError(t, err)
	echoes(t, conn)
	require.NoError(t, conn.Close())
	require.Equal(t, 2, starts)
}

func TestTheListenersOfTheContainerAreListed(t *testing.T) {
	t.Parallel()
	c, _ := opened(t, 0)
	port := echoing(t, "127.0.0.1:0")
	lines, err := c.Listeners(t.Context())
	require.NoError(t, err)
	require.Contains(t, string(lines), fmt.Sprintf(" 0100007F:%04X 00000000:0000 0A ", port))
	require.NotContains(t, string(lines), " 01 ", "connections are not")
}

// ender is a connection that counts its ends.
type ender struct {
	net.Conn
	ended chan bool
}

func (e *ender) End(context.Context) error { e.ended <- true; return nil }

func TestWhatIsLeftOfABridgeIsEnded(t *testing.T) {
	t.Parallel()
	b := &bridges{t: t, ended: make(chan error, 10)}
	ended := make(chan bool, 10)
	c := New(Options{Open: func(ctx context.Context, w io.Writer) (net.Conn, error) {
		conn, err := b.open(ctx, w)
		return &ender{conn, ended}, err
	}})
	require.NoError(t, c.Ready(t.Context()))
	b.last.Load().Close()
	require.True(t, wiretest.Receive(t, ended, "after its end"))
	require.NoError(t, c.Ready(t.Context()))
	c.Close()
	require.Len(t, ended, 1, "before Close returns")
	for range 2 {
		wiretest.Receive(t, b.ended, "the bridge ends")
	}
}
