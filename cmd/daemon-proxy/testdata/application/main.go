// Command application is what people write and expect to work: absolute paths
// everywhere, redirects, a login, a WebSocket that checks Origin against Host,
// events, a service worker and a download with ranges.
package main

import (
	"bytes"
	"embed"
	"encoding/json"
	"fmt"
	"io/fs"
	"log"
	"net/http"
	"net/url"
	"time"

	"github.com/coder/websocket"
)

//go:embed pages static
var files embed.FS

func main() {
	static, err := fs.Sub(files, "static")
	if err != nil {
		log.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.Handle("GET /static/", http.StripPrefix("/static/", http.FileServerFS(static)))
	mux.HandleFunc("GET /sw.js",
		func(w http.ResponseWriter, r *http.Request) { http.ServeFileFS(w, r, files, "pages/sw.js") })
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "http://"+r.Host+"/login", http.StatusFound)
	})
	mux.HandleFunc("GET /login", func(w http.ResponseWriter, r *http.Request) {
		http.SetCookie(w, &http.Cookie{Name: "session", Value: "logged-in", Path: "/", HttpOnly: true,
			SameSite: http.SameSiteLaxMode})
		http.Redirect(w, r, "/app/", http.StatusSeeOther)
	})
	mux.HandleFunc("GET /app/{$}", loggedIn(func(w http.ResponseWriter, r *http.Request) {
		http.ServeFileFS(w, r, files, "pages/app.html")
	}))
	mux.HandleFunc("GET /api/session", loggedIn(func(w http.ResponseWriter, r *http.Request) {
		made, _ := r.Cookie("made-by-a-script")
		_ = json.NewEncoder(w).Encode(map[string]any{"host": r.Host, "script": made != nil})
	}))
	mux.HandleFunc("PUT /api/things/{id}", loggedIn(sameOrigin(func(w http.ResponseWriter, r *http.Request) {
		var thing struct{ Name string }
		if err := json.NewDecoder(r.Body).Decode(&thing); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		w.WriteHeader(http.StatusCreated)
		fmt.Fprintf(w, "%s is %s", r.PathValue("id"), thing.Name)
	})))
	mux.HandleFunc("POST /form", loggedIn(sameOrigin(func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "/done?word="+url.QueryEscape(r.PostFormValue("word")), http.StatusSeeOther)
	})))
	mux.HandleFunc("GET /done", loggedIn(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "got %q", r.FormValue("word"))
	}))
	mux.HandleFunc("GET /favicon.ico",
		func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })
	mux.HandleFunc("GET /events", events)
	mux.HandleFunc("GET /socket", socket)
	data := bytes.Repeat([]byte("0123456789abcdef"), 1<<16)
	mux.HandleFunc("GET /download", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Etag", `"one"`)
		w.Header().Set("Content-Disposition", `attachment; filename="data.bin"`)
		http.ServeContent(w, r, "data.bin", time.Time{}, bytes.NewReader(data))
	})
	log.Fatal(http.ListenAndServe("127.0.0.1:3000", mux))
}

func loggedIn(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if c, err := r.Cookie("session"); err != nil || c.Value != "logged-in" {
			http.Error(w, "log in first", http.StatusUnauthorized)
			return
		}
		next(w, r)
	}
}

// sameOrigin refuses what frameworks with a check against forgery refuse.
func sameOrigin(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if origin := r.Header.Get("Origin"); origin != "http://"+r.Host || r.Header.Get("X-Forwarded-Host") != r.Host {
			http.Error(w, "forged: "+origin, http.StatusForbidden)
			return
		}
		next(w, r)
	}
}

func events(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/event-stream")
	for i := range 3 {
		fmt.Fprintf(w, "id: %d\ndata: event %d\n\n", i, i)
		if err := http.NewResponseController(w).Flush(); err != nil {
			return
		}
	}
	<-r.Context().Done() // the page must get the events before the stream's end
}

// socket echoes. Accept compares Origin with Host.
func socket(w http.ResponseWriter, r *http.Request) {
	conn, err := websocket.Accept(w, r, &websocket.AcceptOptions{Subprotocols: []string{"echo.v1"},
		CompressionMode: websocket.CompressionContextTakeover})
	if err != nil {
		return
	}
	defer func() { _ = conn.CloseNow() }() // closed already, or broken
	conn.SetReadLimit(2 << 20)
	for {
		kind, message, err := conn.Read(r.Context())
		if err != nil {
			return
		}
		if string(message) == "bye" {
			_ = conn.Close(4001, "as you wish") // the page sees whether it came
			return
		}
		if conn.Write(r.Context(), kind, message) != nil {
			return
		}
	}
}
