package toolbox

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"daemon-proxy/core/daemon"

	"github.com/coder/websocket"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"daemon-proxy/core/wiretest"
)

func TestMain(m *testing.M) {
	if role := os.Getenv(roleEnv); role != "" {
		playRole(role)
		return
	}
	goleak.VerifyTestMain(m)
}

const secret = "0123456789abcdef"

func start(t *testing.T) string {
	t.Helper()
	box, err := New(Options{Secret: secret, Version: "v1.2.3", WorkDir: "/workspace"})
	require.NoError(t, err)
	t.Cleanup(box.Close)
	return "http://" + wiretest.Serve(t, box.ServeHTTP)
}

func ask(t *testing.T, method, url, given string) (*http.Response, string) {
	t.Helper()
	r, err := http.NewRequest(method, url, nil)
	require.NoError(t, err)
	if given != "" {
		r.Header.Set(daemon.SecretHeader, given)
	}
	response, err := wiretest.Client(t).Do(r)
	require.NoError(t, err)
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	return response, strings.TrimSpace(string(body))
}

func service(t *testing.T, address string, h http.Handler) (port string) {
	t.Helper()
	l, err := net.Listen("tcp", address)
	if err != nil {
		wiretest.Skip(t, err.Error())
	}
	wiretest.ServeOn(t, l, h.ServeHTTP)
	return strconv.Itoa(wiretest.Port(t, l.Addr()))
}

func TestS16OnlyTheVersionIsOpen(t *testing.T) {
	t.Parallel()
	url := start(t)
	asked := false
	port := service(t, "127.0.0.1:0", http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked = true }))
	response, body := ask(t, "GET", url+"/version", "")
	require.Equal(t, 200, response.StatusCode)
	require.Regexp(t, `^\{"build":"[0-9a-f]{64}","uptime_seconds":[0-9.e-]+,"version":"v1.2.3"\}$`, body)
	require.Equal(t, daemon.ServerName, response.Header.Get("Server"))
	for _, given := range []string{"", "wrong", secret + "x"} {
		for _, target := range []string{"GET /port", "GET /work-dir", "GET /proxy/" + port + "/", "POST /shutdown", "POST /version", "GET /other"} {
			method, path, _ := strings.Cut(target, " ")
			response, _ := ask(t, method, url+path, given)
			require.Equal(t, 401, response.StatusCode, "%s %q", target, given)
		}
	}
	require.False(t, asked)
	_, err := New(Options{})
	require.ErrorContains(t, err, daemon.SecretEnv)
}

func TestShapesOfTheRealDaemon(t *testing.T) {
	t.Parallel()
	url := start(t)
	home, err := os.UserHomeDir()
	require.NoError(t, err)
	for target, want := range map[string]string{
		"GET /work-dir":           `200 {"dir":"/workspace"}`,
		"GET /user-home-dir":      `200 {"dir":"` + home + `"}`,
		"GET /nothing":            `404 404 page not found`,
		"GET /port/2999/in-use":   `400 {"error":"the port must be a number from 3000 to 9999"}`,
		"GET /port/abc/in-use":    `400 {"error":"the port must be a number from 3000 to 9999"}`,
		"GET /proxy/abc/":         `400 {"error":"the port must be a number from 1 to 65535"}`,
		"GET /proxy/80@other/":    `400 {"error":"the port must be a number from 1 to 65535"}`,
		"GET /proxy/0/":           `400 {"error":"the port must be a number from 1 to 65535"}`,
		"GET /proxy/65536/":       `400 {"error":"the port must be a number from 1 to 65535"}`,
		"GET /proxy/":             `400 {"error":"the port must be a number from 1 to 65535"}`,
		"POST /computeruse/start": `503 {"details":"the built-in daemon has no desktop; start one in the container, with VNC on port 6080","message":"Computer-use functionality is not available"}`,
		"GET /computeruse/status": `503 {"details":"the built-in daemon has no desktop; start one in the container, with VNC on port 6080","message":"Computer-use functionality is not available"}`,
	} {
		method, path, _ := strings.Cut(target, " ")
		response, body := ask(t, method, url+path, secret)
		require.Equal(t, want, fmt.Sprint(response.StatusCode, " ", body), target)
	}
	response, _ := ask(t, "GET", url+"/proxy/8000?a=b", secret)
	require.Equal(t, 301, response.StatusCode)
	require.Equal(t, "/proxy/8000/?a=b", response.Header.Get("Location"))
}

func TestPortsOfThisNamespace(t *testing.T) {
	t.Parallel()
	url := start(t)
	port := service(t, "127.0.0.1:0", http.NotFoundHandler())
	_, body := ask(t, "GET", url+"/port", secret)
	require.Contains(t, body, `{"port":`+port+`,"address":"127.0.0.1"}`)
}

func TestNothingListensIsAnEmpty502(t *testing.T) {
	t.Parallel()
	url := start(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	_, port, _ := net.SplitHostPort(l.Addr().String())
	require.NoError(t, l.Close())
	response, body := ask(t, "GET", url+"/proxy/"+port+"/", secret)
	require.Equal(t, 502, response.StatusCode)
	require.Empty(t, body)
	require.Equal(t, int64(0), response.ContentLength)
}

func TestPathBytesAndHostReachTheService(t *testing.T) {
	t.Parallel()
	url := start(t)
	port := service(t, "127.0.0.1:0", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "%s %s %s|%s", r.Method, r.Host, r.RequestURI, strings.Join(r.Header[daemon.SecretHeader], ","))
	}))
	for _, path := range []string{"/", "/a%2Fb", "/%5b%5D", "//a//b", "/a/../b", "/ä%2F", "/(x);@", "/a?b=%zz&&c;d", "/?"} {
		c, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
		require.NoError(t, err)
		_, err = fmt.Fprintf(c, "GET /proxy/%s%s HTTP/1.1\r\nHost: x\r\n%s: %s\r\nConnection: close, %s\r\n\r\n", port, path, daemon.SecretHeader, secret, "X-Other")
		require.NoError(t, err)
		response, err := http.ReadResponse(bufio.NewReader(c), nil)
		require.NoError(t, err)
		body, err := io.ReadAll(response.Body)
		require.NoError(t, err)
		require.NoError(t, c.Close())
		require.Equal(t, "GET localhost:"+port+" "+path+"|", string(body))
	}
}

func TestTheServicesServerHeaderPasses(t *testing.T) {
	t.Parallel()
	url := start(t)
	for _, want := range [][]string{nil, {"nginx"}} {
		port := service(t, "127.0.0.1:0", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			if want != nil {
				w.Header()["Server"] = want
			}
		}))
		response, _ := ask(t, "GET", url+"/proxy/"+port+"/", secret)
		require.Equal(t, want, response.Header["Server"], "as the service said it, and none of the daemon's")
	}
}

func TestAServiceOnTheOtherLocalhost(t *testing.T) {
	t.Parallel()
	url := start(t)
	port := service(t, "[::1]:0", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "six") }))
	_, body := ask(t, "GET", url+"/proxy/"+port+"/", secret)
	require.Equal(t, "six", body)
}

func TestWebSocketsPass(t *testing.T) {
	t.Parallel()
	url := start(t)
	port := service(t, "127.0.0.1:0", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, err := websocket.Accept(w, r, nil)
		if err != nil {
			return
		}
		kind, message, err := c.Read(r.Context())
		if err == nil {
			_ = c.Write(r.Context(), kind, append([]byte("echo "), message...))
		}
		_ = c.Close(websocket.StatusNormalClosure, "")
	}))
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	c, response, err := websocket.Dial(ctx, url+"/proxy/"+port+"/ws", &websocket.DialOptions{HTTPHeader: http.Header{daemon.SecretHeader: {secret}}})
	require.NoError(t, err)
	if response.Body != nil {
		defer response.Body.Close()
	}
	require.NoError(t, c.Write(ctx, websocket.MessageText, []byte("hello")))
	_, message, err := c.Read(ctx)
	require.NoError(t, err)
	require.Equal(t, "echo hello", string(message))
	require.NoError(t, c.Close(websocket.StatusNormalClosure, ""))
}

// The second hop keeps what the first one kept.
func TestTrailersAndInterimAnswersPass(t *testing.T) {
	t.Parallel()
	url := start(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	got := make(chan string, 1)
	go func() {
		c, err := l.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		_, _ = io.WriteString(c, "HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n")
		var all []byte
		for buf := make([]byte, 4096); !strings.HasSuffix(string(all), "\r\n0\r\nX-Up: 1\r\n\r\n"); {
			n, err := c.Read(buf)
			if all = append(all, buf[:n]...); err != nil {
				break
			}
		}
		got <- string(all)
		_, _ = io.WriteString(c, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\nX-Down: 2\r\n\r\n")
	}()
	t.Cleanup(func() { l.Close() })
	_, port, _ := net.SplitHostPort(l.Addr().String())
	c, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
	require.NoError(t, err)
	defer c.Close()
	require.NoError(t, c.SetDeadline(time.Now().Add(10*time.Second)))
	br := bufio.NewReader(c)
	fmt.Fprintf(c, "POST /proxy/%s/ HTTP/1.1\r\nHost: x\r\n%s: %s\r\nExpect: 100-continue\r\nTransfer-Encoding: chunked\r\n\r\n", port, daemon.SecretHeader, secret)
	for _, want := range []int{103, 100} {
		interim, err := http.ReadResponse(br, nil)
		require.NoError(t, err)
		require.Equal(t, want, interim.StatusCode)
		require.Empty(t, interim.Header["X-Request-Id"])
	}
	fmt.Fprint(c, "1\r\nx\r\n0\r\nX-Up: 1\r\n\r\n") // not announced
	response, err := http.ReadResponse(br, nil)
	require.NoError(t, err)
	body, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	require.Equal(t, "hi", string(body))
	require.Equal(t, []string{"2"}, response.Trailer["X-Down"])
	require.Contains(t, <-got, "1\r\nx\r\n0\r\nX-Up: 1\r\n\r\n")
}

func TestServeEndsByShutdownAndByContext(t *testing.T) {
	t.Parallel()
	for _, by := range []string{"shutdown", "context"} {
		box, err := New(Options{Secret: secret})
		require.NoError(t, err)
		l, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- box.serve(ctx, l) }()
		response, _ := ask(t, "POST", "http://"+l.Addr().String()+"/shutdown", map[string]string{"shutdown": secret, "context": "wrong"}[by])
		if by == "shutdown" {
			require.Equal(t, 200, response.StatusCode)
		} else {
			cancel()
		}
		require.NoError(t, <-ended)
		cancel()
		box.Close()
	}
}

func TestParseProcNet(t *testing.T) {
	t.Parallel()
	const table = `  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1 1 0 100 0 0 10 0
   1: 00000000:0050 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1 1 0 100 0 0 10 0
   2: 0100007F:1F91 0100007F:9999 01 00000000:00000000 00:00000000 00000000     0        0 1 1 0 100 0 0 10 0
   3: 00000000000000000000000001000000:1435 00000000000000000000000000000000:0000 0A 0 0
   4: 0000000000000000FFFF00000100007F:1436 00000000000000000000000000000000:0000 0A 0 0
   x: zz 0 0A
`
	found, err := parseProcNet(strings.NewReader(table))
	require.NoError(t, err)
	require.Equal(t, []listener{{8080, "127.0.0.1"}, {80, "0.0.0.0"}, {5173, "::1"}, {5174, "127.0.0.1"}}, found)
}

func FuzzProcNet(f *testing.F) {
	f.Add("0: 0100007F:1F90 0 0A")
	f.Fuzz(func(t *testing.T, table string) {
		found, err := parseProcNet(strings.NewReader(table))
		if err != nil {
			return
		}
		for _, l := range found {
			require.Positive(t, l.Port)
			require.NotEmpty(t, l.Address)
		}
	})
}
