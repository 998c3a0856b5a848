package main

import (
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"daemon-proxy/core/docker/enginetest"
)

// TestB20EverythingWorksOnPodmansSocket is the way of a container through the real program on Podman's
// Docker-compatible socket.
func TestB20EverythingWorksOnPodmansSocket(t *testing.T) {
	e := enginetest.Podman(t)
	name, id := container(t, enginetest.RunOptions{}, nil)
	onHost, onHostID := container(t, enginetest.RunOptions{Network: "host", Cmd: []string{"/bin/sleep", "3600"}}, nil)
	p := newDesk(t).serving(t, nil, "--daemon-mode", "docker", "--container-name", name)
	listed := func(name string) map[string]any { return listed(p, name) }
	becomes := func(name, want string) { t.Helper(); becomes(p, name, want) }

	// The list.
	becomes(name, "running")
	becomes(onHost, "running")
	require.NotContains(t, listed(name), "shares_network_of", "it has a network of its own")
	require.Equal(t, "host", listed(onHost)["shares_network_of"])

	// Injection and previews.
	p.healthy()
	p.expect(200, "service on localhost:8080", "GET", "/sandboxes/"+name+"/proxy/8080/", "")
	p.expect(200, "8080", "GET", "/api/sandboxes/"+name+"/ports", "")
	_, url, hostURL := p.link(`{"port": 6080}`)
	p.expect(200, "the desktop", "GET", url+"/vnc.html", "")
	p.expect(200, "the desktop", "GET", hostURL+"/vnc.html", "")

	// Another program stops and starts the container.
	require.NoError(t, e.StopContainer(t.Context(), id, time.Second))
	becomes(name, "exited")
	p.expect(503, `"sandbox_stopped"`, "GET", url+"/", "")
	p.expect(503, `"sandbox_stopped"`, "POST", "/api/sandboxes/"+name+"/inject", "")
	require.NoError(t, e.StartContainer(t.Context(), id))
	p.eventually("the link works again", func() bool {
		status, answer := p.try("GET", url+"/vnc.html", "")
		return status == http.StatusOK && strings.Contains(answer, "the desktop")
	})

	// A natural death, and a removal.
	enginetest.Kill(t, onHostID, "KILL")
	becomes(onHost, "exited")
	enginetest.Remove(t, onHostID)
	becomes(onHost, "gone")
}

// TestB20B22ARootlessPodmanIsReachedByBridges is where containers have addresses
// that nobody can dial.
func TestB20B22ARootlessPodmanIsReachedByBridges(t *testing.T) {
	enginetest.RootlessPodman(t)
	name, id := streamsBox(t, enginetest.RunOptions{})
	other, otherID := container(t, enginetest.RunOptions{}, nil)
	p := newDesk(t).serving(t, nil, "--daemon-mode", "docker", "--container-name", name)
	becomes(p, name, "running")
	require.NotContains(t, listed(p, name), "shares_network_of", "it has a network of its own")
	p.healthy()
	via, why := p.via(name)
	require.Equal(t, "exec", via)
	require.NotEmpty(t, why, "it depends on what else has that address here")
	token, url, _ := p.link(`{"port":8080}`)
	streamsWork(t, url, large)
	revokingEnds(t, p, token, url)

	enginetest.Kill(t, id, "KILL")
	becomes(p, name, "exited")
	enginetest.Remove(t, otherID)
	becomes(p, other, "gone")
}

// TestB20B24AHelperWorksOnPodman is a container with a read-only root on Podman.
func TestB20B24AHelperWorksOnPodman(t *testing.T) {
	enginetest.Podman(t)
	name, id := streamsBox(t, enginetest.RunOptions{ReadOnly: true})
	p := newDesk(t).serving(t, nil, "--daemon-mode", "docker", "--container-name", name)
	p.healthy()
	via, why := p.via(name)
	require.Equal(t, "helper", via)
	require.Equal(t, "its root is read-only", why)
	token, url, _ := p.link(`{"port":8080}`)
	streamsWork(t, url, large)
	revokingEnds(t, p, token, url)
	require.Len(t, enginetest.Helpers(t, id), 1)
	p.signal(syscall.SIGKILL)
	require.Eventually(t, func() bool { return len(enginetest.Helpers(t, id)) == 0 }, startsWithin, look)
}

// listed is a container in the list of sandboxes; one that is not there is "gone".
func listed(p *program, name string) map[string]any {
	p.t.Helper()
	for _, box := range p.json("GET", "/api/sandboxes", "")["sandboxes"].([]any) {
		if box := box.(map[string]any); box["name"] == name {
			return box
		}
	}
	return map[string]any{"container_state": "gone"}
}

// becomes waits for a container's state in the list.
func becomes(p *program, name, want string) {
	p.t.Helper()
	p.eventually(name+" is "+want, func() bool { return listed(p, name)["container_state"] == want })
}
