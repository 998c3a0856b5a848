package docker

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/pkg/stdcopy"
	"github.com/stretchr/testify/require"

	"daemon-proxy/core/api"
	"daemon-proxy/core/sandbox/source"
)

// execAPI is a fake with one container "web" whose exec does what attached
// does with the connection.
func execAPI(inspect http.HandlerFunc, attached func(io.ReadWriter)) fakeAPI {
	return fakeAPI{routes: map[string]http.HandlerFunc{
		"POST /containers/web/exec": answer(map[string]string{"Id": "e1"}),
		"GET /exec/e1/json":         inspect,
		"POST /exec/e1/start": func(w http.ResponseWriter, r *http.Request) {
			var options struct{ Detach, Tty bool }
			_ = json.NewDecoder(r.Body).Decode(&options)
			conn, buffered, err := http.NewResponseController(w).Hijack()
			if err != nil {
				return
			}
			defer func() { _ = conn.Close() }()
			_, _ = fmt.Fprint(conn, "HTTP/1.1 101 UPGRADED\r\nContent-Type: application/vnd.docker.raw-stream\r\n"+
				"Connection: Upgrade\r\nUpgrade: tcp\r\n\r\n")
			attached(struct {
				io.Reader
				io.Writer
			}{buffered, conn})
		},
	}}
}

func TestExecWorksOverTLS(t *testing.T) {
	t.Parallel()
	fake := execAPI(answer(container.ExecInspect{Pid: 7, ExitCode: 3}), func(conn io.ReadWriter) {
		_, _ = stdcopy.NewStdWriter(conn, stdcopy.Stderr).Write([]byte("over TLS"))
	})
	server := httptest.NewTLSServer(fake.handler())
	t.Cleanup(server.Close)
	d := newDockerConfig(t)
	d.context("tls", "tcp://"+server.Listener.Addr().String(), true)
	e := open(t, Options{Context: "tls", Home: d.home})
	out, code, err := e.Run(t.Context(), "web", source.ExecSpec{Cmd: []string{"x"}})
	require.NoError(t, err)
	require.Equal(t, "over TLS", string(out))
	require.Equal(t, 3, code)
}

func TestWaitIsNotFooledByAProcessThatIsNotStartedYet(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	calls := make(chan int, 100)
	n := 0
	states := []container.ExecInspect{{}, {}, {Running: true, Pid: 7}, {Running: true, Pid: 7}, {Pid: 7, ExitCode: 0}}
	fake := execAPI(func(w http.ResponseWriter, r *http.Request) {
		answer(states[min(n, len(states)-1)])(w, r)
		n++
		calls <- n
	}, func(io.ReadWriter) { <-release })
	e := fake.serve(t)
	t.Cleanup(func() { close(release) })
	p, err := e.Start(t.Context(), "web", source.ExecSpec{Cmd: []string{"x"}})
	require.NoError(t, err)
	defer func() { require.NoError(t, p.Close()) }()
	code, err := p.Wait(t.Context())
	require.NoError(t, err)
	require.Equal(t, 0, code)
	require.Len(t, calls, len(states))
}

func TestWaitEndsAtOnceForAProcessThatEndedUnseen(t *testing.T) {
	t.Parallel()
	// No pid and code 0 for ever: the end of the output tells.
	e := execAPI(answer(container.ExecInspect{}), func(io.ReadWriter) {}).serve(t)
	_, code, err := e.Run(t.Context(), "web", source.ExecSpec{Cmd: []string{"x"}})
	require.NoError(t, err)
	require.Equal(t, 0, code)
}

func TestStartEndsWithItsContextWhenTheEngineIsStuck(t *testing.T) {
	t.Parallel()
	asked, release := make(chan struct{}), make(chan struct{})
	fake := execAPI(answer(container.ExecInspect{}), nil)
	fake.routes["POST /exec/e1/start"] = func(http.ResponseWriter, *http.Request) {
		close(asked)
		<-release
	}
	e := fake.serve(t)
	t.Cleanup(func() { close(release) })
	ctx, cancel := context.WithCancel(t.Context())
	go func() { <-asked; cancel() }()
	_, err := e.Start(ctx, "web", source.ExecSpec{Cmd: []string{"x"}})
	require.ErrorIs(t, err, context.Canceled)
}

func TestStartKeepsTheEnginesWords(t *testing.T) {
	t.Parallel()
	fake := execAPI(answer(container.ExecInspect{}), nil)
	fake.routes["POST /exec/e1/start"] = func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusInternalServerError)
		_, _ = w.Write([]byte(`{"message":"containerd is not well"}`))
	}
	_, err := fake.serve(t).Start(t.Context(), "web", source.ExecSpec{Cmd: []string{"x"}})
	require.ErrorContains(t, err, "run in web: ")
	require.ErrorContains(t, err, "containerd is not well")
}

func TestEventsSaysThatTheStreamIsLost(t *testing.T) {
	t.Parallel()
	cut := make(chan struct{})
	e := fakeAPI{routes: map[string]http.HandlerFunc{"GET /events": func(w http.ResponseWriter, r *http.Request) {
		_, _ = fmt.Fprintln(w, `{"Type":"network","Action":"create","Actor":{"ID":"n1"}}`)
		_, _ = fmt.Fprintln(w, `{"Type":"container","Action":"start","Actor":{"ID":"c1"}}`)
		_ = http.NewResponseController(w).Flush()
		select {
		case <-cut:
		case <-r.Context().Done(): // the test failed
		}
		panic(http.ErrAbortHandler)
	}}}.serve(t)
	events, errs := e.Events(t.Context())
	require.Equal(t, source.Event{ID: "c1"}, <-events, "and none for the network itself")
	close(cut)
	_, more := <-events
	require.False(t, more)
	err := <-errs
	require.ErrorIs(t, err, &api.Problem{Code: api.CodeEngineUnreachable})
	require.ErrorContains(t, err, "it hung up")
	_, more = <-errs
	require.False(t, more)
}

func TestEventsEndWithTheirContextThoughNobodyReads(t *testing.T) {
	t.Parallel()
	e := fakeAPI{routes: map[string]http.HandlerFunc{"GET /events": func(w http.ResponseWriter, r *http.Request) {
		for r.Context().Err() == nil {
			_, _ = fmt.Fprintln(w, `{"Type":"container","Action":"die","Actor":{"ID":"c1"}}`)
			_ = http.NewResponseController(w).Flush()
		}
	}}}.serve(t)
	ctx, cancel := context.WithCancel(t.Context())
	_, errs := e.Events(ctx)
	cancel()
	require.ErrorIs(t, <-errs, context.Canceled)
}
