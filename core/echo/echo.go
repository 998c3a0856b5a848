// Package echo is the self-test page, a service that answers with what has reached
// it, and the test that calls it along some way and reports what is lost there.
package echo

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/coder/websocket"
)

// greeting begins the line that Serve writes; the page's port follows.
const greeting = "daemon-proxy echo "

// Serve serves the page on a free port of the loopback, which it writes to out as a
// line, until in ends or ctx does.
func Serve(ctx context.Context, in io.Reader, out io.Writer) error {
	port, end, err := Listen(ctx)
	if err != nil {
		return err
	}
	defer end()
	if _, err := fmt.Fprintf(out, "%s%d\n", greeting, port); err != nil {
		return err
	}
	ended := make(chan error, 1)
	go func() { // it may outlive this: the process ends then
		_, err := io.Copy(io.Discard, in)
		ended <- err
	}()
	select {
	case err = <-ended:
	case <-ctx.Done():
	}
	return err
}

// Port returns the port in a line that Serve wrote; false if it is another line.
func Port(line string) (int, bool) {
	text, ok := strings.CutPrefix(line, greeting)
	port, err := strconv.ParseUint(text, 10, 16)
	return int(port), ok && err == nil && port > 0
}

// Listen serves the page in this process until end is called.
func Listen(ctx context.Context) (port int, end func(), err error) {
	var lc net.ListenConfig
	listener, err := lc.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return 0, nil, fmt.Errorf("listen: %w", err)
	}
	server := &http.Server{Handler: http.HandlerFunc(serve), ReadHeaderTimeout: readHeader}
	done := make(chan struct{})
	go func() { // end waits for it
		defer close(done)
		_ = server.Serve(listener) // until it is closed
	}()
	return listener.Addr().(*net.TCPAddr).Port, func() {
		_ = server.Close() // it has nothing to report
		<-done
	}, nil
}

const (
	readHeader = 10 * time.Second
	// largest is the limit of what /bytes sends and of a WebSocket's message.
	largest        = 1 << 30
	largestMessage = 4 << 20
	// holdEvents is how long an event stream stays open after its first event.
	holdEvents = 10 * time.Second
)

// The paths of the page.
const (
	pathEcho   = "/echo" // and what begins with it
	pathBytes  = "/bytes/"
	pathEvents = "/events"
	pathSocket = "/socket"
)

// seen is what has reached the page, as pathEcho answers it.
type seen struct {
	Method  string      `json:"method"`
	Target  string      `json:"target"`
	Header  http.Header `json:"header"`
	Trailer http.Header `json:"trailer"`
	Size    int64       `json:"size"`
	Sum     string      `json:"sum"` // SHA-256 of the body
}

// What pathEcho adds to its answer.
const (
	answerHeader  = "X-Echo-Answer"
	answerTrailer = "X-Echo-After"
	answerValue   = "kept"
)

func serve(w http.ResponseWriter, r *http.Request) {
	switch path := r.URL.Path; {
	case strings.HasPrefix(path, pathEcho):
		answer(w, r)
	case strings.HasPrefix(path, pathBytes):
		n, err := strconv.ParseInt(path[len(pathBytes):], 10, 64)
		if err != nil || n < 0 || n > largest {
			http.Error(w, "the number of bytes is invalid", http.StatusBadRequest)
			return
		}
		w.Header().Set("Content-Type", "application/octet-stream")
		w.Header().Set("Content-Length", strconv.FormatInt(n, 10))
		_, _ = io.CopyN(w, content(), n) // the client may have disconnected
	case path == pathEvents:
		w.Header().Set("Content-Type", "text/event-stream")
		fmt.Fprint(w, "data: first\n\n")
		_ = http.NewResponseController(w).Flush() // the client sees what is missing
		select {
		case <-r.Context().Done():
		case <-time.After(holdEvents):
		}
	case path == pathSocket:
		socket(w, r)
	default:
		http.Error(w, "404 page not found", http.StatusNotFound)
	}
}

// content is what is sent where only the amount matters: nothing that compresses.
func content() io.Reader { return rand.NewChaCha8([32]byte{}) }

func answer(w http.ResponseWriter, r *http.Request) {
	sum := sha256.New()
	size, err := io.Copy(sum, r.Body)
	if err != nil {
		http.Error(w, "the body broke off: "+err.Error(), http.StatusBadRequest)
		return
	}
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Trailer", answerTrailer)
	h[answerHeader] = []string{answerValue, answerValue + " too"}
	_ = json.NewEncoder(w).Encode(seen{ // the client may have disconnected
		r.Method, r.RequestURI, r.Header, r.Trailer, size, hex.EncodeToString(sum.Sum(nil)),
	})
	h.Set(answerTrailer, answerValue)
}

// socket sends back every message.
func socket(w http.ResponseWriter, r *http.Request) {
	c, err := websocket.Accept(w, r, &websocket.AcceptOptions{InsecureSkipVerify: true}) // it has nothing to protect
	if err != nil {
		return // Accept has answered
	}
	defer func() { _ = c.CloseNow() }()
	c.SetReadLimit(largestMessage)
	for {
		kind, message, err := c.Read(r.Context())
		if err != nil {
			return
		}
		if c.Write(r.Context(), kind, message) != nil {
			return
		}
	}
}
