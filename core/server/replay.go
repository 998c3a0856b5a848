package server

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"daemon-proxy/core/api"
	"daemon-proxy/core/proxy"
	"daemon-proxy/core/traffic"
)

const (
	// replayTime bounds a replay; what has not ended by then is cut.
	replayTime = 30 * time.Second
	// replayStream is what a replay gets of a stream that does not end.
	replayStream = time.Second
)

// notReplayed are headers that belong to one connection or that are made anew.
var notReplayed = map[string]bool{
	"Connection": true, "Keep-Alive": true, "Proxy-Connection": true, "Transfer-Encoding": true, "Content-Length": true, "Te": true,
	"Trailer": true, "Upgrade": true, "Expect": true, "Cdn-Loop": true, "Host": true,
}

// Replay sends the request of an exchange again, to the sandbox and port that
// it went to, on the whole way of a request, so that it is counted and
// recorded. It gives what was recorded. Problems: unknown_exchange;
// not_replayable for a WebSocket, for a request that is still under way and for
// one whose head or body is not kept whole; that of the link, if it has ended.
func (s *Server) Replay(ctx context.Context, id uint64) (api.Exchange, error) {
	original, ok := s.o.Traffic.OriginalRequest(id)
	if !ok {
		return api.Exchange{}, UnknownExchange(id)
	}
	if err := replayable(original); err != nil {
		return api.Exchange{}, err
	}
	h := hop{ref: original.Ref, port: original.Port, prefix: original.Prefix, rest: original.Target, hostMode: original.HostMode,
		scheme: original.Scheme, note: "replay of #" + strconv.FormatUint(id, 10)}
	if original.LinkID != "" {
		link, ok := s.o.Links.Get(original.LinkID)
		if !ok {
			return api.Exchange{}, api.NewProblem(api.CodeUnknownLink,
				"the preview link of this request is not known any more",
				"make a new one")
		}
		live, err := s.resolve(link.Token)
		if err != nil {
			return api.Exchange{}, err
		}
		h.live = live
	}
	ctx, cancel := context.WithTimeout(ctx, replayTime)
	defer cancel()
	return s.replay(ctx, original, h)
}

// UnknownExchange is the problem of an exchange that the request log does not hold.
func UnknownExchange(id uint64) *api.Problem {
	return api.NewProblem(api.CodeUnknownExchange,
		fmt.Sprintf("the request log does not hold request %d (any more)", id), "see the latest ones")
}

func replayable(o traffic.Original) error {
	var why string
	switch {
	case o.Protocol == "websocket" || strings.EqualFold(o.Header.Get("Upgrade"), "websocket"):
		why = "it is a WebSocket, whose frames are not replayed"
	case o.Live:
		why = "it is still under way"
	case strings.Contains(o.Method, "…"):
		why = "its method is not kept whole"
	case !o.HeadWhole:
		why = "its head is not kept whole (64 KiB at most, and only until later requests need the memory)"
	case !o.Whole:
		why = "its body was not captured whole (64 KiB at most, and only with traffic.bodies on)"
	default:
		return nil
	}
	return api.NewProblem(api.CodeNotReplayable,
		"the request cannot be sent again: "+why, "copy it as curl instead").In(o.Sandbox, o.Port)
}

// replay serves one connection that leads nowhere but here, and sends the
// request over it.
func (s *Server) replay(ctx context.Context, o traffic.Original, h hop) (api.Exchange, error) {
	client, front := net.Pipe()
	defer client.Close()
	defer context.AfterFunc(ctx, func() { _ = client.Close() })()
	var recorded api.Exchange
	h.ended = func(x api.Exchange) { recorded = x }
	single := &oneConn{conn: front, closed: make(chan struct{})}
	var handling sync.WaitGroup
	server := proxy.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		handling.Add(1)
		defer handling.Done()
		defer single.end() // there is no second one
		r.RemoteAddr = "127.0.0.1:0"
		s.forward(w, r, h)
	}), s.log)
	server.MaxHeaderBytes = 2 << 20
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = server.Serve(single) // it ends with the one connection
	}()
	err := exchangeOn(client, o, h)
	client.Close()
	single.end()
	<-served
	_ = server.Shutdown(context.WithoutCancel(ctx)) // after it the handler has ended, or has begun and cut the connection
	handling.Wait()
	if recorded.ID == 0 {
		return api.Exchange{}, api.NewProblem(api.CodeInternal,
			fmt.Sprintf("the request was not sent: %v", err), "see the log").In(o.Sandbox, o.Port).Because(err)
	}
	return recorded, nil
}

// exchangeOn sends the request and reads the answer, of a stream the beginning.
func exchangeOn(client net.Conn, o traffic.Original, h hop) error {
	var head bytes.Buffer
	fmt.Fprintf(&head, "%s %s%s HTTP/1.1\r\nHost: %s\r\n", o.Method, h.prefix, h.rest, o.Host)
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
