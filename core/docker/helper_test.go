package docker_test

import (
	"bufio"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"daemon-proxy/core/docker"
	"daemon-proxy/core/docker/enginetest"
	"daemon-proxy/core/sandbox/source"
	"daemon-proxy/core/wiretest"
)

// mirror complains, says who it is, and sends back what it gets.
const mirror = `package main

import (
	"fmt"
	"io"
	"os"
	"strings"
)

func main() {
	fmt.Fprintln(os.Stderr, "a complaint")
	_, write := os.Create("/file")
	fmt.Println("uid", os.Getuid(), "can write:", write == nil, strings.Join(os.Args, " "))
	io.Copy(os.Stdout, os.Stdin)
}`

func programOf(t *testing.T, file string) source.Program {
	t.Helper()
	content, err := os.ReadFile(file)
	require.NoError(t, err)
	return source.Program{Build: fmt.Sprintf("%x", sha256.Sum256(content)), Size: int64(len(content)),
		Open: func() (io.ReadCloser, error) { return os.Open(file) }}
}

// helperOf starts a helper of the container id, and reads its first line.
func helperOf(t *testing.T, e *docker.Engine, id, program, owner, run string) (source.HelperConn, *bufio.Reader, string) {
	t.Helper()
	t.Cleanup(func() { require.NoError(t, e.RemoveHelperImages(context.WithoutCancel(t.Context()))) })
	conn, err := e.OpenHelper(t.Context(), id, source.HelperSpec{
		Program: programOf(t, program), Args: []string{"toolbox", "bridge"}, Owner: owner, Run: run}, io.Discard)
	require.NoError(t, err)
	t.Cleanup(func() { conn.Close() })
	r := bufio.NewReader(conn)
	line, err := r.ReadString('\n')
	require.NoError(t, err)
	return conn, r, line
}

// noHelper waits until a container has no helper.
func noHelper(t *testing.T, id string) {
	t.Helper()
	require.Eventually(t, func() bool { return len(enginetest.Helpers(t, id)) == 0 }, wiretest.Patience, wiretest.Tick)
}

func TestS90AHelperHasTheNetworkOfAContainerAndNothingElse(t *testing.T) {
	t.Parallel()
	e := enginetest.Require(t)
	id := enginetest.Run(t, enginetest.Busybox(t), enginetest.RunOptions{ReadOnly: true})
	program := enginetest.StaticGoSource(t, mirror)
	owner := enginetest.Name(t)
	conn, r, line := helperOf(t, e, id, program, owner, "1")
	require.Equal(t, "uid 65534 can write: false /daemon-proxy toolbox bridge\n", line)
	helpers := enginetest.Helpers(t, id)
	require.Len(t, helpers, 1)
	c := enginetest.Inspect(t, helpers[0])
	require.Equal(t, "container:"+id, string(c.HostConfig.NetworkMode))
	require.Empty(t, c.Mounts)
	require.Empty(t, c.HostConfig.Binds)
	require.Equal(t, "none", c.HostConfig.LogConfig.Type, "what passes is not logged")
	require.Positive(t, c.HostConfig.Memory)
	require.Positive(t, *c.HostConfig.PidsLimit)
	require.NotContains(t, strings.Join(append(c.Config.Env, c.Config.Cmd...), " "), "SECRET")
	if status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", c.State.Pid)); err == nil { // the engine is here
		for _, line := range []string{"CapEff:\t0000000000000000\n", "CapBnd:\t0000000000000000\n", "NoNewPrivs:\t1\n"} {
			require.Contains(t, string(status), line)
		}
	}
	list, err := e.List(t.Context())
	require.NoError(t, err)
	for _, listed := range list {
		require.NotEqual(t, helpers[0], listed.ID, "it is not a sandbox")
	}

	_, err = conn.Write([]byte("back\n"))
	require.NoError(t, err)
	line, err = r.ReadString('\n')
	require.NoError(t, err)
	require.Equal(t, "back\n", line)
	require.NoError(t, conn.Close())
	noHelper(t, id)
}

func TestAHelperThatDoesNotEndIsRemoved(t *testing.T) {
	t.Parallel()
	e := enginetest.Require(t)
	id := enginetest.Run(t, enginetest.Busybox(t), enginetest.RunOptions{})
	deaf := enginetest.StaticGoSource(t, `package main
import ("fmt"; "time")
func main() { fmt.Println("hello"); time.Sleep(time.Hour) }`)
	owner := enginetest.Name(t)
	conn, _, _ := helperOf(t, e, id, deaf, owner, "1")
	require.NoError(t, conn.Close())
	require.Len(t, enginetest.Helpers(t, id), 1)
	require.NoError(t, conn.End(t.Context()))
	noHelper(t, id)

	helperOf(t, e, id, deaf, owner, "2")
	require.NoError(t, e.RemoveHelpers(t.Context(), owner+"x", func(string) bool { return true }))
	require.NoError(t, e.RemoveHelpers(t.Context(), owner, func(run string) bool { return run != "2" }))
	require.Len(t, enginetest.Helpers(t, id), 1, "of another owner, or of a run that goes on")
	require.NoError(t, e.RemoveHelpers(t.Context(), owner, func(run string) bool { return run == "2" }))
	noHelper(t, id)
}

func TestTheImageOfAnotherBuildIsRemoved(t *testing.T) {
	t.Parallel()
	e := enginetest.Require(t)
	id := enginetest.Run(t, enginetest.Busybox(t), enginetest.RunOptions{})
	program := func(text string) string {
		return enginetest.StaticGoSource(t, `package main
import ("fmt"; "io"; "os")
func main() { fmt.Println("`+text+`"); io.Copy(io.Discard, os.Stdin) }`)
	}
	first, _, line := helperOf(t, e, id, program("first build"), enginetest.Name(t), "1")
	require.Equal(t, "first build\n", line)
	old := enginetest.Inspect(t, enginetest.Helpers(t, id)[0]).Image
	second, _, line := helperOf(t, e, id, program("second build"), enginetest.Name(t), "1")
	require.Equal(t, "second build\n", line)
	require.NoError(t, first.Close())
	require.NoError(t, second.Close())
	noHelper(t, id)
	_, _, line = helperOf(t, e, id, program("third build"), enginetest.Name(t), "1")
	require.Equal(t, "third build\n", line)
	_, exists, err := e.ImageLabel(t.Context(), old, "")
	require.NoError(t, err)
	require.False(t, exists)
}

func TestAHelperOfAContainerThatDoesNotRunSaysSo(t *testing.T) {
	t.Parallel()
	e := enginetest.Require(t)
	id := enginetest.Run(t, enginetest.Busybox(t), enginetest.RunOptions{CreateOnly: true})
	_, err := e.OpenHelper(t.Context(), id, source.HelperSpec{
		Program: programOf(t, enginetest.StaticGoSource(t, mirror)), Owner: enginetest.Name(t), Run: "1"}, io.Discard)
	require.Error(t, err)
	t.Log(err)
	require.Empty(t, enginetest.Helpers(t, id))
	_, err = e.OpenHelper(t.Context(), "dp-test-nothing", source.HelperSpec{}, io.Discard)
	require.Error(t, err)
}
