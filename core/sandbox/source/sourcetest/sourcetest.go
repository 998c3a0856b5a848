// Package sourcetest holds the contract of a source.Source as a test suite. Each
// implementation runs it, real or fake.
package sourcetest

import (
	"bytes"
	"context"
	"io/fs"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"daemon-proxy/core/api"
	"daemon-proxy/core/sandbox/source"
)

// soon bounds the wait for something that takes milliseconds on an idle machine.
const soon = time.Minute

// World is a source with what the suite needs to make things happen in it.
type World struct {
	Source source.Source
	// Start starts a container with busybox in /bin, a folder /tmp and a user
	// somebody, removes it when the test ends and returns its ID. It runs command;
	// without one it runs until it is stopped.
	Start           func(t *testing.T, command ...string) (id string)
	Restart, Remove func(t testing.TB, id string)
	Pause, Unpause  func(t testing.TB, id string) // nil: it cannot
}

// Run tests all that the interface promises.
func Run(t *testing.T, w World) {
	t.Run("copying needs little memory", func(t *testing.T) { copyingNeedsLittleMemory(t, w) }) // and nothing else runs
	Facts(t, w)
	parallel(t, w, map[string]func(*testing.T, World){
		"missing containers":          missingContainers,
		"what does not run":           whatDoesNotRun,
		"files":                       files,
		"paths":                       paths,
		"a copy that is cancelled":    cancelledCopy,
		"a copy that hangs":           hangingCopy,
		"a copy whose content breaks": brokenCopy,
		"run":                         run,
		"much output":                 muchOutput,
		"a process left alone":        leftAlone,
		"output while it runs":        outputWhileItRuns,
		"contexts of processes":       contextsOfProcesses,
		"a process and its container": processAndContainer,
		"a terminal":                  terminal,
		"logs":                        logs,
		"followed logs":               followedLogs,
	})
}

// Facts tests what the source says of itself and its containers; it runs
// nothing in them.
func Facts(t *testing.T, w World) {
	parallel(t, w, map[string]func(*testing.T, World){
		"itself": itself, "a container": container, "states": states, "events": events,
	})
}

func parallel(t *testing.T, w World, tests map[string]func(*testing.T, World)) {
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, w)
		})
	}
}

func itself(t *testing.T, w World) {
	require.NotEmpty(t, w.Source.Name())
	require.NotEmpty(t, w.Source.Endpoint())
	version, err := w.Source.Ping(t.Context())
	require.NoError(t, err)
	require.NotEmpty(t, version)
	require.NotEmpty(t, w.Source.Hint(source.HintCheck, ""))
	require.Contains(t, w.Source.Hint(source.HintStart, "box"), "box")
}

// inspect is the container as Inspect gives it.
func (w World) inspect(t *testing.T, nameOrID string) source.Container {
	t.Helper()
	c, err := w.Source.Inspect(t.Context(), nameOrID)
	require.NoError(t, err)
	return c
}

// listed is the container as List gives it.
func (w World) listed(t *testing.T, id string) (c source.Container, found bool) {
	t.Helper()
	list := Listed(t, w.Source)
	i := slices.IndexFunc(list, func(c source.Container) bool { return c.ID == id })
	if i < 0 {
		return c, false
	}
	return list[i], true
}

// Listed tests the list of a source, and returns it.
func Listed(t *testing.T, s source.Facts) []source.Container {
	t.Helper()
	list, err := s.List(t.Context())
	require.NoError(t, err)
	require.True(t, slices.IsSortedFunc(list, func(a, b source.Container) int {
		return strings.Compare(a.Name, b.Name)
	}))
	for _, c := range list {
		require.NotEmpty(t, c.Name)
		require.NotEmpty(t, c.State, c.Name)
		require.NotEqual(t, api.ContainerMissing, c.State, c.Name)
	}
	return list
}

func container(t *testing.T, w World) {
	id := w.Start(t)
	c := w.inspect(t, id)
	require.Len(t, id, 64)
	require.Equal(t, id, c.ID)
	require.NotEmpty(t, c.Name)
	require.Equal(t, api.ContainerRunning, c.State)
	require.Regexp(t, `^linux/\w+`, c.Platform)
	require.Nil(t, c.ExitCode)
	require.Len(t, c.Addresses, 1)
	require.NotNil(t, net.ParseIP(c.Addresses[0]))
	require.False(t, c.HostNetwork || c.Infra)
	require.Empty(t, c.SharesNetworkOf)

	listed, found := w.listed(t, id)
	require.True(t, found)
	for _, pair := range [][2]any{
		{c.Name, listed.Name}, {c.Image, listed.Image}, {c.State, listed.State}, {c.Platform, listed.Platform},
		{c.Addresses, listed.Addresses}, {c.Labels, listed.Labels},
	} {
		require.Equal(t, pair[0], pair[1])
	}
	require.Equal(t, id, w.inspect(t, c.Name).ID)
	require.Equal(t, id, w.inspect(t, id[:12]).ID)
	_, err := w.Source.Inspect(t.Context(), id[:6])
	require.ErrorIs(t, err, &api.Problem{Code: api.CodeSandboxMissing}, "a short piece of an ID is a name")
	require.NotEmpty(t, api.AsProblem(err).Hint)
}

func states(t *testing.T, w World) {
	id := w.Start(t)
	is := func(state string) source.Container {
		t.Helper()
		c := w.inspect(t, id)
		listed, found := w.listed(t, id)
		require.True(t, found)
		require.Equal(t, state, c.State)
		require.Equal(t, state, listed.State)
		return c
	}
	if w.Pause != nil {
		w.Pause(t, id)
		is(api.ContainerPaused)
		w.Unpause(t, id)
	}
	running := is(api.ContainerRunning)

	require.NoError(t, w.Source.StopContainer(t.Context(), id, 0))
	ended := is(api.ContainerExited)
	require.NotNil(t, ended.ExitCode)
	require.Empty(t, ended.Addresses)
	require.Zero(t, ended.Pid)
	require.NoError(t, w.Source.StopContainer(t.Context(), id, 0), "stopped already")

	require.NoError(t, w.Source.StartContainer(t.Context(), id))
	require.NoError(t, w.Source.StartContainer(t.Context(), id), "runs already")
	again := is(api.ContainerRunning)
	require.Nil(t, again.ExitCode)
	require.NotEmpty(t, again.Addresses)
	require.False(t, again.StartedAt.Before(running.StartedAt))

	w.Remove(t, id)
	_, found := w.listed(t, id)
	require.False(t, found)
}

func events(t *testing.T, w World) {
	ctx, cancel := context.WithTimeout(t.Context(), soon)
	defer cancel()
	happened, ended := w.Source.Events(ctx)
	id := w.Start(t)
	next := func(died bool) {
		t.Helper()
		for event := range happened {
			if event.ID == id && event.Died == died {
				return
			}
		}
		require.Fail(t, "no event", "%v", <-ended)
	}
	next(false)
	require.NoError(t, w.Source.StopContainer(ctx, id, 0))
	next(true)
	w.Remove(t, id)
	next(false)
	cancel()
	for range happened { // others' events
	}
	require.ErrorIs(t, <-ended, context.Canceled)
	_, open := <-ended
	require.False(t, open)
}

func missingContainers(t *testing.T, w World) {
	ctx, s, gone := t.Context(), w.Source, "dp-test-does-not-exist"
	spec := source.ExecSpec{Cmd: []string{"x"}}
	for call, err := range map[string]error{
		"inspect": second(s.Inspect(ctx, gone)), "start": s.StartContainer(ctx, gone), "stop": s.StopContainer(ctx, gone, 0),
		"copy in": s.CopyIn(ctx, gone, "/", bytes.NewReader(nil)), "stat": second(s.Stat(ctx, gone, "/")),
		"copy out": third(s.CopyOut(ctx, gone, "/x")), "exec": second(s.Start(ctx, gone, spec)),
		"run": third(s.Run(ctx, gone, spec)), "terminal": second(s.OpenTerminal(ctx, gone, spec, 80, 24)),
		"logs": second(s.Logs(ctx, gone, -1, false)),
	} {
		require.ErrorIs(t, err, &api.Problem{Code: api.CodeSandboxMissing}, call)
		require.ErrorContains(t, err, gone, call)
		require.NotErrorIs(t, err, fs.ErrNotExist, call)
	}
}

func second[A any](_ A, err error) error { return err }

func third[A, B any](_ A, _ B, err error) error { return err }

// whatDoesNotRun is what becomes of a process in it.
func whatDoesNotRun(t *testing.T, w World) {
	id := w.Start(t)
	refused := func(code string) {
		t.Helper()
		_, err := w.Source.Start(t.Context(), id, sh("true"))
		require.ErrorIs(t, err, &api.Problem{Code: code})
		require.NotEmpty(t, api.AsProblem(err).Hint)
	}
	if w.Pause != nil {
		w.Pause(t, id)
		refused(api.CodeSandboxPaused)
		w.Unpause(t, id)
	}
	before := w.inspect(t, id)
	w.Restart(t, id)
	after := w.inspect(t, id)
	require.NotEqual(t, before.Pid, after.Pid)
	require.True(t, after.StartedAt.After(before.StartedAt))
	require.NoError(t, w.Source.StopContainer(t.Context(), id, 0))
	refused(api.CodeSandboxStopped)
}
