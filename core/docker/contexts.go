package docker

import (
	"path/filepath"
	"strings"

	"daemon-proxy/core/api"
)

// Contexts returns the engines that are known on this machine: the default one,
// the docker CLI's contexts and the podman CLI's connections by name, engines
// whose socket is at a usual place and exists, and DOCKER_HOST if it is another.
// None is marked as current: the caller knows which one it uses. It does not connect.
func Contexts(opts Options) []api.EngineChoice {
	var choices []api.EngineChoice
	for _, end := range known(opts.withDefaults()) {
		choices = append(choices, api.EngineChoice{Name: end.name, Endpoint: withoutPassword(end.host)})
	}
	return choices
}

// known are the engines behind Contexts.
func known(opts Options) (all []endpoint) {
	names, places := map[string]bool{}, map[string]bool{}
	add := func(end endpoint, err error) {
		if err == nil && !names[end.name] {
			names[end.name], places[end.place()] = true, true
			all = append(all, end)
		}
	}
	if opts.Host != "" {
		add(fromHost(opts, opts.Host))
	}
	if host := opts.Env("DOCKER_HOST"); host != "" {
		add(fromHost(opts, host))
	}
	contexts := map[string]bool{}
	for _, name := range contextNames(filepath.Join(configDir(opts), "contexts")) {
		contexts[name] = true
		add(byName(opts, name))
	}
	for _, end := range append(podmanEndpoints(opts, contexts), socketEndpoints(opts)...) {
		if !places[end.place()] { // such as a socket that has a context
			add(end, nil)
		}
	}
	return all
}

// byName returns the engine of a context, regardless of DOCKER_HOST.
func byName(opts Options, name string) (endpoint, error) {
	if name == defaultContext {
		return fromHost(opts, opts.defaultHost())
	}
	return fromStore(opts, name)
}

// OptionsFor returns the options that open an engine, given by a name from Contexts
// or Engine.Name or by its address. Any other name is taken for a context, which
// Open will not find.
func OptionsFor(opts Options, name string) Options {
	chosen := opts
	chosen.Host, chosen.Context = "", ""
	full := opts.withDefaults()
	if name == defaultContext {
		chosen.Host = full.defaultHost()
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
