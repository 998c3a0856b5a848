package main

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"daemon-proxy/core/wiretest"
)

// echoes is a service on this machine that says hello once it has the whole body.
func echoes(t *testing.T) (port string) {
	t.Helper()
	service := wiretest.Serve(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		_, _ = io.WriteString(w, "hello")
	})
	_, port, err := net.SplitHostPort(service)
	require.NoError(t, err)
	return port
}

// slowBodies opens so many requests at address, from an address of this
// machine, whose bodies lack their last byte.
func slowBodies(t *testing.T, n int, from, address, port string) []net.Conn {
	t.Helper()
	dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
	open := make([]net.Conn, n)
	for i := range open {
		c, err := dialer.DialContext(t.Context(), "tcp", address)
		require.NoError(t, err, "client %d", i)
		t.Cleanup(func() { c.Close() })
		_, err = io.WriteString(c, "POST /proxy/"+port+"/slow HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\nx")
		require.NoError(t, err, "client %d", i)
		open[i] = c
	}
	return open
}

// As many slow bodies as there may be files in this process, two for each, do
// not keep others from an answer. None of them fails: each gets its own answer
// once its body is there.
func TestP16FiveThousandSlowBodiesInHostModeAllGetThrough(t *testing.T) {
	if testing.Short() {
		t.Skip("5,000 requests at a time: not with -short")
	}
	var limit syscall.Rlimit
	require.NoError(t, syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit)) // the soft limit is the hard one: Go raises it
	slow := min(5000, (int(limit.Cur)-1000)/2)
	if slow < 5000 {
		why := "only " + strconv.FormatUint(limit.Cur, 10) + " files may be open, and 11,000 have to be"
		require.NotEqual(t, "true", os.Getenv("CI"), why)
		t.Skip(why)
	}
	port := echoes(t)
	desk := newDesk(t)
	p := desk.serving(t, []string{"DAEMON_PORT=" + strconv.Itoa(wiretest.FreePort(t))}, "--daemon-mode", "host", "--log-level", "WARNING")
	p.healthy()
	open := slowBodies(t, slow, "127.0.0.1", net.JoinHostPort("127.0.0.1", strconv.Itoa(desk.port)), port)
	patient := &http.Client{Timeout: startsWithin}
	began := time.Now()
	response, err := patient.Get(p.url + "/proxy/" + port + "/")
	require.NoError(t, err, "one more is answered")
	response.Body.Close()
	require.Equal(t, http.StatusOK, response.StatusCode)
	t.Logf("one more was answered after %.2f s", time.Since(began).Seconds())
	for i, c := range open {
		_, err := io.WriteString(c, "y")
		require.NoError(t, err, "client %d", i)
	}
	answers := map[string]int{}
	for i, c := range open {
		require.NoError(t, c.SetReadDeadline(time.Now().Add(startsWithin)))
		response, err := http.ReadResponse(bufio.NewReader(c), nil)
		require.NoError(t, err, "client %d", i)
		body, err := io.ReadAll(response.Body)
		require.NoError(t, err, "client %d", i)
		response.Body.Close()
		answers[response.Status+" "+string(body)]++
	}
	require.Equal(t, map[string]int{"200 OK hello": slow}, answers)
}

// One client has taken all places, with bodies that do not move. Another is
// served all the same, and what it costs is the oldest of the first one's.
func TestP17OneClientCannotKeepAnotherOut(t *testing.T) {
	t.Parallel()
	const places = 20
	port := echoes(t)
	desk := newDesk(t)
	p := desk.serving(t, []string{"DAEMON_PORT=" + strconv.Itoa(wiretest.FreePort(t))},
		"--daemon-mode", "host", "--max-connections", strconv.Itoa(places))
	p.healthy()
	address := net.JoinHostPort("127.0.0.1", strconv.Itoa(desk.port))
	open := slowBodies(t, places, "127.0.0.1", address, port)
	other := slowBodies(t, 1, "127.0.0.2", address, port)[0]
	_, err := io.WriteString(other, "y")
	require.NoError(t, err)
	require.NoError(t, other.SetReadDeadline(time.Now().Add(startsWithin)))
	response, err := http.ReadResponse(bufio.NewReader(other), nil)
	require.NoError(t, err, "the other client has its answer")
	response.Body.Close()
	require.Equal(t, http.StatusOK, response.StatusCode)

	require.NoError(t, open[0].SetReadDeadline(time.Now().Add(startsWithin)))
	_, err = open[0].Read(make([]byte, 1))
	require.Error(t, err)
	require.NotErrorIs(t, err, os.ErrDeadlineExceeded, "the oldest has ended")
	for i, c := range open[1:] {
		_, err := io.WriteString(c, "y")
		require.NoError(t, err)
		require.NoError(t, c.SetReadDeadline(time.Now().Add(startsWithin)))
		response, err := http.ReadResponse(bufio.NewReader(c), nil)
		require.NoError(t, err, "client %d is still served", i+1)
		response.Body.Close()
		require.Equal(t, http.StatusOK, response.StatusCode)
	}
}
