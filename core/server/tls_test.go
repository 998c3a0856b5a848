package server

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/coder/websocket"
	"github.com/stretchr/testify/require"

	"daemon-proxy/core/certs"
	"daemon-proxy/core/wiretest"
)

// newTLS is a front that speaks TLS, and a client that trusts its authority
// and finds every name on loopback.
func newTLS(t *testing.T, h http.HandlerFunc, changes ...func(*settings)) (*front, *app, *http.Transport) {
	t.Helper()
	dir := t.TempDir()
	authority, err := certs.OpenAuthority(dir)
	require.NoError(t, err)
	f, s := newStack(t, h, append(changes, func(set *settings) { set.tls = authority.Get })...)
	pem, err := os.ReadFile(certs.AuthorityFile(dir))
	require.NoError(t, err)
	pool := x509.NewCertPool()
	require.True(t, pool.AppendCertsFromPEM(pem))
	tr := &http.Transport{
		DisableCompression: true, ForceAttemptHTTP2: true, TLSClientConfig: &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12},
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "tcp", f.addr)
		},
	}
	t.Cleanup(tr.CloseIdleConnections)
	return f, s, tr
}

// fetch asks for a URL by a client that trusts the authority.
func fetch(t *testing.T, tr *http.Transport, method, url string, headers ...string) wiretest.Answer {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, nil)
	require.NoError(t, err)
	for _, line := range headers {
		name, value, _ := strings.Cut(line, ": ")
		if name == "Host" {
			r.Host = value
		}
		r.Header.Set(name, value)
	}
	client := &http.Client{Transport: tr, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	resp, err := client.Do(r)
	require.NoError(t, err)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	return wiretest.Answer{Response: resp, Body: string(body)}
}

func TestH6EachNameHasALeafAndPlainRequestsGoOverHTTP2(t *testing.T) {
	t.Parallel()
	f, s, tr := newTLS(t, nil)
	for _, m := range f.ways(s.port) {
		got := fetch(t, tr, "GET", "https://"+m.host+m.prefix+"/a%2Fb;c//d?e=%zz", "User-Agent: curl/8")
		require.Equal(t, 200, got.StatusCode, m.name)
		require.Equal(t, 2, got.ProtoMajor, m.name)
		name, _, _ := strings.Cut(m.host, ":")
		require.Equal(t, []string{name}, got.TLS.PeerCertificates[0].DNSNames)
		r := s.one(t)
		require.Equal(t, "/a%2Fb;c//d?e=%zz", r.RequestURI, m.name)
		require.Equal(t, "https://"+m.host, r.Header.Get("X-Preview-Origin"))
		require.Equal(t, "http", r.Header.Get("X-Forwarded-Proto"), "it fits the mapped Origin")
	}
	got := fetch(t, tr, "GET", "https://"+f.addr+"/health", "User-Agent: curl/8")
	require.Equal(t, 200, got.StatusCode, "a client that names an address")
	require.Equal(t, "127.0.0.1", got.TLS.PeerCertificates[0].IPAddresses[0].String())

	require.Equal(t, 400, f.raw(request("GET", "/health", f.host, "")).StatusCode, "plain HTTP is refused")
	_, err := tls.Dial("tcp", f.addr, &tls.Config{RootCAs: tr.TLSClientConfig.RootCAs, ServerName: "evil.example", MinVersion: tls.VersionTLS12})
	require.Error(t, err, "foreign names are not signed")
	_, err = tls.Dial("tcp", f.addr, &tls.Config{ServerName: "localhost", MinVersion: tls.VersionTLS12})
	require.ErrorAs(t, err, new(*tls.CertificateVerificationError), "who does not trust the authority sees that")
}

// A panic of a goroutine that still used a response would end the program.
func TestAnEventStreamOverHTTP2MayEndAtAnyTime(t *testing.T) {
	t.Parallel()
	f, _, tr := newTLS(t, nil, withNews(make(news)))
	client := &http.Client{Transport: tr}
	for range 300 {
		ctx, end := context.WithCancel(t.Context())
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+f.host+"/api/events", nil)
		require.NoError(t, err)
		resp, err := client.Do(r)
		require.NoError(t, err)
		require.Equal(t, 2, resp.ProtoMajor)
		_, err = resp.Body.Read(make([]byte, 1))
		require.NoError(t, err)
		end()
		resp.Body.Close()
	}
	require.Equal(t, 200, fetch(t, tr, "GET", "https://"+f.host+"/health").StatusCode)
}

func TestH6WebSocketsGoOverHTTP1(t *testing.T) {
	t.Parallel()
	f, s, tr := newTLS(t, sayWhere("tls"))
	tr.ForceAttemptHTTP2 = false
	tr.TLSClientConfig.NextProtos = []string{"http/1.1"}
	for _, m := range f.modes(f.link(s.port)) {
		conn, _, err := websocket.Dial(t.Context(), "wss://"+m.host+m.prefix+"/ws", &websocket.DialOptions{
			HTTPClient: &http.Client{Transport: tr}, HTTPHeader: http.Header{"Origin": {"https://" + m.host}, "User-Agent": {"Mozilla/5.0"}},
		})
		require.NoError(t, err, m.name)
		require.NoError(t, conn.Write(t.Context(), websocket.MessageText, []byte("hello")))
		_, said, err := conn.Read(t.Context())
		require.NoError(t, err)
		require.Equal(t, "tls /ws hello", string(said))
		conn.CloseNow()
		_, resp, err := websocket.Dial(t.Context(), "wss://"+m.host+m.prefix+"/ws", &websocket.DialOptions{
			HTTPClient: &http.Client{Transport: tr}, HTTPHeader: http.Header{"Origin": {"http://" + m.host}},
		})
		require.Error(t, err)
		require.Equal(t, 403, resp.StatusCode, "http is another origin than https")
	}
	c, err := tls.Dial("tcp", f.addr, &tls.Config{RootCAs: tr.TLSClientConfig.RootCAs, ServerName: "localhost", NextProtos: []string{"h2", "http/1.1"}, MinVersion: tls.VersionTLS12})
	require.NoError(t, err)
	defer c.Close()
	require.Equal(t, "h2", c.ConnectionState().NegotiatedProtocol)
	_, _ = io.WriteString(c, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00")
	frame := make([]byte, 9)
	br := bufio.NewReader(c)
	_, err = io.ReadFull(br, frame)
	require.NoError(t, err)
	require.Equal(t, byte(4), frame[3], "SETTINGS")
	settings := make([]byte, int(frame[0])<<16|int(frame[1])<<8|int(frame[2]))
	_, err = io.ReadFull(br, settings)
	require.NoError(t, err)
	for ; len(settings) >= 6; settings = settings[6:] {
		require.NotEqual(t, byte(8), settings[1], "no extended CONNECT is offered, so that browsers open HTTP/1.1 for a WebSocket")
	}
}

func TestH6HeadersOverTLS(t *testing.T) {
	t.Parallel()
	f, s, tr := newTLS(t, func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h["Set-Cookie"] = []string{"a=1; Secure; Path=/", "__Secure-b=2; Secure; Path=/"}
		h["Strict-Transport-Security"] = []string{"max-age=1"}
		h["Location"] = []string{"http://" + r.Host + "/x"}
	}, func(s *settings) { s.config.Preview.RedirectToHost = true })
	modes := f.modes(f.link(s.port))
	path, host := modes[0], modes[1]
	got := fetch(t, tr, "GET", "https://"+path.host+path.prefix+"/", "User-Agent: curl/8")
	require.Equal(t, []string{"a=1; Secure; Path=" + path.prefix + "/", "__Secure-b=2; Secure; Path=" + path.prefix + "/"}, got.Header["Set-Cookie"], "Secure stays")
	require.NotContains(t, got.Header, "Strict-Transport-Security", "it would speak for the whole origin")
	require.Equal(t, path.prefix+"/x", got.Header.Get("Location"))
	require.NotContains(t, f.log.Last(1)[0].Note, "needs host mode")

	got = fetch(t, tr, "GET", "https://"+host.host+"/", "User-Agent: curl/8")
	require.Equal(t, []string{"a=1; Secure; Path=/", "__Secure-b=2; Secure; Path=/"}, got.Header["Set-Cookie"])
	require.Equal(t, "max-age=1", got.Header.Get("Strict-Transport-Security"))
	require.Equal(t, "https://"+host.host+"/x", got.Header.Get("Location"))

	got = fetch(t, tr, "GET", "https://"+path.host+path.prefix+"/x", navigates...)
	require.Equal(t, "https://"+host.host+"/x", got.Header.Get("Location"), "to the host form, over TLS")
	_, port, _ := strings.Cut(f.host, ":")
	got = fetch(t, tr, "GET", "https://127.0.0.1:"+port+path.prefix+"/", navigates...)
	require.True(t, strings.HasSuffix(got.Header["Set-Cookie"][2], "; Path=/; HttpOnly; SameSite=Strict; Secure"), got.Header["Set-Cookie"])

	made := fetch(t, tr, "GET", "https://"+f.host+"/api/preview", "User-Agent: curl/8")
	require.Contains(t, made.Body, `"url":"https://`+f.host+path.prefix+`"`)
	require.Contains(t, made.Body, `"host_url":"https://`+host.host+`"`)
	require.NotContains(t, made.Header, "Strict-Transport-Security", "other programs on this name may speak plain HTTP")
}
