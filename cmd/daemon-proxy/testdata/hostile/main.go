// Command hostile is a sandbox whose pages are up to no good ("hostile"), or
// the one that they are after ("victim").
package main

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"log"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"

	"github.com/coder/websocket"
)

// asked is what has come in since the start.
type asked struct {
	mu    sync.Mutex
	lines []string
}

func (a *asked) add(r *http.Request) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.lines = append(a.lines, r.Method+" "+r.URL.Path)
}

// list answers with all but its own kind.
func (a *asked) list(w http.ResponseWriter, _ *http.Request) {
	a.mu.Lock()
	defer a.mu.Unlock()
	_ = json.NewEncoder(w).Encode(slices.Sorted(slices.Values(a.lines)))
}

func main() {
	log.Fatal(map[string]func() error{"hostile": hostile, "victim": victim}[os.Args[1]]())
}

// victim has a secret for everybody who gets through to it; only /private
// is not for pages of other origins.
func victim() error {
	var seen asked
	mux := http.NewServeMux()
	mux.HandleFunc("/asked", seen.list)
	mux.HandleFunc("/private", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, "the-victims-secret")
	})
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		seen.add(r)
		h := w.Header()
		h.Set("Access-Control-Allow-Origin", "*")
		h.Set("Access-Control-Allow-Headers", "*")
		h.Set("Access-Control-Allow-Methods", "*")
		answer(w, r, "the-victims-secret")
	})
	return http.ListenAndServe(":8080", mux)
}

//go:embed worker.js
var worker []byte

func hostile() error {
	var seen asked
	mux := http.NewServeMux()
	mux.HandleFunc("/asked", seen.list)
	mux.HandleFunc("/{$}", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		fmt.Fprint(w, "<!doctype html><title>hostile</title><body>")
	})
	mux.HandleFunc("/worker.js", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/javascript")
		w.Header().Set("Service-Worker-Allowed", "/")
		_, _ = w.Write(worker)
	})
	mux.HandleFunc("/written", written)
	mux.HandleFunc("/leave", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Location", r.FormValue("to"))
		w.WriteHeader(http.StatusFound)
	})
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		seen.add(r)
		answer(w, r, "mine")
	})
	return http.ListenAndServe("127.0.0.1:3000", mux)
}

// written is an answer with the type, headers ("Name: value") and body that the
// query says.
func written(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", r.FormValue("type"))
	for _, line := range r.Form["header"] {
		name, value, _ := strings.Cut(line, ": ")
		w.Header().Add(name, value)
	}
	fmt.Fprint(w, r.FormValue("body"))
}

// answer says text in the form that is asked for.
func answer(w http.ResponseWriter, r *http.Request, text string) {
	switch {
	case r.Header.Get("Upgrade") != "":
		conn, err := websocket.Accept(w, r, &websocket.AcceptOptions{InsecureSkipVerify: true})
		if err != nil {
			return
		}
		_ = conn.Write(r.Context(), websocket.MessageText, []byte(text))
		_ = conn.Close(websocket.StatusNormalClosure, "")
	case strings.Contains(r.Header.Get("Accept"), "text/event-stream"):
		w.Header().Set("Content-Type", "text/event-stream")
		fmt.Fprintf(w, "data: %s\n\n", text)
	case r.FormValue("as") == "image":
		w.Header().Set("Content-Type", "image/svg+xml")
		fmt.Fprintf(w, `<svg xmlns="http://www.w3.org/2000/svg" width="1" height="1"><!-- %s --></svg>`, text)
	case r.FormValue("as") == "script":
		w.Header().Set("Content-Type", "text/javascript")
		fmt.Fprintf(w, "/* %s */", text)
	default:
		w.Header().Set("Content-Type", "text/plain")
		fmt.Fprint(w, text)
	}
}
