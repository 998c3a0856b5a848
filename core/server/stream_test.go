package server

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/coder/websocket"
	"github.com/stretchr/testify/require"

	"daemon-proxy/core/wiretest"
)

func TestP5EncodingsAndRangesPass(t *testing.T) {
	t.Parallel()
	const packed = "\x1f\x8b not to be opened"
	f, s := newStack(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Encoding", "gzip")
		w.Header().Set("ETag", `W/"x"`)
		if r.Header.Get("Range") != "" {
			w.Header().Set("Content-Range", "bytes 0-1/19")
			w.WriteHeader(http.StatusPartialContent)
			_, _ = io.WriteString(w, packed[:2])
			return
		}
		_, _ = io.WriteString(w, packed)
	})
	for _, m := range f.ways(s.port) {
		got := f.get(m.prefix+"/", "Host: "+m.host)
		require.Equal(t, packed, got.Body)
		require.Equal(t, "gzip", got.Header.Get("Content-Encoding"))
		require.Equal(t, `W/"x"`, got.Header.Get("Etag"))
		require.NotContains(t, s.one(t).Header, "Accept-Encoding")

		got = f.get(m.prefix+"/", "Host: "+m.host, "Accept-Encoding: br;q=1, zstd", "Range: bytes=0-1", `If-Range: "x"`)
		require.Equal(t, http.StatusPartialContent, got.StatusCode)
		require.Equal(t, "bytes 0-1/19", got.Header.Get("Content-Range"))
		r := s.one(t)
		require.Equal(t, "br;q=1, zstd", r.Header.Get("Accept-Encoding"))
		require.Equal(t, `"x"`, r.Header.Get("If-Range"))
	}
}

func TestP6EachPieceComesAsItIsWritten(t *testing.T) {
	t.Parallel()
	next := make(chan struct{})
	f, s := newStack(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		for _, piece := range []string{"data: 1\n\n", "data: 2\n\n", "data: 3\n\n"} {
			_, _ = io.WriteString(w, piece)
			_ = http.NewResponseController(w).Flush()
			select {
			case <-next: // the client has it
			case <-r.Context().Done():
			}
		}
	})
	for _, m := range f.ways(s.port) {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+f.addr+m.prefix+"/", nil)
		require.NoError(t, err)
		r.Host = m.host
		r.Header.Set("User-Agent", "curl/8")
		resp, err := wiretest.Client(f.t).Do(r)
		require.NoError(t, err)
		for _, want := range []string{"data: 1\n\n", "data: 2\n\n", "data: 3\n\n"} {
			b := make([]byte, len(want))
			_, err := io.ReadFull(resp.Body, b)
			require.NoError(t, err)
			require.Equal(t, want, string(b), m.name)
			next <- struct{}{}
		}
		require.NoError(t, resp.Body.Close())
		require.Equal(t, "event-stream", f.log.Last(1)[0].Protocol)
	}
}

func TestP6RequestBodiesStream(t *testing.T) {
	t.Parallel()
	f, s := newStack(t, func(w http.ResponseWriter, r *http.Request) {
		b := make([]byte, 5)
		_, _ = io.ReadFull(r.Body, b)
		_ = http.NewResponseController(w).EnableFullDuplex()
		_, _ = w.Write(b)
		_ = http.NewResponseController(w).Flush()
		_, _ = io.Copy(w, r.Body)
	})
	for _, m := range f.ways(s.port) {
		c := f.dial()
		c.Send("POST " + m.prefix + "/ HTTP/1.1\r\nHost: " + m.host + "\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n")
		for range 100 { // the head and the first piece come while the request goes on
			line, err := c.Reader.ReadString('\n')
			require.NoError(t, err, m.name)
			if strings.Contains(line, "first") {
				break
			}
		}
	}
}

func TestP6ACutAnswerIsCutForTheClient(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]string{
		"of known length": "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhello",
		"in chunks":       "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
	} {
		d := wiretest.Raw(t, func(_ int, c *wiretest.Conn) {
			if _, err := c.Head(); err == nil {
				_, _ = io.WriteString(c, answer)
			}
		})
		f := newFront(t, d.Addr)
		for _, m := range f.ways(3000) {
			c := f.dial()
			c.Send(request("GET", m.prefix+"/", m.host, ""))
			resp, err := http.ReadResponse(c.Reader, nil)
			require.NoError(t, err)
			body, err := io.ReadAll(resp.Body)
			require.Equal(t, "hello", string(body), "%s %s", m.name, name)
			require.Error(t, err, "%s %s", m.name, name)
			resp.Body.Close()
		}
	}
}

func TestP7WebSocketsPass(t *testing.T) {
	t.Parallel()
	f, s := newStack(t, func(w http.ResponseWriter, r *http.Request) {
		c, err := websocket.Accept(w, r, &websocket.AcceptOptions{Subprotocols: []string{"binary"}})
		if err != nil {
			return
		}
		c.SetReadLimit(-1)
		kind, message, err := c.Read(r.Context())
		if err == nil {
			err = c.Write(r.Context(), kind, message)
		}
		if err == nil {
			_ = c.Close(4321, "enough")
		}
	})
	message := bytes.Repeat([]byte("0123456789abcdef"), 64<<10)
	for _, m := range f.ways(s.port) {
		for _, origin := range []string{"", "http://" + m.host} {
			if origin != "" && m.link.Token == "" {
				continue // pages may not use it
			}
			header := http.Header{}
			if origin != "" { // the service's own check of the Origin must hold, too
				header.Set("Origin", origin)
			}
			c, resp, err := websocket.Dial(t.Context(), "ws://"+f.addr+m.prefix+"/ws?x=%2F", &websocket.DialOptions{
				Host: m.host, HTTPHeader: header, Subprotocols: []string{"other", "binary"}, HTTPClient: wiretest.Client(f.t),
			})
			require.NoError(t, err, m.name)
			require.Equal(t, "binary", resp.Header.Get("Sec-WebSocket-Protocol"))
			c.SetReadLimit(-1)
			require.NoError(t, c.Write(t.Context(), websocket.MessageBinary, message))
			_, got, err := c.Read(t.Context())
			require.NoError(t, err)
			require.True(t, bytes.Equal(message, got), m.name)
			_, _, err = c.Read(context.WithoutCancel(t.Context()))
			require.Equal(t, websocket.StatusCode(4321), websocket.CloseStatus(err), m.name)
			require.Equal(t, "/ws?x=%2F", s.one(t).RequestURI)
		}
	}
}

func TestP7OnlyWebSocketsAreUpgraded(t *testing.T) {
	t.Parallel()
	f, s := newStack(t, nil)
	for _, m := range f.ways(s.port) {
		got := f.raw(request("GET", m.prefix+"/", m.host, "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA\r\n"))
		require.Equal(t, "hello", got.Body, m.name)
		require.NotContains(t, s.one(t).Header, "Upgrade")
		got = f.raw(request("GET", m.prefix+"/", m.host, "Connection: keep-alive, upGRADE\r\nUpgrade: WebSocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"))
		require.Equal(t, "hello", got.Body, "an answer that is no 101 passes whole")
		require.Equal(t, "websocket", s.one(t).Header.Get("Upgrade"))
	}
}
