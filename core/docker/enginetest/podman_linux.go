package enginetest

import (
	"bytes"
	"crypto/rand"
	_ "embed"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"daemon-proxy/core/docker"
)

// podmanPrograms are the programs that Podman needs and their Debian packages.
var podmanPrograms = map[string]string{
	"podman": "podman", "runc": "runc", "conmon": "conmon", "/usr/lib/podman/netavark": "netavark",
	"unshare": "util-linux", "ip": "iproute2",
}

// podmanStarts bounds the start of Podman on a busy machine, podmanEnds the
// removal of all that it made.
const podmanStarts, podmanEnds = time.Minute, time.Minute

// podmanScript is the first process of Podman's namespaces. It ends, and all other
// processes in them with it, when its standard input does: however the test ends.
//
//go:embed testdata/podman.sh
var podmanScript string

// Podman starts an empty rootful Podman and makes it the engine of the other
// functions here, and of all code that reads DOCKER_HOST, until the test ends.
// Everything that Podman made is then removed: processes, mounts, its network,
// its files. Such a test cannot be parallel.
//
// Its containers can be dialled from here, but reach nothing else. Without
// Podman the test is skipped, or fails with CI=true.
func Podman(t *testing.T) *docker.Engine {
	t.Helper()
	return podman(t, "", podmanPrograms)
}

// RootlessPodman is Podman, but run by an ordinary user: the addresses of its
// containers cannot be dialled.
func RootlessPodman(t *testing.T) *docker.Engine {
	t.Helper()
	programs := maps.Clone(podmanPrograms)
	programs["slirp4netns"], programs["newuidmap"], programs["setpriv"] = "slirp4netns", "uidmap", "util-linux"
	return podman(t, "nobody", programs)
}

func podman(t *testing.T, user string, programs map[string]string) *docker.Engine {
	t.Helper()
	if os.Getuid() != 0 {
		unavailable(t, "making Podman's namespaces needs root")
	}
	for program, debian := range programs {
		if _, err := exec.LookPath(program); err != nil {
			unavailable(t, fmt.Sprintf("Podman is needed (Debian: %s): %v", debian, err))
		}
	}
	dir, err := os.MkdirTemp("", "dp-test-podman-") // short: it holds sockets
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, os.RemoveAll(dir)) })
	bridge := podmanConfig(t, dir)

	var output bytes.Buffer
	cmd := exec.Command("unshare", "--mount", "--pid", "--fork", "--mount-proc", "sh", "-c", podmanScript, "podman", dir, bridge, user)
	cmd.Env = append(os.Environ(), "CONTAINERS_CONF="+filepath.Join(dir, "containers.conf"))
	cmd.Stdout, cmd.Stderr = &output, &output
	cmd.WaitDelay = podmanEnds
	alive, err := cmd.StdinPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		_ = alive.Close() // the script ends
		hung := time.AfterFunc(podmanEnds, func() { _ = cmd.Process.Kill() })
		defer hung.Stop()
		err := cmd.Wait()
		if t.Failed() || err != nil {
			t.Logf("podman wrote:\n%s", output.Bytes())
		}
		require.NoError(t, err)
	})

	t.Setenv("DOCKER_HOST", "unix://"+filepath.Join(dir, "podman.sock"))
	e, err := docker.Open(docker.Options{})
	require.NoError(t, err)
	t.Cleanup(func() { _ = e.Close() }) // has nothing to report
	require.Eventually(t, func() bool {
		_, err = e.Ping(t.Context())
		return err == nil
	}, podmanStarts, 50*time.Millisecond, "podman does not answer")
	return e
}

// podmanConfig writes Podman's configuration into dir and returns the name of
// its bridge. The network is internal, so that no firewall rules are made.
func podmanConfig(t *testing.T, dir string) (bridge string) {
	t.Helper()
	random := make([]byte, 32)
	_, err := rand.Read(random)
	require.NoError(t, err)
	bridge = fmt.Sprintf("dpt%x", random[:4])
	subnet := fmt.Sprintf("10.%d.%d.", 200+random[4]%50, random[5])
	network, err := json.Marshal(map[string]any{
		"name": "podman", "id": fmt.Sprintf("%x", random), "driver": "bridge", "network_interface": bridge,
		"created": time.Now(), "subnets": []map[string]string{{"subnet": subnet + "0/24", "gateway": subnet + "1"}},
		"internal": true, "ipam_options": map[string]string{"driver": "host-local"},
	})
	require.NoError(t, err)
	// Without the limits a start fails if this machine's own are lower than
	// Podman's defaults; crun refuses the mixed control groups of old machines.
	conf := strings.ReplaceAll(`[containers]
default_ulimits = ["nofile=1024:1024", "nproc=4096:4096"]
[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
runtime = "runc"
[network]
network_backend = "netavark"
network_config_dir = "DIR/networks"
`, "DIR", dir)
	require.NoError(t, os.Mkdir(filepath.Join(dir, "networks"), 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "networks", "podman.json"), network, 0o600))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "containers.conf"), []byte(conf), 0o600))
	return bridge
}
