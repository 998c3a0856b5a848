package mux

import (
	"bytes"
	"context"
	"crypto/sha256"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"runtime"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"daemon-proxy/core/api"
	"daemon-proxy/core/wiretest"
)

func TestP30BytesPassBothWaysAndEitherDirectionEndsByItself(t *testing.T) {
	t.Parallel()
	near, service := pair(t)
	sent := make([]byte, 3<<20)
	_, _ = rand.NewChaCha8([32]byte{}).Read(sent)
	done := make(chan [32]byte, 1)
	go func() {
		all, _ := io.ReadAll(service) // up to the half-close
		done <- sha256.Sum256(all)
		_, _ = service.Write(sent)
		_ = service.CloseWrite()
	}()
	_, err := near.Write(sent)
	require.NoError(t, err)
	require.NoError(t, near.CloseWrite())
	require.Equal(t, sha256.Sum256(sent), wiretest.Receive(t, done, "the service has read all"))
	back, err := io.ReadAll(near)
	require.NoError(t, err)
	require.True(t, bytes.Equal(sent, back))
}

func TestWhatWasWrittenBeforeCloseArrives(t *testing.T) {
	t.Parallel()
	near, service := pair(t)
	_, err := near.Write([]byte("goodbye"))
	require.NoError(t, err)
	require.NoError(t, near.Close())
	all, err := io.ReadAll(service)
	require.NoError(t, err)
	require.Equal(t, "goodbye", string(all))
	_, err = near.Read(make([]byte, 1))
	require.ErrorIs(t, err, net.ErrClosed)
}

// writing writes until that fails, and reports when it has begun to block.
func writing(w io.Writer) (blocked, failed chan error) {
	blocked, failed = make(chan error, 1), make(chan error, 1)
	progress := make(chan bool, 1)
	go func() {
		for {
			if _, err := w.Write(make([]byte, 64<<10)); err != nil {
				failed <- err
				return
			}
			select {
			case progress <- true:
			default:
			}
		}
	}()
	go func() {
		for {
			select {
			case <-progress:
			case <-time.After(time.Second):
				blocked <- nil
				return
			}
		}
	}()
	return blocked, failed
}

func TestP30AResetOfTheServiceReachesAWriterThatIsBlocked(t *testing.T) {
	t.Parallel()
	near, service := pair(t)
	blocked, failed := writing(near)
	wiretest.Receive(t, blocked, "nobody reads")
	require.NoError(t, service.SetLinger(0))
	service.Close()
	require.ErrorIs(t, wiretest.Receive(t, failed, "the write fails"), syscall.ECONNRESET)
	_, err := near.Read(make([]byte, 1))
	require.ErrorIs(t, err, syscall.ECONNRESET)
}

func TestP30AResetOfTheServiceIsSeenWhileNobodyReadsItsAnswer(t *testing.T) {
	t.Parallel()
	near, service := pair(t)
	blocked, failed := writing(service)
	wiretest.Receive(t, blocked, "nobody reads")
	require.NoError(t, service.SetLinger(0))
	service.Close()
	require.Error(t, wiretest.Receive(t, failed, "the write fails"))
	// What had arrived is discarded with the connection, as TCP does it: a reader
	// that comes late must not wait for the rest.
	require.NoError(t, near.SetReadDeadline(time.Now().Add(wiretest.Patience)))
	_, err := io.Copy(io.Discard, near)
	require.ErrorIs(t, err, syscall.ECONNRESET)
}

func TestP30TheEndOfTheNearSideReachesAServiceThatIsBlocked(t *testing.T) {
	t.Parallel()
	for name, linger := range map[string]int{"close": -1, "reset": 0} {
		t.Run("it writes, "+name, func(t *testing.T) {
			t.Parallel()
			near, service := pair(t)
			blocked, failed := writing(service)
			wiretest.Receive(t, blocked, "nobody reads")
			require.NoError(t, near.SetLinger(linger))
			require.NoError(t, near.Close())
			require.Error(t, wiretest.Receive(t, failed, "the write fails"))
		})
		t.Run("it does not read, "+name, func(t *testing.T) {
			t.Parallel()
			near, service := pair(t)
			blocked, failed := writing(near)
			wiretest.Receive(t, blocked, "nobody reads")
			require.NoError(t, near.SetLinger(linger))
			require.NoError(t, near.Close())
			require.ErrorIs(t, wiretest.Receive(t, failed, "the write fails"), net.ErrClosed)
			// The service's connection is reset, though it has neither read nor written.
			require.Eventually(t, func() bool { return broken(service) }, wiretest.Patience, wiretest.Tick)
		})
	}
}

func TestDeadlinesAreThoseOfAConnection(t *testing.T) {
	t.Parallel()
	near, service := pair(t)
	require.NoError(t, near.SetReadDeadline(time.Now().Add(wiretest.Tick)))
	_, err := near.Read(make([]byte, 1))
	require.ErrorIs(t, err, os.ErrDeadlineExceeded)
	require.NoError(t, near.SetReadDeadline(time.Time{}))
	_, err = service.Write([]byte("x"))
	require.NoError(t, err)
	_, err = io.ReadFull(near, make([]byte, 1))
	require.NoError(t, err)
}

func TestP31TheNumberOfConnectionsIsBounded(t *testing.T) {
	t.Parallel()
	listener := wiretest.Listen(t)
	t.Cleanup(func() { listener.Close() })
	s := session(t, listener, Limits{Streams: 2})
	first, _ := dialled(t, s, listener)
	dialled(t, s, listener)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err := s.Open(ctx)
	require.ErrorIs(t, err, &api.Problem{Code: api.CodeTooMany})
	require.NoError(t, first.Close())
	dialled(t, s, listener)
}

// Nobody reads any of many answers: what is held for them is within the limits,
// and one more connection works.
func TestP31MemoryIsBoundedHoweverManyStreamsStall(t *testing.T) { //nolint:paralleltest // it measures the heap
	listener := wiretest.Listen(t)
	t.Cleanup(func() { listener.Close() })
	limits := Limits{Streams: 40, Window: 4 << 20, Memory: 8 << 20}
	s := session(t, listener, limits)
	var before runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	var ends []chan error
	for range limits.Streams - 1 {
		near, service := dialled(t, s, listener)
		blocked, _ := writing(service)
		ends = append(ends, blocked)
		_, err := io.CopyN(io.Discard, near, 1<<20) // so that windows grow
		require.NoError(t, err)
	}
	for _, blocked := range ends {
		wiretest.Receive(t, blocked, "nobody reads")
	}
	var after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&after)
	held := int64(after.HeapAlloc) - int64(before.HeapAlloc)
	require.Less(t, held, int64(limits.Streams*(256<<10)+limits.Memory+(16<<20)),
		"the first window of each stream, the budget, and what is under way")
	near, service := dialled(t, s, listener)
	_, err := service.Write([]byte("x"))
	require.NoError(t, err)
	_, err = io.ReadFull(near, make([]byte, 1))
	require.NoError(t, err)
}

// slow is a link with a round trip and no other limit.
func slow(t *testing.T, from, to *os.File, delay time.Duration) {
	t.Helper()
	type piece struct {
		due  time.Time
		data []byte
	}
	pieces := make(chan piece, 1<<16)
	go func() {
		defer close(pieces)
		for {
			buf := make([]byte, 64<<10)
			n, err := from.Read(buf)
			if err != nil {
				return
			}
			pieces <- piece{time.Now().Add(delay), buf[:n]}
		}
	}()
	go func() {
		defer to.Close()
		for p := range pieces {
			time.Sleep(time.Until(p.due))
			if _, err := to.Write(p.data); err != nil {
				for range pieces { // until the reader has ended too
				}
				return
			}
		}
	}()
}

// At 100 ms of round trip, 256 KiB a round trip would be 2.5 MiB/s.
func TestP31ADownloadIsNotThrottledByTheRoundTrip(t *testing.T) {
	t.Parallel()
	listener := wiretest.Listen(t)
	t.Cleanup(func() { listener.Close() })
	pipe := func() (from, to *os.File) {
		from, to, err := os.Pipe()
		require.NoError(t, err)
		return from, to
	}
	in, toNear := pipe()
	fromNear, nearOut := pipe()
	farIn, toFar := pipe()
	fromFar, farOut := pipe()
	slow(t, fromFar, toNear, 50*time.Millisecond)
	slow(t, fromNear, toFar, 50*time.Millisecond)
	s := sessionOver(t, Pipes(in, nearOut), Pipes(farIn, farOut), listener, Limits{})
	near, service := dialled(t, s, listener)
	const size = 48 << 20
	go func() { _, _ = io.Copy(service, io.LimitReader(rand.NewChaCha8([32]byte{}), size)); service.Close() }()
	begun := time.Now()
	n, err := io.Copy(io.Discard, near)
	require.NoError(t, err)
	require.Equal(t, int64(size), n)
	rate := float64(size) / time.Since(begun).Seconds() / (1 << 20)
	t.Logf("%.1f MiB/s", rate)
	require.Greater(t, rate, 7.5, "MiB/s")
}
