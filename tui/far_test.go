package tui

import (
	"context"
	"errors"
	"flag"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"daemon-proxy/core/api"
	"daemon-proxy/core/client"
	"daemon-proxy/core/config"
	"daemon-proxy/core/preview"
	"daemon-proxy/core/proxy"
	"daemon-proxy/core/server"
	"daemon-proxy/core/traffic"
	"daemon-proxy/core/wiretest"
)

// overHTTP runs the tests of the UI on a client whose server has the fake behind it.
var overHTTP = flag.Bool("http", false, "put a real server and its client between the UI and the fake")

// coreOf is the core that a screen is on.
func coreOf(t *testing.T, f *fake) api.Service {
	t.Helper()
	if !*overHTTP {
		return f
	}
	listener := wiretest.Listen(t)
	c := config.Defaults()
	c.Server.Port, c.Server.PublicURL = wiretest.Port(t, listener.Addr()), f.status.URL
	logger := slog.New(slog.DiscardHandler)
	links, err := preview.Open(t.Context(), preview.Options{
		StateFile: filepath.Join(t.TempDir(), "links.db"), Logger: logger,
	})
	require.NoError(t, err)
	p := proxy.New(proxy.Options{Logger: logger})
	s := server.New(server.Options{
		Config: c, Version: "v0.1.0", Logger: logger, Service: f, Sandboxes: unforwarded{}, Links: links,
		Publisher: preview.NewPublisher(preview.PublisherOptions{
			Links: links, Server: c.Server, Sandboxes: unforwarded{}, Logger: logger,
		}),
		Proxy: p, Traffic: traffic.New(traffic.Options{}), RunKey: "the-key-of-this-run",
	})
	served := make(chan error, 1)
	go func() { served <- s.Serve([]net.Listener{listener}) }()
	transport := &http.Transport{}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_ = s.Shutdown(ctx) // a call of the screen's may still be under way
		require.NoError(t, <-served)
		transport.CloseIdleConnections()
		p.Close()
		require.NoError(t, links.Close())
	})
	far, err := client.New("http://"+listener.Addr().String(), client.WithAPIKey("the-key-of-this-run"),
		client.WithHTTPClient(&http.Client{Transport: transport}))
	require.NoError(t, err)
	return far
}

// unforwarded are the sandboxes of a server that forwards nothing.
type unforwarded struct{}

var errUnforwarded = errors.New("the server of this test forwards nothing")

func (unforwarded) NameOf(ref api.Ref) string { return ref.String() }

func (unforwarded) Settle()                              {}
func (unforwarded) Resolve(ref api.Ref) (api.Ref, error) { return ref, nil }
func (unforwarded) Upstream(api.Ref) (server.Upstream, error) {
	return server.Upstream{}, errUnforwarded
}

func (unforwarded) Loopback(api.Ref) bool { return false }

// inProcess skips a test that depends on more than a core over HTTP has.
func inProcess(t *testing.T, why string) {
	t.Helper()
	if *overHTTP {
		t.Skip("with -http: " + why)
	}
}
