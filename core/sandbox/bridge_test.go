package sandbox

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"daemon-proxy/core/api"
	"daemon-proxy/core/daemon"
	"daemon-proxy/core/docker/enginetest"
	"daemon-proxy/core/sandbox/inject"
	"daemon-proxy/core/sandbox/source"
)

func directly(o *Options)    { o.Reach = reachDirect }
func onlyBridged(o *Options) { o.Reach = reachBridge }
func unhelped(o *Options)    { o.Helper = helperNever }

func TestAContainerWithoutANetworkIsReachedByABridge(t *testing.T) {
	t.Parallel()
	for kind, open := range map[string]func(name string) *desk{
		daemon.KindBuiltIn: func(name string) *desk { return builtIn(t, name) },
		daemon.KindDaytona: func(name string) *desk {
			return daytona(t, name, "", nil, func(o *Options) {
				o.Executable = enginetest.StaticGo(t, "daemon-proxy/cmd/toolbox")
			})
		},
	} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			name, _ := bareBox(t, enginetest.RunOptions{Network: "none"}, nil)
			d := open(name)
			d.run()
			box := d.becomes(name, api.DaemonHealthy)
			require.Equal(t, kind, box.Daemon.Kind)
			require.Equal(t, api.ViaExec, box.Via)
			require.Equal(t, "it has no network address", box.ViaReason)
			require.Empty(t, box.Daemon.URL, "it cannot be dialled")
			require.Contains(t, d.asks(name, "/port"), "2280")
			cards, err := d.Cards(t.Context(), d.ref(name))
			require.NoError(t, err)
			require.NotEmpty(t, cards, "the daemon's own port, at least")
		})
	}
}

func TestAReachableContainerIsReachedDirectlyUnlessTheConfigurationSaysOtherwise(t *testing.T) {
	t.Parallel()
	name, id := shellBox(t, enginetest.RunOptions{})
	state := t.TempDir()
	d := builtIn(t, name, func(o *Options) { o.StateDir = state })
	d.run()
	require.Equal(t, api.ViaDirect, d.becomes(name, api.DaemonHealthy).Via)
	require.Len(t, processes(t, id, "daemon-proxy"), 1, "no bridge was started")

	forced := builtIn(t, name, onlyBridged, func(o *Options) { o.StateDir = state })
	forced.run()
	box := forced.becomes(name, api.DaemonHealthy)
	require.Equal(t, api.ViaExec, box.Via)
	require.Equal(t, "docker.reach is bridge", box.ViaReason)
	require.True(t, box.Daemon.Started, "the daemon of the other run was adopted")
	require.Len(t, processes(t, id, "daemon-proxy"), 2)
}

// A container without a network in which nothing of ours is gets nothing until it
// is injected.
func TestNothingIsPutIntoAContainerUntilItIsInjected(t *testing.T) {
	t.Parallel()
	name, id := shellBox(t, enginetest.RunOptions{Network: "none"})
	d := builtIn(t, "")
	d.run()
	d.becomes(name, api.DaemonNone)
	require.Empty(t, sh(t, id, "ls /usr/local/bin 2>/dev/null || true"))
	_, err := d.Upstream(d.ref(name))
	require.ErrorIs(t, err, &api.Problem{Code: api.CodeNoDaemon})
	d.inject(name)
	require.NoError(t, d.Eject(t.Context(), d.ref(name)))
	require.Eventually(t, func() bool { return len(processes(t, id, "daemon-proxy")) == 0 }, soon, look,
		"neither the daemon nor the bridge is left")
	require.Empty(t, sh(t, id, "ls /usr/local/bin"))
}

func TestABridgeThatIsKilledIsStartedAgain(t *testing.T) {
	t.Parallel()
	name, id := shellBox(t, enginetest.RunOptions{Network: "none"})
	d := builtIn(t, name)
	d.run()
	d.becomes(name, api.DaemonHealthy)
	client, err := d.client(d.ref(name))
	require.NoError(t, err)
	conn, err := client.Dial(t.Context())
	require.NoError(t, err)
	defer conn.Close()
	first := bridgeIn(t, id)
	sh(t, id, "kill -9 "+first)
	_, err = io.ReadAll(conn)
	require.Error(t, err, "what was open through it has ended")
	answer, err := client.Do(t.Context(), http.MethodGet, "/port", 1<<20)
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, answer.Status)
	require.NotEqual(t, first, bridgeIn(t, id))
	require.Equal(t, api.DaemonHealthy, d.get(name).Daemon.State)
}

func TestTheDaemonIsReplacedWithoutEndingTheBridge(t *testing.T) {
	t.Parallel()
	name, _ := shellBox(t, enginetest.RunOptions{Network: "none"})
	first := builtIn(t, name)
	first.run()
	first.becomes(name, api.DaemonHealthy)
	second := builtIn(t, name) // whose secret is another one
	require.Equal(t, api.ViaExec, second.inject(name).Via)
}

// bridgeIn is the process of the one bridge in a container.
func bridgeIn(t *testing.T, id string) (pid string) {
	t.Helper()
	pids := sh(t, id, `for p in /proc/[0-9]*; do grep -qs "toolbo[x].bridge" $p/cmdline && echo ${p#/proc/}; done; true`)
	require.Regexp(t, `^[0-9]+$`, pids)
	return pids
}

func TestS83ABridgeListensOnNothingAndHasNoSecret(t *testing.T) {
	t.Parallel()
	name, id := shellBox(t, enginetest.RunOptions{Network: "none"})
	d := builtIn(t, name)
	d.run()
	d.becomes(name, api.DaemonHealthy)
	ports, err := d.Ports(t.Context(), d.ref(name))
	require.NoError(t, err)
	require.Len(t, ports, 1, "only the daemon listens")
	seen := sh(t, id, "cd /proc/"+bridgeIn(t, id)+"; tr '\\0' '\\n' <cmdline; tr '\\0' '\\n' <environ")
	require.Contains(t, seen, "toolbox\nbridge")
	require.NotContains(t, seen, d.keys.secret(id))
	require.NotContains(t, seen, daemon.SecretEnv)
}

func TestWhyAContainerIsNotReachedDirectly(t *testing.T) {
	t.Parallel()
	at := source.Container{Addresses: []string{"10.88.0.7"}}
	timeout := &net.OpError{Op: "dial", Err: os.ErrDeadlineExceeded}
	for _, c := range []struct {
		reach string
		box   source.Container
		err   error
		want  string
	}{
		{"auto", at, nil, ""},
		{"auto", at, fmt.Errorf("%w: refused", daemon.ErrRefused), ""},
		{"auto", at, daemon.ErrSilent, ""},
		{"auto", at, fmt.Errorf("it: %w", daemon.ErrNotDaemon), ""},
		{"auto", at, timeout, "10.88.0.7 cannot be dialled from here"},
		{"auto", at, inject.ErrElsewhere, "10.88.0.7 belongs to something else here"},
		{"auto", at, errUnproved, "what answers at 10.88.0.7 cannot be proved to be in it"},
		{"auto", at, doubtful{daemon.ErrNotDaemon}, "what answers at 10.88.0.7 cannot be proved to be in it"},
		{"auto", source.Container{}, nil, "it has no network address"},
		{"bridge", at, nil, "docker.reach is bridge"},
	} {
		s := &set{o: Options{Reach: c.reach}}
		require.Equal(t, c.want, s.notDirect(c.box, c.err), "%s %v", c.reach, c.err)
	}
}

func TestABridgeIsNotKeptWhereNothingOfOursAnswers(t *testing.T) {
	t.Parallel()
	name, id := shellBox(t, enginetest.RunOptions{Network: "none"})
	owner := builtIn(t, name)
	owner.run()
	owner.becomes(name, api.DaemonHealthy)
	stranger := builtIn(t, "")
	stranger.run()
	require.Equal(t, api.ViaExec, stranger.becomes(name, api.DaemonNone).Via, "it has asked through a bridge")
	require.Eventually(t, func() bool { return len(processes(t, id, "daemon-proxy")) == 2 }, soon, look,
		"the daemon and its owner's bridge are left")
	require.Equal(t, api.DaemonHealthy, owner.get(name).Daemon.State)
}
