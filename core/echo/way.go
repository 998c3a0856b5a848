package echo

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/coder/websocket"
)

// Size is how much is sent in each direction, in bytes.
const Size = 64 << 20

// Way leads to the page.
type Way struct {
	// Dial connects to what understands requests for the page.
	Dial func(ctx context.Context) (net.Conn, error)
	// Host is the Host header; Prefix is what precedes the page's paths; Header is
	// added to each request.
	Host, Prefix string
	Header       http.Header
}

// Result is what Test has found.
type Result struct {
	// Kept and Lost name what passes unchanged and what does not, with the reason.
	Kept, Lost []string
	// Up and Down are the rates of Size bytes, in bytes a second; 0: they did not pass.
	Up, Down float64
}

// timeouts of one part of the test.
const (
	partWithin  = 10 * time.Second
	bytesWithin = 2 * time.Minute
)

// Test sends requests of all kinds to the page. An error means that the page cannot
// be reached at all, or that ctx has ended.
func Test(ctx context.Context, way Way) (r Result, err error) {
	if _, err := way.ask(ctx, partWithin, http.MethodGet, pathEcho, "", nil); err != nil {
		return r, err
	}
	for _, part := range []struct {
		name string
		test func(context.Context) error
	}{
		{"methods", way.methods}, {"path bytes", way.path}, {"headers", way.headers},
		{"request trailers", way.requestTrailers}, {"response trailers", way.responseTrailers},
		{"WebSocket", way.socket}, {"event streams", way.events},
		{"64 MiB up", func(ctx context.Context) (err error) { r.Up, err = way.up(ctx); return err }},
		{"64 MiB down", func(ctx context.Context) (err error) { r.Down, err = way.down(ctx); return err }},
	} {
		err := part.test(ctx)
		switch {
		case ctx.Err() != nil:
			return r, ctx.Err()
		case err != nil:
			r.Lost = append(r.Lost, fmt.Sprintf("%s (%v)", part.name, err))
		default:
			r.Kept = append(r.Kept, part.name)
		}
	}
	return r, nil
}

// open sends a request as it stands, byte by byte, and returns the head of its answer
// and the connection. head is further header lines; body what follows them.
func (w Way) open(ctx context.Context, method, target, head string, body io.Reader) (*http.Response, net.Conn, error) {
	conn, err := w.Dial(ctx)
	if err != nil {
		return nil, nil, err
	}
	context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	var text bytes.Buffer
	fmt.Fprintf(&text, "%s %s%s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\nUser-Agent: daemon-proxy\r\n%s",
		method, w.Prefix, target, w.Host, head)
	_ = w.Header.Write(&text) // a buffer takes everything
	text.WriteString("\r\n")
	sent := make(chan struct{})
	go func() { // an answer may come before all is sent; closing conn ends it
		defer close(sent)
		if _, err := conn.Write(text.Bytes()); err == nil && body != nil {
			_, _ = io.Copy(struct{ io.Writer }{conn}, body) // the answer shows what is missing
		}
	}()
	response, err := http.ReadResponse(bufio.NewReader(conn), &http.Request{Method: method})
	if err != nil {
		conn.Close()
		<-sent
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			err = errors.New("the connection was closed without an answer")
		}
		return nil, nil, err
	}
	return response, &counted{conn, sent}, nil
}

// counted is a connection whose Close waits for the sender.
type counted struct {
	net.Conn
	sent chan struct{}
}

// Close implements net.Conn.
func (c *counted) Close() error {
	err := c.Conn.Close()
	<-c.sent
	return err
}

// ask is open for pathEcho; it returns what the page has seen, and the header and the
// trailer of its answer.
func (w Way) ask(
	ctx context.Context, within time.Duration, method, target, head string, body io.Reader,
) (got answered, err error) {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	response, conn, err := w.open(ctx, method, target, head, body)
	if err != nil {
		return got, err
	}
	defer response.Body.Close() // which would wait for its end if conn were not closed before
	defer conn.Close()
	const most = 1 << 20
	text, err := io.ReadAll(io.LimitReader(response.Body, most))
	if err != nil {
		return got, err
	}
	if response.StatusCode != http.StatusOK {
		return got, fmt.Errorf("the answer is %d", response.StatusCode)
	}
	if err := json.Unmarshal(text, &got.seen); err != nil {
		return got, errors.New("the answer is not that of the self-test page")
	}
	got.header, got.trailer = response.Header, response.Trailer
	return got, nil
}

// answered is what the page has seen, and what came back with that.
type answered struct {
	seen
	header, trailer http.Header
}

func (w Way) methods(ctx context.Context) error {
	for _, method := range []string{"POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND", "X-ECHO"} {
		got, err := w.ask(ctx, partWithin, method, pathEcho, "Content-Length: 0\r\n", nil)
		if err != nil {
			return fmt.Errorf("%s: %w", method, err)
		}
		if got.Method != method {
			return fmt.Errorf("%s arrives as %q", method, got.Method)
		}
	}
	return nil
}

func (w Way) path(ctx context.Context) error {
	const target = pathEcho + "/%2F//a%20b;c=1/%c3%a9/.hidden?q=%20+&q=%2B&&empty=&z"
	got, err := w.ask(ctx, partWithin, http.MethodGet, target, "", nil)
	if err == nil && got.Target != target {
		err = fmt.Errorf("%s arrives as %q", target, got.Target)
	}
	return err
}

func (w Way) headers(ctx context.Context) error {
	want := map[string][]string{
		"X-Echo-Twice": {"one", "two, three"}, "Cookie": {"a=1; b=\"2\""}, "Range": {"bytes=0-9"},
		"If-None-Match": {`W/"x"`}, "X-Echo-Long": {strings.Repeat("x", 4<<10)},
	}
	var head strings.Builder
	for name, values := range want {
		for _, value := range values {
			fmt.Fprintf(&head, "%s: %s\r\n", name, value)
		}
	}
	got, err := w.ask(ctx, partWithin, http.MethodGet, pathEcho, head.String(), nil)
	if err != nil {
		return err
	}
	for name, values := range want {
		if !slices.Equal(got.Header[name], values) {
			return fmt.Errorf("%s of the request arrives as %.80q", name, got.Header[name])
		}
	}
	if back := got.header[answerHeader]; !slices.Equal(back, []string{answerValue, answerValue + " too"}) {
		return fmt.Errorf("%s of the answer arrives as %.80q", answerHeader, back)
	}
	return nil
}

func (w Way) requestTrailers(ctx context.Context) error {
	body := strings.NewReader("4\r\necho\r\n0\r\nX-Echo-Sum: 7\r\n\r\n")
	got, err := w.ask(ctx, partWithin, http.MethodPost, pathEcho, "Transfer-Encoding: chunked\r\nTrailer: X-Echo-Sum\r\n", body)
	if err == nil && (got.Size != 4 || got.Trailer.Get("X-Echo-Sum") != "7") {
		err = errors.New("they do not arrive")
	}
	return err
}

func (w Way) responseTrailers(ctx context.Context) error {
	got, err := w.ask(ctx, partWithin, http.MethodGet, pathEcho, "TE: trailers\r\n", nil)
	if err == nil && got.trailer.Get(answerTrailer) != answerValue {
		err = errors.New("they do not arrive")
	}
	return err
}

func (w Way) events(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, holdEvents/2) // the stream is open all the while
	defer cancel()
	response, conn, err := w.open(ctx, http.MethodGet, pathEvents, "Accept: text/event-stream\r\n", nil)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	defer conn.Close()
	first := make([]byte, len("data: first"))
	if _, err := io.ReadFull(response.Body, first); err != nil {
		return fmt.Errorf("an event does not arrive before the stream ends: %w", err)
	}
	return nil
}

func (w Way) socket(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, partWithin)
	defer cancel()
	client := &http.Client{Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) { return w.Dial(ctx) },
	}}
	defer client.CloseIdleConnections()
	c, response, err := websocket.Dial(ctx, "ws://"+w.Host+w.Prefix+pathSocket, //nolint:bodyclose // it does
		&websocket.DialOptions{HTTPClient: client, HTTPHeader: w.Header.Clone(), Host: w.Host})
	if err != nil {
		if response != nil {
			return fmt.Errorf("the handshake is answered with %d", response.StatusCode)
		}
		return err
	}
	defer func() { _ = c.CloseNow() }()
	c.SetReadLimit(largestMessage)
	large := make([]byte, 1<<20)
	_, _ = io.ReadFull(content(), large) // never fails
	for _, message := range [][]byte{[]byte("hello"), large} {
		kind := websocket.MessageText
		if len(message) > 5 {
			kind = websocket.MessageBinary
		}
		if err := c.Write(ctx, kind, message); err != nil {
			return err
		}
		back, got, err := c.Read(ctx)
		if err != nil {
			return err
		}
		if back != kind || !bytes.Equal(got, message) {
			return errors.New("a message comes back changed")
		}
	}
	return c.Close(websocket.StatusNormalClosure, "")
}

func (w Way) up(ctx context.Context) (float64, error) {
	sum := sha256.New()
	began := time.Now()
	body := io.TeeReader(io.LimitReader(content(), Size), sum)
	head := fmt.Sprintf("Content-Type: application/octet-stream\r\nContent-Length: %d\r\n", Size)
	got, err := w.ask(ctx, bytesWithin, http.MethodPut, pathEcho, head, body)
	if err != nil {
		return 0, err
	}
	if got.Size != Size || got.Sum != hex.EncodeToString(sum.Sum(nil)) {
		return 0, errors.New("they arrive changed")
	}
	return Size / time.Since(began).Seconds(), nil
}

func (w Way) down(ctx context.Context) (float64, error) {
	ctx, cancel := context.WithTimeout(ctx, bytesWithin)
	defer cancel()
	began := time.Now()
	response, conn, err := w.open(ctx, http.MethodGet, fmt.Sprintf("%s%d", pathBytes, Size), "", nil)
	if err != nil {
		return 0, err
	}
	defer response.Body.Close()
	defer conn.Close()
	got, want := sha256.New(), sha256.New()
	if _, err := io.Copy(got, response.Body); err != nil {
		return 0, err
	}
	took := time.Since(began)
	_, _ = io.CopyN(want, content(), Size) // never fails
	if !bytes.Equal(got.Sum(nil), want.Sum(nil)) {
		return 0, errors.New("they arrive changed")
	}
	return Size / took.Seconds(), nil
}
