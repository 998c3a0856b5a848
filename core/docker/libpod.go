package docker

import (
	"context"
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/events"

	"daemon-proxy/core/api"
)

// Podman serves Docker's API with differences. Those that matter to a caller are
// hidden here:
//
//   - Its list reports every container's network mode as "host" (up to 4.3 as
//     nothing at all), so each container is inspected once for it.
//   - It has states that Docker does not have: see stateOf.
//   - Its events have other names, and before 4.4 a filter for "die" matches
//     nothing: see libpodActions and Events.
//   - It has a container for each pod that only holds the pod's network.
//
// See https://github.com/containers/podman/tree/main/pkg/api/handlers/compat.

const (
	// libpodHeader holds the version in Podman's answer to a ping.
	libpodHeader = "Libpod-Api-Version"
	// modesAtOnce and modesWithin bound the inspections of one list.
	modesAtOnce = 4
	modesWithin = 5 * time.Second
)

// libpodVersion returns Podman's version from its answer to a ping; empty if the
// engine is not Podman.
func (e *Engine) libpodVersion(ctx context.Context) (string, error) {
	ping := url.URL{Scheme: "http", Host: "docker", Path: strings.TrimSuffix(e.at.basePath, "/") + "/_ping"}
	if e.at.tls != nil {
		ping.Scheme = "https"
	}
	if host, ok := strings.CutPrefix(e.at.host, "tcp://"); ok {
		ping.Host, _, _ = strings.Cut(host, "/")
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, ping.String(), http.NoBody)
	if err != nil {
		return "", err
	}
	resp, err := e.cli.HTTPClient().Do(req)
	if err != nil {
		return "", err
	}
	return resp.Header.Get(libpodHeader), resp.Body.Close()
}

// networkModes caches the network modes of Podman's containers by id; a container
// keeps the one that it was created with.
type networkModes struct {
	mu   sync.Mutex
	byID map[string]string
}

func (m *networkModes) get(id string) (mode string, known bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	mode, known = m.byID[id]
	return mode, known
}

func (m *networkModes) set(id, mode string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.byID == nil {
		m.byID = map[string]string{}
	}
	m.byID[id] = mode
}

// keep removes all containers that are not in list.
func (m *networkModes) keep(list []container.Summary) {
	listed := map[string]bool{}
	for _, s := range list {
		listed[s.ID] = true
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	maps.DeleteFunc(m.byID, func(id, _ string) bool { return !listed[id] })
}

// readModes replaces the network modes of Podman's list with those of an
// inspection. A mode that cannot be read is empty, which means a network namespace
// of its own, and is retried at the next list.
func (e *Engine) readModes(ctx context.Context, list []container.Summary) {
	ctx, cancel := context.WithTimeout(ctx, modesWithin)
	defer cancel()
	var group sync.WaitGroup
	slots := make(chan struct{}, modesAtOnce)
	for i := range list {
		s := &list[i]
		mode, known := e.modes.get(s.ID)
		s.HostConfig.NetworkMode = mode
		if known {
			continue
		}
		slots <- struct{}{}
		group.Go(func() {
			defer func() { <-slots }()
			info, err := e.cli.ContainerInspect(ctx, s.ID)
			if err == nil && info.ContainerJSONBase != nil && info.HostConfig != nil {
				s.HostConfig.NetworkMode = string(info.HostConfig.NetworkMode)
				e.modes.set(s.ID, s.HostConfig.NetworkMode)
			}
		})
	}
	group.Wait()
	e.modes.keep(list)
}

// libpodStates are the states that only Podman has.
var libpodStates = map[string]string{
	"configured":  api.ContainerCreated,
	"initialized": api.ContainerCreated,
	"stopping":    api.ContainerRunning,
	"stopped":     api.ContainerExited,
}

// infraName is the name that Podman gives to the container that holds a pod's network.
var infraName = regexp.MustCompile(`^[0-9a-f]{12}-infra$`)

// libpodActions are Podman's names of actions where they differ from Docker's.
var libpodActions = map[events.Action]events.Action{"died": "die", "remove": "destroy"}
