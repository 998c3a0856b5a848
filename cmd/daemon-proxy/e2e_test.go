package main

import (
	"context"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"daemon-proxy/core/docker"
	"daemon-proxy/core/docker/enginetest"
	"daemon-proxy/core/sandbox/source"
	"daemon-proxy/core/wiretest"
)

// The requests of the Python service's README, each as curl sends it.
func TestEveryCurlOfThePythonReadme(t *testing.T) {
	t.Parallel()
	enginetest.Require(t)
	name, _ := container(t, enginetest.RunOptions{}, nil)
	p := newDesk(t).serving(t, nil, "--daemon-mode", "docker", "--container-name", name)
	p.healthy()

	p.expect(200, "service on localhost:8080", "GET", "/proxy/8080/", "")
	p.expect(200, `{"data":[1,2,3]}`, "GET", "/proxy/8080/api/data", "")
	p.expect(200, "query q=test", "GET", "/proxy/8080/search?q=test", "")
	p.expect(201, "application/json test", "POST", "/proxy/8080/api/users", `{"name": "test"}`, "Content-Type", "application/json")

	token, url, hostURL := p.link(`{"port": 6080}`)
	require.Equal(t, p.url+"/preview/"+token, url)
	p.expect(200, "service on localhost:6080", "GET", "/preview/"+token+"/", "")
	p.expect(200, "the desktop", "GET", url+"/vnc.html", "")
	p.expect(200, "the desktop", "GET", hostURL+"/vnc.html", "")
	p.expect(200, `"total":1`, "GET", "/api/preview/stats", "")
	p.expect(200, `"revoked":true`, "DELETE", "/api/preview/"+token, "")
	p.expect(410, `"link_revoked"`, "GET", "/preview/"+token+"/", "")
	p.expect(410, `"link_revoked"`, "GET", hostURL+"/", "")
	p.expect(404, `"unknown_link"`, "DELETE", "/api/preview/nosuchtoken", "")

	p.expect(200, `"status":"healthy"`, "GET", "/health", "")
	p.expect(200, `"running":true`, "GET", "/daemon/status", "")
	p.expect(502, `"port_closed"`, "GET", "/proxy/9999/", "")
	p.expect(403, `"daemon_port"`, "GET", "/proxy/2280/version", "")

	p.expect(200, "service on localhost:8080", "GET", "/sandboxes/"+name+"/proxy/8080/", "")
	p.expect(200, `8080`, "GET", "/api/sandboxes/"+name+"/ports", "")
	p.expect(200, name, "GET", "/api/sandboxes", "")
}

// The two docker examples of the Python service's README, with their flags.
func TestTheRunExamplesStartADaemonOfTheNewestGeneration(t *testing.T) {
	t.Parallel()
	enginetest.Require(t)
	daytona := enginetest.StaticGo(t, "./testdata/daytona")
	for mode, flags := range map[string][]string{
		"volume": {"--injection-mode", "volume", "--binary-source-path", daytona},
		"direct": {"--injection-mode", "direct"},
	} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			e := enginetest.Require(t)
			inside := map[string]enginetest.File{}
			if mode == "direct" {
				inside["/usr/local/bin/daytona"] = enginetest.File{Path: daytona}
			}
			name, id := container(t, enginetest.RunOptions{WorkDir: "/workspace"}, inside)
			p := newDesk(t).serving(t, nil, append([]string{"--daemon-mode", "docker", "--container-name", name}, flags...)...)
			p.healthy()
			p.expect(200, `"version":"v0.190.0"`, "GET", "/daemon/status", "")
			p.expect(200, "service on localhost:8080", "GET", "/proxy/8080/", "")
			_, err := e.Stat(t.Context(), id, "/tmp/failed-entrypoint")
			require.Error(t, err, "the start left a failed session behind")
		})
	}
}

func TestTheEnvironmentOfThePythonService(t *testing.T) {
	t.Parallel()
	enginetest.Require(t)
	name, _ := container(t, enginetest.RunOptions{}, nil)
	d := newDesk(t)
	p := d.serving(t, []string{"DAEMON_PROXY_HOST=0.0.0.0", "DAEMON_MODE=docker", "DAEMON_PORT=2280", "DAEMON_CONTAINER_NAME=" + name,
		"DAEMON_INJECTION_MODE=volume", "SECURITY_ENABLED=true", "SECURITY_API_KEY=k-e-y-0123456789", "LOG_LEVEL=INFO"})
	p.expect(401, `"unauthorized"`, "GET", "/daemon/status", "")
	p.expect(401, `"unauthorized"`, "GET", "/proxy/8080/", "")
	p.eventually("the daemon is healthy", func() bool {
		return p.json("GET", "/daemon/status", "", "X-API-Key", "k-e-y-0123456789")["state"] == "healthy"
	})
	p.expect(200, "service on", "GET", "/proxy/8080/", "", "Authorization", "Bearer k-e-y-0123456789")
	answer := p.expect(200, "Accept", "GET", "/proxy/8080/echo-headers", "", "X-API-Key", "k-e-y-0123456789", "Accept", "*/*")
	require.NotContains(t, answer, "k-e-y", "the key reached the service")
	p.eventually("the log has the last request", func() bool { return strings.Contains(p.stderr.String(), "/echo-headers 200") })
	require.NotContains(t, p.stderr.String(), "k-e-y", "the key reached the log")
}

func TestB6ARestartedContainerIsProxiedAgainAndKeepsItsLinks(t *testing.T) {
	t.Parallel()
	e := enginetest.Require(t)
	network := enginetest.Network(t, "")
	name, id := container(t, enginetest.RunOptions{Network: network}, nil)
	p := newDesk(t).serving(t, nil, "--daemon-mode", "docker", "--container-name", name)
	p.healthy()
	_, url, _ := p.link(`{"port":8080}`)
	p.expect(200, "service on", "GET", url+"/", "")
	before, err := e.Inspect(t.Context(), id)
	require.NoError(t, err)

	require.NoError(t, e.StopContainer(t.Context(), id, time.Second))
	p.eventually("the stop is seen", func() bool {
		status, answer := p.try("GET", url+"/", "")
		return status == 503 && strings.Contains(answer, `"sandbox_stopped"`)
	})
	// Somebody else takes the address meanwhile.
	enginetest.Run(t, enginetest.Busybox(t), enginetest.RunOptions{Network: network})
	require.NoError(t, e.StartContainer(t.Context(), id))
	after, err := e.Inspect(t.Context(), id)
	require.NoError(t, err)
	require.NotEqual(t, before.Addresses, after.Addresses)
	p.eventually("the link works again", func() bool {
		status, answer := p.try("GET", url+"/", "")
		return status == 200 && strings.Contains(answer, "service on")
	})
}

func TestAKilledDaemonIsNamedAndComesBack(t *testing.T) {
	t.Parallel()
	e := enginetest.Require(t)
	inside := map[string]enginetest.File{"/usr/local/bin/daytona": {Path: enginetest.StaticGo(t, "./testdata/daytona")}}
	name, id := container(t, enginetest.RunOptions{}, inside)
	p := newDesk(t).serving(t, nil, "--daemon-mode", "docker", "--container-name", name, "--injection-mode", "direct")
	p.healthy()
	shell(t, e, id, "mv /usr/local/bin/daytona /tmp/away && kill -9 $(pidof daytona)")
	p.eventually("the daemon's end is named", func() bool {
		status, answer := p.try("GET", "/proxy/8080/", "")
		return status == 503 && strings.Contains(answer, name)
	})
	p.eventually("health is degraded", func() bool { return p.json("GET", "/health", "")["status"] == "degraded" })
	shell(t, e, id, "mv /tmp/away /usr/local/bin/daytona")
	p.eventually("it is started again", func() bool {
		status, _ := p.try("POST", "/api/sandboxes/"+name+"/inject", "")
		return status == 200
	})
	p.healthy()
	p.expect(200, "service on", "GET", "/proxy/8080/", "")
}

func shell(t *testing.T, e *docker.Engine, id, script string) {
	t.Helper()
	out, code, err := e.Run(t.Context(), id, source.ExecSpec{Cmd: []string{"/bin/sh", "-c", script}})
	require.NoError(t, err)
	require.Zero(t, code, string(out))
}

func TestLinksSurviveSIGKILL(t *testing.T) {
	t.Parallel()
	enginetest.Require(t)
	name, _ := container(t, enginetest.RunOptions{}, nil)
	d := newDesk(t)
	first := d.serving(t, nil, "--daemon-mode", "docker", "--container-name", name)
	first.healthy()
	_, url, _ := first.link(`{"port":8080,"label":"kept"}`)
	gone, goneURL, _ := first.link(`{"port":6080}`)
	first.expect(200, "true", "DELETE", "/api/preview/"+gone, "")
	first.signal(syscall.SIGKILL)

	second := d.serving(t, nil, "--daemon-mode", "docker", "--container-name", name)
	second.healthy()
	second.expect(200, "service on localhost:8080", "GET", url+"/", "")
	second.expect(410, `"link_revoked"`, "GET", goneURL+"/", "")
	second.expect(200, `"kept"`, "GET", "/api/preview", "")
}

func TestASecondInstanceIsToldWhoRuns(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	first := d.serving(t, nil, "--daemon-mode", "host")
	d2 := *d
	d2.port = wiretest.FreePort(t)
	second := d2.run(t, nil, "--no-tui", "--daemon-mode", "host")
	require.Equal(t, exitFailed, second.exit())
	require.Contains(t, second.stderr.String(), first.url)
	require.Contains(t, second.stderr.String(), "--standalone starts a second one")
}

func TestWithoutDockerThePortsOfThisMachineArePreviewed(t *testing.T) {
	t.Parallel()
	port := wiretest.Port(t, wiretest.Serve(t, func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte("on the desk"))
	}))

	p := newDesk(t).serving(t, []string{"DOCKER_HOST=unix:///nonexistent/docker.sock"})
	p.healthy()
	status := p.json("GET", "/daemon/status", "")
	require.Equal(t, "host", status["mode"])
	p.expect(200, "on the desk", "GET", "/proxy/"+strconv.Itoa(port)+"/", "")
	_, url, hostURL := p.link(`{"port":` + strconv.Itoa(port) + `}`)
	p.expect(200, "on the desk", "GET", url+"/", "")
	p.expect(200, "on the desk", "GET", hostURL+"/", "")
}

func TestASandboxThatIsNotThereDegradesAndIsInjectedWhenItStarts(t *testing.T) {
	t.Parallel()
	e := enginetest.Require(t)
	name, id := container(t, enginetest.RunOptions{CreateOnly: true}, nil)
	p := newDesk(t).serving(t, nil, "--daemon-mode", "docker", "--container-name", name)
	p.eventually("it says why", func() bool {
		return p.json("GET", "/health", "")["status"] == "degraded"
	})
	p.eventually("a request is told", func() bool {
		status, answer := p.try("GET", "/proxy/8080/", "")
		return status == 503 && strings.Contains(answer, `"sandbox_stopped"`)
	})
	require.NoError(t, e.StartContainer(t.Context(), id))
	p.healthy()
	p.expect(200, "service on", "GET", "/proxy/8080/", "")
}

func TestSIGTERMDrainsAndEndsWithZero(t *testing.T) {
	t.Parallel()
	enginetest.Require(t)
	name, _ := container(t, enginetest.RunOptions{}, nil)
	p := newDesk(t).serving(t, nil, "--daemon-mode", "docker", "--container-name", name)
	p.healthy()
	ctx, cancel := context.WithTimeout(t.Context(), startsWithin)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, p.url+"/proxy/8080/stream", nil)
	require.NoError(t, err)
	response, err := browserLike.Do(request)
	require.NoError(t, err)
	defer response.Body.Close()
	first := make([]byte, 5)
	_, err = response.Body.Read(first)
	require.NoError(t, err)
	require.Equal(t, "data:", string(first))
	started := time.Now()
	require.Equal(t, exitOK, p.signal(syscall.SIGTERM))
	require.Less(t, time.Since(started), 9*time.Second, "an event stream held the end up")
}

func TestTheThreeLogRecipes(t *testing.T) {
	t.Parallel()
	enginetest.Require(t)
	name, _ := container(t, enginetest.RunOptions{}, nil)
	d := newDesk(t)
	yaml := "daemon:\n  mode: docker\n  container_name: " + name + "\n" +
		"logging:\n  level: INFO\n  format: \"%(asctime)s - %(name)s - %(levelname)s - %(message)s\"\n"
	require.NoError(t, os.WriteFile(filepath.Join(d.dir, "config.yaml"), []byte(yaml), 0o600))
	p := d.serving(t, nil, "--config", "config.yaml")
	p.healthy()
	p.expect(200, "query", "GET", "/proxy/8080/search?q=test&token=hush", "")
	p.expect(502, "port_closed", "GET", "/proxy/9999/", "")
	token, _, _ := p.link(`{"port":8080}`)
	p.expect(200, "service", "GET", "/preview/"+token+"/", "")
	p.eventually("the log has all three", func() bool {
		log, err := os.ReadFile(filepath.Join(d.dir, "logs", "daemon-proxy.log"))
		require.NoError(t, err)
		text := string(log)
		require.NotContains(t, text, "hush")
		require.NotContains(t, text, token)
		return strings.Contains(text, "Request: GET /proxy/8080/search?q=test&token=*** 200") &&
			strings.Contains(text, " - ERROR - ") && strings.Contains(text, "Request: GET /preview/")
	})
}
