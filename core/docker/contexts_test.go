package docker

import (
	"testing"

	"github.com/docker/docker/client"
	"github.com/stretchr/testify/require"

	"daemon-proxy/core/api"
)

func TestContextsAreThoseOfTheDockerCLI(t *testing.T) {
	t.Parallel()
	d := newDockerConfig(t)
	d.context("lab", "tcp://lab:2375", false)
	d.context("far", "ssh://user:pw@far", false)
	d.context("broken", "gopher://x", false)
	home := d.home
	look := func(string) (string, error) { return "/usr/bin/docker", nil }
	def := api.EngineChoice{Name: "default", Endpoint: client.DefaultDockerHost}
	lab := api.EngineChoice{Name: "lab", Endpoint: "tcp://lab:2375"}

	got := Contexts(Options{Home: home, Env: env(), LookPath: look})
	require.Contains(t, got, def)
	require.Contains(t, got, lab)
	for _, choice := range got {
		require.NotEqual(t, "broken", choice.Name, "it cannot be opened")
		require.NotContains(t, choice.Endpoint, "pw")
	}
	got = Contexts(Options{Home: home, Env: env("DOCKER_HOST", "tcp://there:2375"), LookPath: look})
	require.Equal(t, api.EngineChoice{Name: "tcp+there+2375", Endpoint: "tcp://there:2375"}, got[0])
	require.Contains(t, got, def, "the default is still to be had")
	require.Equal(t, []api.EngineChoice{def}, Contexts(Options{Home: t.TempDir(), Env: env(), LookPath: look}))

	// Each name leads back to its engine, whatever DOCKER_HOST says.
	for _, o := range []Options{
		{Home: home, Env: env("DOCKER_HOST", "tcp://there:2375"), LookPath: look},
		{Home: home, Env: env(), LookPath: look, Host: "tcp://set:2375"},
	} {
		for _, choice := range Contexts(o) {
			e, err := Open(OptionsFor(o, choice.Name))
			require.NoError(t, err, choice.Name)
			require.Equal(t, choice.Name, e.Name())
			if choice.Name != "far" {
				require.Equal(t, choice.Endpoint, e.Endpoint())
			}
			require.NoError(t, e.Close())
		}
	}
}
