package server

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"daemon-proxy/core/api"
	"daemon-proxy/core/config"
	"daemon-proxy/core/wiretest"
)

func TestS8HeadersAreBounded(t *testing.T) {
	t.Parallel()
	d := wiretest.Answering(t, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
	f := newFront(t, d.Addr)
	for _, m := range f.ways(3000) {
		for name, size := range map[string]int{"within": 900 << 10, "above": 1100 << 10} {
			c := f.dial()
			// An answer may come before all is written.
			go func() {
				_, _ = c.Write([]byte("GET " + m.prefix + "/ HTTP/1.1\r\nHost: " + m.host + "\r\nX-Big: " + strings.Repeat("a", size) + "\r\n\r\n"))
			}()
			got := c.Answer("GET")
			want := http.StatusOK
			if name == "above" {
				want = http.StatusRequestHeaderFieldsTooLarge
			}
			require.Equal(t, want, got.StatusCode, "%s %s", m.name, name)
			require.Equal(t, name == "within", len(d.Heads()) == 1, "%s %s", m.name, name)
		}
	}
}

// Nobody has to send a body to be told that it is not wanted.
func TestS8ARefusalDoesNotWaitForTheBody(t *testing.T) {
	t.Parallel()
	f := newFront(t, "127.0.0.1:1")
	link := f.link(3000)
	open := newFront(t, "127.0.0.1:1", withKey)
	refused := map[string]*wiretest.Conn{}
	for _, c := range []struct {
		front        *front
		target, host string
		status       int
	}{
		{f, "/preview/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa/x", f.host, 404},
		{f, "/preview/" + link.Token + "/x", f.host, 503},
		{f, "/preview/" + link.Token, f.host, 308},
		{f, "/x", link.Token + "." + f.host, 503},
		{f, "/proxy/080/", f.host, 400},
		{f, "/proxy/3000/", f.host, 503},
		{f, "/api/nothing", f.host, 415},
		{f, "/x", "evil.example", 421},
		{open, "/api/preview/create", open.host, 401},
	} {
		for _, framing := range []string{"Content-Length: 100\r\n", "Content-Length: 1000000\r\n", "Transfer-Encoding: chunked\r\n\r\n1\r\nx"} {
			conn := c.front.dial()
			conn.Send("POST " + c.target + " HTTP/1.1\r\nHost: " + c.host + "\r\n" + framing + "\r\n")
			require.Equal(t, c.status, conn.Answer("POST").StatusCode, "%s %s", c.target, framing)
			_, _ = io.WriteString(conn, request("GET", "/health", c.host, "")) // the rest of the body, not a request
			refused[c.host+c.target+" "+framing] = conn
		}
	}
	for what, conn := range refused { // net/http lingers half a second before each closes
		_, err := conn.Head()
		require.Error(t, err, what)
	}

	conn := f.dial()
	for range 3 { // what is there whole ends no connection
		conn.Send("POST /proxy/080/ HTTP/1.1\r\nHost: " + f.host + "\r\nContent-Length: 2\r\n\r\nhi")
		require.Equal(t, 400, conn.Answer("POST").StatusCode)
	}
	conn.Send("POST /proxy/080/ HTTP/1.1\r\nHost: " + f.host + "\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n")
	head, err := conn.Head()
	require.NoError(t, err)
	require.Contains(t, head, "HTTP/1.1 400 ", "a body that is not wanted is not asked for")
}

func TestS8CreateBodiesAreBounded(t *testing.T) {
	t.Parallel()
	f := newFront(t, "127.0.0.1:1")
	label := func(size int) string {
		const around = len(`{"port":80,"label":""}`)
		return `{"port":80,"label":"` + strings.Repeat("a", size-around) + `"}`
	}
	got := f.do("POST", "/api/preview/create", label(4<<10), "Content-Type: application/json")
	require.Equal(t, 200, got.StatusCode, got.Body)
	for _, body := range []string{label(4<<10 + 1), label(1 << 20), strings.Repeat(" ", 1<<20) + `{"port":80}`} {
		got := f.do("POST", "/api/preview/create", body, "Content-Type: application/json")
		require.Equal(t, 413, got.StatusCode)
		requireProblem(t, got, api.CodeTooLarge)
	}
	require.Len(t, f.links.List(), 1)
}

func TestS8LiveLinksAreBounded(t *testing.T) {
	t.Parallel()
	f := newFront(t, "127.0.0.1:1", func(s *settings) { s.links.MaxLinks = 2 })
	create := func() wiretest.Answer {
		return f.do("POST", "/api/preview/create", `{"port":3000}`, "Content-Type: application/json")
	}
	require.Equal(t, 200, create().StatusCode)
	require.Equal(t, 200, create().StatusCode)
	got := create()
	require.Equal(t, 429, got.StatusCode)
	requireProblem(t, got, api.CodeTooMany)
	require.Empty(t, got.Header.Get("Retry-After"))
	require.Equal(t, 429, f.get("/proxy/4000/", "Sec-Fetch-Site: none", "Sec-Fetch-Mode: navigate").StatusCode, "a typed address makes none either")
	require.Equal(t, 200, f.do("DELETE", "/api/preview/"+f.links.List()[0].ID, "").StatusCode)
	require.Equal(t, 200, create().StatusCode)
}

func TestS8OpenConnectionsAreBounded(t *testing.T) {
	t.Parallel()
	f := newFront(t, "127.0.0.1:1")
	listeners, err := Listen(t.Context(), config.Server{Host: "127.0.0.1", Port: wiretest.FreePort(t), MaxConnections: 2})
	require.NoError(t, err)
	done := make(chan error, 1)
	go func() { done <- f.Serve(listeners) }()
	t.Cleanup(func() { f.http.Close(); <-done })
	addr := listeners[0].Addr().String()
	health := func(c net.Conn, patience time.Duration) error {
		if _, err := c.Write([]byte(request("GET", "/health", "localhost", ""))); err != nil {
			return err
		}
		require.NoError(t, c.SetReadDeadline(time.Now().Add(patience)))
		_, err := c.Read(make([]byte, 1024))
		return err
	}
	open := make([]net.Conn, 3)
	for i := range open {
		open[i], err = net.Dial("tcp", addr)
		require.NoError(t, err)
		defer open[i].Close()
		if i < 2 {
			require.NoError(t, health(open[i], wiretest.Patience))
		}
	}
	timeout, ok := errors.AsType[net.Error](health(open[2], 50*time.Millisecond))
	require.True(t, ok && timeout.Timeout(), "the third waits")
	require.NoError(t, open[0].Close())
	require.NoError(t, open[2].SetReadDeadline(time.Now().Add(wiretest.Patience)))
	_, err = open[2].Read(make([]byte, 1024))
	require.NoError(t, err, "until one of the others has gone")
}

func TestS8SlowClientsDoNotStopOthers(t *testing.T) {
	t.Parallel()
	f, s := newStack(t, nil)
	m := f.modes(f.link(s.port))[0]
	for range 300 {
		f.dial().Send("GET " + m.prefix + "/ HTTP/1.1\r\nHost: loc")
	}
	require.Equal(t, "hello", f.get(m.prefix+"/").Body)
	require.Equal(t, 10*time.Second, f.http.ReadHeaderTimeout)
	require.Equal(t, 2*time.Minute, f.http.IdleTimeout)
	require.Zero(t, f.http.WriteTimeout, "a live stream has no end")
	require.Zero(t, f.http.ReadTimeout)
}

func TestS8SlowBodiesOfTheAPIEnd(t *testing.T) {
	t.Parallel()
	f := newFront(t, "127.0.0.1:1")
	hasty := New(f.o)
	hasty.http.ReadHeaderTimeout = 50 * time.Millisecond
	f.addr = wiretest.Serve(t, hasty.ServeHTTP)
	for _, c := range []struct {
		target, framing string
		status          int
	}{
		{"GET /health", "Content-Length: 11\r\n", 200},
		{"GET /api/sandboxes", "Content-Length: 11\r\n", 400},
		{"GET /api/sandboxes", "Transfer-Encoding: chunked\r\n", 400},
		{"POST /api/preview/create", "Transfer-Encoding: chunked\r\n", 400},
		{"GET /api/nothing", "Transfer-Encoding: chunked\r\n", 404},
		{"GET /api/events", "Transfer-Encoding: chunked\r\n", 400},
	} {
		for _, kind := range []string{"application/json", "text/plain"} {
			if kind == "text/plain" && c.status >= 400 {
				c.status = 415
			}
			c1 := f.dial()
			c1.Send(c.target + " HTTP/1.1\r\nHost: localhost\r\nContent-Type: " + kind + "\r\n" + c.framing + "\r\n")
			method, _, _ := strings.Cut(c.target, " ")
			require.Equal(t, c.status, c1.Answer(method).StatusCode, "%v %s", c, kind)
			_, err := io.Copy(io.Discard, c1.Reader)
			require.NoError(t, ended(err), "%v %s: the connection is closed", c, kind)
		}
	}
	const head = "POST /api/preview/create HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 11\r\n\r\n"
	c := f.dial()
	c.Send(head + "{")
	require.Equal(t, 400, c.Answer("POST").StatusCode)
	_, err := io.Copy(io.Discard, c.Reader)
	require.NoError(t, ended(err), "the connection is closed")
	require.Equal(t, 200, f.raw(head+`{"port":80}`).StatusCode)
}

// The time of a body is not the time of the answer.
func TestAStreamWhoseRequestHadABodyGoesOn(t *testing.T) {
	t.Parallel()
	f := newFront(t, "127.0.0.1:1", withNews(make(news)))
	hasty := New(f.o)
	hasty.http.ReadHeaderTimeout = 50 * time.Millisecond
	f.addr = wiretest.Serve(t, hasty.ServeHTTP)
	c := f.dial()
	c.Send("GET /api/events HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}")
	_, err := c.Head()
	require.NoError(t, err)
	require.NoError(t, c.SetReadDeadline(time.Now().Add(4*hasty.http.ReadHeaderTimeout)))
	_, err = io.Copy(io.Discard, c.Reader)
	require.ErrorIs(t, err, os.ErrDeadlineExceeded, "the server ended it")
}

func TestS15LoopbackIsBothFamilies(t *testing.T) {
	t.Parallel()
	probe, err := net.Listen("tcp", "[::1]:0")
	if err != nil {
		wiretest.Skip(t, "this machine has no IPv6 loopback: "+err.Error())
	}
	for !isFree("127.0.0.1:" + portText(wiretest.Port(t, probe.Addr()))) { // some other program's
		defer probe.Close() // or it comes again
		probe, err = net.Listen("tcp", "[::1]:0")
		require.NoError(t, err)
	}
	defer probe.Close()
	for _, host := range []string{"127.0.0.1", "localhost", "::1"} {
		port := wiretest.FreePort(t)
		listeners, err := Listen(t.Context(), config.Server{Host: host, Port: port, MaxConnections: 10})
		require.NoError(t, err)
		require.Len(t, listeners, 2, host)
		for _, l := range listeners {
			require.Equal(t, port, wiretest.Port(t, l.Addr()))
			l.Close()
		}
	}
	port := wiretest.Port(t, probe.Addr())
	_, err = Listen(t.Context(), config.Server{Host: "localhost", Port: port, MaxConnections: 10})
	require.ErrorIs(t, err, syscall.EADDRINUSE)
	require.ErrorContains(t, err, "[::1]:"+portText(port)+" (IPv6) is in use by ")
	require.NotContains(t, err.Error(), "127.0.0.1")
	if runtime.GOOS == "linux" {
		require.ErrorContains(t, err, "(process "+strconv.Itoa(os.Getpid())+")")
	}
	again, err := net.Listen("tcp", "127.0.0.1:"+portText(port))
	require.NoError(t, err, "the other family was let go")
	defer again.Close()
	_, err = Listen(t.Context(), config.Server{Host: "localhost", Port: port, MaxConnections: 10})
	require.ErrorContains(t, err, "127.0.0.1:"+portText(port)+" (IPv4) is in use by ")
	require.ErrorContains(t, err, "[::1]:"+portText(port)+" (IPv6) is in use by ")
}

// isFree says whether an address can be listened on.
func isFree(address string) bool {
	l, err := net.Listen("tcp", address)
	return err == nil && l.Close() == nil
}

func TestListenSaysWhatToDoAboutATakenPort(t *testing.T) {
	t.Parallel()
	l := wiretest.Listen(t)
	defer l.Close()
	_, err := Listen(context.Background(), config.Server{Host: "127.0.0.1", Port: wiretest.Port(t, l.Addr()), MaxConnections: 10})
	require.ErrorContains(t, err, l.Addr().String())
	require.ErrorContains(t, err, "in use")
	var hinted interface{ Hint() string }
	require.ErrorAs(t, err, &hinted)
	for _, part := range []string{"--port", "DAEMON_PROXY_PORT", "server.port"} {
		require.Contains(t, hinted.Hint(), part)
	}
}
