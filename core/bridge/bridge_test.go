package bridge

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"daemon-proxy/core/api"
	"daemon-proxy/core/wiretest"
)

func TestP30BytesPassBothWaysAndEitherDirectionEndsByItself(t *testing.T) {
	t.Parallel()
	near, core := pair(t, Limits{})
	sent := make([]byte, 3<<20)
	_, _ = rand.NewChaCha8([32]byte{}).Read(sent)
	done := make(chan [32]byte, 1)
	go func() {
		all, _ := io.ReadAll(core) // up to the half-close
		done <- sha256.Sum256(all)
		_, _ = core.Write(sent)
		_ = core.CloseWrite()
	}()
	_, err := near.Write(sent)
	require.NoError(t, err)
	require.NoError(t, near.(interface{ CloseWrite() error }).CloseWrite())
	require.Equal(t, sha256.Sum256(sent), wiretest.Receive(t, done, "the core has read all"))
	back, err := io.ReadAll(near)
	require.NoError(t, err)
	require.True(t, bytes.Equal(sent, back))
}

func TestWhatWasWrittenBeforeCloseArrives(t *testing.T) {
	t.Parallel()
	near, core := pair(t, Limits{})
	_, err := near.Write([]byte("goodbye"))
	require.NoError(t, err)
	require.NoError(t, near.Close())
	all, err := io.ReadAll(core)
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

func TestP30AResetOfTheCoreReachesAWriterThatIsBlocked(t *testing.T) {
	t.Parallel()
	near, core := pair(t, Limits{})
	blocked, failed := writing(near)
	wiretest.Receive(t, blocked, "nobody reads")
	require.NoError(t, core.SetLinger(0))
	core.Close()
	require.ErrorIs(t, wiretest.Receive(t, failed, "the write fails"), syscall.ECONNRESET)
	_, err := near.Read(make([]byte, 1))
	require.ErrorIs(t, err, syscall.ECONNRESET)
}

func TestP30AResetOfTheCoreIsSeenWhileNobodyReadsItsAnswer(t *testing.T) {
	t.Parallel()
	near, core := pair(t, Limits{})
	blocked, failed := writing(core)
	wiretest.Receive(t, blocked, "nobody reads")
	require.NoError(t, core.SetLinger(0))
	core.Close()
	require.Error(t, wiretest.Receive(t, failed, "the write fails"))
	// What had arrived is discarded with the connection, as TCP does it: a reader
	// that comes late must not wait for the rest.
	require.NoError(t, near.SetReadDeadline(time.Now().Add(wiretest.Patience)))
	_, err := io.Copy(io.Discard, near)
	require.ErrorIs(t, err, syscall.ECONNRESET)
}

func TestP30TheEndOfTheNearSideReachesACoreThatIsBlocked(t *testing.T) {
	t.Parallel()
	for name, linger := range map[string]int{"close": -1, "reset": 0} {
		t.Run("it writes, "+name, func(t *testing.T) {
			t.Parallel()
			near, core := pair(t, Limits{})
			blocked, failed := writing(core)
			wiretest.Receive(t, blocked, "nobody reads")
			require.NoError(t, near.(interface{ SetLinger(int) error }).SetLinger(linger))
			require.NoError(t, near.Close())
			require.Error(t, wiretest.Receive(t, failed, "the write fails"))
		})
		t.Run("it does not read, "+name, func(t *testing.T) {
			t.Parallel()
			near, core := pair(t, Limits{})
			blocked, failed := writing(near)
			wiretest.Receive(t, blocked, "nobody reads")
			require.NoError(t, near.(interface{ SetLinger(int) error }).SetLinger(linger))
			require.NoError(t, near.Close())
			require.ErrorIs(t, wiretest.Receive(t, failed, "the write fails"), net.ErrClosed)
			// The core's connection is reset, though it has neither read nor written.
			require.Eventually(t, func() bool { return broken(core) }, wiretest.Patience, wiretest.Tick)
		})
	}
}

func TestDeadlinesAreThoseOfAConnection(t *testing.T) {
	t.Parallel()
	near, core := pair(t, Limits{})
	require.NoError(t, near.SetReadDeadline(time.Now().Add(wiretest.Tick)))
	_, err := near.Read(make([]byte, 1))
	require.ErrorIs(t, err, os.ErrDeadlineExceeded)
	require.NoError(t, near.SetReadDeadline(time.Time{}))
	_, err = core.Write([]byte("x"))
	require.NoError(t, err)
	_, err = io.ReadFull(near, make([]byte, 1))
	require.NoError(t, err)
}

func TestACoreThatIsNotThereResetsTheConnectionAndTheNextIsFound(t *testing.T) {
	t.Parallel()
	gone := wiretest.Listen(t)
	gone.Close()
	here := wiretest.Listen(t)
	t.Cleanup(func() { here.Close() })
	cores := make(chan string, 3)
	cores <- gone.Addr().String()
	in, out, ended := farEnd(t, func(context.Context) (Core, error) {
		select {
		case addr := <-cores:
			return coreAt(addr), nil
		default:
			return Core{}, errors.New("none runs")
		}
	}, Limits{})
	s, err := Near(t.Context(), in, out, Limits{})
	require.NoError(t, err)
	require.Equal(t, gone.Addr().String(), s.Greeting().Address)

	near, err := s.Dial(t.Context())
	require.NoError(t, err)
	_, err = near.Read(make([]byte, 1))
	require.ErrorIs(t, err, syscall.ECONNRESET)

	cores <- here.Addr().String()
	require.NoError(t, s.Refresh(t.Context()))
	dialled(t, s, here)
	require.Equal(t, here.Addr().String(), s.Greeting().Address)
	require.NoError(t, s.Close())
	require.NoError(t, wiretest.Receive(t, ended, "the far end ends"))
}

func TestP31TheNumberOfConnectionsIsBounded(t *testing.T) {
	t.Parallel()
	listener := wiretest.Listen(t)
	t.Cleanup(func() { listener.Close() })
	s := session(t, listener.Addr().String(), Limits{Streams: 2})
	first, _ := dialled(t, s, listener)
	dialled(t, s, listener)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err := s.Dial(ctx)
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
	s := session(t, listener.Addr().String(), limits)
	var before runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	var ends []chan error
	for range limits.Streams - 1 {
		near, core := dialled(t, s, listener)
		blocked, _ := writing(core)
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
	near, core := dialled(t, s, listener)
	_, err := core.Write([]byte("x"))
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
	farIn, out, ended := farEnd(t, func(context.Context) (Core, error) { return coreAt(listener.Addr().String()), nil }, Limits{})
	in, toNear, err := os.Pipe()
	require.NoError(t, err)
	fromNear, nearOut, err := os.Pipe()
	require.NoError(t, err)
	slow(t, farIn, toNear, 50*time.Millisecond)
	slow(t, fromNear, out, 50*time.Millisecond)
	s, err := Near(t.Context(), in, nearOut, Limits{})
	require.NoError(t, err)
	near, core := dialled(t, s, listener)
	const size = 48 << 20
	go func() { _, _ = io.Copy(core, io.LimitReader(rand.NewChaCha8([32]byte{}), size)); core.Close() }()
	begun := time.Now()
	n, err := io.Copy(io.Discard, near)
	require.NoError(t, err)
	require.Equal(t, int64(size), n)
	rate := float64(size) / time.Since(begun).Seconds() / (1 << 20)
	t.Logf("%.1f MiB/s", rate)
	require.Greater(t, rate, 7.5, "MiB/s")
	require.NoError(t, s.Close())
	require.NoError(t, wiretest.Receive(t, ended, "the far end ends"))
}

func TestAnEndThatGivesNoSignOfLifeIsGivenUp(t *testing.T) {
	t.Parallel()
	in, theirs, err := os.Pipe()
	require.NoError(t, err)
	silent, out, err := os.Pipe()
	require.NoError(t, err)
	t.Cleanup(func() { theirs.Close(); silent.Close() })
	_, err = theirs.WriteString(`{"protocol":"` + api.Protocol + `"}` + "\n")
	require.NoError(t, err)
	s, err := Near(t.Context(), in, out, Limits{KeepAlive: 50 * time.Millisecond})
	require.NoError(t, err)
	require.NoError(t, s.Err())
	wiretest.Receive(t, s.Done(), "the session ends")
	require.Error(t, s.Err())
	_, err = s.Dial(t.Context())
	require.Error(t, err)
	require.NoError(t, s.Close())
}

func TestTheGreetingIsFoundBehindWhatALoginScriptPrints(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ said, code, text string }{
		"after other lines": {"Welcome!\n{\"protocol\": 7}\n" + `{"protocol":"1.7","key":"k"}` + "\n", "", ""},
		"another major":     {`{"protocol":"2.0","version":"v9"}` + "\n", api.CodeOtherVersion, "version v9 and another protocol (2.0, here 1.0)"},
		"from before":       {`{"protocol":""}` + "\n", api.CodeOtherVersion, "(none, here 1.0)"},
		"nothing":           {"bash: daemon-proxy: not found\n", "", "said nothing"},
		"without end":       {strings.Repeat("x", maxNoise+1), "", "said nothing"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			in, theirs, err := os.Pipe()
			require.NoError(t, err)
			silent, out, err := os.Pipe()
			require.NoError(t, err)
			t.Cleanup(func() { silent.Close() })
			go func() { _, _ = theirs.WriteString(c.said); theirs.Close() }()
			s, err := Near(t.Context(), in, out, Limits{})
			if c.text == "" {
				require.NoError(t, err)
				require.Equal(t, "k", s.Greeting().Key)
				require.NoError(t, s.Close())
				return
			}
			require.ErrorContains(t, err, c.text)
			if c.code != "" {
				require.ErrorIs(t, err, &api.Problem{Code: c.code})
			}
		})
	}
}

func TestTheWaitForAGreetingEndsWithItsContext(t *testing.T) {
	t.Parallel()
	in, theirs, err := os.Pipe()
	require.NoError(t, err)
	silent, out, err := os.Pipe()
	require.NoError(t, err)
	t.Cleanup(func() { theirs.Close(); silent.Close() })
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = Near(ctx, in, out, Limits{})
	require.ErrorIs(t, err, context.Canceled)
}

// The core was replaced, at the same address: calls go on with the new one's key,
// and none with the old key gets through.
func TestCallsAreMadeWithTheKeyOfTheCoreThatRunsNow(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	var calls []string
	addr := wiretest.Serve(t, func(_ http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		calls = append(calls, r.Host+" "+r.Header.Get("X-Api-Key")+" "+r.Header.Get(api.BridgeHeader))
	})
	var key atomic.Value
	key.Store("first")
	in, out, ended := farEnd(t, func(context.Context) (Core, error) {
		c := coreAt(addr)
		c.Key = key.Load().(string)
		c.Replaced = func() bool { return key.Load() != c.Key }
		return c, nil
	}, Limits{})
	s, err := Near(t.Context(), in, out, Limits{})
	require.NoError(t, err)
	get := func(here bool) error {
		c := &http.Client{Transport: s.Transport(here)}
		defer c.CloseIdleConnections()
		response, err := c.Get("http://localhost:8123/api/x")
		if err == nil {
			response.Body.Close()
		}
		return err
	}
	require.NoError(t, get(true))
	key.Store("second")
	require.ErrorIs(t, get(true), syscall.ECONNRESET)
	require.Eventually(t, func() bool { return get(false) == nil }, wiretest.Patience, wiretest.Tick)
	require.Equal(t, []string{"localhost:8123 first calls first", "localhost:8123 second "}, calls)
	require.NoError(t, s.Close())
	require.NoError(t, wiretest.Receive(t, ended, "the far end ends"))
}
