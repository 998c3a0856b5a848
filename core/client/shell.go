package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"sync/atomic"

	"github.com/coder/websocket"

	"daemon-proxy/core/api"
)

// maxShellMessage bounds a text message of a shell, in bytes.
const maxShellMessage = 4 << 10

// Shell opens a shell in the container of ref on a terminal of that size; ctx
// bounds the opening only.
func (c *Client) Shell(ctx context.Context, ref api.Ref, columns, rows int) (api.Terminal, error) {
	size := terminalSize(columns, rows)
	query := url.Values{"columns": {strconv.Itoa(size.Columns)}, "rows": {strconv.Itoa(size.Rows)}}
	path, err := c.path(ctx, ref, "/shell?"+query.Encode())
	if err != nil {
		return nil, err
	}
	header := http.Header{"User-Agent": {userAgent}, api.ProtocolHeader: {api.Protocol}}
	if key := c.key(); key != "" {
		header.Set("X-API-Key", key)
	}
	dialling := *c.http
	dialling.Transport = upgrading{c.http.Transport}
	options := websocket.DialOptions{HTTPClient: &dialling, HTTPHeader: header}
	conn, _, err := websocket.Dial(ctx, c.base.String()+path, &options) //nolint:bodyclose // Dial has closed it
	if err != nil {
		return nil, fmt.Errorf("GET %s: %w", plainPath(path), c.lost(ctx, err))
	}
	conn.SetReadLimit(-1) // nothing is kept
	t := &terminal{conn: conn, wire: c.wire}
	t.life, t.end = context.WithCancel(context.WithoutCancel(ctx))
	return t, nil
}

// terminalSize is the nearest size that a terminal may have.
func terminalSize(columns, rows int) api.TerminalSize {
	return api.TerminalSize{
		Columns: min(max(columns, 1), api.MaxTerminal), Rows: min(max(rows, 1), api.MaxTerminal),
	}
}

// upgrading makes the problem that a WebSocket is refused with an error.
type upgrading struct{ http.RoundTripper }

// RoundTrip implements http.RoundTripper.
func (u upgrading) RoundTrip(r *http.Request) (*http.Response, error) {
	to := u.RoundTripper
	if to == nil {
		to = http.DefaultTransport
	}
	response, err := to.RoundTrip(r)
	if err != nil || response.StatusCode == http.StatusSwitchingProtocols {
		return response, err
	}
	defer response.Body.Close()
	return nil, refusal{problemOf(response)}
}

// terminal is a shell over its WebSocket.
type terminal struct {
	conn    *websocket.Conn
	wire    *wire
	life    context.Context
	end     context.CancelFunc
	message io.Reader // the one that is being read; nil: none
	exit    atomic.Pointer[int]
}

// Read implements io.Reader. It is for one goroutine.
func (t *terminal) Read(p []byte) (int, error) {
	for {
		if t.exit.Load() != nil {
			return 0, io.EOF
		}
		if t.message == nil {
			kind, message, err := t.conn.Reader(t.life)
			if err != nil {
				return 0, t.broken(err)
			}
			if kind == websocket.MessageText {
				if err := t.told(message); err != nil {
					return 0, t.broken(err)
				}
				continue
			}
			t.message = message
		}
		n, err := t.message.Read(p)
		if errors.Is(err, io.EOF) {
			t.message, err = nil, nil
		}
		if err != nil {
			err = t.broken(err)
		}
		if n > 0 || err != nil {
			return n, err
		}
	}
}

// told takes a text message. What only later versions know is ignored.
func (t *terminal) told(message io.Reader) error {
	text, err := io.ReadAll(io.LimitReader(message, maxShellMessage+1))
	if err != nil {
		return err
	}
	if len(text) > maxShellMessage {
		return errors.New("a message is too long")
	}
	var m api.ShellMessage
	if err := json.Unmarshal(text, &m); err != nil {
		return err
	}
	if m.Exit != nil {
		t.exit.Store(m.Exit)
	}
	return nil
}

// broken is the error of a shell that was cut off.
func (t *terminal) broken(err error) error {
	if closed, ok := errors.AsType[websocket.CloseError](err); ok && closed.Reason != "" {
		return fmt.Errorf("the shell was cut off: %s", closed.Reason)
	}
	return fmt.Errorf("the shell was cut off: %w", t.wire.lost(t.life, noEOF(err)))
}

// Write implements io.Writer.
func (t *terminal) Write(p []byte) (int, error) {
	if err := t.conn.Write(t.life, websocket.MessageBinary, p); err != nil {
		return 0, t.broken(err)
	}
	return len(p), nil
}

// Resize implements api.Terminal.
func (t *terminal) Resize(ctx context.Context, columns, rows int) error {
	size := terminalSize(columns, rows)
	text, err := json.Marshal(api.ShellMessage{Resize: &size})
	if err != nil {
		return err
	}
	if err := t.conn.Write(ctx, websocket.MessageText, text); err != nil {
		return t.broken(err)
	}
	return nil
}

// Wait implements api.Terminal.
func (t *terminal) Wait(context.Context) (int, error) {
	if code := t.exit.Load(); code != nil {
		return *code, nil
	}
	return 0, errors.New("the shell has not ended, or was cut off")
}

// Close hangs up; the server ends what runs in the shell.
func (t *terminal) Close() error {
	t.end()
	if t.exit.Load() != nil {
		_ = t.conn.Close(websocket.StatusNormalClosure, "") // the server closes it, too
		return nil
	}
	_ = t.conn.CloseNow() // as above
	return nil
}
