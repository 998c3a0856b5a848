package bridge

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"daemon-proxy/core/api"
	"daemon-proxy/core/mux"
	"daemon-proxy/core/wiretest"
)

// previews serves those of a core that answers with h.
func previews(t *testing.T, h http.HandlerFunc) (p *Previews, addr string) {
	t.Helper()
	return previewsOf(t, session(t, wiretest.Serve(t, h), mux.Limits{}))
}

func previewsOf(t *testing.T, s *Session) (p *Previews, addr string) {
	t.Helper()
	p, err := ServePreviews(t.Context(), s, wiretest.FreePort(t), nil)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, p.Close()) })
	return p, net.JoinHostPort("127.0.0.1", strconv.Itoa(p.port))
}

// The API answers at the far end; none of it can be had from here, whatever the
// request looks like and whatever came before it on the connection.
func TestS81OnlyPreviewsAreServed(t *testing.T) {
	t.Parallel()
	_, addr := previews(t, func(w http.ResponseWriter, r *http.Request) {
		require.Equal(t, []string{"previews run-key"}, r.Header[api.BridgeHeader])
		_, _ = io.WriteString(w, "core: "+r.Host+r.RequestURI)
	})
	const page = "Referer: http://localhost:8080/preview/abc/\r\n"
	c := wiretest.Dial(t, addr)
	for _, x := range []struct {
		target, host, header string
		served               bool
	}{
		{"/", "abc.localhost:8080", "", true},
		{"/api/sandboxes", "abc.localhost:8080", "", true}, // the service's own
		{"/preview/abc/x?y", "localhost:8080", "", true},
		{"/preview/abc", "127.0.0.1:8080", "", true},
		{"/preview/abc/", "[::1]:8080", "", true},
		{"//preview/abc/x", "localhost", "", true},
		{"/app.js", "localhost:8080", page, true},
		{"/app.js", "localhost:8080", page + "Sec-Fetch-Site: same-origin\r\n", true},
		{"/preview/abc/", "localhost:8080", api.BridgeHeader + ": calls run-key\r\n", true},
		{"/preview/abc/", "localhost:8080", api.BridgeHeader + ": calls x\r\nConnection: " + api.BridgeHeader + "\r\n", true},

		{"/api/sandboxes", "localhost:8080", "", false},
		{"/api/sandboxes", "localhost:8080", "X-Api-Key: run-key\r\n", false},
		{"/api/sandboxes", "localhost:8080", page + "Sec-Fetch-Site: none\r\n", false},
		{"/api/sandboxes", "localhost:8080", page + page, false},
		{"/api/sandboxes", "localhost:8080", "Referer: http://localhost:8081/preview/abc/\r\n", false},
		{"/api/preview/create", "127.0.0.1:8080", "", false},
		{"/health", "localhost:8080", "", false},
		{"/", "localhost:8080", "", false},
		{"/preview/", "localhost:8080", "", false},
		{"/preview/abc/../../api/sandboxes", "localhost:8080", "", false},
		{"/sandboxes/x/proxy/80/", "localhost:8080", "", false},
		{"/preview/abc/", "evil.example", "", false},
		{"/preview/abc/", "10.0.0.1:8080", "", false},
		{"/", "a.b.localhost", "", false},
		{"http://localhost/api/sandboxes", "localhost:8080", "", false},
		{"*", "localhost:8080", "", false},
	} {
		c.Send("GET " + x.target + " HTTP/1.1\r\nHost: " + x.host + "\r\n" + x.header + "\r\n")
		answer := c.Answer(http.MethodGet)
		what := fmt.Sprintf("%s%s %q", x.host, x.target, x.header)
		if x.served {
			require.Equal(t, "core: "+x.host+x.target, answer.Body, what)
			continue
		}
		require.Equal(t, http.StatusNotFound, answer.StatusCode, what)
		require.Contains(t, answer.Body, api.CodeUnknownRoute, what)
	}
}

func TestAWebSocketOfAPageIsCarriedInBothForms(t *testing.T) {
	t.Parallel()
	ended := make(chan bool, 2)
	_, addr := previews(t, func(w http.ResponseWriter, r *http.Request) {
		conn, buffered, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		defer conn.Close()
		fmt.Fprintf(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
		line, _ := buffered.ReadString('\n')
		_, _ = io.WriteString(conn, "echo "+line)
		_, _ = buffered.ReadString('\n')
		ended <- true
	})
	for _, head := range []string{
		"GET /socket HTTP/1.1\r\nHost: abc.localhost:1\r\n",
		"GET /socket HTTP/1.1\r\nHost: localhost:1\r\nOrigin: http://localhost:1\r\n",
	} {
		c := wiretest.Dial(t, addr)
		c.Send(head + "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n" +
			"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
		require.Contains(t, c.MustHead(), " 101 ")
		c.Send("hello\n")
		require.Equal(t, "echo hello\n", c.Next(len("echo hello\n")))
		c.Close()
		wiretest.Receive(t, ended, "the end of the client reaches the core")
	}
	c := wiretest.Dial(t, addr)
	c.Send("GET /api/x HTTP/1.1\r\nHost: localhost:1\r\nOrigin: http://localhost:2\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
	require.Equal(t, http.StatusNotFound, c.Answer(http.MethodGet).StatusCode)
}

func TestInterimAnswersStreamsAndTheEndOfTheClientPass(t *testing.T) {
	t.Parallel()
	left := make(chan bool, 1)
	p, _ := previews(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Link", "</style.css>; rel=preload")
		w.WriteHeader(http.StatusEarlyHints)
		w.Header().Set("Content-Type", "text/event-stream")
		_, _ = io.WriteString(w, "data: 1\n\n")
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
		left <- true
	})
	request, err := http.NewRequest(http.MethodGet, p.URL()+"/preview/abc/events", nil)
	require.NoError(t, err)
	early := make(chan int, 1)
	request = request.WithContext(httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{
		Got1xxResponse: func(code int, _ textproto.MIMEHeader) error { early <- code; return nil },
	}))
	response, err := wiretest.Client(t).Do(request)
	require.NoError(t, err)
	require.Equal(t, http.StatusEarlyHints, wiretest.Receive(t, early, "the interim answer"))
	line, err := bufio.NewReader(response.Body).ReadString('\n')
	require.NoError(t, err)
	require.Equal(t, "data: 1\n", line)
	response.Body.Close()
	wiretest.Receive(t, left, "the core learns that the client has gone")
}

func TestTheNextFreePortIsTaken(t *testing.T) {
	t.Parallel()
	s := session(t, wiretest.Serve(t, func(http.ResponseWriter, *http.Request) {}), mux.Limits{})
	first, _ := previewsOf(t, s)
	second, err := ServePreviews(t.Context(), s, first.port, nil)
	require.NoError(t, err)
	defer second.Close()
	require.Greater(t, second.port, first.port)
	require.Equal(t, "http://localhost:"+strconv.Itoa(second.port), second.URL())
}

func TestAPreviewOfASessionThatHasEndedSaysSo(t *testing.T) {
	t.Parallel()
	s := session(t, wiretest.Serve(t, func(http.ResponseWriter, *http.Request) {}), mux.Limits{})
	s.reason = func() error {
		return api.NewProblem(api.CodeSSHFailed, "the connection to box ended: broken pipe", "try again")
	}
	p, _ := previewsOf(t, s)
	require.NoError(t, s.Close())
	for accept, want := range map[string]string{"navigate": "Try: try again", "cors": `"code":"ssh_failed"`} {
		request, err := http.NewRequest(http.MethodGet, p.URL()+"/preview/abc/", nil)
		require.NoError(t, err)
		request.Header.Set("Sec-Fetch-Mode", accept)
		response, err := wiretest.Client(t).Do(request)
		require.NoError(t, err)
		body, err := io.ReadAll(response.Body)
		response.Body.Close()
		require.NoError(t, err)
		require.Equal(t, http.StatusBadGateway, response.StatusCode)
		require.Contains(t, string(body), want)
		require.Contains(t, string(body), "the connection to box ended: broken pipe")
	}
}

func TestACoreThatIsNotReachedIsNotCalledADaemon(t *testing.T) {
	t.Parallel()
	l := wiretest.Listen(t)
	l.Close()
	p, _ := previewsOf(t, session(t, l.Addr().String(), mux.Limits{}))
	response, err := wiretest.Client(t).Get(p.URL() + "/preview/abc/")
	require.NoError(t, err)
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	require.Equal(t, http.StatusBadGateway, response.StatusCode)
	require.Contains(t, string(body), "daemon-proxy on the other machine closed the connection")
	require.False(t, strings.Contains(string(body), "run-key"))
}
