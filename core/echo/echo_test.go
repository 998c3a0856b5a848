package echo

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"daemon-proxy/core/wiretest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// to is the way to a port of this machine.
func to(port int) Way {
	address := net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
	return Way{Host: address, Dial: func(ctx context.Context) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "tcp", address)
	}}
}

var everything = []string{"methods", "path bytes", "headers", "request trailers", "response trailers",
	"WebSocket", "event streams", "64 MiB up", "64 MiB down"}

func TestNothingIsLostWhereNothingIsBetween(t *testing.T) {
	t.Parallel()
	port, end, err := Listen(t.Context())
	require.NoError(t, err)
	defer end()
	r, err := Test(t.Context(), to(port))
	require.NoError(t, err)
	require.Empty(t, r.Lost)
	require.Equal(t, everything, r.Kept)
	require.Positive(t, r.Up)
	require.Positive(t, r.Down)
}

// The standard library's proxy, with faults of the usual kinds.
func TestWhatAProxyLosesIsNamed(t *testing.T) {
	t.Parallel()
	port, end, err := Listen(t.Context())
	require.NoError(t, err)
	defer end()
	proxy := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: "127.0.0.1:" + strconv.Itoa(port)})
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	proxy.Transport = transport
	proxy.ModifyResponse = func(r *http.Response) error {
		if strings.HasPrefix(r.Header.Get("Content-Type"), "text/event-stream") {
			return io.ErrUnexpectedEOF // a proxy that waits for the end
		}
		r.Header.Del("X-Echo-Answer")
		return nil
	}
	faulty := wiretest.Serve(t, func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.Method == "X-ECHO":
			w.WriteHeader(http.StatusMethodNotAllowed)
			return
		case r.Header.Get("Upgrade") != "":
			r.Header.Del("Upgrade")
		case r.ContentLength == Size:
			w.WriteHeader(http.StatusRequestEntityTooLarge)
			return
		}
		r.URL.RawPath = ""
		r.Trailer = nil
		proxy.ServeHTTP(w, r)
	})
	r, err := Test(t.Context(), to(wiretest.Port(t, faulty)))
	require.NoError(t, err)
	lost := strings.Join(r.Lost, "\n")
	for _, part := range []string{"methods (X-ECHO: the answer is 405)", "path bytes (/echo/%2F", "headers (X-Echo-Answer of the answer",
		"WebSocket (the handshake is answered with 4", "event streams (", "64 MiB up (the answer is 413)"} {
		require.Contains(t, lost, part)
	}
	require.Contains(t, r.Kept, "64 MiB down")
	require.Zero(t, r.Up)
}

func TestAPageThatIsNotThereIsAnError(t *testing.T) {
	t.Parallel()
	_, err := Test(t.Context(), to(wiretest.FreePort(t)))
	require.Error(t, err)
	other := wiretest.Serve(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("hello")) })
	_, err = Test(t.Context(), to(wiretest.Port(t, other)))
	require.ErrorContains(t, err, "not that of the self-test page")
}

func TestThePageEndsWithTheInput(t *testing.T) {
	t.Parallel()
	in, stop := io.Pipe()
	out, written := io.Pipe()
	ended := make(chan error, 1)
	go func() { ended <- Serve(t.Context(), in, written) }()
	line, err := bufio.NewReader(out).ReadString('\n')
	require.NoError(t, err)
	port, ok := Port(strings.TrimSuffix(line, "\n"))
	require.True(t, ok, line)
	conn, err := to(port).Dial(t.Context())
	require.NoError(t, err)
	conn.Close()
	require.NoError(t, stop.Close())
	require.NoError(t, wiretest.Receive(t, ended, "it ends"))
	_, err = to(port).Dial(t.Context())
	require.Error(t, err)
	for _, line := range []string{"", "daemon-proxy echo 0", "daemon-proxy echo 65536", "daemon-proxy echo x", "8080"} {
		_, ok := Port(line)
		require.False(t, ok, line)
	}
}
