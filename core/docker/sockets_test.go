package docker

import (
	"encoding/json"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"daemon-proxy/core/api"
)

// machine is this machine with a home and sockets of its own.
type machine struct {
	t   *testing.T
	dir string // short: it holds sockets
	env []string
}

func newMachine(t *testing.T) *machine {
	dir, err := os.MkdirTemp("/tmp", "dp-test-")
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, os.RemoveAll(dir)) })
	return &machine{t: t, dir: dir, env: []string{"XDG_RUNTIME_DIR", filepath.Join(dir, "run")}}
}

func (m *machine) options() Options {
	return Options{
		Env: env(m.env...), Home: filepath.Join(m.dir, "home"), LookPath: nothingInstalled,
		defaultSocket: filepath.Join(m.dir, "docker.sock"), podmanRootful: filepath.Join(m.dir, "run/podman-root.sock"),
	}
}

// file writes a file under the machine's folder.
func (m *machine) file(path, content string) string {
	m.t.Helper()
	path = filepath.Join(m.dir, path)
	require.NoError(m.t, os.MkdirAll(filepath.Dir(path), 0o755))
	require.NoError(m.t, os.WriteFile(path, []byte(content), 0o600))
	return path
}

// listen makes a socket that something listens on.
func (m *machine) listen(path string) net.Listener {
	m.t.Helper()
	path = filepath.Join(m.dir, path)
	require.NoError(m.t, os.MkdirAll(filepath.Dir(path), 0o755))
	l, err := net.Listen("unix", path)
	require.NoError(m.t, err)
	m.t.Cleanup(func() { l.Close() })
	return l
}

// stale makes a socket that nothing listens on.
func (m *machine) stale(path string) {
	l := m.listen(path)
	l.(*net.UnixListener).SetUnlinkOnClose(false)
	l.Close()
}

// context makes a context of the docker CLI.
func (m *machine) context(name, host string) {
	config := dockerConfig{m.t, filepath.Join(m.dir, "home")}
	config.context(name, host, false)
}

func (m *machine) choices() map[string]string {
	all := map[string]string{}
	for _, choice := range Contexts(m.options()) {
		require.Empty(m.t, all[choice.Name], "named twice")
		require.Regexp(m.t, `^[A-Za-z0-9._+-]+$`, choice.Name)
		all[choice.Name] = strings.ReplaceAll(choice.Endpoint, m.dir, "")
	}
	return all
}

func TestB31UsualSocketsAreOfferedByName(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	require.Equal(t, map[string]string{"default": "unix:///docker.sock"}, m.choices())
	want := map[string]string{"default": "unix:///docker.sock"}
	for name, path := range map[string]string{
		"docker-desktop": "/home/.docker/run/docker.sock", "rootless": "/run/docker.sock", "colima": "/home/.colima/default/docker.sock",
		"colima-k8s": "/home/.colima/k8s/docker.sock", "lima-docker": "/home/.lima/docker/sock/docker.sock",
		"lima-podman": "/home/.lima/podman/sock/podman.sock", "lima-docker-podman": "/home/.lima/docker/sock/podman.sock",
		"orbstack": "/home/.orbstack/run/docker.sock", "rancher-desktop": "/home/.rd/docker.sock", "podman": "/run/podman/podman.sock",
		"podman-rootful": "/run/podman-root.sock", "podman-machine-default": "/run/podman/podman-machine-default-api.sock",
	} {
		m.listen(path)
		want[name] = "unix://" + path
	}
	m.file("home/.colima/wrong/docker.sock", "not a socket")
	m.listen("home/.colima/bad name/docker.sock")
	require.Equal(t, want, m.choices())

	// Each name leads to its engine.
	for name := range want {
		e, err := Open(OptionsFor(m.options(), name))
		require.NoError(t, err, name)
		require.Equal(t, name, e.Name())
		require.Equal(t, want[name], strings.ReplaceAll(e.Endpoint(), m.dir, ""))
		require.NoError(t, e.Close())
	}

	// A socket that a context leads to is that context.
	m.context("colima-docker", "unix://"+filepath.Join(m.dir, "home/.colima/default/docker.sock"))
	require.NoError(t, os.Symlink(filepath.Join(m.dir, "home/.docker/run/docker.sock"), filepath.Join(m.dir, "docker.sock")))
	delete(want, "colima")
	delete(want, "docker-desktop")
	want["colima-docker"] = "unix:///home/.colima/default/docker.sock"
	require.Equal(t, want, m.choices())
}

func TestB31ConnectionsOfPodmanAreOffered(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	m.file("home/.config/containers/containers.conf", `# as Podman 4 writes it
[engine]
  active_service = "old"
  [engine.service_destinations]
    [engine.service_destinations.old]
      uri = "ssh://me@old:22/run/user/1000/podman/podman.sock"
      identity = "/home/me/.ssh/old"
    [engine.service_destinations."with.dot"]
      uri = "unix:///run/other.sock"
    [engine.service_destinations.changed]
      uri = "tcp://before:1"
`)
	m.file("home/.config/containers/containers.conf.d/more.conf", "[engine.service_destinations.more]\nuri = \"tcp://more\"\n")
	require.Equal(t, map[string]string{
		"default": "unix:///docker.sock", "old": "ssh://me@old:22/run/user/1000/podman/podman.sock", "with.dot": "unix:///run/other.sock",
		"changed": "tcp://before:1", "more": "tcp://more:2375",
	}, m.choices())

	connections, err := json.Marshal(map[string]any{"Connection": map[string]any{"Default": "box", "Connections": map[string]any{
		"box":     map[string]any{"URI": "ssh://core@127.0.0.1:53298/run/user/501/podman/podman.sock", "Identity": "/key", "IsMachine": true},
		"far":     map[string]any{"URI": "ssh://root@far", "IsMachine": true},
		"changed": map[string]any{"URI": "tcp://after:1"}, "lab": map[string]any{"URI": "tcp://lab:1"}, "a b": map[string]any{"URI": "unix:///run/ab.sock"},
		"bad": map[string]any{"URI": "gopher://x"}, "option": map[string]any{"URI": "ssh://-oProxyCommand=x@far"},
	}}})
	require.NoError(t, err)
	m.file("home/.config/containers/podman-connections.json", string(connections))
	m.context("lab", "tcp://lab:2")
	m.env = append(m.env, "CONTAINER_HOST", "unix:/run/set.sock")
	require.Equal(t, map[string]string{
		"default": "unix:///docker.sock", "old": "ssh://me@old:22/run/user/1000/podman/podman.sock", "with.dot": "unix:///run/other.sock",
		"changed": "tcp://after:1", "more": "tcp://more:2375", "lab": "tcp://lab:2", api.EngineID("tcp://lab:1"): "tcp://lab:1",
		"box": "ssh://core@127.0.0.1:53298/run/user/501/podman/podman.sock", "far": "ssh://root@far",
		api.EngineID("unix:///run/ab.sock"): "unix:///run/ab.sock", api.EngineID("unix:///run/set.sock"): "unix:///run/set.sock",
	}, m.choices())

	opened := func(name string) sshTarget {
		e, err := Open(OptionsFor(m.options(), name))
		require.NoError(t, err)
		require.NoError(t, e.Close())
		require.Equal(t, name, e.Name())
		return e.at.ssh
	}
	box := opened("box")
	require.Equal(t, "/key", box.Identity)
	require.True(t, box.AnyHostKey)
	require.Contains(t, box.dialStdio(), quoted("unix:///run/user/501/podman/podman.sock"))
	require.Equal(t, "podman", box.cli)
	far := opened("far")
	require.False(t, far.AnyHostKey, "only of a virtual machine of this one")
	require.Equal(t, podmanRootful, far.socket)

	m.env = append(m.env, "PODMAN_CONNECTIONS_CONF", m.file("moved.json", `{"Connection":{"Connections":{"moved":{"URI":"tcp://moved:1"}}}}`),
		"CONTAINERS_CONF", m.file("moved.conf", "[engine\n"))
	require.Equal(t, map[string]string{
		"default": "unix:///docker.sock", "lab": "tcp://lab:2", "moved": "tcp://moved:1", api.EngineID("unix:///run/set.sock"): "unix:///run/set.sock",
	}, m.choices(), "a file that is damaged has none")
}

func TestB31WithoutADefaultSocketTheOnlyOtherEngineIsUsed(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	uses := func(o Options) string {
		e, err := Open(o)
		require.NoError(t, err)
		require.NoError(t, e.Close())
		return e.Name()
	}
	require.Equal(t, "default", uses(m.options()))

	m.stale("run/docker.sock")
	require.Equal(t, "default", uses(m.options()), "nothing listens there")
	connections := m.file("home/.config/containers/podman-connections.json",
		`{"Connection":{"Default":"vm","Connections":{"vm":{"URI":"ssh://vm"},"other":{"URI":"ssh://other"}}}}`)
	require.Equal(t, "vm", uses(m.options()), "the default of the podman CLI")
	podman := m.listen("run/podman/podman.sock")
	require.Equal(t, "podman", uses(m.options()))

	o := m.options()
	o.Context = "default"
	require.Equal(t, "default", uses(o), "that was chosen")
	o.Context = "other"
	require.Equal(t, "other", uses(o))
	m.env = append(m.env, "CONTAINER_CONNECTION", "other")
	require.Equal(t, "other", uses(m.options()))
	m.env = m.env[:2]

	// Two are a choice for a person.
	require.NoError(t, os.Remove(connections))
	m.listen("home/.colima/default/docker.sock")
	require.Equal(t, "default", uses(m.options()))
	e, err := Open(m.options())
	require.NoError(t, err)
	defer e.Close()
	requireUnreachable(t, e, "there is no socket "+m.options().defaultSocket, "these engines run here: colima (unix://"+
		filepath.Join(m.dir, "home/.colima/default/docker.sock")+"), podman (unix://")
	podman.Close()
	requireUnreachable(t, e, "there is no socket", "--docker-context colima")

	m.listen("docker.sock")
	require.Equal(t, "default", uses(m.options()))
}

func TestB31PodmanWithoutASocketSaysHowToStartIt(t *testing.T) {
	t.Parallel()
	m := newMachine(t)
	o := m.options()
	o.LookPath = func(name string) (string, error) {
		if name == "podman" {
			return "/usr/bin/podman", nil
		}
		return nothingInstalled(name)
	}
	e, err := Open(o)
	require.NoError(t, err)
	defer e.Close()
	requireUnreachable(t, e, "Podman is installed", "systemctl --user enable --now podman.socket")
}
