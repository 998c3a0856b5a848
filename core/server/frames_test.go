package server

import (
	"net/http"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/stretchr/testify/require"

	"daemon-proxy/core/api"
	"daemon-proxy/core/wiretest"
)

// latest is the exchange that ended last.
func (f *front) latest() api.Exchange {
	f.t.Helper()
	var x api.Exchange
	require.Eventually(f.t, func() bool {
		last := f.log.Last(1)
		if len(last) == 0 || last[0].Live {
			return false
		}
		x = last[0]
		return true
	}, wiretest.Patience, time.Millisecond)
	return x
}

func TestWebSocketFramesAreInTheRequestLog(t *testing.T) {
	t.Parallel()
	f, s := newStack(t, func(w http.ResponseWriter, r *http.Request) {
		c, err := websocket.Accept(w, r, nil)
		if err != nil {
			return
		}
		_, b, err := c.Read(r.Context())
		if err == nil {
			_ = c.Write(r.Context(), websocket.MessageBinary, append([]byte("got "), b...))
			_ = c.Close(websocket.StatusNormalClosure, "")
		}
	})
	link := f.link(s.port)
	c, _, err := websocket.Dial(t.Context(), "ws://"+f.addr+"/preview/"+link.Token+"/", nil)
	require.NoError(t, err)
	require.NoError(t, c.Write(t.Context(), websocket.MessageText, []byte("ping")))
	_, b, err := c.Read(t.Context())
	require.NoError(t, err)
	require.Equal(t, "got ping", string(b))
	_, _, _ = c.Read(t.Context())
	d, ok := f.log.Get(f.latest().ID)
	require.True(t, ok)
	sides := map[bool][]api.Frame{} // which of two that pass each other comes first is chance
	for _, frame := range d.Frames {
		sides[frame.FromClient] = append(sides[frame.FromClient], frame)
	}
	client, service := sides[true], sides[false]
	require.NotEmpty(t, client)
	require.Len(t, service, 2)
	require.Equal(t, "ping", string(client[0].Data))
	require.Equal(t, 1, client[0].Opcode)
	require.Equal(t, "got ping", string(service[0].Data))
	require.Equal(t, 2, service[0].Opcode)
	require.Equal(t, 8, service[1].Opcode)
}
