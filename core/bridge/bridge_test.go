package bridge

import (
	"context"
	"errors"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"daemon-proxy/core/api"
	"daemon-proxy/core/mux"
	"daemon-proxy/core/wiretest"
)

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
	}, mux.Limits{})
	s, err := Near(t.Context(), in, out, mux.Limits{})
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

func TestAnEndThatGivesNoSignOfLifeIsGivenUp(t *testing.T) {
	t.Parallel()
	in, theirs, err := os.Pipe()
	require.NoError(t, err)
	silent, out, err := os.Pipe()
	require.NoError(t, err)
	t.Cleanup(func() { theirs.Close(); silent.Close() })
	_, err = theirs.WriteString(`{"protocol":"` + api.Protocol + `"}` + "\n")
	require.NoError(t, err)
	s, err := Near(t.Context(), in, out, mux.Limits{KeepAlive: 50 * time.Millisecond})
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
		"another major":     {`{"protocol":"2.0","version":"v9"}` + "\n", api.CodeProtocolMismatch, "(version v9) speaks protocol 2.0, and this program speaks 1.0"},
		"from before":       {`{"protocol":""}` + "\n", api.CodeProtocolMismatch, "is older than protocol 1.0"},
		"nothing":           {"bash: daemon-proxy: not found\n", "", "said nothing"},
		"without end":       {strings.Repeat("x", mux.MaxNoise+1), "", "said nothing"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			in, theirs, err := os.Pipe()
			require.NoError(t, err)
			silent, out, err := os.Pipe()
			require.NoError(t, err)
			t.Cleanup(func() { silent.Close() })
			go func() { _, _ = theirs.WriteString(c.said); theirs.Close() }()
			s, err := Near(t.Context(), in, out, mux.Limits{})
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
	_, err = Near(ctx, in, out, mux.Limits{})
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
	}, mux.Limits{})
	s, err := Near(t.Context(), in, out, mux.Limits{})
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
