package sandbox

import (
	"bufio"
	"crypto/rand"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"daemon-proxy/core/docker/enginetest"
)

const (
	daemonSize = 58 << 20 // of the real one
	mayGrow    = 8 << 20
)

// The whole program is measured, from outside: the largest VmRSS while the
// binary goes in, less the one before.
func TestInjectionTakesLittleMemory(t *testing.T) {
	t.Parallel()
	name, id := shellBox(t, enginetest.RunOptions{})
	binary := padded(t)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	_, port, err := net.SplitHostPort(listener.Addr().String())
	require.NoError(t, err)
	require.NoError(t, listener.Close())

	home := t.TempDir()
	program := exec.CommandContext(t.Context(), enginetest.StaticGo(t, "daemon-proxy/cmd/daemon-proxy"),
		"--no-tui", "--port", port, "--daemon-mode", "docker", "--binary-source-path", binary)
	program.Dir = home
	program.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + home, "DOCKER_HOST=" + os.Getenv("DOCKER_HOST")}
	require.NoError(t, program.Start())
	t.Cleanup(func() {
		_ = program.Process.Kill()
		_ = program.Wait()
	})
	url := "http://127.0.0.1:" + port
	client := &http.Client{Timeout: soon, Transport: &http.Transport{DisableKeepAlives: true}}
	require.Eventually(t, func() bool {
		response, err := client.Get(url + "/api/sandboxes")
		if err != nil {
			return false
		}
		defer response.Body.Close()
		body, err := io.ReadAll(response.Body)
		return err == nil && strings.Contains(string(body), name)
	}, soon, look)

	idle := residentBytes(t, program.Process.Pid)
	answered := make(chan error, 1)
	go func() {
		response, err := client.Post(url+"/api/sandboxes/"+name+"/inject", "application/json", strings.NewReader("{}"))
		if err == nil {
			body, readErr := io.ReadAll(response.Body)
			response.Body.Close()
			if err = readErr; response.StatusCode != http.StatusOK {
				err = fmt.Errorf("%d: %s", response.StatusCode, body)
			}
		}
		answered <- err
	}()
	sample := time.NewTicker(20 * time.Millisecond)
	defer sample.Stop()
	highest, samples := idle, 0
	for done := false; !done; {
		select {
		case err := <-answered:
			require.NoError(t, err)
			done = true
		case <-sample.C:
			highest = max(highest, residentBytes(t, program.Process.Pid))
			samples++
		}
	}
	t.Logf("VmRSS: %.1f MiB idle, %.1f MiB at most while %d MiB went in (%d samples)", mib(idle), mib(highest), daemonSize>>20, samples)
	stat, err := enginetest.Require(t).Stat(t.Context(), id, "/usr/local/bin/daytona")
	require.NoError(t, err)
	require.EqualValues(t, daemonSize, stat.Size)
	require.Less(t, highest-idle, int64(mayGrow))
}

func mib(bytes int64) float64 { return float64(bytes) / (1 << 20) }

// padded is the fake daytona, as large as the real one.
func padded(t *testing.T) string {
	t.Helper()
	raw, err := os.ReadFile(enginetest.StaticGo(t, "./testdata/daytona"))
	require.NoError(t, err)
	padding := make([]byte, daemonSize-len(raw))
	_, _ = rand.Read(padding) // nothing that could be stored as a hole
	file := filepath.Join(t.TempDir(), "daytona")
	require.NoError(t, os.WriteFile(file, append(raw, padding...), 0o755))
	return file
}

// residentBytes is VmRSS of a process.
func residentBytes(t *testing.T, pid int) int64 {
	t.Helper()
	status, err := os.Open(fmt.Sprintf("/proc/%d/status", pid))
	require.NoError(t, err)
	defer status.Close()
	lines := bufio.NewScanner(status)
	for lines.Scan() {
		var kib int64
		if _, err := fmt.Sscanf(lines.Text(), "VmRSS: %d kB", &kib); err == nil {
			return kib << 10
		}
	}
	require.Fail(t, "no VmRSS")
	return 0
}
