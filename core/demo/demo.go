// Package demo is the page of the demo sandbox: small, and made of what previews
// have to get right: a clock over a WebSocket, a style sheet and a picture with
// an absolute path, and a counter in a cookie.
package demo

import (
	"embed"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/coder/websocket"
)

//go:embed page.html style.css picture.svg
var files embed.FS

// Handler serves the page.
func Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", page)
	mux.HandleFunc("GET /visits", visits)
	mux.HandleFunc("GET /clock", clock)
	mux.Handle("GET /", http.FileServerFS(files))
	return mux
}

func page(w http.ResponseWriter, r *http.Request) {
	countVisit(w, r)
	w.Header().Set("Cache-Control", "no-store")
	http.ServeFileFS(w, r, files, "page.html")
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
