package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"daemon-proxy/core/api"
	"daemon-proxy/core/docker/enginetest"
	"daemon-proxy/core/sandbox/source"
)

const (
	largestInside  = 6_500_000 // bytes of the program that is copied into a container
	residentInside = 8 << 20   // bytes of memory that its process has while it is idle
)

// What `make build` makes copies the small program, whose daemon and bridge then
// serve a preview; both are measured in the container by its kernel.
func TestP40ContainersGetTheSmallProgram(t *testing.T) {
	t.Parallel()
	made := enginetest.Made(t)
	for label, network := range map[string]string{"direct": "", "bridge": "none"} {
		t.Run(label, func(t *testing.T) {
			t.Parallel()
			name, id := container(t, enginetest.RunOptions{Network: network}, nil)
			d := newDesk(t)
			d.binary = made
			p := d.serving(t, nil, "--daemon-mode", "docker")
			p.eventually("it is listed", func() bool {
				_, list := p.try("GET", "/api/sandboxes", "")
				return strings.Contains(list, name)
			})
			status, steps := p.try("POST", "/api/sandboxes/"+name+"/inject", "{}",
				"Content-Type", "application/json", "Accept", "application/x-ndjson")
			require.Equal(t, 200, status, steps)
			copied := int64(0)
			for line := range strings.Lines(steps) {
				var step api.Injection
				require.NoError(t, json.Unmarshal([]byte(line), &step), line)
				copied = max(copied, step.Total)
			}
			file, err := enginetest.Require(t).Stat(t.Context(), id, "/usr/local/bin/daemon-proxy")
			require.NoError(t, err)
			require.Equal(t, file.Size, copied)
			require.LessOrEqual(t, copied, int64(largestInside))
			p.expect(200, "service on localhost:8080", "GET", "/sandboxes/"+name+"/proxy/8080/", "")
			p.expect(200, "8080", "GET", "/api/sandboxes/"+name+"/ports", "")

			found := residentIn(t, id)
			require.Len(t, found, map[string]int{"direct": 1, "bridge": 2}[label])
			for process, bytes := range found {
				t.Logf("%s: %.1f MiB resident, its file has %d bytes", process, float64(bytes)/(1<<20), copied)
				require.LessOrEqual(t, bytes, int64(residentInside), process)
			}
			d.done(t, "eject", name)
			_, err = enginetest.Require(t).Stat(t.Context(), id, "/usr/local/bin/daemon-proxy")
			require.ErrorIs(t, err, os.ErrNotExist)
		})
	}
}

// residentIn is the memory of the processes of ours in a container with a shell, by
// command and in bytes.
func residentIn(t *testing.T, id string) map[string]int64 {
	t.Helper()
	const script = `for p in $(pidof daemon-proxy); do tr '\0' ' ' </proc/$p/cmdline; grep VmRSS: /proc/$p/status; done`
	out, code, err := enginetest.Require(t).Run(t.Context(), id, source.ExecSpec{Cmd: []string{"/bin/sh", "-c", script}, User: "0"})
	require.NoError(t, err)
	require.Zero(t, code, string(out))
	found := map[string]int64{}
	for line := range strings.Lines(string(out)) {
		command, rest, ok := strings.Cut(line, " VmRSS:")
		require.True(t, ok, line)
		kilobytes, err := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
		require.NoError(t, err)
		found[command] = kilobytes << 10
	}
	return found
}

// A person has built the program with plain go build, and then with make build.
func TestS90AnUpdateOfTheProgramReplacesWhatTheOldOneHasPutIntoContainers(t *testing.T) {
	t.Parallel()
	name, id := container(t, enginetest.RunOptions{}, nil)
	d := newDesk(t)
	plain, err := os.Stat(d.binary)
	require.NoError(t, err)
	size := func() int64 {
		file, err := enginetest.Require(t).Stat(t.Context(), id, "/usr/local/bin/daemon-proxy")
		require.NoError(t, err)
		return file.Size
	}
	p := d.serving(t, nil, "--daemon-mode", "docker", "--container-name", name)
	p.healthy()
	require.Equal(t, plain.Size(), size(), "it has copied itself")
	_, _, url := p.link(`{"port":8080}`)
	p.expect(200, "service on", "GET", url+"/", "")
	require.Zero(t, p.signal(syscall.SIGINT))
	require.Len(t, residentIn(t, id), 1, "the daemon goes on")

	d.binary = enginetest.Made(t)
	p = d.serving(t, nil, "--daemon-mode", "docker", "--container-name", name)
	p.healthy()
	p.eventually("the small one is there", func() bool { return size() <= largestInside })
	p.healthy()
	p.expect(200, "service on", "GET", url+"/", "")
	for process, bytes := range residentIn(t, id) {
		require.LessOrEqual(t, bytes, int64(residentInside), process)
	}
	require.FileExists(t, filepath.Join(d.dir, "state", "daemon-proxy", "links.db"))
}
