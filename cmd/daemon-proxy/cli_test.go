package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"daemon-proxy/core/docker/enginetest"
	"daemon-proxy/core/sandbox/source"
)

// said is what a command printed and how it ended.
type said struct {
	code           int
	stdout, stderr string
}

// command runs the binary on a desk until it ends.
func (d *desk) command(t *testing.T, env []string, args ...string) said {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), startsWithin)
	defer cancel()
	cmd := exec.CommandContext(ctx, d.binary, args...)
	cmd.Dir, cmd.Env = d.dir, append([]string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + d.dir, "XDG_STATE_HOME=" + filepath.Join(d.dir, "state"), "XDG_CACHE_HOME=" + filepath.Join(d.dir, "cache"),
		"XDG_CONFIG_HOME=" + filepath.Join(d.dir, "config"), "DOCKER_HOST=" + os.Getenv("DOCKER_HOST"),
	}, env...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	_ = cmd.Run() // its exit code says it
	return said{cmd.ProcessState.ExitCode(), stdout.String(), stderr.String()}
}

// done is the output of a command that must succeed.
func (d *desk) done(t *testing.T, args ...string) string {
	t.Helper()
	got := d.command(t, nil, args...)
	require.Zero(t, got.code, "%v: %s", args, got.stderr)
	require.Empty(t, got.stderr, "%v", args)
	return got.stdout
}

func decode[T any](t *testing.T, text string) T {
	t.Helper()
	var v T
	require.NoError(t, json.Unmarshal([]byte(text), &v), text)
	return v
}

func TestInjectByItself(t *testing.T) {
	t.Parallel()
	e := enginetest.Require(t)
	name, id := container(t, enginetest.RunOptions{}, nil)
	other, otherID := container(t, enginetest.RunOptions{}, nil)
	d := newDesk(t)
	require.NoError(t, os.MkdirAll(filepath.Join(d.dir, "config", "daemon-proxy"), 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(d.dir, "config", "daemon-proxy", "config.yaml"), []byte("daemon:\n  mode: docker\n  container_name: "+other+"\n"), 0o600))

	require.Contains(t, d.done(t, "sandboxes"), name)
	steps := d.done(t, "inject", name)
	require.Contains(t, steps, "copy")
	require.Contains(t, steps, "wait")
	require.Regexp(t, `\nthe daemon in `+name+` is healthy: built-in \S+\n$`, steps)
	for line := range strings.Lines(steps) {
		require.Greater(t, len(strings.Fields(line)), 2, "each line says something: %q", line)
	}
	ports := d.done(t, "ports", name)
	require.Regexp(t, `(?m)^PORT +SERVICE +NAME`, ports)
	require.Regexp(t, `(?m)^8080 +http`, ports)
	require.Regexp(t, `(?m)^6080 +vnc +noVNC`, ports)
	require.Regexp(t, `(?m)^2280 +daemon`, ports)
	require.Contains(t, d.done(t, "ports", name, "--json"), `"service": "vnc"`)
	require.Contains(t, d.done(t, "sandboxes"), "healthy", "the daemon outlives the command, and the next one knows it")
	_, err := e.Stat(t.Context(), otherID, "/usr/local/bin/daemon-proxy")
	require.Error(t, err, "the default container was injected too")
	_, err = os.Stat(filepath.Join(d.dir, "state", "daemon-proxy", "core.json"))
	require.Error(t, err)
	require.Equal(t, 1, strings.Count(d.done(t, "preview", "list"), "\n"), "the head alone")

	// A core that starts later goes on with it.
	p := d.serving(t, nil, "--container-name", name)
	p.healthy()
	p.expect(200, "service on", "GET", "/proxy/8080/", "")
	require.Contains(t, d.done(t, "stop", name), "stopped")
	out, _, err := e.Run(t.Context(), id, source.ExecSpec{Cmd: []string{"/bin/sh", "-c", "ps | grep [t]oolbox || echo none"}})
	require.NoError(t, err)
	require.Contains(t, string(out), "none")
	require.Contains(t, d.done(t, "eject", name), "removed")
	_, err = e.Stat(t.Context(), id, "/usr/local/bin/daemon-proxy")
	require.ErrorIs(t, err, fs.ErrNotExist)
	for _, command := range []string{"inject", "eject"} {
		require.NotZero(t, d.command(t, nil, command, "nobody").code, command)
	}
}
