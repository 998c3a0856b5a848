package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"daemon-proxy/core/api"
	"daemon-proxy/core/wiretest"
)

func TestAnInjectionTellsItsStepsAsTheyHappen(t *testing.T) {
	t.Parallel()
	seen := make(chan struct{})
	c, got := serving(t, func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, `{"sandbox":{"name":"web"},"step":"inspect","state":"done"}`+"\n")
		w.(http.Flusher).Flush()
		<-seen // the second step comes only when the first was told
		_, _ = io.WriteString(w, `{"sandbox":{"name":"web"},"step":"wait","state":"done","finished":true}`+"\n")
	})
	var steps []api.InjectionStep
	require.NoError(t, c.Inject(t.Context(), api.Ref{Name: "web"}, func(step api.Injection) {
		if steps = append(steps, step.Step); len(steps) == 1 {
			close(seen)
		}
	}))
	require.Equal(t, []api.InjectionStep{api.StepInspect, api.StepWait}, steps)
	require.Equal(t, "application/x-ndjson", got.seen[0].Header.Get("Accept"))
}

func TestAFailedInjectionIsAProblem(t *testing.T) {
	t.Parallel()
	c, _ := serving(t, func(w http.ResponseWriter, _ *http.Request) {
		answer(w, 200, "application/x-ndjson", api.Injection{State: "failed", Finished: true, Error: &api.Problem{Code: api.CodeArchMismatch, Detail: "arm64"}})
	})
	require.ErrorIs(t, c.Inject(t.Context(), api.Ref{Name: "web"}, nil), &api.Problem{Code: api.CodeArchMismatch})
	c, _ = serving(t, func(w http.ResponseWriter, _ *http.Request) {
		answer(w, 200, "application/x-ndjson", api.Injection{Step: api.StepCopy, State: "running"})
	})
	require.ErrorIs(t, c.Inject(t.Context(), api.Ref{Name: "web"}, nil), io.ErrUnexpectedEOF, "a stream that breaks is no success")
}

var errEnough = errors.New("enough")

// ids follows the stream until it has seen n exchanges.
func ids(ctx context.Context, c *Client, n int, began func()) ([]uint64, error) {
	var seen []uint64
	err := c.Follow(ctx, func(e api.Event) error {
		if seen = append(seen, e.Exchange.ID); len(seen) == n {
			return errEnough
		}
		return nil
	}, began)
	return seen, err
}

func send(w http.ResponseWriter, id uint64) {
	_, _ = fmt.Fprintf(w, ": a comment\n\nevent: exchange\ndata: {\"kind\":\"exchange\",\ndata: \"exchange\":{\"id\":%d}}\n\n", id)
	w.(http.Flusher).Flush()
}

func TestABrokenEventStreamIsOpenedAgain(t *testing.T) {
	t.Parallel()
	var streams atomic.Int64
	c, got := serving(t, func(w http.ResponseWriter, _ *http.Request) {
		n := streams.Add(1)
		if n == 2 { // something in front of a server that starts anew
			http.Error(w, "bad gateway", http.StatusBadGateway)
			return
		}
		send(w, uint64(n))
		if n == 3 {
			_, _ = io.WriteString(w, "data: {\"kind\":")
			panic(http.ErrAbortHandler) // in the middle of an event, which must not count
		}
	})
	begun := 0
	seen, err := ids(t.Context(), c, 3, func() { begun++ })
	require.Equal(t, errEnough, err)
	require.Equal(t, []uint64{1, 3, 4}, seen)
	require.Equal(t, 3, begun)
	require.Equal(t, "text/event-stream", got.seen[0].Header.Get("Accept"))
}

func TestASilentEventStreamIsOpenedAgain(t *testing.T) {
	t.Parallel()
	var streams atomic.Int64
	c, _ := serving(t, func(w http.ResponseWriter, r *http.Request) {
		send(w, uint64(streams.Add(1)))
		<-r.Context().Done()
	})
	c.silence = 50 * time.Millisecond
	ctx, cancel := context.WithTimeout(t.Context(), wiretest.Patience)
	defer cancel()
	seen, err := ids(ctx, c, 2, nil)
	require.Equal(t, errEnough, err)
	require.Equal(t, []uint64{1, 2}, seen)
}

func TestEventsEndWhereThereIsNoServerOrARefusal(t *testing.T) {
	t.Parallel()
	_, err := ids(t.Context(), of(t, "http://127.0.0.1:1"), 1, nil)
	require.Error(t, err)
	var streams atomic.Int64
	c, got := serving(t, func(w http.ResponseWriter, _ *http.Request) {
		if streams.Add(1) == 1 {
			send(w, 1)
			return
		}
		answer(w, 401, "application/problem+json", api.Problem{Status: 401, Code: api.CodeUnauthorized})
	})
	_, err = ids(t.Context(), c, 2, nil)
	require.ErrorIs(t, err, &api.Problem{Code: api.CodeUnauthorized})
	require.Equal(t, 2, got.count())
}

func TestEventsEndWithTheContext(t *testing.T) {
	t.Parallel()
	c, _ := serving(t, func(w http.ResponseWriter, r *http.Request) {
		send(w, 1)
		<-r.Context().Done()
	})
	ctx, cancel := context.WithCancel(t.Context())
	err := c.Follow(ctx, func(api.Event) error { cancel(); return nil }, nil)
	require.ErrorIs(t, err, context.Canceled)
}

// What a client gets is what follows the last event that it has handled whole.
func TestW3ABrokenEventStreamIsResumed(t *testing.T) {
	t.Parallel()
	var streams atomic.Int64
	c, got := serving(t, func(w http.ResponseWriter, _ *http.Request) {
		switch streams.Add(1) {
		case 1:
			_, _ = io.WriteString(w, "id: a-0\n\n")
			send(w, 1)
			_, _ = io.WriteString(w, "id: a-1\nevent: exchange\ndata: {\"kind\":\"exchange\",\"exchange\":{\"id\":2}}\n\n")
			send(w, 3)
			_, _ = io.WriteString(w, "id: a-2\ndata: {\"kind\":")
		case 2:
			_, _ = io.WriteString(w, "id: a-1\n\n") // nothing was missed
		case 3:
			_, _ = io.WriteString(w, "id: b-7\nevent: reset\ndata: {\"kind\":\"reset\"}\n\n")
			send(w, 4)
		case 4:
			send(w, 5)
		}
	})
	begun := 0
	seen, err := ids(t.Context(), c, 5, func() { begun++ })
	require.Equal(t, errEnough, err)
	require.Equal(t, []uint64{1, 2, 3, 4, 5}, seen)
	require.Equal(t, 2, begun, "at first, and after the reset")
	var asked []string
	for _, r := range got.seen {
		asked = append(asked, r.Header.Get("Last-Event-ID"))
	}
	require.Equal(t, []string{"", "a-1", "a-1", "b-7"}, asked)
}

// A stream that breaks is not opened again behind the back of a front, which
// shows that the core is gone, and then begins with the lists.
func TestW3ANewStreamBeginsAnew(t *testing.T) {
	t.Parallel()
	c, got := serving(t, func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "id: a-1\nevent: attached\ndata: {\"kind\":\"attached\",\"attached\":{\"id\":\"7\"}}\n\n")
	})
	for range 2 {
		screen, err := c.Attach(t.Context(), "me")
		require.NoError(t, err)
		_, err = screen.Next(t.Context())
		require.ErrorIs(t, err, &api.Problem{Code: api.CodeCoreUnreachable})
		require.Empty(t, got.seen[got.count()-1].Header.Get("Last-Event-ID"))
	}
	require.Equal(t, 2, got.count())
}
