package core

import (
	"context"
	"crypto/tls"
	"net/http"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"daemon-proxy/core/api"
	"daemon-proxy/core/backendtest"
	"daemon-proxy/core/certs"
	"daemon-proxy/core/client"
	"daemon-proxy/core/docker/enginetest"
	"daemon-proxy/core/wiretest"
)

func TestTheCoreAndItsClientAreTheSameService(t *testing.T) {
	t.Parallel()
	f := newFront(t, func(http.ResponseWriter, *http.Request) {})
	path := "/preview/" + f.link(f.port).Token
	for range 2 {
		require.Equal(t, 200, f.get(path+"/"))
	}
	f.latest()
	t.Run("core", func(t *testing.T) { backendtest.Run(t, f.Core) })
	t.Run("client", func(t *testing.T) {
		backendtest.Run(t, far(t, f.Core))
	})
}

// Over HTTP, too, an injection outlives the client that left it.
func TestAnInjectionThatIsLeftOutlivesItsConnection(t *testing.T) {
	t.Parallel()
	c, ref := withContainer(t)
	far := far(t, c)
	ctx, cancel := context.WithCancel(t.Context())
	var once sync.Once
	err := far.Inject(ctx, ref, func(api.Injection) {
		once.Do(func() {
			require.NoError(t, far.LeaveInjection(t.Context(), ref))
			cancel()
		})
	})
	require.ErrorIs(t, err, context.Canceled)
	require.Eventually(t, func() bool {
		box, err := far.Sandbox(t.Context(), ref)
		require.NoError(t, err)
		return box.Daemon.State == api.DaemonHealthy
	}, soon, look)
}

// withContainer is a core with a container that was made for it.
func withContainer(t *testing.T, changes ...func(*Options)) (*Core, api.Ref) {
	t.Helper()
	engine := enginetest.Require(t)
	ref := api.Ref{Engine: engine.Name(), Name: enginetest.Name(t)}
	enginetest.Run(t, enginetest.Busybox(t), enginetest.RunOptions{Name: ref.Name})
	program := enginetest.StaticGo(t, "daemon-proxy/cmd/toolbox")
	c := started(t, func(o *Options) {
		o.Config.Docker.Host, o.Executable, o.Config.Daemon.Mode = engine.Endpoint(), program, "docker"
		for _, change := range changes {
			change(o)
		}
	})
	require.Eventually(t, func() bool {
		_, err := c.Resolve(ref)
		return err == nil
	}, soon, look)
	return c, ref
}

func TestTheCoreAndItsClientOpenTheSameShell(t *testing.T) {
	t.Parallel()
	c, ref := withContainer(t)
	t.Run("core", func(t *testing.T) { backendtest.Shell(t, c, ref) })
	t.Run("client", func(t *testing.T) { backendtest.Shell(t, far(t, c), ref) })
}

// A client that speaks HTTP/2 where it can opens a WebSocket over HTTP/1.1.
func TestAShellIsOpenedOverTLS(t *testing.T) {
	t.Parallel()
	c, ref := withContainer(t, func(o *Options) { o.Config.Server.TLS.Mode = "self-signed" })
	pool, err := certs.Pool(c.options.Config.StateDir)
	require.NoError(t, err)
	transport := &http.Transport{ForceAttemptHTTP2: true, TLSClientConfig: &tls.Config{RootCAs: pool}}
	far, err := client.New(c.URL(), client.WithAPIKey(c.Key()), client.WithHTTPClient(&http.Client{Transport: transport}))
	require.NoError(t, err)
	defer transport.CloseIdleConnections()
	_, err = far.Sandboxes(t.Context())
	require.NoError(t, err)
	backendtest.Shell(t, far, ref)
}

// far is a client of a core.
func far(t *testing.T, c *Core) *client.Client {
	t.Helper()
	return clientAt(t, c.URL(), c.Key())
}

func clientAt(t *testing.T, url, key string) *client.Client {
	t.Helper()
	c, err := client.New(url, client.WithHTTPClient(wiretest.Client(t)), client.WithAPIKey(key))
	require.NoError(t, err)
	return c
}
