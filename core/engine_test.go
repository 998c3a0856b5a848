package core

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"daemon-proxy/core/api"
	"daemon-proxy/core/docker/enginetest"
)

func TestAMuteEngineHoldsNothingUp(t *testing.T) {
	t.Parallel()
	m := newMuteEngine(t)
	began := time.Now()
	c := started(t, func(o *Options) { o.Config.Docker.Host = "unix://" + m.socket })
	require.Less(t, time.Since(began), time.Second, "Start waited for the engine")
	require.Equal(t, "auto", c.modeNow(t))
	require.Equal(t, "connecting", engineNow(t, c).State)

	// A request does not guess: it waits for what comes of the engine, which is
	// that the host is meant.
	status, body := get(t, c, "/daemon/status")
	require.Equal(t, 200, status)
	require.Equal(t, "host", body["mode"])
	require.Equal(t, "host", body["sandbox"])
	require.Greater(t, time.Since(began), 2*time.Second, "the decision came before the engine had its time")
	require.Equal(t, "host", c.modeNow(t))
	lost := engineNow(t, c)
	require.Equal(t, "lost", lost.State)
	require.Contains(t, lost.Error.Detail, m.socket)
	require.NotEmpty(t, lost.Error.Hint)
	boxes, err := c.Sandboxes(t.Context())
	require.NoError(t, err)
	require.Len(t, boxes, 1)
	require.True(t, boxes[0].Default)
}

func TestAnEngineThatComesLaterMakesItsContainersAppear(t *testing.T) {
	t.Parallel()
	real := strings.TrimPrefix(enginetest.Require(t).Endpoint(), "unix://")
	name := enginetest.Name(t)
	enginetest.Run(t, enginetest.Busybox(t), enginetest.RunOptions{Name: name})
	socket := filepath.Join(t.TempDir(), "later.sock")
	c := started(t, func(o *Options) {
		o.Config.Docker.Host = "unix://" + socket
		o.Config.Daemon.ContainerName = name
	})
	require.Eventually(t, func() bool { return c.modeNow(t) == "host" }, soon, look)
	require.Contains(t, engineNow(t, c).Error.Detail, "there is no socket")
	events, err := c.Events(t.Context())
	require.NoError(t, err)

	require.NoError(t, os.Symlink(real, socket))
	require.NoError(t, c.RetryEngine(t.Context()))
	require.Eventually(t, func() bool { return c.modeNow(t) == "docker" }, soon, look)
	require.Equal(t, "connected", engineNow(t, c).State)
	ref, err := c.Resolve(api.Ref{})
	require.NoError(t, err)
	require.Equal(t, api.Ref{Engine: api.EngineID("unix://" + socket), Name: name}, ref)
	boxes, err := c.Sandboxes(t.Context())
	require.NoError(t, err)
	defaults := 0
	for _, box := range boxes {
		if box.Default {
			defaults++
			require.Equal(t, name, box.Name)
		}
	}
	require.Equal(t, 1, defaults, "the host is the default no more")
	// The host was told to be the default no more, as an event.
	seen := false
	require.Eventually(t, func() bool {
		batch, err := events.Next(t.Context())
		require.NoError(t, err)
		for _, e := range batch {
			seen = seen || e.Kind == api.EventSandbox && e.Sandbox.Ref == api.Host && !e.Sandbox.Default
		}
		return seen
	}, soon, look)
	_, body := get(t, c, "/daemon/status")
	require.Equal(t, "docker", body["mode"])
}

func TestModesThatAreSaidStay(t *testing.T) {
	t.Parallel()
	c := started(t, func(o *Options) { o.Config.Daemon.Mode = "host" })
	require.Equal(t, "host", c.modeNow(t))
	require.Equal(t, api.EngineStatus{}, engineNow(t, c))
	m := newMuteEngine(t)
	c = started(t, func(o *Options) { o.Config.Daemon.Mode, o.Config.Docker.Host = "docker", "unix://"+m.socket })
	require.Equal(t, "docker", c.modeNow(t))
	status, body := get(t, c, "/proxy/3000/")
	require.Equal(t, 503, status, "the host is not what mode docker means, and the engine has not said that no container runs")
	require.Equal(t, api.CodeEngineUnreachable, body["code"])
	status, body = get(t, c, "/sandboxes/some/proxy/3000/")
	require.Equal(t, 503, status, "the engine has not said that there is no such container")
	require.Equal(t, api.CodeEngineUnreachable, body["code"])
}

func TestAnEngineThatCannotBeOpenedIsSaidAndTriedAgain(t *testing.T) {
	t.Parallel()
	c := started(t, func(o *Options) { o.Config.Docker.Context = "no-such-context-here" })
	status := engineNow(t, c)
	require.Equal(t, "lost", status.State)
	require.Contains(t, status.Error.Detail, "no-such-context-here")
	require.Eventually(t, func() bool { return c.modeNow(t) == "host" }, soon, look)
	require.ErrorContains(t, c.RetryEngine(t.Context()), "no-such-context-here")
	_, err := c.Demo(t.Context())
	require.ErrorIs(t, err, &api.Problem{Code: api.CodeEngineUnreachable})
}

func TestSwitchingTheEngineKeepsServerAndLinks(t *testing.T) {
	t.Parallel()
	real := enginetest.Require(t)
	name := enginetest.Name(t)
	enginetest.Run(t, enginetest.Busybox(t), enginetest.RunOptions{Name: name})
	program := enginetest.StaticGo(t, "daemon-proxy/cmd/toolbox")
	m := newMuteEngine(t)
	c := started(t, func(o *Options) {
		o.Config.Docker.Host, o.Executable = real.Endpoint(), program
		o.Config.Daemon.Mode = "docker"
	})
	ref := api.Ref{Engine: real.Name(), Name: name}
	require.Eventually(t, func() bool { return engineNow(t, c).State == "connected" }, soon, look)
	require.NoError(t, c.Inject(t.Context(), ref, nil))
	link, err := c.CreateLink(t.Context(), api.LinkRequest{Port: 3000, Sandbox: name})
	require.NoError(t, err)
	path := strings.TrimPrefix(link.URL, c.URL())
	status, _ := get(t, c, path+"/")
	require.Equal(t, 502, status, "nothing listens on 3000, says the daemon")

	c.options.Config.Docker.Host = "unix://" + m.socket // the other engine's name, as Engines gives it
	require.NoError(t, c.SwitchEngine(t.Context(), "unix://"+m.socket))
	choices, err := c.Engines(t.Context())
	require.NoError(t, err)
	current := ""
	for _, choice := range choices {
		if choice.Current {
			require.Empty(t, current)
			current = choice.Name
		}
	}
	require.Equal(t, api.EngineID("unix://"+m.socket), current)
	boxes, err := c.Sandboxes(t.Context())
	require.NoError(t, err)
	require.Len(t, boxes, 1, "the containers of the engine that was left are gone")
	status, body := get(t, c, path+"/")
	require.Equal(t, 503, status)
	require.Equal(t, api.CodeEngineClosed, body["code"])
	links, err := c.Links(t.Context())
	require.NoError(t, err)
	require.Len(t, links, 1)

	c.options.Config.Docker.Host = real.Endpoint()
	require.NoError(t, c.SwitchEngine(t.Context(), real.Name()))
	require.Eventually(t, func() bool {
		status, _ := get(t, c, path+"/")
		return status == 502
	}, soon, look, "the link works again")
	require.ErrorIs(t, c.SwitchEngine(t.Context(), "no-such-context-here"), &api.Problem{Code: api.CodeEngineUnreachable})
	require.Equal(t, real.Name(), engineNow(t, c).Name, "a switch that fails changes nothing")
}

func TestAnEngineThatFindsItsVoiceIsUsed(t *testing.T) {
	t.Parallel()
	real := strings.TrimPrefix(enginetest.Require(t).Endpoint(), "unix://")
	m := newMuteEngine(t)
	c := started(t, func(o *Options) { o.Config.Docker.Host = "unix://" + m.socket })
	require.Eventually(t, func() bool { return c.modeNow(t) == "host" }, soon, look)
	m.lets(real)
	require.Eventually(t, func() bool { return c.modeNow(t) == "docker" }, soon, look)
	require.Equal(t, "connected", engineNow(t, c).State)
	require.Nil(t, engineNow(t, c).Error)
}

func TestMakingALinkStartsNoDaemon(t *testing.T) {
	t.Parallel()
	m := newMuteEngine(t)
	c := started(t, func(o *Options) { o.Config.Daemon.Mode, o.Config.Docker.Host = "docker", "unix://"+m.socket })
	for _, port := range []int{3000, c.options.Config.Server.Port} {
		_, err := c.CreateLink(t.Context(), api.LinkRequest{Port: port, Sandbox: api.HostName})
		if port != 3000 {
			require.ErrorIs(t, err, &api.Problem{Code: api.CodeLoop}, "its own port is refused all the same")
		}
		boxes, err := c.Sandboxes(t.Context())
		require.NoError(t, err)
		require.Equal(t, api.DaemonNone, boxes[0].Daemon.State)
	}
}
