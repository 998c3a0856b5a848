package enginetest

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/network"
	"github.com/stretchr/testify/require"
)

// FakeEngine serves, on a socket of its own, as much of the Docker API as is needed
// to list running containers, for tests that need more engines than a machine has.
// Nothing can be done with the containers. It returns the engine's endpoint.
func FakeEngine(t testing.TB, containers ...string) (host string) {
	t.Helper()
	dir, err := os.MkdirTemp("", "dp-test-fake-") // short: it holds a socket
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, os.RemoveAll(dir)) })
	socket := filepath.Join(dir, "docker.sock")
	listener, err := net.Listen("unix", socket)
	require.NoError(t, err)
	list := make([]container.Summary, len(containers))
	for i, name := range containers {
		s := container.Summary{
			ID: fmt.Sprintf("%x", sha256.Sum256([]byte(socket+name))), Names: []string{"/" + name}, Image: "fake",
			State: container.StateRunning, NetworkSettings: &container.NetworkSettingsSummary{
				Networks: map[string]*network.EndpointSettings{"none": {}}},
		}
		s.HostConfig.NetworkMode = "none"
		list[i] = s
	}
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Api-Version", "1.41")
		w.Header().Set("Content-Type", "application/json")
		switch path := r.URL.Path; {
		case path == "/_ping":
		case strings.HasSuffix(path, "/version") && !strings.Contains(path, "libpod"):
			_, _ = fmt.Fprint(w, `{"Version":"99.1","ApiVersion":"1.41","Os":"linux","Arch":"amd64"}`)
		case strings.HasSuffix(path, "/containers/json"):
			_ = json.NewEncoder(w).Encode(list) // the caller shows what fails
		case strings.HasSuffix(path, "/events"):
			_ = http.NewResponseController(w).Flush() // as above
			<-r.Context().Done()
		default:
			w.WriteHeader(http.StatusNotFound)
			_, _ = fmt.Fprintf(w, `{"message":"the fake engine has no %s"}`, path)
		}
	}))
	_ = server.Listener.Close() // replaced
	server.Listener = listener
	server.Start()
	t.Cleanup(func() {
		server.CloseClientConnections()
		server.Close()
	})
	return "unix://" + socket
}
