// Command daytona behaves at its start as the newest generation of the real
// daemon does, as far as a start can go wrong: it wants DAYTONA_SANDBOX_ID,
// knows no flag, runs its arguments as a command and leaves a session behind
// when that fails. It forwards with the standard library's proxy.
package main

import (
	"fmt"
	"log"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"strings"
)

func main() {
	if os.Getenv("DAYTONA_SANDBOX_ID") == "" {
		fmt.Fprintln(os.Stderr, "Configuration validation failed: DAYTONA_SANDBOX_ID is required")
		os.Exit(2)
	}
	if os.Getenv("DAYTONA_USER_HOME_AS_WORKDIR") == "true" {
		_ = os.Chdir(os.Getenv("HOME"))
	}
	if len(os.Args) > 1 {
		if err := exec.Command(os.Args[1], os.Args[2:]...).Run(); err != nil {
			_ = os.WriteFile("/tmp/failed-entrypoint", []byte(strings.Join(os.Args[1:], " ")), 0o600)
		}
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /version", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprint(w, `{"version":"v0.190.0"}`)
	})
	mux.HandleFunc("GET /work-dir", func(w http.ResponseWriter, _ *http.Request) {
		dir, _ := os.Getwd()
		fmt.Fprintf(w, `{"dir":%q}`, dir)
	})
	mux.HandleFunc("GET /port", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, `{"ports":[6080,8080]}`)
	})
	mux.HandleFunc("/proxy/{port}/{path...}", func(w http.ResponseWriter, r *http.Request) {
		port := r.PathValue("port")
		proxy := &httputil.ReverseProxy{
			Rewrite: func(p *httputil.ProxyRequest) {
				p.SetURL(&url.URL{Scheme: "http", Host: "localhost:" + port})
				p.Out.URL.Path = strings.TrimPrefix(p.In.URL.Path, "/proxy/"+port)
				p.Out.URL.RawPath = strings.TrimPrefix(p.In.URL.RawPath, "/proxy/"+port)
			},
			ErrorHandler: func(w http.ResponseWriter, _ *http.Request,
				_ error) {
				w.WriteHeader(http.StatusBadGateway)
			},
		}
		proxy.ServeHTTP(w, r)
	})
	log.Print("Starting toolbox server on port 2280")
	log.Fatal(http.ListenAndServe(":2280", mux))
}
