// Command daytona behaves at its start as one generation of the real daemon
// does, chosen by a build tag: gen102, gen115, or neither for v0.190. The
// variables FAKE_… make it misbehave.
package main

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"time"
)

func main() {
	if words := os.Getenv("FAKE_EXIT"); words != "" {
		fmt.Fprintln(os.Stderr, words)
		os.Exit(7)
	}
	prepare()
	fmt.Println("Starting toolbox server on port 2280")
	if os.Getenv("FAKE_DEAF") != "" {
		time.Sleep(time.Hour)
	}
	if delay, err := time.ParseDuration(os.Getenv("FAKE_DELAY")); err == nil {
		time.Sleep(delay)
	}
	port := os.Getenv("FAKE_PORT")
	if port == "" {
		port = "2280"
	}
	listener, err := net.Listen("tcp", ":"+port)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	shown := version
	if os.Getenv("FAKE_STAMP") != "" {
		shown = fmt.Sprint(time.Now().UnixNano())
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /version", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintf(w, `{"version":%q}`, shown) })
	mux.HandleFunc("GET /work-dir", func(w http.ResponseWriter, _ *http.Request) {
		dir, _ := os.Getwd()
		fmt.Fprintf(w, `{"dir":%q}`, dir)
	})
	mux.HandleFunc("GET /port", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `{"ports":[2280,8000]}`) })
	fmt.Fprintln(os.Stderr, http.Serve(listener, mux))
}
