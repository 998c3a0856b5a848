// Command streams is a service of long and large answers on the loopback of its
// container, on port 8080: a WebSocket that echoes, events, and bytes in both
// directions. It reports how many of them are open.
package main

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"log"
	"math/rand/v2"
	"net/http"
	"strconv"
	"sync/atomic"

	"github.com/coder/websocket"
)

var open atomic.Int64

func main() {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "service on ", r.Host) })
	mux.HandleFunc("GET /open", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, open.Load()) })
	mux.HandleFunc("GET /socket", counted(socket))
	mux.HandleFunc("GET /events", counted(events))
	mux.HandleFunc("GET /bytes/{size}", counted(bytes))
	mux.HandleFunc("PUT /sum", counted(sum))
	log.Fatal(http.ListenAndServe("127.0.0.1:8080", mux))
}

func counted(h http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		open.Add(1)
		defer open.Add(-1)
		h(w, r)
	}
}

func socket(w http.ResponseWriter, r *http.Request) {
	conn, err := websocket.Accept(w, r, nil)
	if err != nil {
		return
	}
	defer func() { _ = conn.CloseNow() }() // closed already, or broken
	for {
		kind, message, err := conn.Read(r.Context())
		if err != nil || conn.Write(r.Context(), kind, message) != nil {
			return
		}
	}
}

func events(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/event-stream")
	fmt.Fprint(w, "data: first\n\n")
	if http.NewResponseController(w).Flush() == nil {
		<-r.Context().Done()
	}
}

// bytes answers with so many random bytes, and their sum in a trailer.
func bytes(w http.ResponseWriter, r *http.Request) {
	size, err := strconv.ParseInt(r.PathValue("size"), 10, 64)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	w.Header().Set("Trailer", "X-Sum")
	hash := sha256.New()
	if _, err := io.CopyN(io.MultiWriter(w, hash), rand.NewChaCha8([32]byte{}), size); err == nil {
		w.Header().Set("X-Sum", hex.EncodeToString(hash.Sum(nil)))
	}
}

// sum answers with the sum of the body.
func sum(w http.ResponseWriter, r *http.Request) {
	hash := sha256.New()
	if _, err := io.Copy(hash, r.Body); err == nil {
		fmt.Fprint(w, hex.EncodeToString(hash.Sum(nil)))
	}
}
