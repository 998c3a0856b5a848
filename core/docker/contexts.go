package docker

import (
	"path/filepath"
	"strings"

	"github.com/docker/docker/client"

	"daemon-proxy/core/api"
)

// Contexts returns the engines that the docker CLI knows on this machine: the
// default one, its contexts by name, and DOCKER_HOST if it is another. None is
// marked as current: the caller knows which one it uses.
func Contexts(opts Options) []api.EngineChoice {
	opts = opts.withDefaults()
	var choices []api.EngineChoice
	seen := map[string]bool{}
	add := func(end endpoint, err error) {
		if err == nil && !seen[end.name] {
			seen[end.name] = true
			choices = append(choices, api.EngineChoice{Name: end.name, Endpoint: withoutPassword(end.host)})
		}
	}
	if opts.Host != "" {
		add(fromHost(opts, opts.Host))
	}
	if host := opts.Env("DOCKER_HOST"); host != "" {
		add(fromHost(opts, host))
	}
	for _, name := range contextNames(filepath.Join(configDir(opts), "contexts")) {
		add(byName(opts, name))
	}
	return choices
}

// byName returns the engine of a context, regardless of DOCKER_HOST.
func byName(opts Options, name string) (endpoint, error) {
	if name == defaultContext {
		return fromHost(opts, client.DefaultDockerHost)
	}
	return fromContext(opts, name)
}

// OptionsFor returns the options that open an engine, given by a name from Contexts
// or Engine.Name or by its address. Any other name is taken for a context, which
// Open will not find.
func OptionsFor(opts Options, name string) Options {
	chosen := Options{Env: opts.Env, Home: opts.Home, LookPath: opts.LookPath}
	full := opts.withDefaults()
	if name == defaultContext {
		chosen.Host = client.DefaultDockerHost
		return chosen
	}
	for _, host := range []string{full.Host, full.Env("DOCKER_HOST"), name} {
		if strings.Contains(host, "://") && api.EngineID(host) == api.EngineID(name) {
			chosen.Host = host
			return chosen
		}
	}
	chosen.Context = name
	return chosen
}
