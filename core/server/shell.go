package server

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/coder/websocket"

	"daemon-proxy/core/api"
	"daemon-proxy/core/proxy"
)

const (
	// shellLook is how often the connection of a shell is looked at. A client that
	// has gone while the shell does not take its input is noticed at the second
	// look, within a second.
	shellLook = 400 * time.Millisecond
	// takesNothing is how long a client may read nothing before it is cut if
	// descriptors are short.
	takesNothing = 5 * time.Minute
	// engineAnswers is how long the engine may take to resize a terminal, or to
	// report the exit code of a shell.
	engineAnswers = 10 * time.Second
	// maxShellMessage bounds a text message, in bytes.
	maxShellMessage = 4 << 10
)

// shell serves a shell over a WebSocket until either ends.
func (m management) shell(v *visit, path values) error {
	ref, err := m.named(path)
	if err != nil {
		return err
	}
	size, err := terminalSize(v.r)
	if err != nil {
		return err
	}
	r := v.r
	if !proxy.WantsWebSocket(r) || r.Header.Get("Sec-WebSocket-Version") != "13" || r.Header.Get("Sec-WebSocket-Key") == "" {
		return api.NewProblem(api.CodeBadRequest, "a shell is a WebSocket, over HTTP/1.1", "use a client for WebSockets")
	}
	ctx, cancel := context.WithCancelCause(r.Context())
	defer cancel(nil)
	give, err := m.descriptors.take(ctx, r.RemoteAddr, hopCost, true)
	if err != nil {
		return err
	}
	defer give()
	m.shells.add(&cancel)
	defer m.shells.remove(&cancel)
	far, err := m.o.Service.Shell(ctx, ref, size.Columns, size.Rows)
	if err != nil {
		return err
	}
	taken := &hijacked{ResponseWriter: v.w}
	conn, err := websocket.Accept(taken, r, nil)
	if err != nil { // and has been answered
		m.log.Warn("a shell could not be handed over", "sandbox", ref.String(), "error", errors.Join(err, far.Close()))
		return nil
	}
	s := &shellStream{conn: conn, socket: taken.conn, far: far, crowded: m.Crowded}
	if err := s.run(ctx); err != nil {
		m.log.Warn("a shell did not end cleanly", "sandbox", ref.String(), "error", err)
	}
	return nil
}

// terminalSize is the size that a request names, 80×24 without one.
func terminalSize(r *http.Request) (api.TerminalSize, error) {
	size, query := api.TerminalSize{Columns: 80, Rows: 24}, r.URL.Query()
	for name, n := range map[string]*int{"columns": &size.Columns, "rows": &size.Rows} {
		if text := query.Get(name); text != "" {
			*n, _ = strconv.Atoi(text) // what is no number becomes 0, which is no size
		}
	}
	if !size.Valid() {
		return size, api.NewProblem(api.CodeBadRequest,
			fmt.Sprintf("columns and rows must be from 1 to %d", api.MaxTerminal), "omit them to get 80 and 24")
	}
	return size, nil
}

// hijacked keeps the connection that is taken from it.
type hijacked struct {
	http.ResponseWriter
	conn net.Conn
}

// Hijack implements http.Hijacker.
func (h *hijacked) Hijack() (conn net.Conn, rw *bufio.ReadWriter, err error) {
	h.conn, rw, err = http.NewResponseController(h.ResponseWriter).Hijack()
	return h.conn, rw, err
}

// shellStream carries a shell over its WebSocket. It keeps one piece of what is
// shown and of what is typed: each side waits until the other takes it.
type shellStream struct {
	conn    *websocket.Conn
	socket  net.Conn
	far     api.Terminal
	crowded func() bool

	typed   atomic.Int64 // counts what came from the client
	writing atomic.Int64 // since when the client has been written to, Unix nanoseconds; 0: it is not
}

// shellEnd is how the connection is closed.
type shellEnd struct {
	code   websocket.StatusCode // 0: without a close frame
	reason string
}

// run returns once the shell and the connection have ended.
func (s *shellStream) run(ctx context.Context) error {
	s.conn.SetReadLimit(-1) // nothing is kept
	life, cut := context.WithCancel(context.WithoutCancel(ctx))
	defer cut()
	ends := make(chan shellEnd, 2)
	var parts sync.WaitGroup
	parts.Go(func() { ends <- s.take(life) })
	parts.Go(func() { ends <- s.show(life) })
	end := s.wait(ctx, ends)
	if end.code == 0 {
		_ = s.conn.CloseNow() // there is nobody who needs to know
	} else {
		_ = s.conn.Close(end.code, end.reason) // as above
	}
	err := s.far.Close()
	cut()
	parts.Wait()
	return err
}

// wait returns how the connection is to be closed, once it is.
func (s *shellStream) wait(ctx context.Context, ends <-chan shellEnd) shellEnd {
	look := time.NewTicker(shellLook)
	defer look.Stop()
	left, typed := false, int64(0)
	for {
		select {
		case end := <-ends:
			return end
		case <-ctx.Done():
			_ = s.socket.SetDeadline(time.Now().Add(lastWrite)) // one that is broken fails anyway
			return shellEnd{websocket.StatusGoingAway, "daemon-proxy is shutting down"}
		case now := <-look.C:
			before, seen := left, typed
			left, typed = proxy.Left(s.socket), s.typed.Load()
			since := s.writing.Load()
			if before && left && seen == typed ||
				since != 0 && now.Sub(time.Unix(0, since)) > takesNothing && s.crowded() {
				return shellEnd{}
			}
		}
	}
}

// take types what comes from the client. What comes once the shell has ended is
// discarded.
func (s *shellStream) take(ctx context.Context) shellEnd {
	piece, deaf := make([]byte, 32<<10), false
	for {
		kind, message, err := s.conn.Reader(ctx)
		if err != nil {
			return shellEnd{}
		}
		s.typed.Add(1)
		if kind == websocket.MessageText {
			if !s.obey(ctx, message) {
				return shellEnd{websocket.StatusPolicyViolation, `want {"resize":{"columns":80,"rows":24}}`}
			}
			continue
		}
		for {
			n, err := message.Read(piece)
			s.typed.Add(1)
			if n > 0 && !deaf {
				_, failed := s.far.Write(piece[:n])
				deaf = failed != nil
			}
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				return shellEnd{}
			}
		}
	}
}

// obey does what a text message says, and reports whether it is one. What only
// later versions know is ignored.
func (s *shellStream) obey(ctx context.Context, message io.Reader) bool {
	text, err := io.ReadAll(io.LimitReader(message, maxShellMessage+1))
	var told api.ShellMessage
	if err != nil || len(text) > maxShellMessage || json.Unmarshal(text, &told) != nil {
		return false
	}
	if told.Resize == nil {
		return true
	}
	ctx, cancel := context.WithTimeout(ctx, engineAnswers)
	defer cancel()
	if told.Resize.Valid() {
		_ = s.far.Resize(ctx, told.Resize.Columns, told.Resize.Rows) // a shell that has ended needs no size
	}
	return told.Resize.Valid()
}

// show sends what the shell shows, and its exit code.
func (s *shellStream) show(ctx context.Context) shellEnd {
	for piece := make([]byte, 32<<10); ; {
		n, err := s.far.Read(piece)
		if n > 0 && s.send(ctx, websocket.MessageBinary, piece[:n]) != nil {
			return shellEnd{}
		}
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return shellEnd{websocket.StatusInternalError, "the engine cut the terminal off"}
		}
	}
	waiting, stop := context.WithTimeout(ctx, engineAnswers)
	defer stop()
	code, err := s.far.Wait(waiting)
	if err != nil {
		return shellEnd{websocket.StatusInternalError, "the shell ended; the engine does not report its exit code"}
	}
	text, err := json.Marshal(api.ShellMessage{Exit: &code})
	if err != nil || s.send(ctx, websocket.MessageText, text) != nil {
		return shellEnd{}
	}
	return shellEnd{websocket.StatusNormalClosure, ""}
}

func (s *shellStream) send(ctx context.Context, kind websocket.MessageType, data []byte) error {
	s.writing.Store(time.Now().UnixNano())
	defer s.writing.Store(0)
	return s.conn.Write(ctx, kind, data)
}
