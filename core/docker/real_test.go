package docker_test

import (
	"context"
	"errors"
	"io"
	"runtime"
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

func TestWhatAContainerWasCreatedWith(t *testing.T) {
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
	require.Equal(t, "linux/"+runtime.GOARCH, c.Platform)
	require.Equal(t, image, c.Image)
	require.True(t, c.ReadOnlyRoot)
	require.Equal(t, "/tmp", c.WorkingDir)
	require.Equal(t, "shop", c.Labels["com.docker.compose.project"])
	require.Positive(t, c.Pid)
	require.WithinDuration(t, time.Now(), c.StartedAt, time.Hour)
	require.Equal(t, []source.Mount{
		{Type: "bind", Destination: "/data"},
		{Type: "tmpfs", Destination: "/run", Writable: true},
		{Type: "tmpfs", Destination: "/scratch"},
	}, c.Mounts)
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

func TestStatesBeforeTheFirstStartAndBetweenRestarts(t *testing.T) {
	t.Parallel()
	e := enginetest.Require(t)
	image := enginetest.Busybox(t)
	options := enginetest.RunOptions{CreateOnly: true, Cmd: []string{"/bin/false"}, RestartPolicy: "always"}
	id := enginetest.Run(t, image, options)
	require.Equal(t, api.ContainerCreated, find(t, e, id).State)
	_, err := e.Start(t.Context(), id, source.ExecSpec{Cmd: []string{"true"}})
	require.ErrorIs(t, err, &api.Problem{Code: api.CodeSandboxStopped})
	require.NoError(t, e.StartContainer(t.Context(), id))
	restarting := func() bool { return find(t, e, id).State == api.ContainerRestarting }
	require.Eventually(t, restarting, soon, 20*time.Millisecond)
}

func TestTheExitCodeOfAKilledContainer(t *testing.T) {
	t.Parallel()
	e := enginetest.Require(t)
	id := enginetest.Run(t, enginetest.Busybox(t), enginetest.RunOptions{})
	enginetest.Kill(t, id, "KILL")
	require.Eventually(t, func() bool { return find(t, e, id).State == api.ContainerExited }, soon, 20*time.Millisecond)
	c, err := e.Inspect(t.Context(), id)
	require.NoError(t, err)
	require.Equal(t, 137, *c.ExitCode)
	require.Equal(t, 137, *find(t, e, id).ExitCode)
}

func TestLogsOfATerminal(t *testing.T) {
	t.Parallel()
	e := enginetest.Require(t)
	id := enginetest.Run(t, enginetest.Busybox(t), enginetest.RunOptions{Tty: true, Cmd: []string{"/bin/echo", "one"}})
	logs, err := e.Logs(t.Context(), id, -1, true)
	require.NoError(t, err)
	text, err := io.ReadAll(logs)
	require.NoError(t, errors.Join(err, logs.Close()))
	require.Equal(t, "one\r\n", string(text))
}

func TestEventsLeaveOutExecs(t *testing.T) {
	t.Parallel()
	e := enginetest.Require(t)
	ctx, cancel := context.WithTimeout(t.Context(), soon)
	defer cancel()
	id := enginetest.Run(t, enginetest.Busybox(t), enginetest.RunOptions{Network: "none"})
	events, errs := e.Events(ctx)
	_, code, err := e.Run(ctx, id, source.ExecSpec{Cmd: []string{"/bin/true"}})
	require.NoError(t, err)
	require.Zero(t, code)
	enginetest.Kill(t, id, "KILL")
	require.True(t, nextOf(t, events, id).Died, "nothing before the end")
	cancel()
	for range events {
	}
	require.ErrorIs(t, <-errs, context.Canceled)
}

// The engine may report a pause twice if it ends at once.
func TestEventsOfAContainerThatGoesOn(t *testing.T) {
	t.Parallel()
	e := enginetest.Require(t)
	ctx, cancel := context.WithTimeout(t.Context(), soon)
	defer cancel()
	id := enginetest.Run(t, enginetest.Busybox(t), enginetest.RunOptions{Network: "none"})
	events, _ := e.Events(ctx)
	for _, change := range []func(){
		func() { enginetest.Pause(t, id) },
		func() { enginetest.Unpause(t, id) },
		func() { enginetest.Rename(t, id, enginetest.Name(t)) },
	} {
		change()
		require.False(t, nextOf(t, events, id).Died)
	}
	enginetest.Kill(t, id, "KILL")
	for !nextOf(t, events, id).Died {
	}
}

// nextOf waits for the next event of a container; those of other tests are skipped.
func nextOf(t *testing.T, events <-chan source.Event, id string) source.Event {
	t.Helper()
	for ev := range events {
		if ev.ID == id {
			return ev
		}
	}
	require.Fail(t, "the events ended")
	return source.Event{}
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
		if ev.ID == id {
			left = true
			cancel()
		}
	}
	require.ErrorIs(t, <-errs, context.Canceled)
	require.True(t, left)
}
