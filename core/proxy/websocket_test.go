package proxy

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"
	"github.com/stretchr/testify/require"

	"daemon-proxy/core/api"
	"daemon-proxy/core/wiretest"
)

// asking is the head of a request with these lines beside the Host.
func asking(lines ...string) string {
	return "GET /ws HTTP/1.1\r\nHost: x\r\n" + strings.Join(lines, "\r\n") + "\r\n\r\n"
}

const switching = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"

var handshake = asking("Connection: Upgrade", "Upgrade: websocket")

// opened is a front with one open WebSocket, and both ends of it.
func opened(t *testing.T, opts ...option) (f *front, client, daemon *wiretest.Conn) {
	t.Helper()
	conns, over := make(chan *wiretest.Conn, 1), make(chan struct{})
	up := wiretest.Raw(t, func(_ int, c *wiretest.Conn) {
		c.MustHead()
		c.Send(switching)
		_ = c.SetDeadline(time.Now().Add(wiretest.Patience))
		conns <- c
		<-over
	})
	t.Cleanup(func() { close(over) })
	f = newFront(t, up.Addr, opts...)
	client = f.dial(t)
	client.Send(handshake)
	require.Equal(t, "HTTP/1.1 101 Switching Protocols", wiretest.FirstLine(client.MustHead()))
	return f, client, wiretest.Receive(t, conns, "the daemon's end")
}

func TestP7OnlyWebSocketIsUpgraded(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		raw      string
		upgraded bool
	}{
		"plain":               {handshake, true},
		"keep-alive, Upgrade": {asking("Connection: keep-alive, Upgrade", "Upgrade: websocket"), true},
		"odd case":            {asking("cOnnection: uPGRADE", "upgrade: WebSocket"), true},
		"two lines":           {asking("Connection: keep-alive", "Connection: Upgrade", "Upgrade: websocket"), true},
		"odd commas":          {asking("Connection: ,\tUpgrade ,,", "Upgrade: websocket"), true},
		"one of two":          {asking("Connection: Upgrade", "Upgrade: h2c, websocket"), true},
		"h2c":                 {asking("Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAAQAAP__"), false},
		"TLS":                 {asking("Connection: Upgrade", "Upgrade: TLS/1.0"), false},
		"not named":           {asking("Connection: keep-alive", "Upgrade: websocket"), false},
		"nothing named":       {asking("Connection: Upgrade"), false},
		"websocket/13":        {asking("Connection: Upgrade", "Upgrade: websocket/13"), false},
		"HTTP/1.0":            {strings.Replace(handshake, "/1.1", "/1.0", 1), false},
		"POST":                {strings.Replace(handshake, "GET", "POST", 1), false},
		"with a body":         {asking("Connection: Upgrade", "Upgrade: websocket", "Content-Length: 1") + "x", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := headOf(t, tc.raw)
			var want []string
			if tc.upgraded {
				want = []string{"Upgrade", "websocket"}
			}
			require.Equal(t, want, append(wiretest.Values(h, "Connection"), wiretest.Values(h, "Upgrade")...))
			require.Empty(t, wiretest.Values(h, "HTTP2-Settings"))
		})
	}
}

func TestP7HandshakePassesWithItsSpelling(t *testing.T) {
	t.Parallel()
	heads := make(chan string, 1)
	up := wiretest.Raw(t, func(_ int, c *wiretest.Conn) {
		heads <- c.MustHead()
		c.Send("HTTP/1.1 101 Anything\r\nconnection: upgrade, x-hop\r\nupgrade: WebSocket\r\nsec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n" +
			"SEC-WEBSOCKET-PROTOCOL: vnc\r\nsec-websocket-extensions: permessage-deflate; x=1\r\nX-Hop: 1\r\nSet-Cookie: a=b\r\nSet-Cookie: c=d\r\n\r\n")
		_, _ = c.Rest()
	})
	f := newFront(t, up.Addr, withTarget(func(_ *http.Request, t *Target) {
		t.Response = func(status int, h http.Header) {
			if status == http.StatusSwitchingProtocols {
				h.Set("X-Hook", "1")
			}
		}
	}))
	c := f.dial(t)
	c.Send(asking("Connection: Upgrade", "Upgrade: websocket", "sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==", "Sec-Websocket-Version: 13",
		"SEC-WEBSOCKET-PROTOCOL: vnc, binary", "sec-websocket-extensions: permessage-deflate; client_max_window_bits", "Origin: http://o"))
	require.Equal(t, []string{
		"GET /ws HTTP/1.1", "Connection: Upgrade", "Host: daemon:2280", "Origin: http://o",
		"Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
		"Sec-WebSocket-Protocol: vnc, binary", "Sec-WebSocket-Version: 13", "Upgrade: websocket", "X-Forwarded-For: 127.0.0.1",
	}, sortedLines(wiretest.Receive(t, heads, "handshake")))
	require.Equal(t, []string{
		"HTTP/1.1 101 Switching Protocols", "Connection: Upgrade", "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=",
		"Sec-WebSocket-Extensions: permessage-deflate; x=1", "Sec-WebSocket-Protocol: vnc", "Set-Cookie: a=b", "Set-Cookie: c=d",
		"Upgrade: websocket", "X-Hook: 1",
	}, sortedLines(c.MustHead()))
}

func TestP7BytesSentWithTheHandshakeAreNotLost(t *testing.T) {
	t.Parallel()
	early := string(pattern(3000))
	up := wiretest.Raw(t, func(_ int, c *wiretest.Conn) {
		c.MustHead()
		c.Send(switching + early)
		c.Send(c.Next(len(early)))
	})
	f := newFront(t, up.Addr)
	c := f.dial(t)
	c.Send(handshake + early)
	c.MustHead()
	require.Equal(t, early, c.Next(len(early)), "what the daemon sent with its answer")
	require.Equal(t, early, c.Next(len(early)), "what the client sent with its request, echoed")
	c.CloseWrite()
	o := f.result(t)
	require.EqualValues(t, len(early), o.BytesIn)
	require.EqualValues(t, 2*len(early), o.BytesOut)
	require.Equal(t, "websocket", o.Protocol)
	require.Equal(t, 101, o.Status)
	require.NoError(t, o.Err)
}

// Two real implementations agree through the front on everything that RFC 6455
// lets them agree on.
func TestP7SubprotocolsExtensionsPingsLargeMessagesAndCloseCodes(t *testing.T) {
	t.Parallel()
	const size = 64 << 20
	closed := make(chan error, 1)
	up := wiretest.Serve(t, func(w http.ResponseWriter, r *http.Request) {
		c, err := websocket.Accept(w, r, &websocket.AcceptOptions{
			Subprotocols: []string{"binary"}, CompressionMode: websocket.CompressionContextTakeover, InsecureSkipVerify: true,
		})
		if err != nil {
			closed <- err
			return
		}
		c.SetReadLimit(size)
		for {
			kind, message, err := c.Read(context.Background())
			if err != nil {
				closed <- err
				return
			}
			if string(message) == "close" {
				_ = c.Close(4321, "as asked")
				closed <- nil
				return
			}
			if err := c.Write(context.Background(), kind, message); err != nil {
				closed <- err
				return
			}
		}
	})
	f := newFront(t, up)
	ctx, cancel := context.WithTimeout(t.Context(), 6*wiretest.Patience)
	defer cancel()
	dial := func() *websocket.Conn {
		c, resp, err := websocket.Dial(ctx, "ws://"+f.addr, &websocket.DialOptions{
			Subprotocols: []string{"vnc", "binary"}, CompressionMode: websocket.CompressionContextTakeover,
		})
		require.NoError(t, err)
		require.Contains(t, resp.Header.Get("Sec-WebSocket-Extensions"), "permessage-deflate")
		require.Equal(t, "binary", c.Subprotocol())
		c.SetReadLimit(size)
		return c
	}
	c := dial()
	for _, message := range [][]byte{[]byte("hello"), {}, bytes.Repeat([]byte("0123456789abcdef"), size/16)} {
		require.NoError(t, c.Write(ctx, websocket.MessageBinary, message))
		kind, got, err := c.Read(ctx)
		require.NoError(t, err)
		require.Equal(t, websocket.MessageBinary, kind)
		require.True(t, bytes.Equal(message, got), "%d bytes came back", len(got))
	}
	reading := c.CloseRead(ctx) // takes the pong
	require.NoError(t, c.Ping(ctx))
	require.NoError(t, c.Close(4567, "client's reason"))
	<-reading.Done()
	var e websocket.CloseError
	require.ErrorAs(t, wiretest.Receive(t, closed, "the client's close"), &e)
	require.Equal(t, websocket.CloseError{Code: 4567, Reason: "client's reason"}, e)

	c = dial()
	require.NoError(t, c.Write(ctx, websocket.MessageText, []byte("close")))
	_, _, err := c.Read(ctx)
	require.ErrorAs(t, err, &e)
	require.Equal(t, websocket.CloseError{Code: 4321, Reason: "as asked"}, e)
	require.NoError(t, wiretest.Receive(t, closed, "the daemon's close"))
	require.NoError(t, f.result(t).Err)
	require.NoError(t, f.result(t).Err)
}

func TestP7HalfClosePasses(t *testing.T) {
	t.Parallel()
	t.Run("client first", func(t *testing.T) {
		t.Parallel()
		f, client, daemon := opened(t)
		client.Send("last words")
		require.NoError(t, client.CloseWrite())
		got, err := daemon.Rest()
		require.NoError(t, err)
		require.Equal(t, "last words", got)
		daemon.Send("an answer")
		daemon.Send(" to that")
		require.NoError(t, daemon.CloseWrite())
		got, err = client.Rest()
		require.NoError(t, err)
		require.Equal(t, "an answer to that", got)
		require.NoError(t, f.result(t).Err)
	})
	t.Run("daemon first", func(t *testing.T) {
		t.Parallel()
		f, client, daemon := opened(t)
		daemon.Send("last words")
		require.NoError(t, daemon.CloseWrite())
		got, err := client.Rest()
		require.NoError(t, err)
		require.Equal(t, "last words", got)
		client.Send("an answer")
		require.NoError(t, client.CloseWrite())
		got, err = daemon.Rest()
		require.NoError(t, err)
		require.Equal(t, "an answer", got)
		require.NoError(t, f.result(t).Err)
	})
}

// However one side ends, the other is ended soon, and Forward returns.
func TestP7EitherEndEndsTheOther(t *testing.T) {
	t.Parallel()
	end := map[string]func(c *wiretest.Conn){
		"closes":        func(c *wiretest.Conn) { c.Close() },
		"resets":        func(c *wiretest.Conn) { _ = c.SetLinger(0); c.Close() },
		"stops talking": func(c *wiretest.Conn) { _ = c.CloseWrite() }, // and the other side is silent
	}
	for how, stop := range end {
		for _, who := range []string{"client", "daemon"} {
			t.Run(who+" "+how, func(t *testing.T) {
				t.Parallel()
				f, one, other := opened(t)
				if who == "daemon" {
					one, other = other, one
				}
				one.Send("x")
				require.Equal(t, "x", other.Next(1))
				stop(one)
				_, err := other.Rest()
				require.False(t, errors.Is(err, os.ErrDeadlineExceeded), "the other side was not ended")
				o := f.result(t)
				require.NoError(t, o.err)
				require.False(t, o.Cut, "a WebSocket is not an answer that can be cut")
			})
		}
	}
}

func TestP7ContextEndsAWebSocket(t *testing.T) {
	t.Parallel()
	revoked := &api.Problem{Code: api.CodeLinkRevoked, Status: 410, Title: "revoked"}
	ctx, cancel := context.WithCancelCause(context.Background())
	f, client, daemon := opened(t, withContext(func(context.Context) context.Context { return ctx }))
	cancel(revoked)
	for _, c := range []*wiretest.Conn{client, daemon} {
		_, err := c.Rest()
		require.False(t, errors.Is(err, os.ErrDeadlineExceeded))
	}
	require.ErrorIs(t, f.result(t).Err, revoked)
}

// A client that does not even read its handshake's answer can be ended all the same.
func TestP7ContextEndsAWebSocketWhoseClientDoesNotRead(t *testing.T) {
	t.Parallel()
	up := wiretest.Raw(t, func(_ int, c *wiretest.Conn) {
		c.MustHead()
		c.Send(strings.Replace(switching, "\r\n\r\n", "\r\nX-A: "+strings.Repeat("a", 16<<20)+"\r\n\r\n", 1))
		_, _ = c.Rest()
	})
	ctx, cancel := context.WithCancel(context.Background())
	f := newFront(t, up.Addr, withLimits(Options{MaxHeadBytes: 32 << 20}), withContext(func(context.Context) context.Context { return ctx }),
		withTarget(func(_ *http.Request, t *Target) { t.Response = func(int, http.Header) { cancel() } }))
	f.dial(t).Send(handshake)
	o := f.result(t)
	require.Equal(t, 101, o.Status)
	require.ErrorIs(t, o.Err, context.Canceled)
}

func TestP7GoingAwayIsSaidBetweenFrames(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		before string // what the daemon sent before
		want   string
	}{
		"at once":        {"", "\x88\x02\x03\xe9"},
		"after a frame":  {"\x81\x02hi", "\x88\x02\x03\xe9"},
		"within a frame": {"\x81\x05he", ""},
		"within a head":  {"\x82\x7e\x01", ""},
		"after a close":  {"\x88\x02\x03\xe8", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f, client, daemon := opened(t)
			daemon.Send(tc.before)
			require.Equal(t, tc.before, client.Next(len(tc.before)))
			closed := make(chan struct{})
			go func() { defer close(closed); f.proxy.Close() }()
			got, err := client.Rest()
			require.NoError(t, err)
			require.Equal(t, tc.want, got)
			got, err = daemon.Rest()
			require.NoError(t, err)
			require.Len(t, got, 8, "the daemon's is masked")
			require.Equal(t, "\x88\x82", got[:2])
			require.Equal(t, []byte{0x03, 0xe9}, []byte{got[6] ^ got[2], got[7] ^ got[3]})
			wiretest.Receive(t, closed, "the end of Close")
			require.ErrorIs(t, f.result(t).Err, ErrGoingAway)
			f.get(t, "/plain") // not refused: only WebSockets end with Close
		})
	}
}

func TestP7IdleSocketLivesForHours(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		client, front := net.Pipe()
		back, daemon := net.Pipe()
		p := New(Options{})
		defer p.Close()
		tun := tunnel{proxy: p, in: flow{src: front, dst: back, masked: true}, out: flow{src: back, dst: front}}
		ended := make(chan error, 1)
		go func() { ended <- tun.run(t.Context()) }()
		for _, way := range []struct{ from, to net.Conn }{{client, daemon}, {daemon, client}} {
			time.Sleep(9 * time.Hour) // of the bubble's clock
			go func() { _, _ = way.from.Write([]byte("still here")) }()
			got := make([]byte, 10)
			_, err := io.ReadFull(way.to, got)
			require.NoError(t, err)
			require.Equal(t, "still here", string(got))
		}
		client.Close()
		_, err := daemon.Read(make([]byte, 1))
		require.Error(t, err)
		<-ended
	})
}

func TestP7AnotherAnswerPassesWhole(t *testing.T) {
	t.Parallel()
	for name, answer := range map[string]string{
		"length":  "HTTP/1.1 403 Forbidden\r\nX-A: b\r\nContent-Length: 2\r\n\r\nno",
		"chunked": "HTTP/1.1 426 Upgrade Required\r\nX-A: b\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nno\r\n0\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			up := wiretest.Answering(t, answer)
			f := newFront(t, up.Addr)
			c := f.dial(t)
			for range 2 {
				c.Send(handshake)
				resp, err := http.ReadResponse(c.Reader, nil)
				require.NoError(t, err)
				body, err := io.ReadAll(resp.Body)
				require.NoError(t, err)
				require.Equal(t, answer[9:12], resp.Status[:3])
				require.Equal(t, "b", resp.Header.Get("X-A"))
				require.Equal(t, "no", string(body))
				require.Equal(t, "http", f.result(t).Protocol)
			}
			require.EqualValues(t, 1, up.Conns.Load(), "both connections are used again")
		})
	}
}

func TestP7GarbageForA101Is502(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct{ request, answer string }{
		"no HTTP":          {handshake, "\x00\x01\x02\r\n\r\n"},
		"another protocol": {handshake, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n"},
		"no protocol":      {handshake, "HTTP/1.1 101 Switching Protocols\r\n\r\n"},
		"bad header":       {handshake, strings.Replace(switching, "\r\n\r\n", "\r\nX-A: \x01\r\n\r\n", 1)},
		"bad header name":  {handshake, strings.Replace(switching, "\r\n\r\n", "\r\nX A: 1\r\n\r\n", 1)},
		"not asked for":    {asking(), switching},
		"h2c, refused":     {asking("Connection: Upgrade", "Upgrade: h2c"), "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFront(t, wiretest.Answering(t, tc.answer).Addr)
			c := f.dial(t)
			c.Send(tc.request)
			require.Equal(t, "HTTP/1.1 502 Bad Gateway", wiretest.FirstLine(c.MustHead()))
			require.Equal(t, api.CodeBadUpstream, code(f.result(t).err))
		})
	}
}

func TestP7NoWebSocketAfterClose(t *testing.T) {
	t.Parallel()
	f := newFront(t, wiretest.Answering(t, switching).Addr)
	f.proxy.Close()
	c := f.dial(t)
	c.Send(handshake)
	c.MustHead()
	require.ErrorIs(t, f.result(t).err, ErrGoingAway)
}

// The daemon may answer the close frame before the other direction has noticed
// that the tunnel ends.
func TestTheEndOfADaemonDoesNotReplaceTheCloseFrame(t *testing.T) {
	t.Parallel()
	front, client := net.Pipe()
	back, daemon := net.Pipe()
	tun := tunnel{proxy: New(Options{}), in: flow{src: front, dst: back, masked: true}, out: flow{src: back, dst: front}}
	tun.end(ErrGoingAway)
	require.NoError(t, daemon.Close())
	carried := make(chan struct{})
	go func() {
		defer close(carried)
		tun.carry(&tun.out)
		front.Close()
	}()
	got, err := io.ReadAll(client)
	require.NoError(t, err)
	require.Equal(t, closeFrame(false), got)
	<-carried
}
