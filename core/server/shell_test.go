package server

import (
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/stretchr/testify/require"

	"daemon-proxy/core/api"
	"daemon-proxy/core/wiretest"
)

const (
	soon = 30 * time.Second // whatever must come, on a busy machine
	look = 10 * time.Millisecond
)

// terminal is the far end of a shell: what it shows and takes is the test's.
type terminal struct {
	shows, types *io.PipeWriter // for the test to write, for the shell to be typed into
	shown, typed *io.PipeReader
	read         atomic.Int64 // bytes that were read of what it shows
	code         int
	sizes        chan api.TerminalSize
	closed       chan struct{}
	once         sync.Once
}

func newTerminal() *terminal {
	t := &terminal{code: 7, sizes: make(chan api.TerminalSize, 10), closed: make(chan struct{})}
	t.shown, t.shows = io.Pipe()
	t.typed, t.types = io.Pipe()
	return t
}

func (t *terminal) Read(p []byte) (int, error) {
	n, err := t.shown.Read(p)
	t.read.Add(int64(n))
	return n, err
}

func (t *terminal) Write(p []byte) (int, error) { return t.types.Write(p) }

func (t *terminal) Resize(_ context.Context, columns, rows int) error {
	t.sizes <- api.TerminalSize{Columns: columns, Rows: rows}
	return nil
}

func (t *terminal) Wait(context.Context) (int, error) { return t.code, nil }

func (t *terminal) Close() error {
	t.once.Do(func() { close(t.closed) })
	t.shown.Close()
	t.typed.Close()
	return nil
}

// withShell is a front whose shells are on that terminal, and their sizes.
func withShell(t *testing.T, far *terminal, changes ...func(*settings)) *front {
	t.Helper()
	f := newFront(t, "127.0.0.1:1", append(changes, withRunKey)...)
	f.boxes.shell = func(_ context.Context, _ api.Ref, size api.TerminalSize) (api.Terminal, error) {
		far.sizes <- size
		return far, nil
	}
	return f
}

// open opens the WebSocket of a shell.
func (f *front) open(query string, headers ...string) (*websocket.Conn, int) {
	f.t.Helper()
	header := http.Header{}
	for _, line := range append(headers, byRunKey) {
		name, value, _ := strings.Cut(line, ": ")
		header.Add(name, value)
	}
	conn, response, err := websocket.Dial(f.t.Context(), "ws://"+f.addr+"/api/sandboxes/web/shell"+query,
		&websocket.DialOptions{HTTPHeader: header, HTTPClient: wiretest.Client(f.t)})
	if err != nil {
		require.NotNil(f.t, response, "%v", err)
		return nil, response.StatusCode
	}
	f.t.Cleanup(func() { _ = conn.CloseNow() })
	return conn, response.StatusCode
}

func send(t *testing.T, conn *websocket.Conn, kind websocket.MessageType, text string) {
	t.Helper()
	require.NoError(t, conn.Write(t.Context(), kind, []byte(text)))
}

func TestAShellsBytesSizeAndExitCodePass(t *testing.T) {
	t.Parallel()
	far := newTerminal()
	f := withShell(t, far)
	conn, _ := f.open("?columns=91&rows=17")
	require.Equal(t, api.TerminalSize{Columns: 91, Rows: 17}, wiretest.Receive(t, far.sizes, "the size"))

	every := make([]byte, 256)
	for i := range every {
		every[i] = byte(i)
	}
	typed := make([]byte, len(every))
	go func() { _ = conn.Write(context.Background(), websocket.MessageBinary, every) }()
	_, err := io.ReadFull(far.typed, typed)
	require.NoError(t, err)
	require.Equal(t, every, typed)
	go func() { _, _ = far.shows.Write(every) }()
	kind, shown, err := conn.Read(t.Context())
	require.NoError(t, err)
	require.Equal(t, websocket.MessageBinary, kind)
	require.Equal(t, every, shown)

	send(t, conn, websocket.MessageText, `{"later":{"versions":1}}`)
	send(t, conn, websocket.MessageText, `{"resize":{"columns":60,"rows":33,"pixels":1}}`)
	require.Equal(t, api.TerminalSize{Columns: 60, Rows: 33}, wiretest.Receive(t, far.sizes, "the new size"))

	far.shows.Close()
	kind, text, err := conn.Read(t.Context())
	require.NoError(t, err)
	require.Equal(t, websocket.MessageText, kind)
	var last api.ShellMessage
	require.NoError(t, json.Unmarshal(text, &last))
	require.Equal(t, 7, *last.Exit)
	_, _, err = conn.Read(t.Context())
	require.Equal(t, websocket.StatusNormalClosure, websocket.CloseStatus(err))
	wiretest.Receive(t, far.closed, "the end of the terminal")
	require.Eventually(t, func() bool { return strings.Contains(f.logged.String(), "/shell?columns=91&rows=17 101") }, soon, look)
}

func TestAShellIsOpenedByAWebSocketOnly(t *testing.T) {
	t.Parallel()
	far := newTerminal()
	f := withShell(t, far)
	for _, query := range []string{"?columns=0", "?rows=-1", "?columns=10001", "?rows=x", "?columns=1e2", "?columns=99999999999999999999"} {
		_, status := f.open(query)
		require.Equal(t, 400, status, query)
	}
	got := f.get("/api/sandboxes/web/shell", byRunKey)
	require.Equal(t, 400, got.StatusCode)
	requireProblem(t, got, api.CodeBadRequest)
	require.Equal(t, 400, f.do("HEAD", "/api/sandboxes/web/shell", "", byRunKey).StatusCode)
	require.Equal(t, 405, f.do("POST", "/api/sandboxes/web/shell", "", byRunKey).StatusCode)

	plain := "GET /api/sandboxes/web/shell HTTP/1.1\r\nHost: " + f.host + "\r\n" + upgradeHeaders
	for headers, status := range map[string]int{
		"": 401, "X-API-Key: wrong\r\n": 401, "Origin: http://" + f.host + "\r\n": 403, "User-Agent: Mozilla/5.0\r\n": 403,
		byRunKey + "\r\nOrigin: https://evil.example\r\n": 403, // a page that has the key is still of another origin
	} {
		require.Equal(t, status, f.raw(plain+headers+"\r\n").StatusCode, headers)
	}
	version := strings.Replace(plain, "Version: 13", "Version: 12", 1) + byRunKey + "\r\n\r\n"
	require.Equal(t, 400, f.raw(version).StatusCode)

	readOnly := withShell(t, far, withReadOnly)
	_, status := readOnly.open("")
	require.Equal(t, 403, status)
	f.boxes.shell = func(context.Context, api.Ref, api.TerminalSize) (api.Terminal, error) {
		return nil, api.NewProblem(api.CodeNoShell, "there is none", "look from outside")
	}
	_, status = f.open("")
	require.Equal(t, 422, status)
}

func TestAShellIsToldWhatItDoesNotUnderstand(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"", "x", "[]", `{"resize":{"columns":0,"rows":1}}`, `{"resize":{"columns":1,"rows":10001}}`, `{"resize":{}}`,
		`{"resize":1}`, `{"later":"` + strings.Repeat("x", 5000) + `"}`,
	} {
		far := newTerminal()
		f := withShell(t, far)
		conn, _ := f.open("")
		<-far.sizes
		send(t, conn, websocket.MessageText, text)
		_, _, err := conn.Read(t.Context())
		require.Equal(t, websocket.StatusPolicyViolation, websocket.CloseStatus(err), text)
		wiretest.Receive(t, far.closed, "the end of the terminal")
		require.Empty(t, far.sizes, text)
	}
}

func TestS72AShellEndsWithItsConnection(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(*testing.T, *terminal, *websocket.Conn){
		"at once": func(_ *testing.T, _ *terminal, conn *websocket.Conn) { _ = conn.CloseNow() },
		"with a frame": func(_ *testing.T, _ *terminal, conn *websocket.Conn) {
			_ = conn.Close(websocket.StatusNormalClosure, "")
		},
		// The FIN is behind bytes that the shell does not take.
		"while its input waits": func(t *testing.T, far *terminal, conn *websocket.Conn) {
			send(t, conn, websocket.MessageBinary, strings.Repeat("x", 1<<16)) // which both kernels have room for
			require.Empty(t, far.closed)
			_ = conn.CloseNow()
		},
		// It is written to all the time, and does not read.
		"while it shows": func(t *testing.T, far *terminal, conn *websocket.Conn) {
			go func() {
				for piece := make([]byte, 1<<16); ; {
					if _, err := far.shows.Write(piece); err != nil {
						return
					}
				}
			}()
			require.Eventually(t, func() bool { return far.read.Load() >= 1<<17 }, soon, look)
			_ = conn.CloseNow()
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			far := newTerminal()
			f := withShell(t, far)
			conn, _ := f.open("")
			<-far.sizes
			end(t, far, conn)
			select {
			case <-far.closed:
			case <-time.After(5 * time.Second):
				t.Fatal("the shell goes on")
			}
		})
	}
}

func TestS72AClientThatDoesNotReadFillsNoMemory(t *testing.T) {
	t.Parallel()
	far := newTerminal()
	f := withShell(t, far)
	f.open("")
	<-far.sizes
	go func() {
		for piece := make([]byte, 1<<16); ; {
			if _, err := far.shows.Write(piece); err != nil {
				return
			}
		}
	}()
	const kernels = 64 << 20 // what both ends' kernels may keep at most
	last := int64(-1)
	require.Eventually(t, func() bool {
		before := last
		last = far.read.Load()
		return last > 0 && last == before
	}, soon, time.Second, "the shell is not stopped")
	require.Less(t, last, int64(kernels))
	require.Empty(t, far.closed, "it waits")
}

func TestAShellEndsWithTheServer(t *testing.T) {
	t.Parallel()
	far := newTerminal()
	f := withShell(t, far)
	conn, _ := f.open("")
	<-far.sizes
	ctx, cancel := context.WithTimeout(t.Context(), soon)
	defer cancel()
	require.NoError(t, f.Shutdown(ctx))
	select {
	case <-far.closed:
	default:
		t.Fatal("the server did not wait for the end of the shell")
	}
	_, _, err := conn.Read(t.Context())
	require.Equal(t, websocket.StatusGoingAway, websocket.CloseStatus(err))
}

// A client may take its time, unless descriptors are short.
func TestAClientOfAShellIsCutOnlyWhereDescriptorsAreShort(t *testing.T) {
	t.Parallel()
	for _, crowded := range []bool{false, true} {
		for _, waits := range []time.Duration{0, takesNothing / 2, 2 * takesNothing} {
			near, far := net.Pipe()
			defer far.Close()
			s := &shellStream{socket: near, crowded: func() bool { return crowded }}
			if waits > 0 {
				s.writing.Store(time.Now().Add(-waits).UnixNano())
			}
			ctx, cancel := context.WithTimeout(t.Context(), 3*shellLook)
			end := s.wait(ctx, nil)
			cancel()
			require.Equal(t, crowded && waits > takesNothing, end.code == 0, "%v %s", crowded, waits)
		}
	}
}
