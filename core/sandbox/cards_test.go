package sandbox

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"daemon-proxy/core/api"
	"daemon-proxy/core/docker/enginetest"
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
	d.watching.meant = func(int) bool { return false } // nobody else's services are to be disturbed
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

func portOf(t *testing.T, address net.Addr) int {
	t.Helper()
	return address.(*net.TCPAddr).Port
}

// page serves HTTP on a port of its own.
func servePage(t *testing.T, handler http.HandlerFunc) int {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return portOf(t, server.Listener.Addr())
}

// talk serves a protocol that is not HTTP.
func talk(t *testing.T, address string, speak func(net.Conn)) int {
	t.Helper()
	l, err := net.Listen("tcp", address)
	require.NoError(t, err)
	var mu sync.Mutex
	var open []net.Conn
	var group sync.WaitGroup
	group.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			mu.Lock()
			open = append(open, c)
			mu.Unlock()
			group.Go(func() { speak(c) })
		}
	})
	t.Cleanup(func() {
		l.Close()
		mu.Lock()
		for _, c := range open {
			c.Close()
		}
		mu.Unlock()
		group.Wait()
	})
	return portOf(t, l.Addr())
}

// card looks at one port of the host.
func (d *desk) card(t *testing.T, port int) api.PortCard {
	t.Helper()
	var ports []api.Port
	require.Eventually(t, func() bool { // a daemon on a busy machine may take longer than a list waits for it
		var err error
		ports, err = d.Ports(t.Context(), api.Host)
		return err == nil
	}, soon, look)
	at := slices.IndexFunc(ports, func(p api.Port) bool { return p.Port == port })
	require.GreaterOrEqual(t, at, 0, "%d is not among %v", port, ports)
	cards := d.cardsOf(t.Context(), api.Host, ports[at:at+1], nil)
	require.Len(t, cards, 1)
	require.Equal(t, api.Host, cards[0].Sandbox)
	return cards[0]
}

func text(s string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, s) }
}

func TestWhatAnswersOnAPortIsNamed(t *testing.T) {
	t.Parallel()
	d := onHost(t)
	secure := httptest.NewTLSServer(text("hello"))
	t.Cleanup(secure.Close)
	for name, test := range map[string]struct {
		port    int
		service string
		title   string
		remarks []string
		warning string
		path    string
	}{
		"title": {port: servePage(t, text("<html><head><title>\n Vite &amp; React </title>")), service: "http", title: "Vite & React"},
		"server": {port: servePage(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Server", "nginx/1.27")
			w.WriteHeader(http.StatusNotFound)
		}), service: "http", title: "nginx/1.27"},
		"redirect": {port: servePage(t, redirecting("/tree", "<title>Jupyter</title>")), service: "http", title: "Jupyter"},
		"login": {port: servePage(t, redirecting("/login?next=%2F", "<title>Sign in</title><input name=p type=password>")),
			service: "http", title: "Sign in", remarks: []string{"login"}},
		"basic auth": {port: servePage(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusUnauthorized) }), service: "http", remarks: []string{"login"}},
		"base path":  {port: servePage(t, redirecting("/app/", "<title>App</title>")), service: "http", title: "App", remarks: []string{"base path /app/"}, path: "/app/"},
		"vite base": {port: servePage(t, func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusNotFound)
			fmt.Fprint(w, "The server is configured with a public base URL of /shop/ - did you mean to visit /shop/ instead?")
		}), service: "http", remarks: []string{"base path /shop/"}, path: "/shop/"},
		"websocket only": {port: servePage(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusUpgradeRequired) }), service: "http", remarks: []string{"websocket"}},
		"vite":           {port: servePage(t, text(`<title>x</title><script type=module src="/@vite/client">`)), service: "http", title: "x", remarks: []string{"websocket"}},
		"novnc":          {port: servePage(t, text("<title>noVNC</title>")), service: "vnc", title: "noVNC"},
		"vnc listing": {port: servePage(t, only(map[string]string{
			"/": `<title>Directory listing for /</title><a href="vnc.html">`, "/vnc.html": "<title>noVNC</title>",
		})), service: "vnc", title: "noVNC"},
		"vnc lite": {port: servePage(t, only(map[string]string{
			"/": `<title>Desk</title><a href="vnc_lite.html">noVNC</a>`, "/vnc_lite.html": "<title>noVNC</title>",
		})), service: "vnc", title: "Desk", path: "/vnc_lite.html"},
		"about vnc": {port: servePage(t, only(map[string]string{
			"/": `<title>Manual</title>How to set up noVNC`, "/vnc.html": "<title>Manual</title>",
		})), service: "http", title: "Manual"},
		"tls": {port: portOf(t, secure.Listener.Addr()), service: "https", warning: "speaks TLS itself: the daemon forwards plain HTTP only"},
		"rfb": {port: talk(t, "127.0.0.1:0", func(c net.Conn) { fmt.Fprint(c, "RFB 003.008\n") }),
			service: "rfb", title: "VNC", warning: "raw VNC: browsers need noVNC in front of it"},
		"ssh":       {port: talk(t, "127.0.0.1:0", func(c net.Conn) { fmt.Fprint(c, "SSH-2.0-OpenSSH_9.9\r\n") }), service: "other", title: "SSH"},
		"not http":  {port: talk(t, "127.0.0.1:0", func(c net.Conn) { _, _ = c.Read(make([]byte, 1)); fmt.Fprint(c, "-ERR\r\n"); c.Close() }), service: "other"},
		"mute":      {port: talk(t, "127.0.0.1:0", func(net.Conn) {}), service: "unknown"},
		"hostile":   {port: servePage(t, text("<title>a\x1b]52;c;ZXZpbA==\x07\u202eb</title>")), service: "http", title: "a␛]52;c;ZXZpbA==␇ b"},
		"endless":   {port: servePage(t, endless), service: "http", title: "long"},
		"not utf-8": {port: servePage(t, text("<title>caf\xe9</title>")), service: "http", title: "caf?"},
	} {
		t.Run(name, func(t *testing.T) {
			card := d.card(t, test.port)
			require.Equal(t, test.service, card.Service)
			require.Equal(t, test.title, card.Name)
			require.Equal(t, test.remarks, card.Remarks)
			require.Equal(t, test.warning, card.Warning)
			require.Equal(t, test.path, card.Path)
			require.Equal(t, "127.0.0.1", card.Address)
		})
	}
}

// only are the pages of a service by their paths; there are no others.
func only(pages map[string]string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if pages[r.URL.Path] == "" {
			http.NotFound(w, r)
		}
		fmt.Fprint(w, pages[r.URL.Path])
	}
}

// redirecting sends "/" on to a path where there is a page.
func redirecting(to, page string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/" {
			http.Redirect(w, r, to, http.StatusFound)
			return
		}
		fmt.Fprint(w, page)
	}
}

// endless is a page that never ends.
func endless(w http.ResponseWriter, r *http.Request) {
	fmt.Fprint(w, "<title>long</title>")
	for r.Context().Err() == nil {
		if _, err := fmt.Fprint(w, strings.Repeat("x", 4096)); err != nil {
			return
		}
	}
}

func TestALoopbackOfSixAloneIsWarnedOf(t *testing.T) {
	t.Parallel()
	d := onHost(t)
	l, err := net.Listen("tcp", "[::1]:0")
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatalf("no IPv6 loopback: %v", err)
		}
		t.Skipf("no IPv6 loopback: %v", err)
	}
	server := &httptest.Server{Listener: l, Config: &http.Server{Handler: text("<title>six</title>")}}
	server.Start()
	t.Cleanup(server.Close)
	card := d.card(t, portOf(t, l.Addr()))
	require.Equal(t, "::1", card.Address)
	require.Equal(t, "six", card.Name)
	require.Equal(t, "bound to ::1 only", card.Warning)
}

func TestPortsAreLookedAtTogetherAndNotAgainAtOnce(t *testing.T) {
	t.Parallel()
	d := onHost(t)
	var mu sync.Mutex
	asked := map[int]int{}
	var ports []int
	for range 40 {
		ports = append(ports, talk(t, "127.0.0.1:0", func(c net.Conn) {
			mu.Lock()
			asked[portOf(t, c.LocalAddr())]++
			mu.Unlock()
		}))
	}
	d.watching.meant = func(port int) bool { return slices.Contains(ports, port) }
	began := time.Now()
	cards, err := d.Cards(t.Context(), api.Host)
	require.NoError(t, err)
	require.Less(t, time.Since(began), 20*time.Second, "40 mute ports took a minute one by one")
	have := map[int]api.PortCard{}
	for _, card := range cards {
		have[card.Port.Port] = card
	}
	for _, port := range ports {
		require.Equal(t, "unknown", have[port].Service, port)
	}
	count := func() (sum int) {
		mu.Lock()
		defer mu.Unlock()
		for _, port := range ports {
			sum += asked[port]
		}
		return sum
	}
	before := count()
	_, err = d.Cards(t.Context(), api.Host)
	require.NoError(t, err)
	require.Equal(t, before, count(), "the second list asked again")
}

func TestOurOwnPortsAreNoServicesOfTheMachine(t *testing.T) {
	t.Parallel()
	own := servePage(t, func(http.ResponseWriter, *http.Request) { t.Error("the program looked at itself") })
	d := onHost(t, func(o *Options) { o.OwnPort = own })
	d.watching.meant = func(port int) bool { return port == own }
	daemon, _ := d.host.current()
	cards, err := d.Cards(t.Context(), api.Host)
	require.NoError(t, err)
	for _, card := range cards {
		require.NotEqual(t, own, card.Port.Port)
		require.NotEqual(t, daemon, card.Port.Port)
	}
}

func TestAPortThatBeginsToListenIsTold(t *testing.T) {
	t.Parallel()
	d := onHost(t, func(o *Options) { o.Config.Mode = "host" })
	d.mu.Lock() // the host's daemon is looked after already
	d.pace.often = 20 * time.Millisecond
	d.mu.Unlock()
	var mine sync.Map
	d.watching.meant = func(port int) bool { _, ok := mine.Load(port); return ok }
	old := servePage(t, text("<title>old</title>"))
	mine.Store(old, true)
	d.run()
	d.Watch(api.Host)
	port := 0
	told := func(port int) []api.Event {
		return d.told(func(e api.Event) bool { return e.Kind == api.EventPort && e.Port.Port.Port == port })
	}
	// What listens before the first look is no news; so a port is opened until
	// one of them is told.
	require.Eventually(t, func() bool {
		port = servePage(t, text("<title>Vite</title>"))
		mine.Store(port, true)
		deadline := time.Now().Add(2 * time.Second)
		for time.Now().Before(deadline) && len(told(port)) == 0 {
			select {
			case <-time.After(look):
			case <-t.Context().Done():
			}
		}
		return len(told(port)) > 0
	}, soon, look)
	news := told(port)[0]
	require.Equal(t, "Vite", news.Port.Name)
	require.Equal(t, api.Host, news.Port.Sandbox)
	require.Empty(t, told(old))
}

func TestDevcontainerMetadataNamesPorts(t *testing.T) {
	t.Parallel()
	label := `[{"forwardPorts":[3000,"db:5432"],"portsAttributes":{"3000":{"label":"old"},"\\d+":{"label":"any"}}},
		{"portsAttributes":{"3000":{"label":"Shop","protocol":"https","path":"/start"},"4000-4010":{"label":"range"},"(":{"label":"broken"},"5":"nonsense"}}, 7]`
	d := readDevcontainer(label)
	card := func(port int, service string) api.PortCard {
		c := api.PortCard{Port: api.Port{Port: port}, Service: service}
		d.complete(&c)
		return c
	}
	got := card(3000, "other")
	require.Equal(t, "Shop", got.Label)
	require.Equal(t, "/start", got.Path)
	require.Equal(t, "https", got.Service)
	require.Equal(t, []string{"forwarded"}, got.Remarks)
	require.Equal(t, "http", card(3000, "http").Service, "what answers counts more than what is said")
	require.Equal(t, "range", card(4005, "http").Label)
	require.Equal(t, "any", card(9, "http").Label)
	require.Empty(t, card(5432, "other").Remarks, "another container's")
	for _, hostile := range []string{"", "{", "[]", `{"forwardPorts":{}}`, `[null,[[]],"x"]`, `{"portsAttributes":{"3000":{"label":"a\u001b]0;b"}}}`} {
		d = readDevcontainer(hostile)
		require.NotContains(t, card(3000, "http").Label, "\x1b")
	}
	require.Equal(t, "one", func() string {
		d = readDevcontainer(`{"portsAttributes":{"80":{"label":"one"}}}`)
		return card(80, "http").Label
	}(), "an object instead of a list")
}

func TestPortsOfAContainer(t *testing.T) {
	t.Parallel()
	name, id := shellBox(t, enginetest.RunOptions{Labels: map[string]string{devcontainerLabel: `[{"portsAttributes":{"8000":{"label":"site"}}}]`}})
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

func TestPortsAtRandomOfTheMachineAreNotDisturbed(t *testing.T) {
	t.Parallel()
	d := onHost(t)
	port := servePage(t, func(http.ResponseWriter, *http.Request) { t.Error("it was disturbed") })
	cards, err := d.Cards(t.Context(), api.Host)
	require.NoError(t, err)
	at := slices.IndexFunc(cards, func(c api.PortCard) bool { return c.Port.Port == port })
	require.GreaterOrEqual(t, at, 0, "it is listed nonetheless")
	require.Equal(t, "unknown", cards[at].Service)
	require.Greater(t, firstRandom(), 9999)
}
