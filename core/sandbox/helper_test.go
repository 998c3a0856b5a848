package sandbox

import (
	"context"
	"io"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"daemon-proxy/core/api"
	"daemon-proxy/core/docker/enginetest"
	"daemon-proxy/core/sandbox/inject"
	"daemon-proxy/core/sandbox/source"
)

// helping are sandboxes whose helpers leave no image behind.
func helping(t *testing.T, changes ...func(*Options)) *desk {
	t.Helper()
	e := enginetest.Require(t)
	t.Cleanup(func() { require.NoError(t, e.RemoveHelperImages(context.WithoutCancel(t.Context()))) })
	return builtIn(t, "", changes...)
}

// webBox runs a container in which a small web server listens on the loopback.
func webBox(t *testing.T, o enginetest.RunOptions) (name, id string) {
	t.Helper()
	o.Cmd = []string{"httpd", "-f", "-p", "127.0.0.1:8080", "-h", "/etc"}
	return shellBox(t, o)
}

// Every row is a container in which something may not be possible.
func TestEachContainerIsReachedOneWayOrSaysWhyNot(t *testing.T) {
	t.Parallel()
	noexec := map[string]string{"type": "tmpfs", "device": "tmpfs", "o": "noexec"}
	for label, c := range map[string]struct {
		o        enginetest.RunOptions
		noexec   bool
		via, why string
	}{
		"plain":      {via: api.ViaDirect},
		"no network": {o: enginetest.RunOptions{Network: "none"}, via: api.ViaExec, why: "it has no network address"},
		"read-only":  {o: enginetest.RunOptions{ReadOnly: true}, via: api.ViaHelper, why: "its root is read-only"},
		"read-only, no network": {o: enginetest.RunOptions{ReadOnly: true, Network: "none"},
			via: api.ViaHelper, why: "its root is read-only"},
		"tmpfs": {o: enginetest.RunOptions{Tmpfs: map[string]string{"/usr": ""}},
			via: api.ViaHelper, why: "/usr is a tmpfs, which the engine cannot copy to"},
		"noexec":             {noexec: true, via: api.ViaHelper, why: "what is copied there cannot be run"},
		"noexec, no network": {noexec: true, o: enginetest.RunOptions{Network: "none"}, via: api.ViaHelper, why: "no bridge starts in it"},
		"USER 65534":         {o: enginetest.RunOptions{User: "65534"}, via: api.ViaDirect},
		"USER 65534, no network": {o: enginetest.RunOptions{User: "65534", Network: "none"},
			via: api.ViaExec, why: "it has no network address"},
		"no capabilities": {o: enginetest.RunOptions{CapDrop: []string{"ALL"}, Network: "none"},
			via: api.ViaExec, why: "it has no network address"},
		"pids 5":             {o: enginetest.RunOptions{PidsLimit: 5}, via: api.ViaHelper},
		"pids 5, no network": {o: enginetest.RunOptions{PidsLimit: 5, Network: "none"}, via: api.ViaHelper},
		"24 MB":              {o: enginetest.RunOptions{Memory: 24 << 20}, via: api.ViaDirect},
		"24 MB, no network":  {o: enginetest.RunOptions{Memory: 24 << 20, Network: "none"}, via: api.ViaExec},
	} {
		t.Run(label, func(t *testing.T) {
			t.Parallel()
			if c.noexec {
				c.o.Binds = []string{enginetest.Volume(t, noexec) + ":/usr/local/bin"}
			}
			name, _ := webBox(t, c.o)
			d := helping(t)
			d.run()
			d.becomes(name, api.DaemonNone)
			box := d.inject(name)
			require.Equal(t, c.via, box.Via, box.ViaReason)
			if c.why != "" {
				require.Equal(t, c.why, box.ViaReason)
			}
			client, err := d.client(d.ref(name))
			require.NoError(t, err)
			require.Eventually(t, func() bool { // the server may be just starting
				answer, err := client.Get(t.Context(), 8080, "/passwd", 1<<10)
				return err == nil && strings.HasPrefix(string(answer.Body), "root:x:0:0")
			}, soon, look)
			ports, err := d.Ports(t.Context(), d.ref(name))
			require.NoError(t, err)
			require.Condition(t, func() bool {
				for _, p := range ports {
					if p.Port == 8080 {
						return p.Address == "127.0.0.1"
					}
				}
				return false
			}, "%v", ports)
		})
	}
}

func TestAContainerThatIsPausedOrRestartingIsNotReachedAndTheErrorSaysSo(t *testing.T) {
	t.Parallel()
	paused, id := webBox(t, enginetest.RunOptions{ReadOnly: true})
	enginetest.Pause(t, id)
	crashing, crashingID := shellBox(t, enginetest.RunOptions{
		ReadOnly: true, Cmd: []string{"false"}, RestartPolicy: "always"})
	d := helping(t)
	d.run()
	require.Eventually(t, func() bool {
		_, known := d.Get(d.ref(crashing))
		return known && d.get(paused).Container == api.ContainerPaused
	}, soon, look)
	require.Contains(t, d.fails(paused, api.CodeSandboxPaused).Hint, "unpause")
	require.Eventually(t, func() bool { // it runs for a moment, again and again
		p := api.AsProblem(d.Inject(t.Context(), d.ref(crashing), nil))
		return p.Code == api.CodeSandboxBusy
	}, soon, look)
	require.Empty(t, enginetest.Helpers(t, id))
	require.Eventually(t, func() bool { return len(enginetest.Helpers(t, crashingID)) == 0 }, soon, look)
	enginetest.Unpause(t, id)
	d.becomes(paused, api.DaemonNone)
	require.Equal(t, api.ViaHelper, d.inject(paused).Via)
}

func TestAHelperIsStartedAgainForAContainerThatHadOne(t *testing.T) {
	t.Parallel()
	name, id := webBox(t, enginetest.RunOptions{ReadOnly: true})
	state := func(o *Options) { o.StateDir = t.TempDir() }
	first := helping(t, state)
	first.run()
	first.becomes(name, api.DaemonNone)
	first.inject(name)
	require.Len(t, enginetest.Helpers(t, id), 1)
	_, err := first.DaemonLog(t.Context(), first.ref(name), 10, false)
	require.ErrorIs(t, err, &api.Problem{Code: api.CodeNoLog})
	require.ErrorContains(t, err, "is a part of this program")
	up, err := first.Upstream(first.ref(name))
	require.NoError(t, err)
	_, err = up.Port(t.Context(), first.o.Config.Port)
	require.ErrorContains(t, err, "no files and no programs")
	_, err = up.Port(t.Context(), 9999)
	require.ErrorIs(t, err, &api.Problem{Code: api.CodePortClosed})
	require.NoError(t, first.Close(t.Context()))
	require.Empty(t, enginetest.Helpers(t, id))

	same := func(o *Options) { o.StateDir = first.o.StateDir }
	second := helping(t, same)
	second.run()
	require.Equal(t, api.ViaHelper, second.becomes(name, api.DaemonHealthy).Via)
	before := enginetest.Helpers(t, id)
	enginetest.Restart(t, id)
	require.Eventually(t, func() bool {
		now := enginetest.Helpers(t, id)
		return len(now) == 1 && now[0] != before[0] && second.get(name).Daemon.State == api.DaemonHealthy
	}, soon, look, "one is in the network of the new start")
	require.NoError(t, second.StopDaemon(t.Context(), second.ref(name)))
	require.Empty(t, enginetest.Helpers(t, id))
	require.NoError(t, second.Close(t.Context()))

	third := helping(t, same)
	third.run()
	third.becomes(name, api.DaemonNone)
	require.Empty(t, enginetest.Helpers(t, id), "it was stopped")
}

func TestAHelperThatAKilledRunLeftIsRemoved(t *testing.T) {
	t.Parallel()
	name, id := shellBox(t, enginetest.RunOptions{ReadOnly: true})
	d := helping(t)
	program, err := d.job(d.ref(name), source.Container{ID: id, Platform: inject.HostPlatform()}).BuiltIn()
	require.NoError(t, err)
	const ended = 1<<22 - 1 // the largest that Linux gives, usually after four million others
	e := enginetest.Require(t)
	var conns []source.HelperConn
	for _, run := range []string{strconv.Itoa(ended) + "-x", strconv.Itoa(os.Getppid()) + "-x"} {
		conn, err := e.OpenHelper(t.Context(), id, source.HelperSpec{
			Program: program, Args: []string{"toolbox", "bridge"}, Owner: d.keys.owner(), Run: run}, io.Discard)
		require.NoError(t, err)
		conns = append(conns, conn)
	}
	d.run()
	require.Eventually(t, func() bool { return len(enginetest.Helpers(t, id)) == 1 }, soon, look,
		"but not that of a program that runs")
	for _, conn := range conns {
		require.NoError(t, conn.Close())
		require.NoError(t, conn.End(t.Context()))
	}
	require.Empty(t, enginetest.Helpers(t, id))
}

func TestContainersThatHadHelpersAreRememberedUntilTheyAreGone(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	dir := t.TempDir()
	h, other := newHelped(dir, f), newHelped(dir, nil)
	require.NoError(t, h.keep(nil), "there is no folder yet")
	for _, id := range []string{"one", "../two"} {
		require.NoError(t, h.add(id))
	}
	require.NoError(t, other.add("one"))
	require.True(t, h.has("../two"))
	require.NoError(t, h.keep([]source.Container{{ID: "one"}}))
	require.True(t, h.has("one"))
	require.False(t, h.has("../two"))
	require.True(t, other.has("one"), "of another engine")
	require.NoError(t, h.remove("one"))
	require.NoError(t, h.remove("one"))
	require.False(t, h.has("one"))
}
