package docker

import (
	"crypto/sha256"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/docker/go-connections/tlsconfig"

	"daemon-proxy/core/api"
)

// defaultContext is the docker CLI's name for "no context".
const defaultContext = "default"

// endpoint is where an engine is and how it is reached.
type endpoint struct {
	name     string // see Engine.Name
	host     string // in the form of DOCKER_HOST
	scheme   string // "unix", "npipe", "tcp" or "ssh"
	address  string // what is dialled: a path or host:port
	basePath string
	tls      *tls.Config // nil: plain
	ssh      sshTarget
}

// resolve chooses the endpoint in the docker CLI's order, after the two
// settings of our own: Options.Host, Options.Context, DOCKER_HOST,
// DOCKER_CONTEXT, currentContext of config.json, the default socket. If none is
// chosen and there is no default socket, see instead.
func resolve(opts Options) (endpoint, error) {
	if opts.Host != "" {
		return fromHost(opts, opts.Host)
	}
	name := opts.Context
	if name == "" {
		if host := opts.Env("DOCKER_HOST"); host != "" {
			return fromHost(opts, host)
		}
		name = opts.Env("DOCKER_CONTEXT")
	}
	if name == "" {
		var err error
		if name, err = currentContext(opts); err != nil {
			return endpoint{}, err
		}
	}
	if name == "" {
		if end, ok := instead(opts); ok {
			opts.Logger.Info("there is no default socket; another engine is used",
				"socket", opts.defaultSocket, "engine", end.name, "endpoint", withoutPassword(end.host))
			return end, nil
		}
	}
	if name == "" || name == defaultContext {
		host := opts.Env("DOCKER_HOST") // "default" asked for by name means this too
		if host == "" {
			host = opts.defaultHost()
		}
		return fromHost(opts, host)
	}
	return fromContext(opts, name)
}

// fromHost is the endpoint of a bare address, with TLS by the environment.
func fromHost(opts Options, host string) (endpoint, error) {
	end, err := parseHost(opts, host)
	if err != nil {
		return endpoint{}, err
	}
	end.name = api.EngineID(host)
	if host == opts.defaultHost() {
		end.name = defaultContext
	}
	// As the Go SDK: a certificate folder alone means TLS whose server is not verified.
	verify := opts.Env("DOCKER_TLS_VERIFY") != ""
	folder := opts.Env("DOCKER_CERT_PATH")
	if end.scheme != "tcp" || (!verify && folder == "" && opts.Env("DOCKER_TLS") == "") {
		return end.withPort(), nil
	}
	if folder == "" {
		folder = configDir(opts)
	}
	end.tls, err = tlsFrom(folder, !verify)
	if err != nil {
		return endpoint{}, badTLS("the TLS files in "+folder, err, "check DOCKER_CERT_PATH and DOCKER_TLS_VERIFY")
	}
	return end.withPort(), nil
}

// contextMeta is contexts/meta/<id>/meta.json of the docker CLI.
// See https://github.com/docker/cli/blob/master/cli/context/store/doc.go
type contextMeta struct {
	Name      string
	Endpoints map[string]struct {
		Host          string
		SkipTLSVerify bool
	}
}

// fromContext is the endpoint of a context of the docker CLI, or of another engine
// that is known here by that name.
func fromContext(opts Options, name string) (endpoint, error) {
	end, err := fromStore(opts, name)
	if !errors.Is(err, fs.ErrNotExist) {
		return end, err
	}
	names := contextNames(filepath.Join(configDir(opts), "contexts"))
	for _, end := range known(opts) {
		if end.name == name {
			return end, nil
		}
		if !slices.Contains(names, end.name) {
			names = append(names, end.name)
		}
	}
	return endpoint{}, unknownContext(name, names)
}

// fromStore is the endpoint of a context of the docker CLI's context store. The
// error is fs.ErrNotExist if it has no such context.
func fromStore(opts Options, name string) (endpoint, error) {
	store := filepath.Join(configDir(opts), "contexts")
	id := fmt.Sprintf("%x", sha256.Sum256([]byte(name)))
	file := filepath.Join(store, "meta", id, "meta.json")
	meta, err := readContext(file)
	if errors.Is(err, fs.ErrNotExist) {
		return endpoint{}, err
	}
	if err != nil {
		return endpoint{}, badConfig(file, err)
	}
	docker, ok := meta.Endpoints["docker"]
	if !ok || docker.Host == "" {
		return endpoint{}, badConfig(file, errors.New("it has no docker endpoint"))
	}
	end, err := parseHost(opts, docker.Host)
	if err != nil {
		return endpoint{}, err
	}
	end.name = name
	folder := filepath.Join(store, "tls", id, "docker")
	if _, err := os.Stat(folder); end.scheme == "tcp" && (err == nil || docker.SkipTLSVerify) {
		if end.tls, err = tlsFrom(folder, docker.SkipTLSVerify); err != nil {
			return endpoint{}, badTLS(fmt.Sprintf("the TLS files of docker context %q in %s", name, folder), err,
				fmt.Sprintf("update the context: docker context update %s --docker …", name))
		}
	}
	return end.withPort(), nil
}

func readContext(file string) (contextMeta, error) {
	var meta contextMeta
	data, err := os.ReadFile(file) //nolint:gosec // the docker CLI's own files
	if err == nil {
		err = json.Unmarshal(data, &meta)
	}
	return meta, err
}

// contextNames lists the contexts of a store, "default" first.
func contextNames(store string) []string {
	files, _ := filepath.Glob(filepath.Join(store, "meta", "*", "meta.json")) // the pattern is well-formed
	var names []string
	for _, file := range files {
		if meta, err := readContext(file); err == nil && meta.Name != "" {
			names = append(names, meta.Name)
		}
	}
	slices.Sort(names)
	return append([]string{defaultContext}, names...)
}

// configDir is the docker CLI's folder.
func configDir(opts Options) string {
	if dir := opts.Env("DOCKER_CONFIG"); dir != "" {
		return dir
	}
	return filepath.Join(opts.Home, ".docker")
}

// currentContext is what `docker context use` chose; "" without a choice.
func currentContext(opts Options) (string, error) {
	file := filepath.Join(configDir(opts), "config.json")
	data, err := os.ReadFile(file) //nolint:gosec // the docker CLI's own files
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	var config struct{ CurrentContext string }
	if err == nil {
		err = json.Unmarshal(data, &config)
	}
	if err != nil {
		return "", badConfig(file, err)
	}
	return config.CurrentContext, nil
}

// parseHost splits an address in the form of DOCKER_HOST.
func parseHost(opts Options, host string) (endpoint, error) {
	scheme, rest, ok := strings.Cut(host, "://")
	if !ok || rest == "" {
		return endpoint{}, badEndpoint(host, errors.New("it has no scheme and address"))
	}
	end := endpoint{host: host, scheme: scheme, address: rest}
	switch scheme {
	case "unix", "npipe":
		return end, nil
	case "ssh":
		target, err := parseSSH(host, opts.LookPath)
		if err != nil {
			return endpoint{}, badEndpoint(host, err)
		}
		end.ssh = target
		return end, nil
	case "tcp", "http", "https":
		u, err := url.Parse("tcp://" + rest)
		if err == nil && u.Hostname() == "" {
			err = errors.New("it has no host name")
		}
		if err == nil && u.User != nil {
			err = errors.New("it must not have a user name")
		}
		if err != nil {
			return endpoint{}, badEndpoint(host, err)
		}
		end.scheme, end.address, end.basePath = "tcp", u.Host, u.Path
		if scheme == "https" {
			end.tls = tlsconfig.ClientDefault()
		}
		return end, nil
	}
	return endpoint{}, badEndpoint(host, fmt.Errorf("the scheme %q is not supported", scheme))
}

// withPort adds the port that an engine has by convention: 2376 with TLS,
// 2375 without.
func (end endpoint) withPort() endpoint {
	if end.scheme != "tcp" {
		return end
	}
	if u, err := url.Parse("tcp://" + end.address); err == nil && u.Port() == "" {
		port := "2375"
		if end.tls != nil {
			port = "2376"
		}
		end.address = net.JoinHostPort(u.Hostname(), port)
	}
	end.host = "tcp://" + end.address + end.basePath
	return end
}

// tlsFrom makes the client's side of TLS from ca.pem, cert.pem and key.pem;
// each may be missing, as for the docker CLI.
func tlsFrom(folder string, skipVerify bool) (*tls.Config, error) {
	present := func(name string) string {
		file := filepath.Join(folder, name)
		if _, err := os.Stat(file); errors.Is(err, fs.ErrNotExist) {
			return ""
		}
		return file
	}
	return tlsconfig.Client(tlsconfig.Options{
		CAFile: present("ca.pem"), CertFile: present("cert.pem"), KeyFile: present("key.pem"),
		InsecureSkipVerify: skipVerify, ExclusiveRootPools: present("ca.pem") != "",
	})
}

func badEndpoint(host string, err error) *api.Problem {
	return api.NewProblem(api.CodeEngineUnreachable,
		fmt.Sprintf("%q is not the address of a Docker engine: %v", withoutPassword(host), err),
		"use unix:///path/to/docker.sock, tcp://host:2376 or ssh://user@host in docker.host or DOCKER_HOST").Because(err)
}

// withoutPassword replaces the password of a URL.
func withoutPassword(host string) string {
	if u, err := url.Parse(host); err == nil && u.User != nil {
		return u.Redacted()
	}
	return host
}

func badTLS(what string, err error, hint string) *api.Problem {
	return api.NewProblem(api.CodeEngineUnreachable,
		fmt.Sprintf("%s cannot be used: %v", what, err), hint).Because(err)
}

func badConfig(file string, err error) *api.Problem {
	return api.NewProblem(api.CodeEngineUnreachable,
		fmt.Sprintf("%s of the docker CLI cannot be used: %v", file, err),
		"repair the file, or set docker.host to the engine's address").Because(err)
}

func unknownContext(name string, names []string) *api.Problem {
	p := api.NewProblem(api.CodeEngineUnreachable,
		fmt.Sprintf("there is no engine or docker context %q; there are: %s", name, strings.Join(names, ", ")),
		"name one of them (docker.context, docker.engines, DOCKER_CONTEXT), or create it: docker context create "+name)
	p.Names = names
	return p
}
