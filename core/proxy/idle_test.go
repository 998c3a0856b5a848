package proxy

import (
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"daemon-proxy/core/wiretest"
)

// Idle WebSockets hold no buffer, also where the last that came filled it.
func TestP19IdleWebSocketsHoldNoBuffer(t *testing.T) {
	const sockets, most = 100, 16 << 10 // the test itself holds 8 of them
	if runtime.GOOS != "linux" {
		t.Skip("only Linux lets readiness be awaited without a buffer")
	}
	burst := strings.Repeat("x", 2*bodyBuffer)
	conns := make(chan *wiretest.Conn, 1)
	up := wiretest.Raw(t, func(_ int, c *wiretest.Conn) {
		c.MustHead()
		c.Send(switching + burst)
		conns <- c
		_, _ = c.Rest()
	})
	f := newFront(t, up.Addr)
	before := heap()
	for range sockets {
		client := f.dial(t)
		client.Send(handshake)
		require.Equal(t, "HTTP/1.1 101 Switching Protocols", wiretest.FirstLine(client.MustHead()))
		client.Next(len(burst))
		_ = wiretest.Receive(t, conns, "the daemon's end").SetDeadline(time.Now().Add(wiretest.Patience))
	}
	require.Eventually(t, func() bool { return heap() < before+sockets*most }, wiretest.Patience, wiretest.Patience/20,
		"%d bytes of heap for each", (heap()-before)/sockets)
}

// heap is what is reachable.
func heap() int64 {
	runtime.GC()
	runtime.GC() // empties pools
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
