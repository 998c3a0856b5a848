package docker_test

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"daemon-proxy/core/api"
	"daemon-proxy/core/docker"
	"daemon-proxy/core/docker/enginetest"
	"daemon-proxy/core/sandbox/source"
)

// Promises that only a real engine can keep or break.

// soon bounds the wait for something that takes milliseconds on an idle machine.
const soon = 30 * time.Second

func TestPingGivesTheVersion(t *testing.T) {
	t.Parallel()
	e := enginetest.Require(t)
	version, err := e.Ping(t.Context())
	require.NoError(t, err)
	require.Regexp(t, `^\d+\.\d+`, version)
}

func TestInspectAndListTellTheSame(t *testing.T) {
	t.Parallel()
	e := enginetest.Require(t)
	image := enginetest.Busybox(t)
	name := enginetest.Name(t)
	id := enginetest.Run(t, image, enginetest.RunOptions{
		Name: name, WorkDir: "/tmp", ReadOnly: true,
		Tmpfs: map[string]string{"/scratch": "ro,size=1m", "/run": ""}, Binds: []string{"/tmp:/data:ro"},
		Labels: map[string]string{"com.docker.compose.project": "shop"},
	})
	c, err := e.Inspect(t.Context(), name)
	require.NoError(t, err)
	require.Equal(t, id, c.ID)
	require.Equal(t, name, c.Name)
	require.Equal(t, api.ContainerRunning, c.State)
	require.True(t, c.Running())
	require.Equal(t, "linux/"+runtime.GOARCH, c.Platform)
	require.Equal(t, image, c.Image)
	require.True(t, c.ReadOnlyRoot)
	require.Equal(t, "/tmp", c.WorkingDir)
	require.Equal(t, "shop", c.Labels["com.docker.compose.project"])
	require.Positive(t, c.Pid)
	require.WithinDuration(t, time.Now(), c.StartedAt, time.Hour)
	require.Len(t, c.Addresses, 1)
	require.Equal(t, []source.Mount{
		{Type: "bind", Destination: "/data"},
		{Type: "tmpfs", Destination: "/run", Writable: true},
		{Type: "tmpfs", Destination: "/scratch"},
	}, c.Mounts)

	listed := find(t, e, id)
	require.Equal(t, c.Platform, listed.Platform, "known since Inspect")
	for _, pair := range [][2]any{
		{c.Name, listed.Name}, {c.Image, listed.Image}, {c.State, listed.State},
		{c.Addresses, listed.Addresses}, {c.Labels, listed.Labels},
	} {
		require.Equal(t, pair[0], pair[1])
	}

	byShortID, err := e.Inspect(t.Context(), id[:12])
	require.NoError(t, err)
	require.Equal(t, id, byShortID.ID)
	_, err = e.Inspect(t.Context(), id[:6])
	require.ErrorIs(t, err, &api.Problem{Code: api.CodeSandboxMissing})
}

// find is the container as List gives it.
func find(t *testing.T, e *docker.Engine, id string) source.Container {
	t.Helper()
	list, err := e.List(t.Context())
	require.NoError(t, err)
	for _, c := range list {
		if c.ID == id {
			return c
		}
	}
	require.Fail(t, "not listed", id)
	return source.Container{}
}

func TestMissingContainersAreNamed(t *testing.T) {
	t.Parallel()
	e := enginetest.Require(t)
	ctx, gone := t.Context(), "dp-test-does-not-exist"
	for call, do := range map[string]func() error{
		"inspect": func() error { _, err := e.Inspect(ctx, gone); return err },
		"start":   func() error { return e.StartContainer(ctx, gone) },
		"stop":    func() error { return e.StopContainer(ctx, gone, 0) },
		"copy in": func() error { return e.CopyIn(ctx, gone, "/", bytes.NewReader(nil)) },
		"stat":    func() error { _, err := e.Stat(ctx, gone, "/"); return err },
		"copy out": func() error {
			_, _, err := e.CopyOut(ctx, gone, "/x")
			return err
		},
		"exec": func() error { _, err := e.Start(ctx, gone, source.ExecSpec{Cmd: []string{"x"}}); return err },
		"run":  func() error { _, _, err := e.Run(ctx, gone, source.ExecSpec{Cmd: []string{"x"}}); return err },
		"logs": func() error { _, err := e.Logs(ctx, gone, -1, false); return err },
	} {
		err := do()
		require.ErrorIs(t, err, &api.Problem{Code: api.CodeSandboxMissing}, call)
		require.ErrorContains(t, err, gone, call)
		require.NotErrorIs(t, err, fs.ErrNotExist, call)
	}
}

func TestStatesOfAContainerAreTheEngines(t *testing.T) {
	t.Parallel()
	e := enginetest.Require(t)
	image := enginetest.Busybox(t)
	state := func(id string) string {
		t.Helper()
		c, err := e.Inspect(t.Context(), id)
		require.NoError(t, err)
		require.Equal(t, c.State, find(t, e, id).State)
		return c.State
	}
	problem := func(id string) string {
		t.Helper()
		_, err := e.Start(t.Context(), id, source.ExecSpec{Cmd: []string{"true"}})
		require.Error(t, err)
		require.NotEmpty(t, api.AsProblem(err).Hint)
		return api.AsProblem(err).Code
	}
	// A first process without a handler takes no SIGTERM: only SIGKILL ends it.
	id := enginetest.Run(t, image, enginetest.RunOptions{CreateOnly: true, Cmd: []string{"/bin/sleep", "3600"}})
	require.Equal(t, api.ContainerCreated, state(id))
	require.Equal(t, api.CodeSandboxStopped, problem(id))
	require.NoError(t, e.StartContainer(t.Context(), id))
	require.NoError(t, e.StartContainer(t.Context(), id), "runs already")
	require.Equal(t, api.ContainerRunning, state(id))

	enginetest.Pause(t, id)
	require.Equal(t, api.ContainerPaused, state(id))
	require.Equal(t, api.CodeSandboxPaused, problem(id))
	enginetest.Unpause(t, id)

	first, err := e.Inspect(t.Context(), id)
	require.NoError(t, err)
	enginetest.Restart(t, id)
	second, err := e.Inspect(t.Context(), id)
	require.NoError(t, err)
	require.NotEqual(t, first.Pid, second.Pid)
	require.Nil(t, second.ExitCode, "it runs")
	require.True(t, second.StartedAt.After(first.StartedAt))

	require.Eventually(t, func() bool { // until then the runtime's own process may get the signal
		name, _, err := e.Run(t.Context(), id, source.ExecSpec{Cmd: []string{"/bin/cat", "/proc/1/comm"}})
		return err == nil && string(name) == "sleep\n"
	}, soon, 20*time.Millisecond)
	require.NoError(t, e.StopContainer(t.Context(), id, 0))
	require.Equal(t, api.ContainerExited, state(id))
	require.Equal(t, api.CodeSandboxStopped, problem(id))
	ended, err := e.Inspect(t.Context(), id)
	require.NoError(t, err)
	require.Equal(t, 137, *ended.ExitCode)
	require.Equal(t, 137, *find(t, e, id).ExitCode)
	require.Zero(t, ended.Pid)
	require.Empty(t, ended.Addresses)

	loop := enginetest.Run(t, image, enginetest.RunOptions{RestartPolicy: "always", Cmd: []string{"/bin/false"}})
	require.Eventually(t, func() bool { return state(loop) == api.ContainerRestarting }, soon, 20*time.Millisecond)
	enginetest.Remove(t, loop)
	_, err = e.Inspect(t.Context(), loop)
	require.ErrorIs(t, err, &api.Problem{Code: api.CodeSandboxMissing})
}

func TestNetworksOfAContainer(t *testing.T) {
	t.Parallel()
	e := enginetest.Require(t)
	image := enginetest.Busybox(t)
	inspect := func(id string) source.Container {
		t.Helper()
		c, err := e.Inspect(t.Context(), id)
		require.NoError(t, err)
		return c
	}
	network := enginetest.Network(t, "")

	none := inspect(enginetest.Run(t, image, enginetest.RunOptions{Network: "none"}))
	require.Empty(t, none.Addresses)

	host := inspect(enginetest.Run(t, image, enginetest.RunOptions{Network: "host"}))
	require.True(t, host.HostNetwork)
	require.Empty(t, host.Addresses)

	ownerID := enginetest.Run(t, image, enginetest.RunOptions{Network: network})
	owner := inspect(ownerID)
	require.Len(t, owner.Addresses, 1)
	require.False(t, owner.HostNetwork)
	require.Empty(t, owner.SharesNetworkOf)

	guestID := enginetest.Run(t, image, enginetest.RunOptions{Network: "container:" + owner.Name})
	guest := inspect(guestID)
	require.Equal(t, ownerID, guest.SharesNetworkOf, "the engine has turned the name into an id")
	require.Equal(t, ownerID, find(t, e, guestID).SharesNetworkOf)
	require.Empty(t, guest.Addresses)

	bridged := enginetest.Run(t, image, enginetest.RunOptions{})
	before := inspect(bridged).Addresses
	enginetest.Connect(t, network, bridged)
	after := inspect(bridged).Addresses
	require.Len(t, after, 2)
	require.Equal(t, before[0], after[0], "the default bridge stays first")
}

func TestIPv6AddressesComeAfterIPv4(t *testing.T) {
	t.Parallel()
	e := enginetest.Require(t)
	image := enginetest.Busybox(t)
	network := enginetest.Network(t, "fd00:d09:5ca1::/64")
	c, err := e.Inspect(t.Context(), enginetest.Run(t, image, enginetest.RunOptions{Network: network}))
	require.NoError(t, err)
	require.Len(t, c.Addresses, 2)
	require.Contains(t, c.Addresses[0], ".")
	require.Contains(t, c.Addresses[1], "fd00:d09:5ca1:")
}

func TestPlatformIsAssumedWhenTheImageIsGone(t *testing.T) {
	t.Parallel()
	e := enginetest.Require(t)
	files := enginetest.BusyboxFiles(t)
	foreign := enginetest.Foreign(t, files, "s390x")
	id := enginetest.Run(t, foreign, enginetest.RunOptions{CreateOnly: true})
	c, err := e.Inspect(t.Context(), id)
	require.NoError(t, err)
	require.Equal(t, "linux/s390x", c.Platform)

	other := enginetest.Busybox(t)
	id = enginetest.Run(t, other, enginetest.RunOptions{})
	enginetest.RemoveImage(t, other)
	c, err = e.Inspect(t.Context(), id)
	require.NoError(t, err)
	require.Equal(t, "linux/"+runtime.GOARCH, c.Platform)
}

func TestLogsGiveBothStreams(t *testing.T) {
	t.Parallel()
	e := enginetest.Require(t)
	image := enginetest.Busybox(t)
	for _, tty := range []bool{false, true} {
		id := enginetest.Run(t, image, enginetest.RunOptions{Tty: tty, Cmd: []string{"/bin/sh", "-c", "echo one; echo two >&2; echo three"}})
		read := func(tail int, follow bool) string {
			logs, err := e.Logs(t.Context(), id, tail, follow)
			require.NoError(t, err)
			text, err := io.ReadAll(logs)
			require.NoError(t, errors.Join(err, logs.Close()))
			return strings.ReplaceAll(string(text), "\r\n", "\n")
		}
		text := read(-1, true) // until the container ends
		require.Len(t, text, len("one\ntwo\nthree\n"), "tty %t", tty)
		for _, line := range []string{"one\n", "two\n", "three\n"} {
			require.Contains(t, text, line, "tty %t", tty)
		}
		require.Equal(t, text, read(-1, false))
		require.Equal(t, 2, strings.Count(read(2, false), "\n"))
	}
}

func TestFollowedLogsEndWithTheirContext(t *testing.T) {
	t.Parallel()
	e := enginetest.Require(t)
	id := enginetest.Run(t, enginetest.Busybox(t), enginetest.RunOptions{})
	ctx, cancel := context.WithCancel(t.Context())
	logs, err := e.Logs(ctx, id, 0, true)
	require.NoError(t, err)
	cancel()
	_, err = io.ReadAll(logs)
	require.ErrorIs(t, err, context.Canceled)
	require.NoError(t, logs.Close())
}

func TestEventsTellALifeWithoutItsExecs(t *testing.T) {
	t.Parallel()
	e := enginetest.Require(t)
	image := enginetest.Busybox(t)
	ctx, cancel := context.WithTimeout(t.Context(), soon)
	defer cancel()
	events, errs := e.Events(ctx)

	name := enginetest.Name(t)
	id := enginetest.Run(t, image, enginetest.RunOptions{Name: name})
	_, code, err := e.Run(ctx, id, source.ExecSpec{Cmd: []string{"/bin/true"}})
	require.NoError(t, err)
	require.Zero(t, code)
	enginetest.Pause(t, id)
	enginetest.Unpause(t, id)
	enginetest.Rename(t, id, name+"-b")
	enginetest.Kill(t, id, "KILL")
	require.Eventually(t, func() bool { return find(t, e, id).State == api.ContainerExited }, soon, 10*time.Millisecond)
	enginetest.Remove(t, id)

	var actions []string
	for ev := range events {
		if ev.ID != id || strings.HasSuffix(ev.Action, "connect") { // another test's, or of its network
			continue
		}
		actions = append(actions, ev.Action)
		switch ev.Action {
		case "create", "start":
			require.Equal(t, name, ev.Name)
		case "rename":
			require.Equal(t, name+"-b", ev.Name)
		case "destroy":
			cancel()
		}
	}
	require.ErrorIs(t, <-errs, context.Canceled)
	require.Equal(t, []string{"create", "start", "pause", "unpause", "rename", "die", "destroy"}, actions)
}

// The address of a container that leaves a network may get to another one.
func TestEventsTellThatAContainerLeavesANetwork(t *testing.T) {
	t.Parallel()
	e := enginetest.Require(t)
	network := enginetest.Network(t, "")
	id := enginetest.Run(t, enginetest.Busybox(t), enginetest.RunOptions{Network: network})
	ctx, cancel := context.WithTimeout(t.Context(), soon)
	defer cancel()
	events, errs := e.Events(ctx)
	enginetest.Disconnect(t, network, id)
	left := false
	for ev := range events {
		if ev.ID == id && ev.Action == "disconnect" {
			left = true
			cancel()
		}
	}
	require.ErrorIs(t, <-errs, context.Canceled)
	require.True(t, left)
}

// tarOf is a tar with one file.
func tarOf(t *testing.T, name, content string, mode int64) io.Reader {
	t.Helper()
	var buffer bytes.Buffer
	w := tar.NewWriter(&buffer)
	require.NoError(t, w.WriteHeader(&tar.Header{Name: name, Size: int64(len(content)), Mode: mode}))
	_, err := io.WriteString(w, content)
	require.NoError(t, errors.Join(err, w.Close()))
	return &buffer
}
