package logging

import (
	"log/slog"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"daemon-proxy/core/wiretest"
)

func TestS46APanicOfAHandlerIsLoggedAtError(t *testing.T) {
	t.Parallel()
	var out wiretest.Buffer
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	server := &http.Server{
		ErrorLog: HTTPErrors(slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: slog.LevelInfo}))),
		Handler:  http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic("the handler broke") }),
	}
	defer server.Close()
	go func() { _ = server.Serve(listener) }()
	_, err = http.Get("http://" + listener.Addr().String())
	require.Error(t, err)
	require.Eventually(t, func() bool { return strings.Contains(out.String(), "the handler broke") }, time.Minute, time.Millisecond)
	require.Contains(t, out.String(), "level=ERROR")
}

// full is a listener without descriptors for its connections.
type full struct{ left int }

func (f *full) Accept() (net.Conn, error) {
	if f.left--; f.left < 0 {
		return nil, net.ErrClosed
	}
	return nil, &net.OpError{Op: "accept", Net: "tcp", Err: syscall.EMFILE}
}
func (f *full) Close() error   { return nil }
func (f *full) Addr() net.Addr { return &net.TCPAddr{} }

func TestS46ConnectionsThatCannotBeAcceptedAreLoggedOnceASecond(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var out wiretest.Buffer
		server := &http.Server{ErrorLog: HTTPErrors(slog.New(slog.NewTextHandler(&out, nil)))}
		began := time.Now()
		_ = server.Serve(&full{left: 20}) // it retries after pauses of up to a second
		lines := strings.Split(strings.TrimSpace(out.String()), "\n")
		require.Contains(t, lines[0], "level=ERROR")
		require.Contains(t, lines[0], "too many open files")
		require.LessOrEqual(t, len(lines), int(time.Since(began)/time.Second)+1)
		require.Contains(t, lines[1], "omitted=")
	})
}

func TestS46OneKindOfErrorDoesNotHideAnother(t *testing.T) {
	t.Parallel()
	var out wiretest.Buffer
	errors := HTTPErrors(slog.New(slog.NewTextHandler(&out, nil)))
	for range 100 {
		errors.Print("http: TLS handshake error from 127.0.0.1:1: EOF")
	}
	errors.Print("http: panic serving 127.0.0.1:1: broken\ngoroutine 1 [running]:")
	require.Equal(t, 1, strings.Count(out.String(), "TLS handshake"))
	require.Contains(t, out.String(), `level=ERROR msg="http: panic serving 127.0.0.1:1: broken\ngoroutine`)
}
