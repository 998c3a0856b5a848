//go:build linux

package server

import (
	"net"
	"runtime"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"daemon-proxy/core/wiretest"
)

func TestS8FiveThousandSlowClientsDoNotStopOneMore(t *testing.T) {
	const clients = 5000
	raiseFileLimit(t, 2*clients+1000) // both ends of each are here
	f, s := newStack(t, nil)
	m := f.modes(f.link(s.port))[0]
	open := make([]net.Conn, clients)
	for i := range open {
		c, err := net.Dial("tcp", f.addr)
		require.NoError(t, err, "client %d", i)
		defer c.Close()
		// A head that never ends: the first byte of one half, most of it of the other.
		part := "G"
		if i%2 == 0 {
			part = "GET " + m.prefix + "/ HTTP/1.1\r\nHost: " + f.host + "\r\nX-Slow: "
		}
		_, err = c.Write([]byte(part))
		require.NoError(t, err)
		open[i] = c
	}
	require.Equal(t, "hello", f.get(m.prefix+"/").Body, "the next one is served")
	for i, c := range open { // and all of them are still there: no answer, no end
		require.NoError(t, c.SetReadDeadline(time.Now().Add(time.Microsecond)))
		_, err := c.Read(make([]byte, 1))
		timeout, ok := err.(net.Error) //nolint:errorlint // as net.Conn returns it
		require.True(t, ok && timeout.Timeout(), "client %d: %v", i, err)
	}
	runtime.KeepAlive(open)
}

// raiseFileLimit lets this process have that many open files.
func raiseFileLimit(t *testing.T, want uint64) {
	t.Helper()
	var limit syscall.Rlimit
	require.NoError(t, syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit))
	if limit.Cur >= want {
		return
	}
	if limit.Max < want {
		wiretest.Skip(t, "the hard limit of open files is too low")
	}
	before := limit
	limit.Cur = want
	require.NoError(t, syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit))
	t.Cleanup(func() { require.NoError(t, syscall.Setrlimit(syscall.RLIMIT_NOFILE, &before)) })
}
