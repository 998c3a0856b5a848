package docker_test

import (
	"bufio"
	"context"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"daemon-proxy/core/api"
	"daemon-proxy/core/docker"
	"daemon-proxy/core/docker/enginetest"
	"daemon-proxy/core/sandbox/source"
	"daemon-proxy/core/sandbox/source/sourcetest"
	"daemon-proxy/core/wiretest"
)

// What stands between this program and an engine: the proxies of Docker Desktop
// and its like, filters in front of a socket, networks.

// socket is where the engine of the tests listens.
func socket(t *testing.T) string {
	t.Helper()
	e := enginetest.Require(t)
	path, ok := strings.CutPrefix(e.Endpoint(), "unix://")
	if !ok {
		wiretest.Skip(t, "the engine has no Unix socket")
	}
	return path
}

// proxied is an engine behind Go's reverse proxy, which cannot close one direction
// of an upgraded connection only. handle may answer instead of it.
func proxied(t *testing.T, handle func(w http.ResponseWriter, r *http.Request, next http.Handler)) *docker.Engine {
	t.Helper()
	path := socket(t)
	proxy := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: "docker"})
	transport := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", path)
	}}
	proxy.Transport, proxy.FlushInterval, proxy.ErrorLog = transport, -1, log.New(io.Discard, "", 0)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if handle == nil {
			proxy.ServeHTTP(w, r)
			return
		}
		handle(w, r, proxy)
	}))
	t.Cleanup(func() {
		server.CloseClientConnections()
		server.Close()
		transport.CloseIdleConnections()
	})
	return openAt(t, server.Listener.Addr().String())
}

// relayed is an engine behind a relay of bytes.
func relayed(t *testing.T, carry func(dst, src net.Conn)) (*docker.Engine, *wiretest.Relay) {
	t.Helper()
	r := wiretest.NewRelayTo(t, "unix", socket(t), carry)
	return openAt(t, r.Addr().String()), r
}

func openAt(t *testing.T, address string) *docker.Engine {
	t.Helper()
	e, err := docker.Open(docker.Options{Host: "tcp://" + address, Env: func(string) string { return "" }})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, e.Close()) })
	return e
}

// The contract of a source, and a process that is written to and read from at the
// same time, hold behind all that changes only how bytes come.
func TestB32AnEngineWorksBehindAProxy(t *testing.T) { // not parallel: the contract measures memory
	engines := map[string]func(t *testing.T) *docker.Engine{
		"that closes both directions at once": func(t *testing.T) *docker.Engine { return proxied(t, nil) },
		"that upgrades only what asks for it twice": func(t *testing.T) *docker.Engine {
			return proxied(t, func(w http.ResponseWriter, r *http.Request, next http.Handler) {
				if r.Header.Get("Connection") != "Upgrade" || r.Header.Get("Upgrade") != "tcp" {
					r.Header.Del("Connection")
					r.Header.Del("Upgrade")
				}
				next.ServeHTTP(w, r)
			})
		},
		"that holds back the headers of events": func(t *testing.T) *docker.Engine {
			return proxied(t, func(w http.ResponseWriter, r *http.Request, next http.Handler) {
				if strings.HasSuffix(r.URL.Path, "/events") {
					w = &lateHeaders{ResponseWriter: w}
				}
				next.ServeHTTP(w, r)
			})
		},
	}
	for name, behind := range engines {
		t.Run(name, func(t *testing.T) {
			e := behind(t)
			sourcetest.Run(t, world(t, e))
			id := enginetest.Run(t, enginetest.Busybox(t), enginetest.RunOptions{Network: "none"})
			echoes(t, e, id)
		})
	}
}

// lateHeaders sends the headers together with the first bytes, as Podman 5.1 does.
type lateHeaders struct {
	http.ResponseWriter
	status int
}

func (w *lateHeaders) WriteHeader(status int) { w.status = status }

func (w *lateHeaders) Write(p []byte) (int, error) {
	if w.status != 0 {
		w.ResponseWriter.WriteHeader(w.status)
		w.status = 0
	}
	return w.ResponseWriter.Write(p)
}

func (w *lateHeaders) Flush() {
	if w.status == 0 {
		_ = http.NewResponseController(w.ResponseWriter).Flush()
	}
}

// echoes carries bytes through a process in both directions.
func echoes(t *testing.T, e *docker.Engine, id string) {
	t.Helper()
	pipe, err := e.OpenPipe(t.Context(), id, source.ExecSpec{Cmd: []string{"/bin/cat"}}, io.Discard)
	require.NoError(t, err)
	defer pipe.Close()
	text := strings.Repeat("sixteen bytes..\n", 4<<10)
	wrote := make(chan error, 1)
	go func() {
		_, err := io.WriteString(pipe, text)
		wrote <- err
	}()
	got := make([]byte, len(text))
	_, err = io.ReadFull(pipe, got)
	require.NoError(t, err)
	require.NoError(t, <-wrote)
	require.Equal(t, text, string(got))
	require.NoError(t, pipe.Close())
	require.Eventually(t, func() bool {
		return !strings.Contains(strings.Join(enginetest.Top(t, id), "\n"), "/bin/cat")
	}, soon, wiretest.Tick, "the process ends with its input")
}

func TestB32AnEngineWorksByteByByte(t *testing.T) {
	t.Parallel()
	e, _ := relayed(t, func(dst, src net.Conn) {
		one := make([]byte, 1)
		from := bufio.NewReader(src)
		for {
			if _, err := from.Read(one); err != nil {
				return
			}
			if _, err := dst.Write(one); err != nil {
				return
			}
		}
	})
	id := enginetest.Run(t, enginetest.Busybox(t), enginetest.RunOptions{Network: "none"})
	events, _ := e.Events(t.Context())
	find(t, e, id)
	out, code, err := e.Run(t.Context(), id, source.ExecSpec{Cmd: []string{"/bin/sh", "-c", "echo out; echo err >&2; exit 7"}})
	require.NoError(t, err)
	require.Equal(t, 7, code)
	require.ElementsMatch(t, []string{"out", "err"}, strings.Fields(string(out)))
	echoes(t, e, id)
	enginetest.Kill(t, id, "KILL")
	require.True(t, nextOf(t, events, id).Died)
}

// A filter answers with a page, or a plugin with a sentence.
func TestB32WhatAFilterForbidsIsSaid(t *testing.T) {
	t.Parallel()
	const page = "<html><body><h1>403 Forbidden</h1>\nRequest forbidden by administrative rules.\n</body></html>"
	id := enginetest.Run(t, enginetest.Busybox(t), enginetest.RunOptions{Network: "none"})
	for name, c := range map[string]struct {
		forbids         string // a part of the path
		kind, text      string
		call            func(e *docker.Engine) error
		detail, missing string
	}{
		"execs": {"/exec", "text/html", page, func(e *docker.Engine) error {
			_, err := e.OpenPipe(t.Context(), id, source.ExecSpec{Cmd: []string{"/bin/true"}}, io.Discard)
			return err
		}, "refuses to run in " + id, "<"},
		"the start of execs": {"/start", "text/html", page, func(e *docker.Engine) error {
			_, _, err := e.Run(t.Context(), id, source.ExecSpec{Cmd: []string{"/bin/true"}})
			return err
		}, "refuses to run in " + id, "<"},
		"copies": {"/archive", "text/html", page, func(e *docker.Engine) error {
			_, err := e.Stat(t.Context(), id, "/bin")
			return err
		}, "refuses to stat " + id, "<"},
		"a plugin": {"/exec", "application/json", `{"message":"authorization denied by plugin opa: no exec"}`, func(e *docker.Engine) error {
			_, err := e.Start(t.Context(), id, source.ExecSpec{Cmd: []string{"/bin/true"}})
			return err
		}, "authorization denied by plugin opa: no exec", "<"},
		"lists": {"/containers/json", "text/html", page, func(e *docker.Engine) error {
			_, err := e.List(t.Context())
			return err
		}, "refuses to list containers", "<"},
		"events": {"/events", "text/html", page, func(e *docker.Engine) error {
			events, ended := e.Events(t.Context())
			for range events {
			}
			return <-ended
		}, "refuses to list containers and events", "<"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := proxied(t, func(w http.ResponseWriter, r *http.Request, next http.Handler) {
				if !strings.Contains(r.URL.Path, c.forbids) {
					next.ServeHTTP(w, r)
					return
				}
				w.Header().Set("Content-Type", c.kind)
				w.WriteHeader(http.StatusForbidden)
				_, _ = io.WriteString(w, c.text)
			})
			err := c.call(e)
			require.ErrorIs(t, err, &api.Problem{Code: api.CodeEngineRefused})
			problem := api.AsProblem(err)
			require.Contains(t, problem.Detail, c.detail)
			require.NotContains(t, problem.Detail, c.missing)
			require.Contains(t, problem.Hint, "docker-socket-proxy")
		})
	}
}

func TestB32AConnectionThatIsResetEndsWhatUsesIt(t *testing.T) {
	t.Parallel()
	e, relay := relayed(t, nil)
	id := enginetest.Run(t, enginetest.Busybox(t), enginetest.RunOptions{Network: "none"})
	events, ended := e.Events(t.Context())
	pipe, err := e.OpenPipe(t.Context(), id, source.ExecSpec{Cmd: []string{"/bin/cat"}}, io.Discard)
	require.NoError(t, err)
	running := make(chan error, 1)
	go func() {
		_, _, err := e.Run(t.Context(), id, source.ExecSpec{Cmd: []string{"/bin/sh", "-c", "echo begun; exec sleep 3456"}})
		running <- err
	}()
	require.Eventually(t, func() bool { return strings.Contains(strings.Join(enginetest.Top(t, id), "\n"), "sleep 3456") }, soon, wiretest.Tick)
	reading := make(chan error, 1)
	go func() {
		_, err := pipe.Read(make([]byte, 1))
		reading <- err
	}()

	relay.Reset()
	require.Error(t, wiretest.Receive(t, reading, "the pipe ends"))
	require.Error(t, wiretest.Receive(t, running, "the call ends")) // where it was, or when it asks again
	for range events {
	}
	require.ErrorIs(t, wiretest.Receive(t, ended, "the events end"), &api.Problem{Code: api.CodeEngineUnreachable})
	find(t, e, id) // and the next call works
	echoes(t, e, enginetest.Run(t, enginetest.Busybox(t), enginetest.RunOptions{Network: "none"}))
}

// A network that takes everything and answers nothing: each call ends with its context.
func TestB32CallsOfAnEngineThatStallsEnd(t *testing.T) {
	t.Parallel()
	var stalled atomic.Bool
	stop := make(chan struct{})
	e, relay := relayed(t, func(dst, src net.Conn) {
		buf := make([]byte, 32<<10)
		for {
			n, err := src.Read(buf)
			if err != nil {
				return
			}
			if stalled.Load() {
				<-stop
				return
			}
			if _, err := dst.Write(buf[:n]); err != nil {
				return
			}
		}
	})
	id := enginetest.Run(t, enginetest.Busybox(t), enginetest.RunOptions{Network: "none"})
	_, err := e.Ping(t.Context())
	require.NoError(t, err)
	stalled.Store(true)
	defer func() { close(stop); relay.Cut() }()
	for name, call := range map[string]func(context.Context) error{
		"ping": func(ctx context.Context) error { _, err := e.Ping(ctx); return err },
		"list": func(ctx context.Context) error { _, err := e.List(ctx); return err },
		"run": func(ctx context.Context) error {
			_, _, err := e.Run(ctx, id, source.ExecSpec{Cmd: []string{"/bin/true"}})
			return err
		},
		"pipe": func(ctx context.Context) error {
			_, err := e.OpenPipe(ctx, id, source.ExecSpec{Cmd: []string{"/bin/true"}}, io.Discard)
			return err
		},
		"copy": func(ctx context.Context) error { return e.CopyIn(ctx, id, "/", strings.NewReader("x")) },
		"events": func(ctx context.Context) error {
			events, ended := e.Events(ctx)
			for range events {
			}
			return <-ended
		},
	} {
		ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
		done := make(chan error, 1)
		go func() { done <- call(ctx) }()
		err := wiretest.Receive(t, done, name+" ends")
		cancel()
		require.Error(t, err, name)
		require.True(t, errors.Is(err, context.DeadlineExceeded), "%s: %v", name, err)
	}
}
