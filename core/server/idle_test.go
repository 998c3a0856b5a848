package server

import (
	"io"
	"net/http"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"

	"daemon-proxy/core/wiretest"
)

// An idle WebSocket needs little beside its connections: the handler that it
// began with has returned, and neither its stack nor the request is held.
func TestP19AnIdleWebSocketIsSmall(t *testing.T) {
	const sockets, most = 300, 36 << 10 // of which half is the test's own
	d := wiretest.Raw(t, func(_ int, c *wiretest.Conn) {
		if _, err := c.Head(); err != nil {
			return
		}
		c.Send("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
		_, _ = io.Copy(io.Discard, c.Reader)
	})
	f := newFront(t, d.Addr)
	handshake := request("GET", "/preview/"+f.link(3000).Token+"/", f.host, upgradeHeaders)
	before := inUse()
	for range sockets {
		c := f.dial()
		c.Send(handshake)
		require.Equal(t, http.StatusSwitchingProtocols, c.Answer("GET").StatusCode)
	}
	require.Eventually(t, func() bool { return (inUse()-before)/sockets < most }, wiretest.Patience, wiretest.Patience/20,
		"%d bytes for each", (inUse()-before)/sockets)
}

// inUse is what is reachable, and stacks; these shrink when it is called again.
func inUse() int64 {
	runtime.GC()
	runtime.GC() // empties pools
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc + m.StackInuse)
}
