package docker

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// fakeAPI answers a few calls of the Docker API, for what a real engine
// cannot be made to do: to be old, slow, crowded, or to hang up.
type fakeAPI struct {
	apiVersion string // empty: 1.41
	// routes are further answers, by "METHOD /path" without the version.
	routes map[string]http.HandlerFunc
}

func (f fakeAPI) handler() http.Handler {
	version := f.apiVersion
	if version == "" {
		version = "1.41"
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		path := r.URL.Path
		if strings.HasPrefix(path, "/v1.") {
			_, path, _ = strings.Cut(path[1:], "/")
			path = "/" + path
		}
		w.Header().Set("Api-Version", version)
		w.Header().Set("Content-Type", "application/json")
		if route, ok := f.routes[r.Method+" "+path]; ok {
			route(w, r)
			return
		}
		switch path {
		case "/_ping":
		case "/version":
			_, _ = fmt.Fprintf(w, `{"Version":"99.1","ApiVersion":%q,"Os":"linux","Arch":"riscv64"}`, version)
		default:
			w.WriteHeader(http.StatusNotFound)
			_, _ = fmt.Fprintf(w, `{"message":"no route %s"}`, path)
		}
	})
}

// serve starts the fake on a socket and opens it.
func (f fakeAPI) serve(t *testing.T) *Engine {
	t.Helper()
	socket := filepath.Join(t.TempDir(), "s")
	listener, err := net.Listen("unix", socket)
	require.NoError(t, err)
	server := httptest.NewUnstartedServer(f.handler())
	_ = server.Listener.Close() // replaced
	server.Listener = listener
	server.Start()
	t.Cleanup(server.Close)
	return open(t, Options{Host: "unix://" + socket})
}

// open opens an engine with an environment of its own.
func open(t *testing.T, opts Options) *Engine {
	t.Helper()
	if opts.Env == nil {
		opts.Env = env()
	}
	if opts.Home == "" {
		opts.Home = t.TempDir()
	}
	opts.defaultSocket = filepath.Join(opts.Home, "no.sock")
	e, err := Open(opts)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, e.Close()) })
	return e
}

// answer writes v as JSON.
func answer(v any) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { _ = json.NewEncoder(w).Encode(v) }
}
