package docker_test

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"daemon-proxy/core/api"
	"daemon-proxy/core/docker"
	"daemon-proxy/core/docker/enginetest"
	"daemon-proxy/core/sandbox/source"
	"daemon-proxy/core/sandbox/source/sourcetest"
	"daemon-proxy/core/wiretest"
)

func TestB20ContractOfASourceOnPodman(t *testing.T) {
	sourcetest.Run(t, world(t, enginetest.Podman(t)))
}

func TestB20ContractOfASourceOnARootlessPodman(t *testing.T) {
	w := world(t, enginetest.RootlessPodman(t))
	if _, err := os.Stat("/sys/fs/cgroup/cgroup.controllers"); err != nil { // control groups of the first version
		w.Pause, w.Unpause = nil, nil // are not for ordinary users
	}
	sourcetest.Run(t, w)
}

// podmanCLI runs the podman CLI on the engine of the test, for what Docker's API has not.
func podmanCLI(t *testing.T, args ...string) string {
	t.Helper()
	out, err := exec.Command("podman", append([]string{"--url", os.Getenv("DOCKER_HOST")}, args...)...).Output()
	var failed *exec.ExitError
	if errors.As(err, &failed) {
		require.NoError(t, err, "%s", failed.Stderr)
	}
	require.NoError(t, err)
	return strings.TrimSpace(string(out))
}

// Each difference of a real Podman, of both kinds.
func TestB20B21WhatIsDifferentOnARealPodman(t *testing.T) {
	for kind, start := range map[string]func(*testing.T) *docker.Engine{"rootful": enginetest.Podman, "rootless": enginetest.RootlessPodman} {
		t.Run(kind, func(t *testing.T) {
			e := start(t)
			image := enginetest.Busybox(t)
			for name, test := range map[string]func(t *testing.T, e *docker.Engine, image string){
				"states": podmanStates, "networks": podmanNetworks, "events": podmanEvents, "keys that detach": podmanKeys,
				"processes": podmanProcesses, "files": podmanFiles, "pods": podmanPods,
			} {
				t.Run(name, func(t *testing.T) { test(t, e, image) })
			}
		})
	}
}

// A container that was only prepared is "initialized", and an exec in what does
// not run is an internal error.
func podmanStates(t *testing.T, e *docker.Engine, image string) {
	created := enginetest.Run(t, image, enginetest.RunOptions{CreateOnly: true})
	prepared := enginetest.Run(t, image, enginetest.RunOptions{CreateOnly: true})
	podmanCLI(t, "init", prepared)
	stopped := enginetest.Run(t, image, enginetest.RunOptions{})
	podmanCLI(t, "stop", stopped)
	for id, want := range map[string]string{created: api.ContainerCreated, prepared: api.ContainerCreated, stopped: api.ContainerExited} {
		require.Equal(t, want, find(t, e, id).State)
		c, err := e.Inspect(t.Context(), id)
		require.NoError(t, err)
		require.Equal(t, want, c.State)
		_, err = e.OpenPipe(t.Context(), id, source.ExecSpec{Cmd: []string{"/bin/true"}}, io.Discard)
		require.ErrorIs(t, err, &api.Problem{Code: api.CodeSandboxStopped})
	}
}

// The list says "host" of all, or nothing.
func podmanNetworks(t *testing.T, e *docker.Engine, image string) {
	owner := enginetest.Run(t, image, enginetest.RunOptions{})
	guest := enginetest.Run(t, image, enginetest.RunOptions{Network: "container:" + owner})
	none := enginetest.Run(t, image, enginetest.RunOptions{Network: "none"})
	host := enginetest.Run(t, image, enginetest.RunOptions{Network: "host"})
	for id, want := range map[string]source.Container{owner: {}, none: {}, guest: {SharesNetworkOf: owner}, host: {HostNetwork: true}} {
		c := find(t, e, id)
		require.Equal(t, want.HostNetwork, c.HostNetwork)
		require.Equal(t, want.SharesNetworkOf, c.SharesNetworkOf)
		if id != owner {
			require.Empty(t, c.Addresses)
		}
	}
}

// A natural death, an exec, and a removal.
func podmanEvents(t *testing.T, e *docker.Engine, image string) {
	ctx, cancel := context.WithTimeout(t.Context(), soon)
	defer cancel()
	id := enginetest.Run(t, image, enginetest.RunOptions{Cmd: []string{"/bin/sh", "-c", "until [ -e /tmp/end ]; do sleep 0.1; done; exit 3"}})
	events, _ := e.Events(ctx)
	_, _, err := e.Run(ctx, id, source.ExecSpec{Cmd: []string{"/bin/touch", "/tmp/end"}})
	require.NoError(t, err)
	require.True(t, nextOf(t, events, id).Died, "the exec is no event")
	require.Eventually(t, func() bool { return find(t, e, id).State == api.ContainerExited }, soon, wiretest.Tick)
	enginetest.Remove(t, id)
	require.False(t, nextOf(t, events, id).Died)
	list, err := e.List(ctx)
	require.NoError(t, err)
	for _, c := range list {
		require.NotEqual(t, id, c.ID)
	}
}

// Podman looks for ctrl-p ctrl-q also where there is no terminal.
func podmanKeys(t *testing.T, e *docker.Engine, image string) {
	id := enginetest.Run(t, image, enginetest.RunOptions{})
	pipe, err := e.OpenPipe(t.Context(), id, source.ExecSpec{Cmd: []string{"/bin/cat"}}, io.Discard)
	require.NoError(t, err)
	defer pipe.Close()
	for _, key := range []string{"\x10", "\x11", "x"} {
		_, err := io.WriteString(pipe, key)
		require.NoError(t, err)
		got := make([]byte, 1)
		_, err = io.ReadFull(pipe, got) // so that the next key is a packet of its own
		require.NoError(t, err)
		require.Equal(t, key, string(got))
	}
	require.NoError(t, pipe.Close())
	echoes(t, e, id)
}

// Before 4.5.1 the state of a process that ended is not refreshed, unless its
// output is read to its end.
func podmanProcesses(t *testing.T, e *docker.Engine, image string) {
	id := enginetest.Run(t, image, enginetest.RunOptions{})
	for range 3 {
		out, code, err := e.Run(t.Context(), id, source.ExecSpec{Cmd: []string{"/bin/sh", "-c", "echo out; exit 5"}})
		require.NoError(t, err)
		require.Equal(t, 5, code)
		require.Equal(t, "out\n", string(out))
	}
	p, err := e.Start(t.Context(), id, source.ExecSpec{Cmd: []string{"/bin/sh", "-c", "sleep 1; exit 6"}})
	require.NoError(t, err)
	require.NoError(t, p.Close()) // nobody reads
	ctx, cancel := context.WithTimeout(t.Context(), soon)
	defer cancel()
	code, err := p.Wait(ctx)
	require.NoError(t, err)
	require.Equal(t, 6, code)
}

// A copy is made inside the container, so a tmpfs works, and a read-only root is
// the kernel's error.
func podmanFiles(t *testing.T, e *docker.Engine, image string) {
	id := enginetest.Run(t, image, enginetest.RunOptions{ReadOnly: true, Tmpfs: map[string]string{"/scratch": "exec"}})
	file := func() io.Reader {
		var buffer bytes.Buffer
		w := tar.NewWriter(&buffer)
		require.NoError(t, w.WriteHeader(&tar.Header{Name: "tool", Size: 24, Mode: 0o755}))
		_, err := io.WriteString(w, "#!/bin/sh\necho it works\n")
		require.NoError(t, errors.Join(err, w.Close()))
		return &buffer
	}
	require.ErrorIs(t, e.CopyIn(t.Context(), id, "/", file()), syscall.EROFS)
	require.ErrorIs(t, e.CopyIn(t.Context(), id, "/no/where", file()), syscall.EROFS, "it makes folders")
	require.NoError(t, e.CopyIn(t.Context(), id, "/scratch", file()))
	out, _, err := e.Run(t.Context(), id, source.ExecSpec{Cmd: []string{"/scratch/tool"}})
	require.NoError(t, err)
	require.Equal(t, "it works\n", string(out))
}

// The container that holds the network of a pod.
func podmanPods(t *testing.T, e *docker.Engine, image string) {
	pod := podmanCLI(t, "pod", "create", "--infra-image", image, "--infra-command", "/bin/sleep 3600")
	t.Cleanup(func() { podmanCLI(t, "pod", "rm", "--force", "--time", "0", pod) })
	member := podmanCLI(t, "run", "--detach", "--pod", pod, image)
	c := find(t, e, member)
	require.NotEmpty(t, c.SharesNetworkOf)
	infra := find(t, e, c.SharesNetworkOf)
	require.True(t, infra.Infra)
	require.False(t, c.Infra)
	require.Equal(t, api.ContainerRunning, infra.State)
}

// A connection of the podman CLI to a machine that has a new host key whenever it
// is made, with a key that no configuration of ssh names.
func TestB31AConnectionOfThePodmanCLIOverSSH(t *testing.T) {
	enginetest.Podman(t)
	id := enginetest.Run(t, enginetest.Busybox(t), enginetest.RunOptions{})
	socket := strings.TrimPrefix(os.Getenv("DOCKER_HOST"), "unix://")
	for name, sshd := range map[string][]string{"through a tunnel": nil, "without tunnels": {"AllowStreamLocalForwarding no"}} {
		t.Run(name, func(t *testing.T) {
			box := wiretest.NewSSHD(t, append(sshd, few...)...)
			conf := filepath.Join(t.TempDir(), "containers.conf")
			require.NoError(t, os.WriteFile(conf, nil, 0o600))
			add := exec.Command("podman", "system", "connection", "add", "--identity", box.Key, "box", "ssh://root@"+box.Address)
			add.Env = append(os.Environ(), "CONTAINERS_CONF="+conf)
			out, err := add.CombinedOutput()
			require.NoError(t, err, "%s", out)
			text, err := os.ReadFile(conf)
			require.NoError(t, err)
			// Podman 4.3 asks the other machine for the path, which is not that of the test,
			// and has no option to say that it is a machine.
			uri := regexp.MustCompile(`uri = "ssh://root@` + box.Address + `[^"]*`)
			require.Regexp(t, uri, string(text))
			text = uri.ReplaceAll(text, []byte("is_machine = true\nuri = \"ssh://root@"+box.Address+socket))
			require.NoError(t, os.WriteFile(conf, text, 0o600))

			ssh := filepath.Join(t.TempDir(), "ssh")
			require.NoError(t, os.WriteFile(ssh, []byte("#!/bin/sh\ncase $* in *IdentitiesOnly=yes*|*forward*) ;; *) exit 255;; esac\nexec "+
				wiretest.Program(t, "ssh")+" \"$@\"\n"), 0o755))
			e, err := docker.Open(docker.Options{Context: "box", LookPath: func(string) (string, error) { return ssh, nil },
				Env: func(name string) string { return map[string]string{"CONTAINERS_CONF": conf}[name] }})
			require.NoError(t, err)
			defer e.Close()
			require.Equal(t, "box", e.Name())
			_, err = e.Ping(t.Context())
			require.NoError(t, err)
			require.Equal(t, id, find(t, e, id).ID)
			pipe, err := e.OpenPipe(t.Context(), id, source.ExecSpec{Cmd: []string{"/bin/cat"}}, io.Discard)
			require.NoError(t, err)
			fmt.Fprintln(pipe, "hello")
			echo := make([]byte, len("hello\n"))
			_, err = io.ReadFull(pipe, echo)
			require.NoError(t, err)
			require.Equal(t, "hello\n", string(echo))
			require.NoError(t, pipe.Close())
			require.NoError(t, e.Close())
			require.Eventually(t, func() bool { return len(box.Connections())+len(box.Started()) == 0 }, soon, wiretest.Tick)
		})
	}
}
