package sandbox

import (
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"daemon-proxy/core/api"
	"daemon-proxy/core/docker/enginetest"
	"daemon-proxy/core/toolbox"
)

func TestAContainerThatDoesNotRunIsNamedWithItsState(t *testing.T) {
	t.Parallel()
	e := enginetest.Require(t)
	t.Run("created", func(t *testing.T) {
		t.Parallel()
		name, _ := shellBox(t, enginetest.RunOptions{CreateOnly: true})
		d := builtIn(t, name)
		require.Equal(t, "docker start "+name, d.fails(name, api.CodeSandboxStopped).Hint)
		require.Equal(t, api.DaemonStopped, d.get(name).Daemon.State)
	})
	t.Run("stopped", func(t *testing.T) {
		t.Parallel()
		name, id := shellBox(t, enginetest.RunOptions{})
		require.NoError(t, e.StopContainer(t.Context(), id, 0))
		builtIn(t, name).fails(name, api.CodeSandboxStopped)
	})
	t.Run("paused", func(t *testing.T) {
		t.Parallel()
		name, id := shellBox(t, enginetest.RunOptions{})
		enginetest.Pause(t, id)
		require.Equal(t, "docker unpause "+name, builtIn(t, name).fails(name, api.CodeSandboxPaused).Hint)
		enginetest.Unpause(t, id)
		_, err := e.Stat(t.Context(), id, "/usr/local/bin")
		require.Error(t, err, "something was copied all the same")
	})
	t.Run("restarting", func(t *testing.T) {
		t.Parallel()
		name, id := shellBox(t, enginetest.RunOptions{Cmd: []string{"/bin/false"}, RestartPolicy: "always"})
		require.Eventually(t, func() bool { // its pauses grow: it is met in a long one
			c, err := e.Inspect(t.Context(), id)
			return err == nil && c.RestartCount > 3 && c.State == api.ContainerRestarting
		}, soon, look)
		builtIn(t, name).fails(name, api.CodeSandboxBusy)
	})
	t.Run("missing", func(t *testing.T) {
		t.Parallel()
		name := enginetest.Name(t)
		d := builtIn(t, name)
		d.fails(name, api.CodeSandboxMissing)
		require.Equal(t, api.ContainerMissing, d.get(name).Container)
		err := d.Inject(t.Context(), d.ref("nobody-heard-of"), nil)
		require.ErrorIs(t, err, &api.Problem{Code: api.CodeSandboxMissing})
	})
}

func TestAContainerWithoutANetworkIsNamed(t *testing.T) {
	t.Parallel()
	name, id := shellBox(t, enginetest.RunOptions{Network: "none"})
	require.Contains(t, builtIn(t, name, directly).fails(name, api.CodeUnreachable).Hint, "docker network connect")
	require.Empty(t, processes(t, id, "daemon-proxy"))
}

func TestAContainerThatSharesANetworkUsesTheOwnersDaemon(t *testing.T) {
	t.Parallel()
	owner, ownerID := shellBox(t, enginetest.RunOptions{})
	guest, guestID := shellBox(t, enginetest.RunOptions{Network: "container:" + ownerID})
	d := builtIn(t, guest)
	d.run()
	box := d.becomes(guest, api.DaemonHealthy)
	require.Equal(t, owner, box.SharesNetworkOf)
	require.Len(t, processes(t, ownerID, "daemon-proxy"), 1)
	require.Empty(t, processes(t, guestID, "daemon-proxy"))
	d.asks(guest, "/port")

	// One daemon, so whoever stops it stops it for both.
	require.NoError(t, d.StopDaemon(t.Context(), d.ref(guest)))
	require.Eventually(t, func() bool { return len(processes(t, ownerID, "daemon-proxy")) == 0 }, soon, look)
	require.Equal(t, api.DaemonNone, d.get(owner).Daemon.State)
	require.Equal(t, api.DaemonNone, d.get(guest).Daemon.State)
}

func TestADaemonThatIsEjectedIsNotStartedAgainByWhoSharesItsNetwork(t *testing.T) {
	t.Parallel()
	owner, ownerID := shellBox(t, enginetest.RunOptions{})
	guest, _ := shellBox(t, enginetest.RunOptions{Network: "container:" + ownerID})
	d := builtIn(t, guest)
	d.pace = pace{often: look, seldom: look, firstRetry: look, maxRetry: 100 * time.Millisecond}
	d.run()
	d.becomes(guest, api.DaemonHealthy)
	require.NoError(t, d.Eject(t.Context(), d.ref(owner)))
	for began := time.Now(); time.Since(began) < 500*time.Millisecond; time.Sleep(100 * time.Millisecond) {
		require.Empty(t, processes(t, ownerID, "daemon-proxy"))
		require.Equal(t, api.DaemonNone, d.get(guest).Daemon.State)
	}
	d.inject(owner)
	d.becomes(guest, api.DaemonHealthy)
}

func TestAContainerWhoseNetworkOwnerIsGoneIsNamed(t *testing.T) {
	t.Parallel()
	_, ownerID := shellBox(t, enginetest.RunOptions{})
	guest, _ := shellBox(t, enginetest.RunOptions{Network: "container:" + ownerID})
	enginetest.Remove(t, ownerID)
	builtIn(t, guest).fails(guest, api.CodeSandboxMissing)
}

func TestAContainerInTheHostsNetworkUsesTheHostsDaemon(t *testing.T) {
	t.Parallel()
	name, id := shellBox(t, enginetest.RunOptions{Network: "host"})
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	port := listener.Addr().(*net.TCPAddr).Port
	require.NoError(t, listener.Close())
	d := builtIn(t, name, func(o *Options) {
		o.Config.Port = port
		o.HostDaemon = func(secret string) (http.Handler, error) {
			return toolbox.New(toolbox.Options{Secret: secret, Version: "of-the-host"})
		}
	})
	d.run()
	box := d.becomes(name, api.DaemonHealthy)
	require.Equal(t, api.HostName, box.SharesNetworkOf)
	require.Equal(t, "of-the-host", box.Daemon.Version)
	require.Empty(t, processes(t, id, "daemon-proxy"))
	up, err := d.Upstream(d.ref(name))
	require.NoError(t, err)
	require.True(t, up.Loopback)
	require.Error(t, d.StopDaemon(t.Context(), d.ref(name)), "the host's daemon stays")
}

func TestAReadOnlyContainerIsNamedAndNothingIsCopied(t *testing.T) {
	t.Parallel()
	for label, tmpfs := range map[string]map[string]string{"plain": nil, "tmpfs": {"/usr/local/bin": "exec"}} {
		t.Run(label, func(t *testing.T) {
			t.Parallel()
			name, _ := shellBox(t, enginetest.RunOptions{ReadOnly: true, Tmpfs: tmpfs})
			require.Contains(t, builtIn(t, name, unhelped).fails(name, api.CodeReadOnlyRoot).Hint, "install_dir")
		})
	}
	for label, o := range map[string]enginetest.RunOptions{
		"a volume that is read-only":      {Binds: []string{t.TempDir() + ":/usr/local/bin:ro"}},
		"a tmpfs over the install folder": {Tmpfs: map[string]string{"/usr/local": "exec"}},
	} {
		t.Run(label, func(t *testing.T) {
			t.Parallel()
			name, _ := shellBox(t, o)
			require.Contains(t, builtIn(t, name, unhelped).fails(name, api.CodeReadOnlyRoot).Detail, "/usr/local")
		})
	}
}

// failures is how often an injection into name has failed so far.
func (d *desk) failures(name string) int {
	return len(d.told(func(e api.Event) bool {
		return e.Injection != nil && e.Injection.Sandbox.Name == name && e.Injection.Error != nil
	}))
}

func TestWhatSomebodyAskedForAndFailedIsNotTriedAgainByItself(t *testing.T) {
	t.Parallel()
	name, id := shellBox(t, enginetest.RunOptions{})
	sh(t, id, "httpd -p 2280")
	d := builtIn(t, name, func(o *Options) { o.Config.ContainerName = "" })
	d.pace = pace{often: look, seldom: look, firstRetry: look, maxRetry: look}
	d.run()
	d.becomes(name, api.DaemonNone)
	require.Error(t, d.Inject(t.Context(), d.ref(name), nil))
	require.Never(t, func() bool { return d.failures(name) > 1 }, 300*time.Millisecond, look)
	require.Equal(t, api.DaemonFailed, d.get(name).Daemon.State)
	require.Nil(t, d.get(name).Daemon.RetryAt)
	sh(t, id, "kill $(pidof httpd) || true") // one that serves a request may end first
	d.inject(name)
}

func TestTheDefaultSandboxIsTriedAgainForWhatCanPass(t *testing.T) {
	t.Parallel()
	name, id := shellBox(t, enginetest.RunOptions{})
	sh(t, id, "httpd -p 2280")
	d := builtIn(t, name)
	d.pace = pace{often: look, seldom: look, firstRetry: look, maxRetry: look}
	d.run()
	require.Eventually(t, func() bool { return d.failures(name) > 1 }, soon, look)
	retries := d.told(func(e api.Event) bool {
		return e.Kind == api.EventSandbox && e.Sandbox.Name == name && e.Sandbox.Daemon.RetryAt != nil
	})
	require.NotEmpty(t, retries, "it is said when")
	require.Equal(t, api.DaemonFailed, retries[0].Sandbox.Daemon.State)
	sh(t, id, "kill $(pidof httpd) || true") // one that serves a request may end first
	require.Nil(t, d.becomes(name, api.DaemonHealthy).Daemon.RetryAt)
}

func TestCancellingEndsTheRetries(t *testing.T) {
	t.Parallel()
	name, _ := shellBox(t, enginetest.RunOptions{Cmd: []string{"/bin/httpd", "-f", "-p", "2280"}})
	d := builtIn(t, name)
	d.pace = pace{often: look, seldom: look, firstRetry: time.Second, maxRetry: time.Second}
	d.run()
	require.Eventually(t, func() bool { return d.get(name).Daemon.RetryAt != nil }, soon, look)
	require.NoError(t, d.CancelInjection(t.Context(), d.ref(name)))
	require.Nil(t, d.get(name).Daemon.RetryAt)
	before := d.failures(name)
	require.Never(t, func() bool { return d.failures(name) > before }, 1500*time.Millisecond, look)
}

func TestTheDefaultSandboxIsNotTriedAgainForWhatStays(t *testing.T) {
	t.Parallel()
	name, id := shellBox(t, enginetest.RunOptions{ReadOnly: true})
	d := builtIn(t, name, unhelped)
	d.pace = pace{often: look, seldom: look, firstRetry: look, maxRetry: look}
	d.run()
	d.becomes(name, api.DaemonFailed)
	require.Never(t, func() bool { return d.failures(name) > 1 }, 300*time.Millisecond, look)
	require.Nil(t, d.get(name).Daemon.RetryAt)

	enginetest.Remove(t, id)
	enginetest.Run(t, enginetest.Busybox(t), enginetest.RunOptions{Name: name}) // another under that name
	d.becomes(name, api.DaemonHealthy)
}

func TestAVolumeMakesAReadOnlyContainerUsable(t *testing.T) {
	t.Parallel()
	for _, shell := range []bool{true, false} {
		t.Run(map[bool]string{true: "shell", false: "no shell"}[shell], func(t *testing.T) {
			t.Parallel()
			options := enginetest.RunOptions{ReadOnly: true, Binds: []string{t.TempDir() + ":/opt/daemon"}}
			var name string
			if shell {
				name, _ = shellBox(t, options)
			} else {
				name, _ = bareBox(t, options, nil)
			}
			d := builtIn(t, name, func(o *Options) { o.Config.InstallDir = "/opt/daemon" })
			d.inject(name)
			d.asks(name, "/port")
			require.NoError(t, d.Close(t.Context()))
			second := builtIn(t, name, func(o *Options) { o.Config.InstallDir = "/opt/daemon" })
			second.inject(name)
		})
	}
}

func TestAPortThatIsTakenIsNamed(t *testing.T) {
	t.Parallel()
	t.Run("by a server of something else", func(t *testing.T) {
		t.Parallel()
		name, id := shellBox(t, enginetest.RunOptions{Cmd: []string{"/bin/httpd", "-f", "-p", "2280"}})
		p := eventuallyFails(t, builtIn(t, name), name)
		require.Equal(t, api.CodePortTaken, p.Code, p.Detail)
		require.Contains(t, p.Detail, "2280")
		require.Contains(t, p.Hint, "--daemon-port")
		_, err := enginetest.Require(t).Stat(t.Context(), id, "/usr/local/bin/daemon-proxy")
		require.Error(t, err, "something was copied all the same")
	})
	t.Run("by one that says nothing", func(t *testing.T) {
		t.Parallel()
		name, _ := shellBox(t, enginetest.RunOptions{Cmd: []string{"/bin/nc", "-ll", "-p", "2280", "-e", "/bin/sleep", "100"}})
		require.Equal(t, api.CodePortTaken, eventuallyFails(t, builtIn(t, name), name).Code)
	})
	t.Run("on loopback only", func(t *testing.T) {
		t.Parallel()
		name, id := shellBox(t, enginetest.RunOptions{Cmd: []string{"/bin/httpd", "-f", "-p", "127.0.0.1:2280"}})
		require.Eventually(t, func() bool { return sh(t, id, "netstat -lnt | grep -c 127.0.0.1:2280 || true") == "1" }, soon, look)
		p := builtIn(t, name).fails(name, api.CodePortTaken)
		require.Contains(t, p.Detail, "address already in use")
	})
}

// eventuallyFails injects once what the container runs listens.
func eventuallyFails(t *testing.T, d *desk, name string) *api.Problem {
	t.Helper()
	e := enginetest.Require(t)
	c, err := e.Inspect(t.Context(), name)
	require.NoError(t, err)
	require.NotEmpty(t, c.Addresses, c.State)
	require.Eventually(t, func() bool {
		conn, err := net.DialTimeout("tcp", net.JoinHostPort(c.Addresses[0], "2280"), time.Second)
		return err == nil && conn.Close() == nil
	}, soon, look)
	return d.fails(name, api.CodePortTaken)
}
