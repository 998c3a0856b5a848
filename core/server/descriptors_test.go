package server

import (
	"io"
	"net/http"
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"daemon-proxy/core/wiretest"
)

// Slow bodies, more than there are descriptors for, get only so many
// connections to the service. All stay open, the next one gets its turn when
// one leaves, and a request without a body is answered at once.
func TestS8P16SlowBodiesLeaveDescriptorsToOthers(t *testing.T) {
	t.Parallel()
	const limit, clients, served = 100, 150, 70
	f, s := newStack(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost {
			_, _ = io.Copy(io.Discard, r.Body)
		}
		_, _ = io.WriteString(w, "hello")
	}, func(s *settings) { s.files = limit })
	m := f.modes(f.link(s.port))[0]
	open := make([]*wiretest.Conn, clients)
	for i := range open {
		open[i] = f.dial()
		open[i].Send("POST " + m.prefix + "/slow HTTP/1.1\r\nHost: " + m.host + "\r\nContent-Length: 1000\r\n\r\nx")
	}
	slow := func() (n int) {
		for _, r := range s.seenNow() {
			if r.Method == http.MethodPost {
				n++
			}
		}
		return n
	}
	require.Eventually(t, func() bool { return slow() >= served }, wiretest.Patience, roomLook/10)
	for range 3 {
		require.Equal(t, "hello", f.get(m.prefix+"/").Body)
	}
	require.Equal(t, served, slow())
	for _, c := range open {
		c.Close()
	}
	require.Eventually(t, func() bool { return slow() > served }, wiretest.Patience, roomLook/10, "those that waited have their turn")
}

// One client's slow bodies take all descriptors that what lasts may have.
// Another client's body gets its turn all the same, at the cost of the oldest
// of the first one's.
func TestP17ABodyOfAnotherClientGetsItsTurn(t *testing.T) {
	t.Parallel()
	const limit, clients, served = 100, 40, 30
	f, s := newStack(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		_, _ = io.WriteString(w, "hello")
	}, func(set *settings) { set.files, set.places = limit, 1000 })
	m := f.modes(f.link(s.port))[0]
	head := "POST " + m.prefix + "/ HTTP/1.1\r\nHost: " + m.host + "\r\nContent-Length: 2\r\n\r\nx"
	open := make([]*wiretest.Conn, clients)
	for i := range open {
		open[i] = f.dial()
		open[i].Send(head)
		if i < served {
			require.Eventually(t, func() bool { return len(s.seenNow()) > i }, wiretest.Patience, roomLook/100)
		}
	}
	other := wiretest.DialFrom(t, "127.0.0.2", f.addr)
	other.Send(head + "y")
	require.Equal(t, "hello", other.Answer(http.MethodPost).Body)
	_, err := open[0].Read(make([]byte, 1))
	require.Error(t, err)
	require.NotErrorIs(t, err, os.ErrDeadlineExceeded, "the oldest has ended")
}
