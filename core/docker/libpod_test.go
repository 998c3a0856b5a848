package docker

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io/fs"
	"net/http"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"daemon-proxy/core/api"
	"daemon-proxy/core/sandbox/source"
)

// What Podman does that the version at hand does not, or not whenever a test
// wants it: servers that answer as it does.

// patience bounds the wait for what takes milliseconds on an idle machine.
const patience = 20 * time.Second

// podman is a fakeAPI that says it is Podman.
func podman(routes map[string]http.HandlerFunc) fakeAPI {
	routes["GET /_ping"] = func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Libpod-Api-Version", "5.1.0") }
	return fakeAPI{routes: routes}
}

// numbered is an id of 64 digits.
func numbered(n int) string { return fmt.Sprintf("%064x", n) }

func TestB21ThePodmanListGetsNetworkModesFromInspections(t *testing.T) {
	t.Parallel()
	modes := map[int]string{1: "host", 2: "bridge", 3: "container:" + numbered(2), 4: "none"}
	var inspections atomic.Int64
	var failing atomic.Bool
	failing.Store(true)
	routes := map[string]http.HandlerFunc{}
	var list []string
	for n, mode := range modes {
		list = append(list, fmt.Sprintf(`{"Id":%q,"Names":["/box-%d"],"State":"running","HostConfig":{"NetworkMode":"host"}}`, numbered(n), n))
		routes["GET /containers/"+numbered(n)+"/json"] = func(w http.ResponseWriter, _ *http.Request) {
			inspections.Add(1)
			if n == 1 && failing.Load() {
				w.WriteHeader(http.StatusInternalServerError)
				return
			}
			_, _ = fmt.Fprintf(w, `{"Id":%q,"Name":"/box-%d","HostConfig":{"NetworkMode":%q}}`, numbered(n), n, mode)
		}
	}
	routes["GET /containers/json"] = func(w http.ResponseWriter, _ *http.Request) {
		_, _ = fmt.Fprint(w, "["+strings.Join(list, ",")+"]")
	}
	e := podman(routes).serve(t)
	listed := func() map[string]source.Container {
		t.Helper()
		containers, err := e.List(t.Context())
		require.NoError(t, err)
		require.Len(t, containers, len(modes))
		byName := map[string]source.Container{}
		for _, c := range containers {
			byName[c.Name] = c
		}
		return byName
	}

	first := listed()
	require.False(t, first["box-1"].HostNetwork, "what could not be inspected is not taken for this machine")
	require.False(t, first["box-2"].HostNetwork)
	require.Equal(t, numbered(2), first["box-3"].SharesNetworkOf)
	require.False(t, first["box-4"].HostNetwork)
	require.EqualValues(t, 4, inspections.Load())

	failing.Store(false)
	require.True(t, listed()["box-1"].HostNetwork)
	listed()
	require.EqualValues(t, 5, inspections.Load(), "a mode that is known is not asked for again")
}

func TestB20AnEngineThatHoldsBackTheHeadersOfEventsIsFollowedAllTheSame(t *testing.T) {
	t.Parallel()
	happens := make(chan struct{})
	e := podman(map[string]http.HandlerFunc{"GET /events": func(w http.ResponseWriter, r *http.Request) {
		select { // the headers come with the first event
		case <-happens:
			_, _ = fmt.Fprintf(w, `{"Type":"container","Action":"remove","Actor":{"ID":%q}}`, numbered(1))
			_ = http.NewResponseController(w).Flush()
		case <-r.Context().Done():
		}
		<-r.Context().Done()
	}}).serve(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()

	type streams struct {
		events <-chan source.Event
		ended  <-chan error
	}
	returned := make(chan streams, 1)
	go func() {
		events, ended := e.Events(ctx)
		returned <- streams{events, ended}
	}()
	var s streams
	select {
	case s = <-returned:
	case <-time.After(patience):
		cancel()
		<-returned
		require.Fail(t, "Events waits for the headers")
	}
	close(happens)
	require.Equal(t, source.Event{}, <-s.events, "what happened before may have been missed")
	event := <-s.events
	require.Equal(t, source.Event{ID: numbered(1)}, event)
	cancel()
	require.ErrorIs(t, <-s.ended, context.Canceled)
}

func TestB20PodmanIsAskedForAllEventsOfContainersAndItsNamesAreTranslated(t *testing.T) {
	t.Parallel()
	e := podman(map[string]http.HandlerFunc{"GET /events": func(w http.ResponseWriter, r *http.Request) {
		sent := []string{"create", "init", "start", "exec", "exec_died", "health_status", "died", "cleanup", "die", "remove"}
		if strings.Contains(r.FormValue("filters"), `"event"`) {
			sent = nil // before 4.4 "die" matches nothing
		}
		for _, action := range sent {
			_, _ = fmt.Fprintf(w, `{"Type":"container","Action":%q,"Actor":{"ID":%q}}`, action, numbered(1))
		}
	}}).serve(t)
	events, ended := e.Events(t.Context())
	var died []bool
	for event := range events {
		died = append(died, event.Died)
	}
	require.Error(t, <-ended)
	require.Equal(t, []bool{false, false, true, true, false}, died)
}

func TestB20AnExecInAStoppedPodmanContainerNamesItsState(t *testing.T) {
	t.Parallel()
	for state, want := range map[string]string{
		"exited": api.CodeSandboxStopped, "stopped": api.CodeSandboxStopped, "initialized": api.CodeSandboxStopped,
		"configured": api.CodeSandboxStopped, "paused": api.CodeSandboxPaused,
	} {
		t.Run(state, func(t *testing.T) {
			t.Parallel()
			e := podman(map[string]http.HandlerFunc{
				"POST /containers/box/exec": func(w http.ResponseWriter, _ *http.Request) {
					w.WriteHeader(http.StatusInternalServerError)
					_, _ = fmt.Fprint(w, `{"message":"can only create exec sessions on running containers: container state improper"}`)
				},
				"GET /containers/box/json": func(w http.ResponseWriter, _ *http.Request) {
					_, _ = fmt.Fprintf(w, `{"Id":%q,"Name":"/box","State":{"Status":%q}}`, numbered(1), state)
				},
			}).serve(t)
			_, err := e.Start(t.Context(), "box", source.ExecSpec{Cmd: []string{"true"}})
			require.Equal(t, want, api.AsProblem(err).Code)
			require.NotEmpty(t, api.AsProblem(err).Hint)
		})
	}
}

func TestB20StatesThatOnlyPodmanHasAreThoseOfDocker(t *testing.T) {
	t.Parallel()
	for status, want := range map[string]string{
		"configured": api.ContainerCreated, "initialized": api.ContainerCreated, "stopping": api.ContainerRunning,
		"stopped": api.ContainerExited, "removing": api.ContainerDead, "running": api.ContainerRunning, "paused": api.ContainerPaused,
	} {
		require.Equal(t, want, stateOf(status), status)
	}
}

func TestB20APodmanStatHasATargetOnlyIfThePathLeadsElsewhere(t *testing.T) {
	t.Parallel()
	stat := func(target string, mode fs.FileMode) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			text := fmt.Sprintf(`{"name":"usr","mode":%d,"linkTarget":%q}`, mode, target)
			w.Header().Set("X-Docker-Container-Path-Stat", base64.StdEncoding.EncodeToString([]byte(text)))
		}
	}
	for name, c := range map[string]struct {
		path, target string
		mode         fs.FileMode
		want         string
	}{
		"a folder":         {"/usr", "/usr", fs.ModeDir | 0o755, ""},
		"a slash too many": {"/usr/", "/usr", fs.ModeDir | 0o755, ""},
		"a link":           {"/usr", "/other", fs.ModeSymlink | 0o777, "/other"},
		"behind a link":    {"/bin/sh", "/usr/bin/sh", 0o755, "/usr/bin/sh"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := podman(map[string]http.HandlerFunc{"HEAD /containers/box/archive": stat(c.target, c.mode)}).serve(t)
			got, err := e.Stat(t.Context(), "box", c.path)
			require.NoError(t, err)
			require.Equal(t, c.want, got.LinkTarget)
		})
	}
}

func TestACopyToAReadOnlyFileSystemSaysSo(t *testing.T) {
	t.Parallel()
	for _, message := range []string{
		"copier: put: error creating /opt: mkdirat: read-only file system", "container rootfs is marked read-only", "mounted volume is marked read-only",
	} {
		e := podman(map[string]http.HandlerFunc{"PUT /containers/box/archive": func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusInternalServerError)
			_, _ = fmt.Fprintf(w, `{"message":%q}`, message)
		}}).serve(t)
		require.ErrorIs(t, e.CopyIn(t.Context(), "box", "/", strings.NewReader("")), syscall.EROFS, message)
	}
}

func TestATerminalIsNotDetachedByKeysThatPeopleType(t *testing.T) {
	t.Parallel()
	keys := make(chan string, 1)
	e := podman(map[string]http.HandlerFunc{"POST /containers/box/exec": func(w http.ResponseWriter, r *http.Request) {
		var options struct{ DetachKeys string }
		_ = json.NewDecoder(r.Body).Decode(&options)
		keys <- options.DetachKeys
		w.WriteHeader(http.StatusNotFound)
	}}).serve(t)
	_, err := e.OpenTerminal(t.Context(), "box", source.ExecSpec{Cmd: []string{"sh"}}, 80, 24)
	require.Error(t, err)
	sequence := strings.Split(<-keys, ",")
	require.Greater(t, len(sequence), 4)
	for _, key := range sequence {
		require.Regexp(t, `^ctrl-[\^_]$`, key, "an engine would not understand it, or a shell would wait for it")
	}
}
