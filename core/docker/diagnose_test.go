package docker

import (
	"context"
	"crypto/tls"
	"encoding/pem"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"daemon-proxy/core/api"
)

func nothingInstalled(string) (string, error)  { return "", exec.ErrNotFound }
func allInstalled(name string) (string, error) { return "/usr/bin/" + name, nil }

// requireUnreachable pings and checks the problem.
func requireUnreachable(t *testing.T, e *Engine, detail, hint string) {
	t.Helper()
	_, err := e.Ping(t.Context())
	require.ErrorIs(t, err, &api.Problem{Code: api.CodeEngineUnreachable})
	problem := api.AsProblem(err)
	require.Equal(t, http.StatusServiceUnavailable, problem.Status)
	require.Contains(t, problem.Detail, detail)
	require.Contains(t, problem.Detail, e.Endpoint())
	require.Contains(t, problem.Hint, hint)
}

func TestPingTellsWhySocketsFail(t *testing.T) {
	t.Parallel()
	socket := func(t *testing.T) string { return filepath.Join(t.TempDir(), "d.sock") }

	t.Run("not installed", func(t *testing.T) {
		t.Parallel()
		e := open(t, Options{Host: "unix://" + socket(t), LookPath: nothingInstalled})
		requireUnreachable(t, e, "Docker is not installed", "install it")
	})
	t.Run("not running", func(t *testing.T) {
		t.Parallel()
		e := open(t, Options{Host: "unix://" + socket(t), LookPath: allInstalled})
		requireUnreachable(t, e, "the engine is not running", "start")
	})
	t.Run("wrong folder", func(t *testing.T) {
		t.Parallel()
		e := open(t, Options{Host: "unix:///nowhere/docker.sock", LookPath: allInstalled})
		requireUnreachable(t, e, "the folder of the socket /nowhere/docker.sock does not exist", "DOCKER_HOST")
	})
	t.Run("another engine's socket is there", func(t *testing.T) {
		t.Parallel()
		runtimeDir := t.TempDir()
		rootless := filepath.Join(runtimeDir, "docker.sock")
		listener, err := net.Listen("unix", rootless)
		require.NoError(t, err)
		defer func() { require.NoError(t, listener.Close()) }()
		e := open(t, Options{Host: "unix://" + socket(t), Env: env("XDG_RUNTIME_DIR", runtimeDir), LookPath: nothingInstalled})
		requireUnreachable(t, e, "there is no socket", "rootless (unix://"+rootless+"); use one with --docker-context rootless")
	})
	t.Run("stale", func(t *testing.T) {
		t.Parallel()
		path := socket(t)
		listener, err := net.Listen("unix", path)
		require.NoError(t, err)
		listener.(*net.UnixListener).SetUnlinkOnClose(false)
		require.NoError(t, listener.Close())
		requireUnreachable(t, open(t, Options{Host: "unix://" + path}), "nothing listens on its socket", "start")
	})
	t.Run("permission", func(t *testing.T) {
		t.Parallel()
		path := socket(t)
		e := open(t, Options{Host: "unix://" + path})
		if os.Geteuid() == 0 { // root may do all: give it what others get
			e.dial = func(context.Context) (net.Conn, error) {
				return nil, &dialError{&net.OpError{Op: "dial", Net: "unix", Err: os.NewSyscallError("connect", syscall.EACCES)}}
			}
		} else {
			listener, err := net.Listen("unix", path)
			require.NoError(t, err)
			defer func() { require.NoError(t, listener.Close()) }()
			require.NoError(t, os.Chmod(path, 0))
		}
		requireUnreachable(t, e, "you may not use the socket", "sudo usermod -aG docker $USER")
	})
}

func TestPingTellsWhyNetworksFail(t *testing.T) {
	t.Parallel()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	closed := listener.Addr().String()
	require.NoError(t, listener.Close())
	t.Run("refused", func(t *testing.T) {
		t.Parallel()
		requireUnreachable(t, open(t, Options{Host: "tcp://" + closed}), "connection refused", "DOCKER_HOST")
	})
	for name, c := range map[string]struct {
		err          error
		detail, hint string
	}{
		"name":     {&net.DNSError{Err: "no such host", Name: "lab.test", IsNotFound: true}, "the name lab.test is not known", "DOCKER_HOST"},
		"timeout":  {&net.OpError{Op: "dial", Net: "tcp", Err: os.ErrDeadlineExceeded}, "it took too long", "firewall"},
		"no route": {&net.OpError{Op: "dial", Net: "tcp", Err: os.NewSyscallError("connect", syscall.EHOSTUNREACH)}, "no route to it", "VPN"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := open(t, Options{Host: "tcp://127.0.0.1:1"})
			e.dial = func(context.Context) (net.Conn, error) { return nil, &dialError{c.err} }
			requireUnreachable(t, e, c.detail, c.hint)
		})
	}
	t.Run("hangs up", func(t *testing.T) {
		t.Parallel()
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		done := make(chan struct{})
		go func() {
			defer close(done)
			for {
				conn, err := listener.Accept()
				if err != nil {
					return
				}
				_, _ = conn.Read(make([]byte, 1))
				_ = conn.Close()
			}
		}()
		t.Cleanup(func() { require.NoError(t, listener.Close()); <-done })
		requireUnreachable(t, open(t, Options{Host: "tcp://" + listener.Addr().String()}), "it hung up", "DOCKER_TLS_VERIFY")
	})
}

func TestPingTellsWhyTLSFails(t *testing.T) {
	t.Parallel()
	secure := httptest.NewTLSServer(fakeAPI{}.handler())
	t.Cleanup(secure.Close)
	plain := httptest.NewServer(fakeAPI{}.handler())
	t.Cleanup(plain.Close)
	mutual := httptest.NewUnstartedServer(fakeAPI{}.handler())
	mutual.TLS = &tls.Config{ClientAuth: tls.RequireAnyClientCert}
	mutual.StartTLS()
	t.Cleanup(mutual.Close)

	certs := t.TempDir()
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: secure.Certificate().Raw})
	require.NoError(t, os.WriteFile(filepath.Join(certs, "ca.pem"), ca, 0o600))

	for name, c := range map[string]struct {
		server       *httptest.Server
		env          func(string) string
		detail, hint string
	}{
		"certificate not trusted":  {secure, env("DOCKER_TLS_VERIFY", "1"), "its certificate is not trusted", "ca.pem"},
		"server without TLS":       {plain, env("DOCKER_TLS_VERIFY", "1"), "it does not speak TLS", "unset DOCKER_TLS_VERIFY"},
		"server with TLS":          {secure, env(), "it refused a plain request", "DOCKER_TLS_VERIFY=1"},
		"our certificate is asked": {mutual, env("DOCKER_TLS_VERIFY", "1", "DOCKER_CERT_PATH", certs), "it refused our certificate", "cert.pem"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := open(t, Options{Host: "tcp://" + c.server.Listener.Addr().String(), Env: c.env})
			requireUnreachable(t, e, c.detail, c.hint)
		})
	}
}

func TestPingRefusesAnEngineThatIsTooOld(t *testing.T) {
	t.Parallel()
	requireUnreachable(t, fakeAPI{apiVersion: "1.40"}.serve(t), "its API version is 1.40, 1.41 is needed", "20.10")
}

func TestPingNegotiatesWithNewerEnginesAndIgnoresDOCKER_API_VERSION(t *testing.T) {
	t.Parallel()
	for server, used := range map[string]string{"1.41": "1.41", "1.44": "1.44", "1.99": "1.51"} {
		e := fakeAPI{apiVersion: server}.serve(t)
		_, err := e.Ping(t.Context())
		require.NoError(t, err)
		require.Equal(t, used, e.cli.ClientVersion())
	}
}

func TestSlowEngineEndsCallsWithTheirContext(t *testing.T) {
	t.Parallel()
	// One call settles the API version while others wait for it: those too end in time.
	asked := make(chan struct{}, 10)
	stuck := func(_ http.ResponseWriter, r *http.Request) {
		asked <- struct{}{}
		<-r.Context().Done()
	}
	e := fakeAPI{routes: map[string]http.HandlerFunc{"HEAD /_ping": stuck, "GET /_ping": stuck}}.serve(t)

	ctx, cancel := context.WithCancel(t.Context())
	first := make(chan error, 1)
	go func() { _, err := e.Ping(ctx); first <- err }()
	<-asked

	short, stop := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer stop()
	_, err := e.List(short)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.ErrorIs(t, err, &api.Problem{Code: api.CodeEngineUnreachable})
	require.ErrorContains(t, err, "it took too long")

	cancel()
	err = <-first
	require.ErrorIs(t, err, context.Canceled)
	require.ErrorIs(t, err, &api.Problem{Code: api.CodeCancelled})
}

func TestNamesThatAreNoneReachNoOtherPartOfTheAPI(t *testing.T) {
	t.Parallel()
	e := fakeAPI{routes: map[string]http.HandlerFunc{
		"GET /secret/json": func(http.ResponseWriter, *http.Request) { t.Error("reached") },
	}}.serve(t)
	for _, name := range []string{"../secret", "a/b", "", "-x", "a?b", "é", "a b"} {
		_, err := e.Inspect(t.Context(), name)
		require.ErrorIs(t, err, &api.Problem{Code: api.CodeSandboxMissing}, "%q", name)
		require.ErrorIs(t, e.StartContainer(t.Context(), name), &api.Problem{Code: api.CodeSandboxMissing}, "%q", name)
	}
}

func TestOtherErrorsKeepTheirClass(t *testing.T) {
	t.Parallel()
	e := fakeAPI{routes: map[string]http.HandlerFunc{
		"POST /containers/web/start": func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusInternalServerError)
			_, _ = w.Write([]byte(`{"message":"driver failed programming external connectivity"}`))
		},
	}}.serve(t)
	err := e.StartContainer(t.Context(), "web")
	require.ErrorContains(t, err, "start web: ")
	require.ErrorContains(t, err, "driver failed programming external connectivity")
	_, isProblem := errors.AsType[*api.Problem](err)
	require.False(t, isProblem)
}
