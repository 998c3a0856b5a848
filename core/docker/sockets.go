package docker

import (
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// podmanRootful is the socket of a Podman that root runs.
const podmanRootful = "/run/podman/podman.sock"

// acceptsWithin bounds the wait for a socket to accept a connection.
const acceptsWithin = 200 * time.Millisecond

// plainName matches names that can be an engine's id.
var plainName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._+-]*$`)

// usualSocket is a place where an engine's socket may be.
type usualSocket struct {
	// name of the engine; each * is what the one of pattern stands for.
	name    string
	pattern string
}

// usualSockets are the places where engines put their sockets.
func usualSockets(opts Options) []usualSocket {
	home := func(variable, folder string) string {
		if dir := opts.Env(variable); dir != "" {
			return dir
		}
		return filepath.Join(opts.Home, folder)
	}
	colima, lima := home("COLIMA_HOME", ".colima"), home("LIMA_HOME", ".lima")
	usual := []usualSocket{
		{"docker-desktop", filepath.Join(opts.Home, ".docker/run/docker.sock")},
		{"docker-desktop", filepath.Join(opts.Home, ".docker/desktop/docker.sock")},
		{"colima", filepath.Join(colima, "default/docker.sock")},
		{"colima-*", filepath.Join(colima, "*/docker.sock")},
		{"lima-*", filepath.Join(lima, "*/sock/docker.sock")},
		{"lima-*", filepath.Join(lima, "*/sock/podman.sock")},
		{"lima-*-podman", filepath.Join(lima, "*/sock/podman.sock")},
		{"orbstack", filepath.Join(opts.Home, ".orbstack/run/docker.sock")},
		{"rancher-desktop", filepath.Join(opts.Home, ".rd/docker.sock")},
		{"podman-rootful", opts.podmanRootful},
	}
	if dir := opts.Env("XDG_RUNTIME_DIR"); dir != "" {
		usual = append(usual, usualSocket{"rootless", filepath.Join(dir, "docker.sock")},
			usualSocket{"podman", filepath.Join(dir, "podman/podman.sock")},
			usualSocket{"*", filepath.Join(dir, "podman/*-api.sock")})
	}
	if dir := opts.Env("TMPDIR"); dir != "" { // on macOS a folder of the user's own
		usual = append(usual, usualSocket{"*", filepath.Join(dir, "podman/*-api.sock")})
	}
	return usual
}

// environment is os.Getenv with the user's folder for sockets, which sudo and cron
// do not name.
func environment(name string) string {
	value := os.Getenv(name)
	if dir := filepath.Join("/run/user", strconv.Itoa(os.Getuid())); name == "XDG_RUNTIME_DIR" && value == "" && exists(dir) {
		return dir
	}
	return value
}

// socketEndpoints are the engines at the usual sockets that exist.
func socketEndpoints(opts Options) (known []endpoint) {
	used := map[string]bool{}
	for _, usual := range usualSockets(opts) {
		files, _ := filepath.Glob(usual.pattern) // no file has a pattern that is not well-formed
		for _, file := range files {
			info, err := os.Stat(file)
			if err != nil || info.Mode()&fs.ModeSocket == 0 || used[file] {
				continue
			}
			name := strings.ReplaceAll(usual.name, "*", star(usual.pattern, file))
			if !plainName.MatchString(name) || used[name] {
				continue
			}
			end, err := parseHost(opts, "unix://"+file)
			if err != nil {
				continue
			}
			end.name, used[file], used[name] = name, true, true
			known = append(known, end)
		}
	}
	return known
}

// star is what the * of a pattern stands for in a path that matches it.
func star(pattern, path string) string {
	before, after, found := strings.Cut(pattern, "*")
	if !found {
		return ""
	}
	return strings.TrimSuffix(strings.TrimPrefix(path, before), after)
}

// accepts reports whether something listens on the socket of an engine. A socket
// of systemd's starts the engine.
func (end endpoint) accepts() bool {
	dialer := net.Dialer{Timeout: acceptsWithin}
	conn, err := dialer.Dial("unix", strings.TrimPrefix(end.host, "unix://"))
	if err != nil {
		return false
	}
	_ = conn.Close() // it was only a question
	return true
}

// place is where the endpoint leads, for comparison: several paths may lead to a socket.
func (end endpoint) place() string {
	if path, ok := strings.CutPrefix(end.host, "unix://"); ok {
		if real, err := filepath.EvalSymlinks(path); err == nil {
			return "unix://" + real
		}
	}
	return end.host
}

// found are the engines of this machine at a usual socket that something listens
// on, without the one at except.
func found(opts Options, except string) (here []endpoint) {
	for _, end := range known(opts) {
		if end.scheme == "unix" && end.address != except && end.accepts() {
			here = append(here, end)
		}
	}
	return here
}

// instead is the engine to use if none is chosen and there is no default socket:
// the one that the environment names for Podman, the only one that is found, or
// Podman's default connection. It returns false if that is not clear.
func instead(opts Options) (endpoint, bool) {
	if !filepath.IsAbs(opts.defaultSocket) || exists(opts.defaultSocket) { // a pipe of Windows cannot be looked for
		return endpoint{}, false
	}
	connection, ok := podmanDefault(opts, known(opts))
	if ok && (opts.Env("CONTAINER_HOST") != "" || opts.Env("CONTAINER_CONNECTION") != "") {
		return connection, true
	}
	if here := found(opts, opts.defaultSocket); len(here) > 0 {
		return here[0], len(here) == 1
	}
	return connection, ok
}
