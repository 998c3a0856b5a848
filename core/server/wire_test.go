package server

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"daemon-proxy/core/wiretest"
)

// dial opens a client connection to the front.
func (f *front) dial() *wiretest.Conn {
	f.t.Helper()
	return wiretest.Dial(f.t, f.addr)
}

// raw sends bytes on a new connection and reads one answer.
func (f *front) raw(request string) wiretest.Answer {
	f.t.Helper()
	c := f.dial()
	c.Send(request)
	method, _, _ := strings.Cut(request, " ")
	return c.Answer(method)
}

// request is the bytes of a request without a body; headers end with \r\n each.
func request(method, target, host, headers string) string {
	return method + " " + target + " HTTP/1.1\r\nHost: " + host + "\r\n" + headers + "\r\n"
}

// target is the request target in a head.
func target(t testing.TB, head string) string {
	t.Helper()
	line, _, _ := strings.Cut(head, "\r\n")
	parts := strings.Split(line, " ")
	require.Len(t, parts, 3, line)
	return parts[1]
}
