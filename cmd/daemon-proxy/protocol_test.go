package main

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"daemon-proxy/core"
	"daemon-proxy/core/api"
	"daemon-proxy/core/wiretest"
)

// After an update of the program, the core that still runs may be of an older one.
func TestW1CommandsNameACoreOfAnotherProtocol(t *testing.T) {
	t.Parallel()
	health := api.Health{Status: "healthy", Version: "v9.9", Protocol: "9.0"}
	url := "http://" + wiretest.Serve(t, func(w http.ResponseWriter, _ *http.Request) { _ = json.NewEncoder(w).Encode(health) })
	d := newDesk(t)
	folder := filepath.Join(d.dir, "state", "daemon-proxy")
	require.NoError(t, os.MkdirAll(folder, 0o700))
	running, err := json.Marshal(core.Running{URL: url, PID: os.Getpid()})
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(folder, "core.json"), running, 0o600))
	for _, args := range [][]string{
		{"sandboxes"}, {"status"}, {"requests", "--follow"}, {"preview", "create", "80"}, {"sandboxes", "--server", url},
	} {
		got := d.command(t, nil, args...)
		require.Equal(t, exitFailed, got.code, "%v", args)
		require.Contains(t, got.stderr, "the core at "+url+" (version v9.9) speaks protocol 9.0, and this program speaks 1.0\n", "%v", args)
		require.Contains(t, got.stderr, "try: install the same version", "%v", args)
		require.Empty(t, got.stdout)
	}
}
