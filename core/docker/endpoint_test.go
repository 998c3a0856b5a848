package docker

import (
	"crypto/sha256"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"

	"github.com/docker/docker/client"
	"github.com/stretchr/testify/require"

	"daemon-proxy/core/api"
)

// dockerConfig is a ~/.docker under construction.
type dockerConfig struct {
	t    *testing.T
	home string
}

func newDockerConfig(t *testing.T) dockerConfig { return dockerConfig{t, t.TempDir()} }

func (d dockerConfig) write(path string, content []byte) {
	d.t.Helper()
	file := filepath.Join(d.home, ".docker", path)
	require.NoError(d.t, os.MkdirAll(filepath.Dir(file), 0o700))
	require.NoError(d.t, os.WriteFile(file, content, 0o600))
}

func (d dockerConfig) context(name, host string, skipVerify bool) (tlsFolder string) {
	d.t.Helper()
	id := fmt.Sprintf("%x", sha256.Sum256([]byte(name)))
	meta, err := json.Marshal(map[string]any{
		"Name": name, "Metadata": map[string]any{},
		"Endpoints": map[string]any{"docker": map[string]any{"Host": host, "SkipTLSVerify": skipVerify}},
	})
	require.NoError(d.t, err)
	d.write(filepath.Join("contexts/meta", id, "meta.json"), meta)
	return filepath.Join("contexts/tls", id, "docker")
}

func env(pairs ...string) func(string) string {
	return func(name string) string {
		for i := 0; i < len(pairs); i += 2 {
			if pairs[i] == name {
				return pairs[i+1]
			}
		}
		return ""
	}
}

func TestEndpointIsChosenInTheOrderOfTheDockerCLI(t *testing.T) {
	t.Parallel()
	d := newDockerConfig(t)
	d.context("lab", "tcp://lab:2375", false)
	d.context("colima", "unix:///colima.sock", false)
	d.write("config.json", []byte(`{"auths":{},"currentContext":"lab"}`))
	other := newDockerConfig(t)
	other.write("config.json", []byte(`{"currentContext":"default"}`))

	for name, c := range map[string]struct {
		opts       Options
		host, name string
	}{
		"host setting first":             {Options{Host: "unix:///set.sock", Context: "colima", Env: env("DOCKER_HOST", "unix:///env.sock")}, "unix:///set.sock", "unix+set.sock"},
		"context setting next":           {Options{Context: "colima", Env: env("DOCKER_HOST", "unix:///env.sock", "DOCKER_CONTEXT", "lab")}, "unix:///colima.sock", "colima"},
		"DOCKER_HOST before contexts":    {Options{Env: env("DOCKER_HOST", "unix:///env.sock", "DOCKER_CONTEXT", "colima")}, "unix:///env.sock", "unix+env.sock"},
		"DOCKER_CONTEXT before current":  {Options{Env: env("DOCKER_CONTEXT", "colima")}, "unix:///colima.sock", "colima"},
		"current context":                {Options{Env: env()}, "tcp://lab:2375", "lab"},
		"DOCKER_CONTEXT=default":         {Options{Env: env("DOCKER_CONTEXT", "default")}, client.DefaultDockerHost, "default"},
		"context setting default":        {Options{Context: "default", Env: env("DOCKER_CONTEXT", "lab")}, client.DefaultDockerHost, "default"},
		"DOCKER_CONFIG moves the folder": {Options{Env: env("DOCKER_CONFIG", filepath.Join(other.home, ".docker"))}, client.DefaultDockerHost, "default"},
		"no configuration at all":        {Options{Env: env(), Home: t.TempDir()}, client.DefaultDockerHost, "default"},
		"default socket named":           {Options{Host: client.DefaultDockerHost}, client.DefaultDockerHost, "default"},
		"port by convention":             {Options{Host: "tcp://lab"}, "tcp://lab:2375", "tcp+lab"},
		"port by convention, IPv6":       {Options{Host: "tcp://[fd00::1]"}, "tcp://[fd00::1]:2375", api.EngineID("tcp://[fd00::1]")},
		"port by convention, TLS":        {Options{Host: "tcp://lab", Env: env("DOCKER_TLS_VERIFY", "1")}, "tcp://lab:2376", "tcp+lab"},
		"base path kept":                 {Options{Host: "tcp://lab:80/docker"}, "tcp://lab:80/docker", "tcp+lab+80+docker+5f64d6e3"},
		"http is tcp":                    {Options{Host: "http://lab:1"}, "tcp://lab:1", api.EngineID("http://lab:1")},
		"TLS variables leave sockets":    {Options{Host: "unix:///s", Env: env("DOCKER_TLS_VERIFY", "1")}, "unix:///s", "unix+s"},
		"ssh":                            {Options{Host: "ssh://me@lab:2222"}, "ssh://me@lab:2222", "ssh+me+lab+2222"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if c.opts.Home == "" {
				c.opts.Home = d.home
			}
			if c.opts.Env == nil {
				c.opts.Env = env()
			}
			e, err := Open(c.opts)
			require.NoError(t, err)
			require.Equal(t, c.host, e.Endpoint())
			require.Equal(t, c.name, e.Name())
			require.NoError(t, e.Close())
		})
	}
}

func TestEndpointProblemsNameTheCauseAndTheNextStep(t *testing.T) {
	t.Parallel()
	d := newDockerConfig(t)
	d.context("lab", "tcp://lab:2375", false)
	d.context("empty", "", false)
	d.write(filepath.Join(d.context("badcert", "tcp://lab:2376", false), "ca.pem"), []byte("no certificate"))
	broken := newDockerConfig(t)
	broken.write("config.json", []byte(`{"currentContext":`))

	for name, c := range map[string]struct {
		opts         Options
		detail, hint string
	}{
		"context that does not exist": {Options{Context: "lap"}, `there is no engine or docker context "lap"; there are: default, badcert, empty, lab`, "docker.context"},
		"variable names no context":   {Options{Env: env("DOCKER_CONTEXT", "../lab")}, `there is no engine or docker context "../lab"`, "DOCKER_CONTEXT"},
		"context without an endpoint": {Options{Context: "empty"}, "no docker endpoint", "docker.host"},
		"context with bad TLS files":  {Options{Context: "badcert"}, "ca.pem", "docker context update badcert"},
		"damaged config.json":         {Options{Home: broken.home}, "config.json", "repair the file"},
		"no scheme":                   {Options{Host: "localhost:2375"}, "no scheme", "tcp://host:2376"},
		"no host":                     {Options{Host: "tcp://:2375"}, "no host name", "tcp://"},
		"unknown scheme":              {Options{Host: "fd://"}, "fd://", "unix://"},
		"ftp":                         {Options{Host: "ftp://lab"}, `"ftp" is not supported`, "ssh://"},
		"ssh option as a host":        {Options{Host: "ssh://-oProxyCommand=touch%20x"}, "", "ssh://"},
		"ssh option as a user":        {Options{Host: "ssh://-oProxyCommand=x@lab"}, "is not a user", "ssh://"},
		"ssh password":                {Options{Host: "ssh://me:secret@lab"}, "it must not have a password", "ssh://"},
		"missing certificates":        {Options{Host: "tcp://lab", Env: env("DOCKER_CERT_PATH", filepath.Join(d.home, ".docker/contexts/tls", fmt.Sprintf("%x", sha256.Sum256([]byte("badcert"))), "docker"), "DOCKER_TLS_VERIFY", "1")}, "ca.pem", "DOCKER_CERT_PATH"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if c.opts.Home == "" {
				c.opts.Home = d.home
			}
			if c.opts.Env == nil {
				c.opts.Env = env()
			}
			_, err := Open(c.opts)
			require.ErrorIs(t, err, &api.Problem{Code: api.CodeEngineUnreachable})
			problem := api.AsProblem(err)
			require.Contains(t, problem.Detail, c.detail)
			require.Contains(t, problem.Hint, c.hint)
			require.NotContains(t, problem.Detail, "secret")
		})
	}
}

func TestContextStoreTLSIsUsed(t *testing.T) {
	t.Parallel()
	server := httptest.NewTLSServer(fakeAPI{}.handler())
	t.Cleanup(server.Close)
	d := newDockerConfig(t)
	host := "tcp://" + server.Listener.Addr().String()
	certificate := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	d.write(filepath.Join(d.context("trusted", host, false), "ca.pem"), certificate)
	d.context("unverified", host, true)
	d.context("plain", host, false)

	for name, works := range map[string]bool{"trusted": true, "unverified": true, "plain": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e, err := Open(Options{Context: name, Home: d.home, Env: env()})
			require.NoError(t, err)
			defer func() { require.NoError(t, e.Close()) }()
			version, err := e.Ping(t.Context())
			if !works {
				require.ErrorContains(t, err, "refused a plain request")
				return
			}
			require.NoError(t, err)
			require.Equal(t, "99.1", version)
		})
	}
}
