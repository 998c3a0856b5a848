package main

import (
	"context"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"testing"

	"github.com/stretchr/testify/require"

	"daemon-proxy/core/docker/enginetest"
)

// Behind a proxy that cannot close one direction of a connection only, as those of
// Docker Desktop and its like, a bridge carries all that it carries elsewhere.
func TestB32ABridgeWorksBehindAProxyOfTheEngine(t *testing.T) {
	t.Parallel()
	path := engineSocket(t)
	proxy := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: "docker"})
	transport := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", path)
	}}
	proxy.Transport, proxy.FlushInterval, proxy.ErrorLog = transport, -1, log.New(io.Discard, "", 0)
	server := httptest.NewServer(proxy)
	t.Cleanup(func() {
		server.CloseClientConnections()
		server.Close()
		transport.CloseIdleConnections()
	})

	name, id := streamsBox(t, enginetest.RunOptions{Network: "none"})
	p := newDesk(t).serving(t, nil, "--daemon-mode", "docker", "--container-name", name, "--docker-host", "tcp://"+server.Listener.Addr().String())
	p.healthy()
	via, _ := p.via(name)
	require.Equal(t, "exec", via)
	token, url, _ := p.link(`{"port":8080}`)
	streamsWork(t, url, large)
	revokingEnds(t, p, token, url)
	require.Zero(t, p.signal(15))
	p.eventually("nothing of the bridge is left", func() bool { return bridges(t, id) == 0 })
}
