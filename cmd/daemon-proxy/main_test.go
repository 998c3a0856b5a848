package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"daemon-proxy/core/wiretest"
)

func TestAWrongConfigurationEndsWithTwoAndOneLineAProblem(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "config.yaml")
	require.NoError(t, os.WriteFile(file, []byte("server:\n  port: 70000\n  hots: x\ndaemon:\n  startup_timeout: soon\n"), 0o600))
	var stdout, stderr bytes.Buffer
	require.Equal(t, exitUsage, run([]string{"--no-tui", "--config", file}, &stdout, &stderr))
	require.Empty(t, stdout.String())
	for _, want := range []string{file + ":2", "server.port", "70000", file + ":3", "hots", file + ":5", "startup_timeout", "soon"} {
		require.Contains(t, stderr.String(), want)
	}
}

func TestAnUnknownFlagOrCommandEndsWithTwo(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{{"--nonsense"}, {"nonsense"}, {"version", "nonsense"}} {
		var stdout, stderr bytes.Buffer
		require.Equal(t, exitUsage, run(args, &stdout, &stderr))
		require.Contains(t, stderr.String(), "nonsense")
	}
}

func TestAFailedInjectionIsTriedAgainAfterAPause(t *testing.T) {
	t.Parallel()
	p := newDesk(t).serving(t, nil, "--daemon-mode", "host", "--daemon-path", "/nonexistent/daytona")
	p.expect(422, "daemon.path", "GET", "/proxy/8080/", "")
	tries := func() int { return strings.Count(p.stderr.String(), "injection failed") }
	p.eventually("it is tried again", func() bool { return tries() >= 2 })
	require.Less(t, tries(), 20, "it is tried without a pause")
}

func TestAPortInUseEndsWithOneAndSaysByWhatItIsChanged(t *testing.T) {
	t.Parallel()
	listener := wiretest.Listen(t)
	defer listener.Close()
	port := strconv.Itoa(wiretest.Port(t, listener.Addr()))
	var stdout, stderr bytes.Buffer
	code := run([]string{"--no-tui", "--daemon-mode", "host", "--port", port,
		"--state-file", filepath.Join(t.TempDir(), "links.db"), "--log-file", filepath.Join(t.TempDir(), "log")}, &stdout, &stderr)
	require.Equal(t, exitFailed, code, stderr.String())
	for _, want := range []string{port, "server.port", "--port", "DAEMON_PROXY_PORT"} {
		require.Contains(t, stderr.String(), want)
	}
}

func TestVersionAndHelp(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{{"version"}, {"--version"}} {
		var stdout, stderr bytes.Buffer
		require.Equal(t, exitOK, run(args, &stdout, &stderr))
		require.Contains(t, stdout.String(), version())
	}
	var stdout, stderr bytes.Buffer
	require.Equal(t, exitOK, run([]string{"version", "--json"}, &stdout, &stderr))
	require.Equal(t, version(), decode[map[string]string](t, stdout.String())["version"])
	require.Equal(t, exitOK, run([]string{"--help"}, &stdout, &stderr))
	for _, flag := range []string{"--config", "--daemon-mode", "--container-name", "--injection-mode", "--binary-source-path", "--no-tui"} {
		require.Contains(t, stdout.String(), flag)
	}
}

func TestTheToolboxWantsItsSecret(t *testing.T) {
	var stdout, stderr bytes.Buffer
	require.Equal(t, exitFailed, run([]string{"toolbox", "--addr", "127.0.0.1:0"}, &stdout, &stderr))
	require.Contains(t, stderr.String(), "DAEMON_PROXY_SECRET")
}

func TestVersionsAreShort(t *testing.T) {
	t.Parallel()
	for module, want := range map[string]string{
		"": "devel", "(devel)": "devel", "v1.2.3": "v1.2.3", "v1.2.3-rc.1": "v1.2.3-rc.1", "v1.2.3+dirty": "v1.2.3+dirty",
		"v0.0.0-20261125022030-58cb0d995172":        "devel-58cb0d9",
		"v1.2.4-0.20261125022030-58cb0d995172":      "devel-58cb0d9",
		"v0.0.0-20261125022030-58cb0d995172+dirty":  "devel-58cb0d9+dirty",
		"v1.2.3-rc.1.0.20261125022030-58cb0d995172": "devel-58cb0d9",
	} {
		require.Equal(t, want, shortVersion(module), module)
	}
}
