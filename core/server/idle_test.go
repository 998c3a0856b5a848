package server

import (
	"io"
	"net/http"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"
)

// An idle WebSocket needs little beside its connections: the handler that it
// began with has returned, and neither its stack nor the request is held.
func TestP19AnIdleWebSocketIsSmall(t *testing.T) {
	const sockets, most = 300, 36 << 10 // of which half is the test's own
	d := newRaw(t, func(_ *rawDaemon, c *wire) {
		if _, err := c.head(); err != nil {
			return
		}
		c.send("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
		_, _ = io.Copy(io.Discard, c.br)
	})
	f := newFront(t, d.addr)
	handshake := request("GET", "/preview/"+f.link(3000).Token+"/", f.host, upgradeHeaders)
	before := inUse()
	for range sockets {
		c := f.dial()
		c.send(handshake)
		require.Equal(t, http.StatusSwitchingProtocols, c.response("GET").StatusCode)
	}
	require.Eventually(t, func() bool { return (inUse()-before)/sockets < most }, patience, patience/20,
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
