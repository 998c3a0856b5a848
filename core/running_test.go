package core

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"daemon-proxy/core/api"
)

func TestRunningIsWrittenPrivateAndTakenAway(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "state")
	_, ok := ReadRunning(dir)
	require.False(t, ok)

	want := Running{Address: "127.0.0.1:8080", URL: "http://localhost:8080", PID: os.Getpid(), Version: "v1",
		Protocol: "1.0", Key: "secret", Executable: "/usr/bin/daemon-proxy"}
	require.NoError(t, writeRunning(dir, want))
	got, ok := ReadRunning(dir)
	require.True(t, ok)
	require.Equal(t, want, got)
	info, err := os.Stat(runningFile(dir))
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode().Perm())

	require.NoError(t, removeRunning(dir))
	left, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Empty(t, left)
	require.NoError(t, removeRunning(dir), "a second time is no error")
}

func TestAnotherCoresFileStays(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	require.NoError(t, writeRunning(dir, Running{URL: "http://localhost:1", PID: os.Getpid() + 1}))
	require.NoError(t, removeRunning(dir))
	_, ok := ReadRunning(dir)
	require.True(t, ok)
}

func TestTheSecondCoreIsToldWhoRuns(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	locked := &api.Problem{Code: api.CodeStateLocked, Detail: "links.db is in use"}
	require.Same(t, locked, withHolder(locked, dir), "nobody says that it runs")

	require.NoError(t, writeRunning(dir, Running{URL: "http://localhost:8080", PID: 4242}))
	said := withHolder(locked, dir)
	require.ErrorContains(t, said, "4242")
	require.ErrorContains(t, said, "http://localhost:8080")
	require.Contains(t, api.AsProblem(said).Hint, "--standalone")

	other := errors.New("other")
	require.Same(t, other, withHolder(other, dir))
}

func TestACoreIsListedWithItsProtocolAndAKeyOfThisRun(t *testing.T) {
	t.Parallel()
	keys := map[string]bool{}
	for range 2 {
		var dir string
		c := started(t, func(o *Options) {
			dir, o.Executable, o.Config.Daemon.Mode = o.Config.StateDir, "/usr/bin/daemon-proxy", "host"
		})
		r, ok := ReadRunning(dir)
		require.True(t, ok)
		require.Equal(t, api.Protocol, r.Protocol)
		require.Equal(t, "/usr/bin/daemon-proxy", r.Executable)
		require.GreaterOrEqual(t, len(r.Key), 26, "128 bits, in base 32")
		keys[r.Key] = true
		_, health := get(t, c, "/health")
		require.Equal(t, api.Protocol, health["protocol"])
	}
	require.Len(t, keys, 2)
}
