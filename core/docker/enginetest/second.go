//go:build linux

package enginetest

import (
	"bytes"
	"context"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/network"
	"github.com/docker/docker/client"
	"github.com/stretchr/testify/require"

	"daemon-proxy/core/docker"
)

// Second is another Docker engine, started by the test, with a network namespace
// of its own. Its socket answers here, but its containers' addresses mean
// something else on this machine, as those of a remote engine do.
type Second struct {
	*docker.Engine
	// Host is its endpoint, in the form of DOCKER_HOST.
	Host string
	// Space is the name of its network namespace, for `ip netns`.
	Space string
	cli   *client.Client
	// image is the image of its containers.
	image string
	// start starts its process, which is daemon.
	start  func()
	daemon *exec.Cmd
	log    string // its log file
	// containerd is the file with the pid of the containerd that it starts.
	containerd string
}

// Restart ends the engine with a signal, SIGTERM or SIGKILL, and starts it again.
func (s *Second) Restart(t testing.TB, signal syscall.Signal) {
	t.Helper()
	require.NoError(t, s.daemon.Process.Signal(signal))
	_ = s.daemon.Wait()            // its exit code does not matter
	if signal == syscall.SIGKILL { // what it has started is left, and would be waited for
		raw, err := os.ReadFile(s.containerd)
		require.NoError(t, err)
		pid, err := strconv.Atoi(strings.TrimSpace(string(raw)))
		require.NoError(t, err)
		require.NoError(t, syscall.Kill(pid, signal))
		require.Eventually(t, func() bool { return syscall.Kill(pid, 0) != nil }, callTimeout, 10*time.Millisecond)
	}
	s.start()
	if !answers(t, s.Engine) {
		text, _ := os.ReadFile(s.log)
		require.FailNow(t, "the engine does not answer", "%s", text)
	}
}

// StartSecond starts one; it ends with the test. It needs root, dockerd, ip and
// nsenter: without them the test is skipped, or fails with CI=true.
func StartSecond(t testing.TB) *Second {
	t.Helper()
	if os.Geteuid() != 0 {
		unavailable(t, "a second engine needs root")
	}
	for program, where := range map[string]string{"dockerd": "docker.io", "ip": "iproute2", "nsenter": "util-linux"} {
		if _, err := exec.LookPath(program); err != nil {
			unavailable(t, "a second engine needs "+program+" (Debian: "+where+")")
		}
	}
	dir, err := os.MkdirTemp("", "dp-second-") // short, for the sockets in it
	require.NoError(t, err)
	space := filepath.Base(dir)
	run(t, "ip", "netns", "add", space)
	t.Cleanup(func() {
		run(t, "ip", "netns", "del", space)
		unmount(t, dir)
		require.NoError(t, os.RemoveAll(dir))
	})
	run(t, "ip", "-n", space, "link", "set", "lo", "up")
	in := func(name string) string { return filepath.Join(dir, name) }
	// The machine's own configuration file names folders that are in use.
	require.NoError(t, os.WriteFile(in("config.json"), []byte("{}"), 0o600))
	log, err := os.Create(in("log"))
	require.NoError(t, err)
	t.Cleanup(func() { log.Close() })
	host := "unix://" + in("docker.sock")
	s := &Second{Host: host, Space: space, log: in("log"), containerd: in("exec/containerd/containerd.pid")}
	s.start = func() {
		// nsenter and not `ip netns exec`, which hides the control groups.
		s.daemon = exec.CommandContext(context.WithoutCancel(t.Context()), "nsenter", "--net=/run/netns/"+space, "dockerd",
			"--config-file", in("config.json"), "--data-root", in("data"), "--exec-root", in("exec"), "--pidfile", in("pid"),
			"-H", host, "--storage-driver", "vfs", "--bridge", "none", "--iptables=false")
		s.daemon.Stdout, s.daemon.Stderr = log, log
		s.daemon.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
		require.NoError(t, s.daemon.Start())
	}
	s.start()
	t.Cleanup(func() {
		_ = s.daemon.Process.Signal(syscall.SIGTERM) // Wait waits for its end
		_ = s.daemon.Wait()                          // its exit code does not matter
	})
	s.Engine, err = docker.Open(docker.Options{Host: host})
	require.NoError(t, err)
	t.Cleanup(func() { _ = s.Close() }) // has nothing to report
	if !answers(t, s.Engine) {
		text, _ := os.ReadFile(in("log")) // only for the message
		unavailable(t, "the second engine does not answer: "+string(text))
	}
	s.cli, err = client.NewClientWithOpts(client.WithHost(host), client.WithAPIVersionNegotiation())
	require.NoError(t, err)
	t.Cleanup(func() { _ = s.cli.Close() }) // never fails
	var files bytes.Buffer
	require.NoError(t, pack(&files, map[string]File{"/idle": {Path: StaticGoSource(t, idle)}}))
	ctx, cancel := call(t)
	defer cancel()
	s.image, err = importTar(ctx, s.cli, &files)
	require.NoError(t, err)
	return s
}

// unmount unmounts what a killed engine has left below dir.
func unmount(t testing.TB, dir string) {
	t.Helper()
	mounts, err := os.ReadFile("/proc/self/mounts")
	require.NoError(t, err)
	for line := range strings.Lines(string(mounts)) {
		if fields := strings.Fields(line); len(fields) > 1 && strings.HasPrefix(fields[1], dir+"/") {
			require.NoError(t, syscall.Unmount(fields[1], 0))
		}
	}
}

func answers(t testing.TB, e *docker.Engine) bool {
	deadline := time.After(callTimeout)
	for {
		if _, err := e.Ping(t.Context()); err == nil {
			return true
		}
		select {
		case <-deadline:
			return false
		case <-time.After(100 * time.Millisecond):
		}
	}
}

func run(t testing.TB, name string, args ...string) {
	t.Helper()
	ctx, cancel := call(t)
	defer cancel()
	out, err := exec.CommandContext(ctx, name, args...).CombinedOutput()
	require.NoError(t, err, "%s %s: %s", name, strings.Join(args, " "), out)
}

// idle is the only program in the containers of a second engine.
const idle = `package main
import ("os"; "os/signal"; "syscall")
func main() { c := make(chan os.Signal, 1); signal.Notify(c, syscall.SIGTERM); <-c }`

// RunOnHost starts a container with that name and the network of the engine's
// machine, in which one program waits for a signal.
func (s *Second) RunOnHost(t testing.TB, name string) (id string) {
	t.Helper()
	ctx, cancel := call(t)
	defer cancel()
	created, err := s.cli.ContainerCreate(ctx,
		&container.Config{Image: s.image, Cmd: []string{"/idle"}}, &container.HostConfig{NetworkMode: "host"}, nil, nil, name)
	require.NoError(t, err)
	require.NoError(t, s.cli.ContainerStart(ctx, created.ID, container.StartOptions{}))
	t.Cleanup(func() { remove(t, s.cli, created.ID) })
	return created.ID
}

// Run starts a container with that name and address, in which one program waits
// for a signal and nothing listens.
func (s *Second) Run(t testing.TB, name, address string) (id string) {
	t.Helper()
	ctx, cancel := call(t)
	defer cancel()
	at, err := netip.ParseAddr(address)
	require.NoError(t, err)
	around, err := at.Prefix(16)
	require.NoError(t, err)
	ipam := &network.IPAM{Config: []network.IPAMConfig{{Subnet: around.String()}}}
	_, err = s.cli.NetworkCreate(ctx, name, network.CreateOptions{Driver: "bridge", IPAM: ipam})
	require.NoError(t, err)
	endpoint := &network.EndpointSettings{IPAMConfig: &network.EndpointIPAMConfig{IPv4Address: address}}
	created, err := s.cli.ContainerCreate(ctx,
		&container.Config{Image: s.image, Cmd: []string{"/idle"}},
		&container.HostConfig{NetworkMode: container.NetworkMode(name)},
		&network.NetworkingConfig{EndpointsConfig: map[string]*network.EndpointSettings{name: endpoint}}, nil, name)
	require.NoError(t, err)
	require.NoError(t, s.cli.ContainerStart(ctx, created.ID, container.StartOptions{}))
	t.Cleanup(func() {
		remove(t, s.cli, created.ID)
		ctx, cancel := call(t)
		defer cancel()
		require.NoError(t, s.cli.NetworkRemove(ctx, name))
	})
	return created.ID
}
