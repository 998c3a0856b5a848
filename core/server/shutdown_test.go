package server

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// A stream whose answer begins after the shutdown did is ended too.
func TestAStreamThatBeginsDuringShutdownIsEnded(t *testing.T) {
	t.Parallel()
	asked, begin := make(chan struct{}), make(chan struct{})
	f, s := newStack(t, func(w http.ResponseWriter, r *http.Request) {
		close(asked)
		<-begin
		w.Header().Set("Content-Type", "text/event-stream")
		fmt.Fprint(w, "data: hello\n\n")
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	})
	c := f.dial()
	c.send(request("GET", "/proxy/"+portText(s.port)+"/", f.host, ""))
	<-asked
	ended := make(chan error, 1)
	ctx, cancel := context.WithTimeout(t.Context(), 2*patience)
	defer cancel()
	go func() { ended <- f.Shutdown(ctx) }()
	require.Eventually(t, func() bool { // it has begun once nobody is let in
		probe, err := net.Dial("tcp", f.addr)
		if err == nil {
			probe.Close()
		}
		return err != nil
	}, patience, time.Millisecond)
	close(begin)
	require.NoError(t, c.SetReadDeadline(time.Now().Add(patience)))
	_, err := io.Copy(io.Discard, c.br)
	require.NotErrorIs(t, err, os.ErrDeadlineExceeded, "the stream goes on")
	require.NoError(t, <-ended)
}
