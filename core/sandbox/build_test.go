package sandbox

import (
	"encoding/json"
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"daemon-proxy/core/api"
	"daemon-proxy/core/daemon"
	"daemon-proxy/core/docker/enginetest"
	"daemon-proxy/core/version"
)

// builds are two builds of the program that is put into containers.
func builds(t *testing.T) (older, newer func(*Options)) {
	t.Helper()
	first, second := enginetest.StaticGo(t, "daemon-proxy/cmd/toolbox", "older"), enginetest.StaticGo(t, "daemon-proxy/cmd/toolbox")
	require.NotEqual(t, buildOf(t, first), buildOf(t, second))
	return func(o *Options) { o.Executable = first }, func(o *Options) { o.Executable = second }
}

func buildOf(t *testing.T, file string) string {
	t.Helper()
	f, err := os.Open(file)
	require.NoError(t, err)
	defer f.Close()
	sum, err := version.Sum(f)
	require.NoError(t, err)
	return sum
}

// answering is the build of the daemon that answers.
func (d *desk) answering(name string) string {
	d.t.Helper()
	var reply struct{ Build string }
	require.NoError(d.t, json.Unmarshal([]byte(d.asks(name, "/version")), &reply))
	return reply.Build
}

// running are the builds of the processes in a container, its daemon and its bridge, as its kernel sees them.
func running(t *testing.T, id string) string {
	t.Helper()
	return sh(t, id, `for p in $(pidof daemon-proxy); do sha256sum /proc/$p/exe; done | cut -d' ' -f1 | sort -u`)
}

func TestS90WhatAnotherBuildHasLeftIsReplacedWhenItIsFound(t *testing.T) {
	t.Parallel()
	older, newer := builds(t)
	for label, network := range map[string]string{"direct": "", "bridge": "none"} {
		t.Run(label, func(t *testing.T) {
			t.Parallel()
			name, id := shellBox(t, enginetest.RunOptions{Network: network})
			state := t.TempDir()
			ofRun := func(o *Options) { o.StateDir = state }
			was := builtIn(t, name, older, ofRun)
			was.inject(name)
			require.NoError(t, was.Close(t.Context()))
			require.Equal(t, buildOf(t, was.o.Executable), running(t, id))

			d := builtIn(t, "", newer, ofRun)
			d.run()
			want := buildOf(t, d.o.Executable)
			d.becomes(name, api.DaemonHealthy)
			require.Equal(t, want, d.answering(name))
			require.Equal(t, want, sh(t, id, "sha256sum </usr/local/bin/daemon-proxy | cut -d' ' -f1"))
			require.Eventually(t, func() bool { return running(t, id) == want }, soon, look, "nothing of the other build runs")
		})
	}
}

func TestABridgeOfAnotherBuildToADaytonaIsReplaced(t *testing.T) {
	t.Parallel()
	older, newer := builds(t)
	name, id := shellBox(t, enginetest.RunOptions{Network: "none"})
	state := t.TempDir()
	ofRun := func(o *Options) { o.StateDir = state }
	was := daytona(t, name, "", nil, older, ofRun)
	was.inject(name)
	require.NoError(t, was.Close(t.Context()))
	pid := processes(t, id, "daytona")
	require.Len(t, pid, 1)

	d := daytona(t, "", "", nil, newer, ofRun)
	d.run()
	require.Equal(t, daemon.KindDaytona, d.becomes(name, api.DaemonHealthy).Daemon.Kind)
	require.Contains(t, d.asks(name, "/port"), "2280")
	require.Eventually(t, func() bool { return running(t, id) == buildOf(t, d.o.Executable) }, soon, look)
	require.Equal(t, pid, processes(t, id, "daytona"), "the daemon was left alone")
}

// Two programs that share a state directory do not replace each other's daemon in turns.
func TestS90ADaemonOfAnotherBuildIsUsedUnlessAnInjectionIsAskedFor(t *testing.T) {
	t.Parallel()
	older, newer := builds(t)
	name, id := shellBox(t, enginetest.RunOptions{})
	state := t.TempDir()
	ofRun := func(o *Options) { o.StateDir = state }
	first := builtIn(t, name, older, ofRun)
	first.run()
	first.becomes(name, api.DaemonHealthy)
	pid := processes(t, id, "daemon-proxy")
	beside := builtIn(t, "", newer, ofRun, func(o *Options) { o.Brief = true })
	beside.run()
	beside.becomes(name, api.DaemonHealthy)
	require.Equal(t, pid, processes(t, id, "daemon-proxy"), "a program that runs for a moment leaves it alone")

	beside.inject(name)
	want := buildOf(t, beside.o.Executable)
	require.Equal(t, want, beside.answering(name))
	pid = processes(t, id, "daemon-proxy")
	require.NotEmpty(t, pid)
	first.box(first.ref(name)).kick <- struct{}{}
	require.Eventually(t, func() bool { return first.box(first.ref(name)).shown().Daemon.State == api.DaemonHealthy }, soon, look)
	require.Equal(t, want, first.answering(name))
	first.box(first.ref(name)).kick <- struct{}{}
	require.Eventually(t, func() bool { return len(first.box(first.ref(name)).kick) == 0 }, soon, look)
	require.Equal(t, pid, processes(t, id, "daemon-proxy"), "the first one uses what the other one has started")
}
