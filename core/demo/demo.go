// Package demo is the page of the demo sandbox: small, and made of what previews
// have to get right: a clock over a WebSocket, a style sheet and a picture with
// an absolute path, and a counter in a cookie.
package demo

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"time"

	"github.com/coder/websocket"
)

// The demo sandbox runs this command of the program and serves the page on this port.
const (
	Command = "demo-page"
	Port    = 8080
)

// Serve serves the page until ctx ends.
func Serve(ctx context.Context) error {
	server := &http.Server{
		Addr: fmt.Sprintf(":%d", Port), Handler: Handler(), ReadHeaderTimeout: readHeader,
		BaseContext: func(net.Listener) context.Context { return ctx },
	}
	defer context.AfterFunc(ctx, func() { _ = server.Close() })()
	if err := server.ListenAndServe(); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve the demo page: %w", err)
	}
	return nil
}

// readHeader bounds the time for the head of a request.
const readHeader = 10 * time.Second

//go:embed page.html style.css picture.svg
var files embed.FS

// Handler serves the page.
func Handler() http.Handler { return http.HandlerFunc(serve) }

func serve(w http.ResponseWriter, r *http.Request) {
	switch r.Method + " " + r.URL.Path {
	case "GET /":
		page(w, r)
	case "GET /visits":
		visits(w, r)
	case "GET /clock":
		clock(w, r)
	case "GET /style.css":
		file(w, "style.css", "text/css; charset=utf-8")
	case "GET /picture.svg":
		file(w, "picture.svg", "image/svg+xml")
	default:
		http.Error(w, "404 page not found", http.StatusNotFound)
	}
}

func page(w http.ResponseWriter, r *http.Request) {
	countVisit(w, r)
	w.Header().Set("Cache-Control", "no-store")
	file(w, "page.html", "text/html; charset=utf-8")
}

func file(w http.ResponseWriter, name, contentType string) {
	content, err := files.ReadFile(name)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", contentType)
	_, _ = w.Write(content) // the client may have disconnected
}

// visitCookie counts the visits of a browser.
const visitCookie = "demo_visits"

func visitsOf(r *http.Request) int {
	cookie, err := r.Cookie(visitCookie)
	if err != nil {
		return 0
	}
	n, err := strconv.Atoi(cookie.Value)
	if err != nil || n < 0 || n > 1_000_000 {
		return 0
	}
	return n
}

func countVisit(w http.ResponseWriter, r *http.Request) {
	http.SetCookie(w, &http.Cookie{Name: visitCookie, Value: strconv.Itoa(visitsOf(r) + 1), Path: "/", SameSite: http.SameSiteLaxMode})
}

// visits says what the cookie holds.
func visits(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	fmt.Fprintf(w, `{"visits":%d}`, visitsOf(r))
}

// clock sends the time every second.
func clock(w http.ResponseWriter, r *http.Request) {
	c, err := websocket.Accept(w, r, nil)
	if err != nil {
		return // Accept has answered
	}
	defer func() { _ = c.CloseNow() }()
	ctx := c.CloseRead(r.Context())
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		if err := c.Write(ctx, websocket.MessageText, []byte(time.Now().UTC().Format("15:04:05"))); err != nil {
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}
