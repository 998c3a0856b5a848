package docker

import "daemon-proxy/core/sandbox/source"

// hints are the commands whose words are not simply "docker VERB CONTAINER".
var hints = map[string]string{
	source.HintCheck:   "docker version",
	source.HintConnect: "docker network connect bridge ",
	source.HintFiles:   "docker cp, or docker debug ",
	source.HintSubnet:  "docker network create --subnet",
}

// Hint is the docker command for a verb of package source.
func (e *Engine) Hint(verb, container string) string {
	if command, ok := hints[verb]; ok {
		return command + container
	}
	return "docker " + verb + " " + container
}
