package main

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"daemon-proxy/core/api"
	"daemon-proxy/core/docker/enginetest"
)

// examined is what doctor --json says of a sandbox, and its exit code.
func examined(t *testing.T, d *desk, name string) (found map[string]api.Finding, code int) {
	t.Helper()
	got := d.command(t, nil, "doctor", "--json", name)
	found = map[string]api.Finding{}
	for line := range strings.Lines(got.stdout) {
		var f api.Finding
		require.NoError(t, json.Unmarshal([]byte(line), &f), line)
		found[f.Hop] = f
	}
	require.True(t, found[""].Finished, "%s%s", got.stdout, got.stderr)
	return found, got.code
}

// The ways to a container, with nothing lost on them: directly, by a bridge, by a helper.
func TestP41DoctorChecksEachHopOnEachWay(t *testing.T) {
	t.Parallel()
	made := enginetest.Made(t)
	for via, options := range map[string]enginetest.RunOptions{
		api.ViaDirect: {}, api.ViaExec: {Network: "none"}, api.ViaHelper: {ReadOnly: true},
	} {
		t.Run(via, func(t *testing.T) {
			t.Parallel()
			name, id := container(t, options, nil)
			d := newDesk(t)
			d.binary = made
			p := d.serving(t, nil, "--daemon-mode", "docker")
			p.eventually("it is listed", func() bool {
				_, list := p.try("GET", "/api/sandboxes", "")
				return strings.Contains(list, name)
			})
			before := enginetest.Diff(t, id)
			found, code := examined(t, d, name)
			require.Equal(t, exitUnwell, code)
			require.Equal(t, api.FoundFailed, found["daemon"].State)
			require.Regexp(t, "inject .*"+name, found["daemon"].Hint)
			require.NotContains(t, found, "port", "nothing behind it is checked")
			require.ElementsMatch(t, before, enginetest.Diff(t, id), "nothing was put there")

			d.done(t, "inject", name)
			injected := enginetest.Diff(t, id)
			found, code = examined(t, d, name)
			require.Zero(t, code, "%+v", found)
			for _, hop := range []string{"core", "state", "server", "engine", "container", "carrier", "daemon", "port", "front", ""} {
				require.Equal(t, api.FoundOK, found[hop].State, "%s: %+v", hop, found[hop])
			}
			require.Contains(t, found["carrier"].Detail, via)
			for _, hop := range []string{"port", "front"} {
				require.Contains(t, found[hop].Detail, "WebSocket, event streams, 64 MiB up, 64 MiB down")
				require.Positive(t, found[hop].DurationMS)
			}
			require.ElementsMatch(t, injected, enginetest.Diff(t, id), "nothing more was put there")
			p.eventually("the page is gone", func() bool {
				return !strings.Contains(strings.Join(enginetest.Top(t, id), "\n"), "toolbox echo") && len(enginetest.Helpers(t, id)) <= 1
			})
			text := d.command(t, nil, "doctor", name)
			require.Zero(t, text.code)
			require.Contains(t, text.stdout, "all is well")
			require.Contains(t, text.stdout, "64 MiB down")
		})
	}
}

func TestDoctorChecksTheCoreWithoutASandbox(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	p := d.serving(t, nil, "--daemon-mode", "host")
	got := d.command(t, nil, "doctor")
	require.Zero(t, got.code, got.stdout+got.stderr)
	require.Contains(t, got.stdout, "links.db")
	require.Contains(t, got.stdout, p.url)
	require.Contains(t, got.stdout, "front", "the host is the default sandbox here")
	require.Equal(t, exitFailed, d.command(t, nil, "doctor", "nowhere").code)
}
