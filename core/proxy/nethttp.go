package proxy

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"strings"
	"time"

	"daemon-proxy/core/logging"
)

// NewServer returns a server with the limits that all our servers share. What
// its handler passes to Forward keeps all of Forward's promises.
func NewServer(handler http.Handler, logger *slog.Logger) *http.Server {
	return &http.Server{
		Handler: handler, ConnContext: ConnContext, ErrorLog: logging.HTTPErrors(logger),
		ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 1 << 20,
		DisableGeneralOptionsHandler: true,
	}
}

// connKey is where ConnContext keeps the connection.
type connKey struct{}

// ConnContext is for http.Server.ConnContext: with it, Forward can see the end
// of a client whose body it does not read at the moment.
func ConnContext(ctx context.Context, c net.Conn) context.Context {
	return context.WithValue(ctx, connKey{}, c)
}

// WithContext is r.WithContext(ctx) for callers of Forward: with it, trailers
// that the client did not announce still arrive. (net/http adds those to the
// request that it made itself; a copy sees them only if both share one map.)
func WithContext(ctx context.Context, r *http.Request) *http.Request {
	if r.Trailer == nil && r.ContentLength < 0 {
		r.Trailer = make(http.Header)
	}
	return r.WithContext(ctx)
}

// Refused prepares the answer to a request whose body nobody reads: net/http
// would wait for that body before it sends the answer, for as long as the
// client takes. What arrives soon is read, so that the connection can be used
// again; otherwise the connection ends after the answer.
func Refused(w http.ResponseWriter, r *http.Request) {
	if r.ProtoMajor != 1 || r.ContentLength == 0 || r.Body == nil {
		return
	}
	c := newHTTPClient(w, r)
	if len(r.Header["Expect"]) == 0 { // else to read would ask for the body
		_ = c.SetReadDeadline(time.Now().Add(uploadGrace))
		if n, err := io.CopyN(io.Discard, r.Body, refusedBytes); n < refusedBytes && errors.Is(err, io.EOF) {
			_ = c.SetReadDeadline(time.Time{})
			return
		}
	}
	c.CloseAfter()
}

// httpClient is the client of a net/http server, HTTP/1 or HTTP/2.
type httpClient struct {
	http.ResponseWriter
	rc http.ResponseController
	r  *http.Request
}

var _ client = (*httpClient)(nil)

func newHTTPClient(w http.ResponseWriter, r *http.Request) *httpClient {
	return &httpClient{w, *http.NewResponseController(w), r}
}

// WriteInterim passes the header in the map of the final one: net/http sends
// the whole map with each head, so it holds h only for that long.
func (c *httpClient) WriteInterim(status int, h http.Header) {
	all := c.Header()
	before := maps.Clone(all)
	clear(all)
	maps.Copy(all, h)
	c.WriteHeader(status)
	clear(all)
	maps.Copy(all, before)
}

func (c *httpClient) ReadFrom(r io.Reader) (int64, error) { return io.Copy(c.ResponseWriter, r) }

func (c *httpClient) Flush() { _ = c.rc.Flush() } // the next write reports the error

func (c *httpClient) WriteTrailer(announced, trailer http.Header) {
	h := c.Header()
	for name := range announced {
		delete(h, name) // a header of that name has gone out; it is not a trailer
	}
	if trailer == nil {
		return
	}
	c.Flush() // otherwise a short answer gets a length and no trailers
	for name, values := range trailer {
		if _, ok := announced[name]; !ok {
			name = http.TrailerPrefix + name
		}
		h[name] = values
	}
}

func (c *httpClient) SetReadDeadline(t time.Time) error  { return c.rc.SetReadDeadline(t) }
func (c *httpClient) SetWriteDeadline(t time.Time) error { return c.rc.SetWriteDeadline(t) }

// EnableFullDuplex ignores the error, which means HTTP/2 or a test's writer:
// neither needs it.
func (c *httpClient) EnableFullDuplex() { _ = c.rc.EnableFullDuplex() }

func (c *httpClient) Hijack() (net.Conn, []byte, error) {
	conn, buffered, err := c.rc.Hijack()
	if err != nil {
		return nil, nil, err
	}
	early, _ := buffered.Reader.Peek(buffered.Reader.Buffered()) //nolint:staticcheck // Buffered is ambiguous otherwise
	return conn, early, nil
}

// CloseAfter exceeds the limit of an http.MaxBytesReader. net/http takes the
// rest of a body whose reading was cut short by a deadline for the next
// request, and this is the only public way to tell it otherwise.
func (c *httpClient) CloseAfter() {
	w := c.ResponseWriter
	for {
		u, ok := w.(interface{ Unwrap() http.ResponseWriter })
		if !ok {
			break
		}
		w = u.Unwrap()
	}
	var b [1]byte
	_, _ = http.MaxBytesReader(w, io.NopCloser(strings.NewReader("x")), 0).Read(b[:])
	_ = c.SetReadDeadline(time.Now().Add(drainTime))
}

// ResetOnClose must be called before a write fails: when the write of a chunk
// fails, net/http closes the connection itself.
func (c *httpClient) ResetOnClose() {
	if conn := c.conn(); conn != nil && c.r.ProtoMajor == 1 { // later ones have other streams
		resetOnClose(conn)
	}
}

func (c *httpClient) Cut() {
	stalled := c.socket().stalled()
	if stalled {
		c.ResetOnClose()
		_ = c.SetWriteDeadline(past)
	} else {
		_ = c.SetWriteDeadline(time.Now().Add(leftPatience))
	}
	c.Flush()
	_ = c.r.Body.Close() // bytes that arrived and were not read would make the end a reset
	conn, _, err := c.Hijack()
	if err != nil {
		_ = c.SetWriteDeadline(past) // HTTP/2: resets the stream
		return
	}
	_, known := c.Header()["Content-Length"]
	endsBody := !known && !c.r.ProtoAtLeast(1, 1) // the end of the connection would mean the end of the body
	if stalled || endsBody {
		conn = resetOnClose(conn)
	}
	conn.Close()
}

// conn is nil without ConnContext.
func (c *httpClient) conn() net.Conn {
	conn, _ := c.r.Context().Value(connKey{}).(net.Conn)
	return conn
}

func (c *httpClient) socket() *socket { return socketOf(c.conn()) }
