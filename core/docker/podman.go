package docker

import (
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/BurntSushi/toml"

	"daemon-proxy/core/api"
)

// podmanConnection is an entry of `podman system connection list`.
type podmanConnection struct {
	URI       string `toml:"uri"`
	Identity  string `toml:"identity"`   // the file of a private key; may be empty
	IsMachine bool   `toml:"is_machine"` // a virtual machine of `podman machine`
}

// podmanConnections reads the connections of the podman CLI, and which of them is
// its default: of containers.conf, and since Podman 5 of podman-connections.json.
// A file that cannot be read has none.
// See https://github.com/containers/common/blob/main/docs/containers.conf.5.md
func podmanConnections(opts Options) (connections map[string]podmanConnection, current string) {
	connections = map[string]podmanConnection{}
	for _, file := range containersConf(opts) {
		var conf struct {
			Engine struct {
				ActiveService string                      `toml:"active_service"`
				Destinations  map[string]podmanConnection `toml:"service_destinations"`
			} `toml:"engine"`
		}
		if _, err := toml.DecodeFile(file, &conf); err != nil {
			continue
		}
		maps.Copy(connections, conf.Engine.Destinations)
		if conf.Engine.ActiveService != "" {
			current = conf.Engine.ActiveService
		}
	}
	var file struct {
		Connection struct {
			Default     string
			Connections map[string]podmanConnection
		}
	}
	path := opts.Env("PODMAN_CONNECTIONS_CONF")
	if path == "" {
		path = filepath.Join(containersDir(opts), "podman-connections.json")
	}
	data, err := os.ReadFile(path) //nolint:gosec // the podman CLI's own file
	if err == nil && json.Unmarshal(data, &file) == nil {
		maps.Copy(connections, file.Connection.Connections)
		if file.Connection.Default != "" {
			current = file.Connection.Default
		}
	}
	if name := opts.Env("CONTAINER_CONNECTION"); name != "" {
		current = name
	}
	return connections, current
}

// containersDir is the user's folder of the podman CLI.
func containersDir(opts Options) string {
	if dir := opts.Env("XDG_CONFIG_HOME"); dir != "" {
		return filepath.Join(dir, "containers")
	}
	return filepath.Join(opts.Home, ".config", "containers")
}

// containersConf are the files that may have connections; later ones count more.
func containersConf(opts Options) []string {
	if file := opts.Env("CONTAINERS_CONF"); file != "" {
		return []string{file}
	}
	var files []string
	for _, file := range []string{"/etc/containers/containers.conf", filepath.Join(containersDir(opts), "containers.conf")} {
		parts, _ := filepath.Glob(filepath.Join(file+".d", "*.conf")) // the pattern is well-formed
		files = append(append(files, file), parts...)
	}
	if file := opts.Env("CONTAINERS_CONF_OVERRIDE"); file != "" {
		files = append(files, file)
	}
	return files
}

// podmanEndpoints are the engines that the podman CLI knows on this machine, its
// default first. Their names are not those in taken, which mean something else.
func podmanEndpoints(opts Options, taken map[string]bool) (known []endpoint) {
	connections, current := podmanConnections(opts)
	names := slices.Sorted(maps.Keys(connections))
	if i := slices.Index(names, current); i > 0 {
		names = append([]string{current}, slices.Delete(names, i, i+1)...)
	}
	if host := opts.Env("CONTAINER_HOST"); host != "" {
		c := podmanConnection{URI: host, Identity: opts.Env("CONTAINER_SSHKEY")}
		if end, err := c.endpoint(opts); err == nil {
			known = append(known, end)
		}
	}
	for _, name := range names {
		end, err := connections[name].endpoint(opts)
		if err != nil {
			continue
		}
		if plainName.MatchString(name) && !taken[name] {
			end.name = name
		}
		known = append(known, end)
	}
	return known
}

// podmanDefault is the engine that the podman CLI would use, if that is a
// connection.
func podmanDefault(opts Options, known []endpoint) (endpoint, bool) {
	_, current := podmanConnections(opts)
	if host := opts.Env("CONTAINER_HOST"); host != "" {
		current = api.EngineID(podmanHost(host))
	}
	for _, end := range known {
		if end.name == current {
			return end, true
		}
	}
	return endpoint{}, false
}

// endpoint is how the connection is reached; its name is the id of its address.
func (c podmanConnection) endpoint(opts Options) (endpoint, error) {
	host := podmanHost(c.URI)
	end, err := parseHost(opts, host)
	if err != nil {
		return endpoint{}, err
	}
	end.name = api.EngineID(host)
	if end.scheme == "ssh" {
		end.ssh.cli = "podman"
		end.ssh.Identity = c.Identity
		if end.ssh.socket == "" && end.ssh.User == "root" {
			end.ssh.socket = podmanRootful
		}
		end.ssh.AnyHostKey = c.IsMachine && loopback(end.ssh.Host)
	}
	return end.withPort(), nil
}

// podmanHost is an address of Podman, which writes "unix:/run/…" too, in the form
// of DOCKER_HOST.
func podmanHost(uri string) string {
	if path, ok := strings.CutPrefix(uri, "unix:/"); ok {
		return "unix:///" + strings.TrimLeft(path, "/")
	}
	return uri
}

func loopback(host string) bool { return host == "127.0.0.1" || host == "::1" || host == "localhost" }

// exists reports whether there is a file of any kind.
func exists(file string) bool {
	_, err := os.Stat(file)
	return err == nil
}
