// Command service is what runs in the test containers: the same small web
// application on ports 8080 and 6080.
package main

import (
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
)

func main() {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "service on %s", r.Host)
	})
	mux.HandleFunc("GET /vnc.html", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, "<title>noVNC</title>the desktop")
	})
	mux.HandleFunc("GET /api/data", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, `{"data":[1,2,3]}`)
	})
	mux.HandleFunc("GET /search", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "query %s", r.URL.RawQuery)
	})
	mux.HandleFunc("POST /api/users", func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		var user struct{ Name string }
		if json.Unmarshal(body, &user) != nil {
			http.Error(w, "not json", http.StatusBadRequest)
			return
		}
		w.WriteHeader(http.StatusCreated)
		fmt.Fprintf(w, "%s %s", r.Header.Get("Content-Type"), user.Name)
	})
	mux.HandleFunc("GET /echo-headers", func(w http.ResponseWriter, r *http.Request) {
		_ = json.NewEncoder(w).Encode(r.Header)
	})
	hold := make(chan struct{})
	mux.HandleFunc("GET /stream", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		fmt.Fprint(w, "data: first\n\n")
		w.(http.Flusher).Flush()
		select {
		case <-hold:
		case <-r.Context().Done():
		}
	})
	go func() { log.Fatal(http.ListenAndServe(":6080", mux)) }()
	if len(os.Args) > 1 { // one more port, for what listens later
		go func() { log.Fatal(http.ListenAndServe(os.Args[1], mux)) }()
	}
	log.Fatal(http.ListenAndServe(":8080", mux))
}
