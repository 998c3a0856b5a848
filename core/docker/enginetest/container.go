package enginetest

import (
	"fmt"
	"strings"
	"testing"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/api/types/volume"
	"github.com/docker/docker/client"
	"github.com/stretchr/testify/require"
)

// RunOptions are the options of Run; the zero value starts the image's command.
type RunOptions struct {
	Name          string // empty: Name(t)
	Cmd           []string
	Entrypoint    []string
	Env           []string // KEY=VALUE
	WorkDir, User string
	Tty           bool
	// Network is a mode ("none", "host", "container:ID") or the name of a
	// network; empty: the default bridge.
	Network  string
	ReadOnly bool
	// Tmpfs is path → mount options; Binds are as for `docker run -v`.
	Tmpfs map[string]string
	Binds []string
	// RestartPolicy is "no", "always", "on-failure" or "unless-stopped"; empty: "no".
	RestartPolicy string
	Labels        map[string]string
	CapDrop       []string
	PidsLimit     int64 // 0: none
	Memory        int64 // bytes; 0: no limit
	// CreateOnly leaves the container in the state "created".
	CreateOnly bool
}

// Run starts a container and returns its id. When the test ends, the container
// and its anonymous volumes are removed.
func Run(t testing.TB, image string, o RunOptions) string {
	t.Helper()
	cli := dockerClient(t)
	ctx, cancel := call(t)
	defer cancel()
	if o.Name == "" {
		o.Name = Name(t)
	}
	labels := map[string]string{Label: "1"}
	for k, v := range o.Labels {
		labels[k] = v
	}
	noGrace := 1 // seconds that a stop may take
	created, err := cli.ContainerCreate(ctx,
		&container.Config{
			Image: image, Cmd: o.Cmd, Entrypoint: o.Entrypoint, Env: o.Env, WorkingDir: o.WorkDir, User: o.User,
			Tty: o.Tty, Labels: labels, StopTimeout: &noGrace,
		},
		&container.HostConfig{
			CapDrop: o.CapDrop, Resources: container.Resources{Memory: o.Memory, PidsLimit: &o.PidsLimit},
			NetworkMode: container.NetworkMode(o.Network), ReadonlyRootfs: o.ReadOnly, Tmpfs: o.Tmpfs, Binds: o.Binds,
			RestartPolicy: container.RestartPolicy{Name: container.RestartPolicyMode(o.RestartPolicy)},
		},
		nil, nil, o.Name)
	require.NoError(t, err, "create container %s", o.Name)
	t.Cleanup(func() { remove(t, cli, created.ID) })
	if !o.CreateOnly {
		require.NoError(t, cli.ContainerStart(ctx, created.ID, container.StartOptions{}), "start container %s", o.Name)
	}
	return created.ID
}

// Remove removes a container at once, whether it runs or not.
func Remove(t testing.TB, id string) {
	t.Helper()
	remove(t, dockerClient(t), id)
}

func remove(t testing.TB, cli *client.Client, id string) {
	t.Helper()
	ctx, cancel := call(t)
	defer cancel()
	var err error
	for range removals {
		err = ignoreMissing(cli.ContainerRemove(ctx, id, container.RemoveOptions{Force: true, RemoveVolumes: true}))
		if err == nil || !strings.Contains(err.Error(), "failed to remove root filesystem") {
			break
		}
	}
	require.NoError(t, err, "remove container %s", id)
}

// removals is how often remove tries if the engine cannot delete the container's
// files: one of its processes may still be ending.
const removals = 20

// ignoreMissing returns err, or nil if it means that the object is gone already.
func ignoreMissing(err error) error {
	if errdefs.IsNotFound(err) {
		return nil
	}
	return err
}

// Pause freezes a container.
func Pause(t testing.TB, id string) {
	t.Helper()
	ctx, cancel := call(t)
	defer cancel()
	require.NoError(t, dockerClient(t).ContainerPause(ctx, id), "pause %s", id)
}

// Unpause resumes a paused container.
func Unpause(t testing.TB, id string) {
	t.Helper()
	ctx, cancel := call(t)
	defer cancel()
	require.NoError(t, dockerClient(t).ContainerUnpause(ctx, id), "unpause %s", id)
}

// Rename gives a container another name.
func Rename(t testing.TB, id, name string) {
	t.Helper()
	ctx, cancel := call(t)
	defer cancel()
	require.NoError(t, dockerClient(t).ContainerRename(ctx, id, name), "rename %s", id)
}

// Kill sends a signal ("KILL", "TERM") to a container's main process.
func Kill(t testing.TB, id, signal string) {
	t.Helper()
	ctx, cancel := call(t)
	defer cancel()
	require.NoError(t, dockerClient(t).ContainerKill(ctx, id, signal), "kill %s", id)
}

// Restart kills a container and starts it again, as one call to the engine.
func Restart(t testing.TB, id string) {
	t.Helper()
	ctx, cancel := call(t)
	defer cancel()
	now := 0
	require.NoError(t, dockerClient(t).ContainerRestart(ctx, id, container.StopOptions{Timeout: &now}), "restart %s", id)
}

// Network makes a bridge network and returns its name. It is removed when the
// test ends, so make it before the containers that use it. With an IPv6 subnet
// ("fd00:…::/64") it supports IPv6 too; the test is skipped if the engine cannot.
func Network(t testing.TB, ipv6Subnet string) string {
	t.Helper()
	cli := dockerClient(t)
	ctx, cancel := call(t)
	defer cancel()
	name := Name(t)
	options := network.CreateOptions{Driver: "bridge", Labels: map[string]string{Label: "1"}}
	if ipv6Subnet != "" {
		yes := true
		options.EnableIPv6 = &yes
		options.IPAM = &network.IPAM{Config: []network.IPAMConfig{{Subnet: ipv6Subnet}}}
	}
	_, err := cli.NetworkCreate(ctx, name, options)
	if err != nil && ipv6Subnet != "" {
		unavailable(t, fmt.Sprintf("the engine cannot make an IPv6 network: %v", err))
	}
	require.NoError(t, err, "create network %s", name)
	t.Cleanup(func() {
		ctx, cancel := call(t)
		defer cancel()
		require.NoError(t, ignoreMissing(cli.NetworkRemove(ctx, name)), "remove network %s", name)
	})
	return name
}

// Connect connects a container to another network.
func Connect(t testing.TB, networkName, id string) {
	t.Helper()
	ctx, cancel := call(t)
	defer cancel()
	require.NoError(t, dockerClient(t).NetworkConnect(ctx, networkName, id, nil), "connect %s to %s", id, networkName)
}

// Disconnect disconnects a container from a network.
func Disconnect(t testing.TB, networkName, id string) {
	t.Helper()
	ctx, cancel := call(t)
	defer cancel()
	err := dockerClient(t).NetworkDisconnect(ctx, networkName, id, true)
	require.NoError(t, err, "disconnect %s from %s", id, networkName)
}

// Top returns the command lines of a container's processes, as the engine sees them.
func Top(t testing.TB, id string) []string {
	t.Helper()
	ctx, cancel := call(t)
	defer cancel()
	top, err := dockerClient(t).ContainerTop(ctx, id, []string{"-o", "pid,args"})
	require.NoError(t, err, "top %s", id)
	var commands []string
	for _, process := range top.Processes {
		commands = append(commands, process[len(process)-1])
	}
	return commands
}

// Volume makes a volume of the driver "local" with those options and returns its
// name; it is removed when the test ends.
func Volume(t testing.TB, options map[string]string) (name string) {
	t.Helper()
	cli := dockerClient(t)
	ctx, cancel := call(t)
	defer cancel()
	made, err := cli.VolumeCreate(ctx, volume.CreateOptions{
		Name: Name(t), DriverOpts: options, Labels: map[string]string{Label: "1"},
	})
	require.NoError(t, err)
	t.Cleanup(func() {
		ctx, cancel := call(t)
		defer cancel()
		require.NoError(t, ignoreMissing(cli.VolumeRemove(ctx, made.Name, true)))
	})
	return made.Name
}

// Helpers returns the ids of the helpers of a container, in any state.
func Helpers(t testing.TB, id string) (ids []string) {
	t.Helper()
	cli := dockerClient(t)
	ctx, cancel := call(t)
	defer cancel()
	all, err := cli.ContainerList(ctx, container.ListOptions{
		All: true, Filters: filters.NewArgs(filters.Arg("label", "daemon-proxy.helper.of="+id)),
	})
	require.NoError(t, err)
	for _, c := range all {
		ids = append(ids, c.ID)
	}
	return ids
}

// Inspect returns what the engine knows of a container.
func Inspect(t testing.TB, id string) container.InspectResponse {
	t.Helper()
	ctx, cancel := call(t)
	defer cancel()
	c, err := dockerClient(t).ContainerInspect(ctx, id)
	require.NoError(t, err)
	return c
}

// Diff returns the paths that have changed in a container since it was created.
func Diff(t testing.TB, id string) (paths []string) {
	t.Helper()
	ctx, cancel := call(t)
	defer cancel()
	changes, err := dockerClient(t).ContainerDiff(ctx, id)
	require.NoError(t, err)
	for _, c := range changes {
		paths = append(paths, c.Path)
	}
	return paths
}
