package bridge

import (
	"context"
	"errors"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"daemon-proxy/core/mux"
	"daemon-proxy/core/wiretest"
)

// sessionTo is a session that may end during the test.
func sessionTo(t *testing.T, addr string) *Session {
	t.Helper()
	in, out, ended := farEnd(t, func(context.Context) (Core, error) { return coreAt(addr), nil }, mux.Limits{})
	s, err := Near(t.Context(), in, out, mux.Limits{})
	require.NoError(t, err)
	t.Cleanup(func() {
		_ = s.Close() // it may have ended
		wiretest.Receive(t, ended, "the far end ends")
	})
	return s
}

func TestALineOpensOneSessionForAllThatNeedIt(t *testing.T) {
	t.Parallel()
	addr := wiretest.Serve(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "hello") })
	first, second := sessionTo(t, addr), sessionTo(t, addr)
	var opened atomic.Int32
	line := NewLine(first, func(context.Context) (*Session, error) {
		opened.Add(1)
		return second, nil
	})
	c := &http.Client{Transport: line.Transport(false)}
	t.Cleanup(c.CloseIdleConnections)
	get := func() error {
		response, err := c.Get("http://localhost/")
		if err != nil {
			return err
		}
		defer response.Body.Close()
		body, err := io.ReadAll(response.Body)
		if string(body) != "hello" {
			return errors.Join(err, errors.New("not what the core says: "+string(body)))
		}
		return err
	}
	require.NoError(t, get())
	require.Zero(t, opened.Load(), "the first session is still used")
	require.NoError(t, first.Close())
	var group sync.WaitGroup
	failures := make(chan error, 20)
	for range 20 {
		group.Go(func() { failures <- get() })
	}
	group.Wait()
	for range 20 {
		require.NoError(t, <-failures)
	}
	require.EqualValues(t, 1, opened.Load())
	require.NoError(t, line.Close())
	require.ErrorIs(t, get(), mux.ErrEnded, "a line that was closed stays so")
	require.EqualValues(t, 1, opened.Load())
}

func TestALineThatCannotBeOpenedIsNotTriedByEachCaller(t *testing.T) {
	t.Parallel()
	first := sessionTo(t, "127.0.0.1:1")
	why := errors.New("permission denied")
	tries := 0
	hurried, cancel := context.WithCancel(t.Context())
	line := NewLine(first, func(ctx context.Context) (*Session, error) {
		if tries++; tries == 1 {
			cancel()
			return nil, ctx.Err()
		}
		return nil, why
	})
	require.NoError(t, first.Close())
	_, err := line.session(hurried)
	require.ErrorIs(t, err, context.Canceled)
	for range 5 {
		_, err := line.session(t.Context())
		require.ErrorIs(t, err, why, "a cancelled attempt is not held against other callers")
	}
	require.Equal(t, 2, tries)
}
