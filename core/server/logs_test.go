package server

import (
	"bufio"
	"context"
	"io"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"daemon-proxy/core/api"
	"daemon-proxy/core/wiretest"
)

func TestLogsAreSentAsTheyAreWrittenAndEndWithTheServer(t *testing.T) {
	t.Parallel()
	log, writer := io.Pipe()
	type ask struct {
		ref    api.Ref
		source string
		tail   int
		follow bool
	}
	asks := make(chan ask, 9)
	f := newFront(t, "127.0.0.1:1", func(s *settings) {
		s.boxes.logs = func(ctx context.Context, ref api.Ref, source string, tail int, follow bool) (io.ReadCloser, error) {
			asks <- ask{ref, source, tail, follow}
			if source == "none" {
				return nil, &api.Problem{Title: "No log", Status: 404, Code: api.CodeNoLog, Detail: "there is none", Hint: "write one"}
			}
			context.AfterFunc(ctx, func() { _ = writer.Close() })
			return log, nil
		}
	})
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+f.addr+"/api/sandboxes/web/logs?follow=true&tail=7&source=container", nil)
	require.NoError(t, err)
	response, err := wiretest.Client(f.t).Do(r) // the head comes before any text
	require.NoError(t, err)
	defer response.Body.Close()
	require.Equal(t, ask{web, api.LogContainer, 7, true}, <-asks)
	require.Equal(t, "text/plain; charset=utf-8", response.Header.Get("Content-Type"))
	require.Equal(t, "nosniff", response.Header.Get("X-Content-Type-Options"))
	lines := bufio.NewReader(response.Body)
	for _, line := range []string{"first\n", "\x1b[31msecond\n"} {
		_, err := io.WriteString(writer, line)
		require.NoError(t, err)
		got, err := lines.ReadString('\n')
		require.NoError(t, err)
		require.Equal(t, line, got)
	}
	got := f.get("/api/sandboxes/web/logs?source=none")
	require.Equal(t, ask{web, "none", -1, false}, <-asks)
	require.Equal(t, 404, got.StatusCode)
	requireProblem(t, got, api.CodeNoLog)
	for _, query := range []string{"?tail=-1", "?tail=x"} {
		got := f.get("/api/sandboxes/web/logs" + query)
		require.Equal(t, 400, got.StatusCode)
		requireProblem(t, got, api.CodeBadRequest)
	}
	require.Equal(t, 404, f.get("/api/sandboxes/nobody/logs").StatusCode)

	ctx, cancel := context.WithTimeout(t.Context(), wiretest.Patience)
	defer cancel()
	require.NoError(t, f.Shutdown(ctx))
	_, err = lines.ReadString('\n')
	require.Equal(t, io.EOF, err)
}

func TestContainersAreStartedAndStopped(t *testing.T) {
	t.Parallel()
	f := newFront(t, "127.0.0.1:1")
	require.Equal(t, api.ContainerExited, document(t, f.do("POST", "/api/sandboxes/web/container/stop", ""))["container_state"])
	require.Equal(t, api.ContainerRunning, document(t, f.do("POST", "/api/sandboxes/web/container/start", ""))["container_state"])
	require.Equal(t, 404, f.do("POST", "/api/sandboxes/nobody/container/start", "").StatusCode)
	require.Equal(t, 404, f.do("POST", "/api/sandboxes/web/container/eat", "").StatusCode)
}

// As with docker run --rm, or when the engine is left or lost meanwhile.
func TestAStoppedContainerMayBeGone(t *testing.T) {
	t.Parallel()
	for _, code := range []string{api.CodeUnknownSandbox, api.CodeSandboxMissing, api.CodeEngineUnreachable} {
		f := newFront(t, "127.0.0.1:1")
		f.boxes.gone = api.NewProblem(code, "it is gone", "")
		stopped := document(t, f.do("POST", "/api/sandboxes/web/container/stop", ""))
		require.Equal(t, "web", stopped["name"], code)
		require.Equal(t, api.ContainerMissing, stopped["container_state"], code)
	}
}
