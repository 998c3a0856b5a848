package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"daemon-proxy/core/api"
	"daemon-proxy/core/preview"
	"daemon-proxy/core/wiretest"
)

// lasting serves what does not end by itself, and tells which of it has ended.
func lasting(ended chan<- string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		name := strings.TrimPrefix(r.URL.Path, "/")
		defer func() { ended <- name }()
		switch name {
		case "ws":
			c, buffered, err := http.NewResponseController(w).Hijack()
			if err != nil {
				return
			}
			defer c.Close()
			_, _ = io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n\x81\x02hi")
			_, _ = io.Copy(io.Discard, buffered)
		case "events":
			w.Header().Set("Content-Type", "text/event-stream")
			_, _ = io.WriteString(w, "data: first\n\n")
			_ = http.NewResponseController(w).Flush()
			<-r.Context().Done()
		case "download":
			w.Header().Set("Content-Length", "1099511627776")
			piece := make([]byte, 256<<10)
			for {
				if _, err := w.Write(piece); err != nil {
					return
				}
			}
		case "upload":
			_, _ = io.Copy(io.Discard, r.Body)
		}
	}
}

// openStreams opens one of each kind and says how to see its end from the client.
func openStreams(f *front, m way) (waits map[string]func() error) {
	waits = map[string]func() error{}
	for _, name := range []string{"ws", "events", "download", "upload"} {
		c := f.dial()
		switch name {
		case "ws":
			c.Send(request("GET", m.prefix+"/ws", m.host, upgradeHeaders))
			head, err := c.Head()
			require.NoError(f.t, err)
			require.True(f.t, strings.HasPrefix(head, "HTTP/1.1 101 "), head)
		case "events", "download":
			c.Send(request("GET", m.prefix+"/"+name, m.host, ""))
			head, err := c.Head()
			require.NoError(f.t, err)
			require.True(f.t, strings.HasPrefix(head, "HTTP/1.1 200 "), head)
		case "upload":
			c.Send("PUT " + m.prefix + "/upload HTTP/1.1\r\nHost: " + m.host + "\r\nContent-Length: 1099511627776\r\n\r\nfirst")
		}
		waits[name] = func() error {
			if name == "upload" {
				piece := make([]byte, 64<<10)
				for {
					if _, err := c.Write(piece); err != nil {
						return ended(err)
					}
				}
			}
			_, err := io.Copy(io.Discard, c.Reader)
			return ended(err)
		}
	}
	return waits
}

// ended is nil for a connection that has ended, in whatever way; the error is
// that it did not.
func ended(err error) error {
	if e, ok := errors.AsType[net.Error](err); ok && e.Timeout() {
		return err
	}
	return nil
}

func TestB4RevokedMeansNow(t *testing.T) {
	t.Parallel()
	for i, mode := range []string{"path mode", "host mode"} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			ended := make(chan string, 8)
			f, s := newStack(t, lasting(ended))
			link := f.link(s.port)
			m := f.modes(link)[i]
			waits := openStreams(f, m)
			require.Eventually(t, func() bool { return len(s.seenNow()) == 4 }, wiretest.Patience, time.Millisecond, "all are open")

			clients := make(chan error, len(waits))
			for _, wait := range waits {
				go func() { clients <- wait() }()
			}
			start := time.Now()
			got := f.do("DELETE", "/api/preview/"+link.ID, "")
			require.Equal(t, 200, got.StatusCode, got.Body)
			var over []string
			for range waits {
				select {
				case name := <-ended:
					over = append(over, name)
				case <-time.After(wiretest.Patience):
					require.Failf(t, "a stream goes on at the service", "over: %v", over)
				}
			}
			require.ElementsMatch(t, []string{"ws", "events", "download", "upload"}, over)
			for range waits {
				select {
				case err := <-clients:
					require.NoError(t, err)
				case <-time.After(wiretest.Patience):
					require.Fail(t, "a client's stream goes on")
				}
			}
			require.Less(t, time.Since(start), wiretest.Patience)
			t.Logf("all ended after %s", time.Since(start))

			for _, method := range []string{"GET", "POST", "HEAD", "OPTIONS"} {
				require.Equal(t, 410, f.do(method, m.prefix+"/", "", "Host: "+m.host).StatusCode)
			}
			for _, headers := range []string{"", upgradeHeaders} {
				got := f.raw(request("GET", m.prefix+"/ws", m.host, headers))
				require.Equal(t, 410, got.StatusCode)
				requireProblem(t, got, api.CodeLinkRevoked)
			}
			require.Empty(t, ended)
			require.Eventually(t, func() bool {
				for _, x := range f.log.Last(0) {
					if x.Live {
						return false
					}
				}
				return true
			}, wiretest.Patience, time.Millisecond, "the request log knows")
		})
	}
}

func TestB4ExpiredMeansNow(t *testing.T) {
	t.Parallel()
	over := make(chan string, 8)
	f, s := newStack(t, lasting(over))
	ttl := 500 * time.Millisecond
	link := f.linkOf(preview.Request{Sandbox: web, Port: s.port, TTL: &ttl})
	m := f.modes(link)[0]
	c := f.dial()
	c.Send(request("GET", m.prefix+"/events", m.host, ""))
	head, err := c.Head()
	require.NoError(t, err)
	require.True(t, strings.HasPrefix(head, "HTTP/1.1 200 "), head)
	_, err = io.Copy(io.Discard, c.Reader)
	require.NoError(t, ended(err))
	require.Equal(t, "events", <-over)
	got := f.get(m.prefix+"/", "Host: "+m.host)
	require.Equal(t, 410, got.StatusCode)
	requireProblem(t, got, api.CodeLinkExpired)
}

func TestB4OtherLinksGoOn(t *testing.T) {
	t.Parallel()
	ended := make(chan string, 8)
	f, s := newStack(t, lasting(ended))
	gone, stays := f.link(s.port), f.link(s.port)
	c := f.dial()
	m := f.modes(stays)[0]
	c.Send(request("GET", m.prefix+"/ws", m.host, upgradeHeaders))
	_, err := c.Head()
	require.NoError(t, err)
	require.Equal(t, 200, f.do("DELETE", "/api/preview/"+gone.Token, "").StatusCode)
	b := make([]byte, 4)
	_, err = io.ReadFull(c.Reader, b)
	require.NoError(t, err)
	require.Equal(t, "\x81\x02hi", string(b))
	c.Send("\x81\x80\x00\x00\x00\x00")
	require.Equal(t, 200, f.get(m.prefix+"/plain", "Host: "+m.host).StatusCode)
	require.Equal(t, "plain", <-ended)
	require.Empty(t, ended)
}

func TestShutdownEndsStreamsAndWaitsForRequests(t *testing.T) {
	t.Parallel()
	ended := make(chan string, 8)
	release := make(chan struct{})
	last := lasting(ended)
	f, s := newStack(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/slow" {
			<-release
			fmt.Fprint(w, "done")
			return
		}
		last(w, r)
	})
	m := f.modes(f.link(s.port))[0]
	ws, events, slow := f.dial(), f.dial(), f.dial()
	ws.Send(request("GET", m.prefix+"/ws", m.host, upgradeHeaders))
	_, err := ws.Head()
	require.NoError(t, err)
	events.Send(request("GET", m.prefix+"/events", m.host, ""))
	_, err = events.Head()
	require.NoError(t, err)
	slow.Send(request("GET", m.prefix+"/slow", m.host, ""))
	require.Eventually(t, func() bool { return len(s.seenNow()) == 3 }, wiretest.Patience, time.Millisecond)
	shut := make(chan error, 1)
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), wiretest.Patience)
		defer cancel()
		shut <- f.Shutdown(ctx)
	}()
	got := map[string]bool{<-ended: true, <-ended: true}
	require.Equal(t, map[string]bool{"ws": true, "events": true}, got)
	rest, _ := io.ReadAll(ws.Reader)
	require.Contains(t, string(rest), "\x03\xe9", "a close frame with 1001")
	require.Empty(t, shut)
	close(release)
	require.Equal(t, "done", slow.Answer("GET").Body)
	require.NoError(t, <-shut)
}
