package sandbox

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"

	"daemon-proxy/core/api"
	"daemon-proxy/core/docker/enginetest"
	"daemon-proxy/core/sandbox/ports"
	"daemon-proxy/core/sandbox/source"
)

// onHost are sandboxes that have only the host, in mode "host".
func onHost(t *testing.T, changes ...func(*Options)) *desk {
	t.Helper()
	d := opened(t, func(o *Options) {
		o.Config.Mode = "host"
		o.Source = noEngine{}
		for _, change := range changes {
			change(o)
		}
	})
	o := d.portsOptions()
	o.Chosen = func(port int) bool { return port == d.o.OwnPort } // nobody else's services are to be disturbed
	d.ports = ports.New(o)
	require.NoError(t, d.Inject(t.Context(), api.Host, nil))
	return d
}

// noEngine stands where the harness wants an engine; nothing asks it.
type noEngine struct{ source.Source }

func (noEngine) Name() string               { return "none" }
func (noEngine) Endpoint() string           { return "none" }
func (noEngine) Hint(verb, _ string) string { return verb }
func (noEngine) Ping(context.Context) (string, error) {
	return "", errors.New("there is none")
}

func TestOurOwnPortsAreNoServicesOfTheMachine(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		t.Error("the program asked itself")
	}))
	t.Cleanup(server.Close)
	own := server.Listener.Addr().(*net.TCPAddr).Port
	d := onHost(t, func(o *Options) { o.OwnPort = own })
	daemon, _ := d.host.current()
	cards, err := d.Cards(t.Context(), api.Host)
	require.NoError(t, err)
	for _, card := range cards {
		require.NotEqual(t, own, card.Port.Port)
		require.NotEqual(t, daemon, card.Port.Port)
	}
}

func TestPortsOfAContainer(t *testing.T) {
	t.Parallel()
	name, id := shellBox(t, enginetest.RunOptions{Labels: map[string]string{"devcontainer.metadata": `[{"portsAttributes":{"8000":{"label":"site"}}}]`}})
	d := builtIn(t, name)
	d.run()
	d.becomes(name, api.DaemonHealthy)
	sh(t, id, `mkdir -p /www && echo '<title>In here</title>' >/www/index.html && httpd -p 127.0.0.1:8000 -h /www
		nc -ll -p 5901 -e echo 'RFB 003.008' >/dev/null 2>&1 &`)
	var cards []api.PortCard
	require.Eventually(t, func() bool {
		var err error
		cards, err = d.Cards(t.Context(), d.ref(name))
		require.NoError(t, err)
		return len(cards) == 3
	}, soon, look)
	require.Equal(t, []int{2280, 5901, 8000}, []int{cards[0].Port.Port, cards[1].Port.Port, cards[2].Port.Port})
	require.Equal(t, "daemon", cards[0].Service)
	require.Equal(t, "rfb", cards[1].Service, "the container's own address is dialled")
	require.Equal(t, "http", cards[2].Service, "its loopback is reached through the daemon")
	require.Equal(t, "In here", cards[2].Name)
	require.Equal(t, "site", cards[2].Label)
	require.Equal(t, "127.0.0.1", cards[2].Address)
}
