package core

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"daemon-proxy/core/api"
	"daemon-proxy/core/preview"
	"daemon-proxy/core/proxy"
	"daemon-proxy/core/traffic"
)

const (
	// replayTime bounds a replay; what has not ended by then is cut.
	replayTime = 30 * time.Second
	// replayStream is what a replay gets of a stream that does not end.
	replayStream = time.Second
)

// notReplayed are headers that belong to one connection or are made again.
var notReplayed = map[string]bool{
	"Connection": true, "Keep-Alive": true, "Proxy-Connection": true, "Transfer-Encoding": true,
	"Content-Length": true, "Te": true, "Trailer": true, "Upgrade": true, "Expect": true, "Cdn-Loop": true, "Host": true,
}

// Replay sends the request of an exchange again, to the sandbox and port that
// it went to, on the whole way of a request, so that it is counted and
// recorded, and returns what was recorded. Problems: those of
// traffic.Log.Replayable; that of the link, if it has ended.
func (c *Core) Replay(ctx context.Context, id uint64) (recorded api.Exchange, err error) {
	o, err := c.Log.Replayable(id)
	if err != nil {
		return recorded, err
	}
	var live *preview.Live
	if o.LinkID != "" {
		link, ok := c.links.Get(o.LinkID)
		if !ok {
			return recorded, api.NewProblem(api.CodeUnknownLink,
				"the preview link of this request no longer exists", "create a new one")
		}
		if live, err = c.links.Resolve(link.Token); err != nil {
			return recorded, err
		}
	}
	note := "replay of #" + strconv.FormatUint(id, 10)
	err = send(ctx, o, c.server.Again(o, live, note, func(x api.Exchange) { recorded = x }), c.options.Logger)
	if recorded.ID == 0 {
		return recorded, api.NewProblem(api.CodeInternal,
			fmt.Sprintf("the request was not sent: %v", err), "see the log").In(o.Sandbox, o.Port).Because(err)
	}
	return recorded, nil
}

// send sends the request of an exchange again, to handler: it serves one
// connection that leads nowhere else. What it answers is discarded, of a stream
// all but the first second. The error says why there was no answer.
func send(ctx context.Context, o traffic.Original, handler http.Handler, log *slog.Logger) error {
	ctx, cancel := context.WithTimeout(ctx, replayTime)
	defer cancel()
	near, far := net.Pipe()
	defer near.Close()
	defer context.AfterFunc(ctx, func() { _ = near.Close() })()
	single := &oneConn{conn: far, closed: make(chan struct{})}
	var handling sync.WaitGroup
	server := proxy.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		handling.Add(1)
		defer handling.Done()
		defer single.end() // there is no second one
		r.RemoteAddr = "127.0.0.1:0"
		handler.ServeHTTP(w, r)
	}), log)
	server.MaxHeaderBytes = 2 << 20
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = server.Serve(single) // it ends with the one connection
	}()
	err := sendOn(near, o)
	near.Close()
	single.end()
	<-served
	_ = server.Shutdown(context.WithoutCancel(ctx)) // after it the handler has ended, or has begun and cut the connection
	handling.Wait()
	return err
}

// sendOn sends the request and reads the answer, of a stream the beginning.
func sendOn(client net.Conn, o traffic.Original) error {
	var head bytes.Buffer
	fmt.Fprintf(&head, "%s %s%s HTTP/1.1\r\nHost: %s\r\n", o.Method, o.Prefix, o.Target, o.Host)
	for name, values := range o.Header {
		if notReplayed[http.CanonicalHeaderKey(name)] {
			continue
		}
		for _, value := range values {
			fmt.Fprintf(&head, "%s: %s\r\n", name, value)
		}
	}
	if len(o.Body) > 0 || o.Header.Get("Content-Length") != "" {
		fmt.Fprintf(&head, "Content-Length: %d\r\n", len(o.Body))
	}
	head.WriteString("Connection: close\r\n\r\n")
	head.Write(o.Body)

	// The answer may come before the request is taken whole.
	var writing sync.WaitGroup
	writing.Go(func() { _, _ = client.Write(head.Bytes()) }) // what fails shows in the answer
	defer writing.Wait()
	response, err := http.ReadResponse(bufio.NewReader(client), &http.Request{Method: o.Method})
	if err != nil {
		client.Close()
		return err
	}
	defer response.Body.Close()
	if strings.HasPrefix(response.Header.Get("Content-Type"), "text/event-stream") {
		_ = client.SetReadDeadline(time.Now().Add(replayStream))
	}
	_, err = io.Copy(io.Discard, response.Body)
	client.Close()
	return err
}

// oneConn is a listener that has one connection.
type oneConn struct {
	mu     sync.Mutex
	conn   net.Conn
	once   sync.Once
	closed chan struct{}
}

// Accept gives the connection, and then waits for Close.
func (l *oneConn) Accept() (net.Conn, error) {
	l.mu.Lock()
	conn := l.conn
	l.conn = nil
	l.mu.Unlock()
	if conn != nil {
		return conn, nil
	}
	<-l.closed
	return nil, net.ErrClosed
}

// Close ends Accept.
func (l *oneConn) Close() error {
	l.end()
	return nil
}

func (l *oneConn) end() { l.once.Do(func() { close(l.closed) }) }

// Addr is nowhere.
func (l *oneConn) Addr() net.Addr { return &net.UnixAddr{Name: "replay", Net: "unix"} }
