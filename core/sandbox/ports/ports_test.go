package ports

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
	"go.uber.org/goleak"

	"daemon-proxy/core/api"
	"daemon-proxy/core/daemon"
	"daemon-proxy/core/reach"
	"daemon-proxy/core/toolbox"
)

const (
	soon = time.Minute // whatever must come, on a busy machine
	look = 10 * time.Millisecond
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// onHost are the ports of this machine, asked through a built-in daemon. Of
// those only the chosen ones are asked; nil: none, as nobody else's services
// are to be disturbed.
func onHost(t *testing.T, chosen func(port int) bool) (*Ports, *events) {
	t.Helper()
	handler, err := toolbox.New(toolbox.Options{Secret: "s", Version: "test"})
	require.NoError(t, err)
	target := Target{
		Ref: api.Host, OnHost: true, Reach: reach.Direct(0, "127.0.0.1", "::1"),
		Daemon: daemon.NewClient(reach.Direct(0, "127.0.0.1"), servePage(t, handler.ServeHTTP), "s"),
	}
	if chosen == nil {
		chosen = func(int) bool { return false }
	}
	told := &events{}
	return New(Options{
		Target: func(ref api.Ref) (Target, error) {
			if ref != api.Host {
				return Target{}, errors.New("no daemon")
			}
			return target, nil
		},
		OnEvent:    told.add,
		DaemonPort: 2280,
		Chosen:     chosen,
	}), told
}

type events struct {
	mu   sync.Mutex
	list []api.Event
}

func (e *events) add(event api.Event) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.list = append(e.list, event)
}

// of are the events of a port.
func (e *events) of(port int) (list []api.Event) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, event := range e.list {
		if event.Port.Port.Port == port {
			list = append(list, event)
		}
	}
	return list
}

// card identifies one port of the host.
func (p *Ports) card(t *testing.T, port int) api.PortCard {
	t.Helper()
	var ports []api.Port
	require.Eventually(t, func() bool { // a daemon on a busy machine may take longer than a list waits for it
		var err error
		ports, err = p.List(t.Context(), api.Host)
		return err == nil
	}, soon, look)
	at := slices.IndexFunc(ports, func(p api.Port) bool { return p.Port == port })
	require.GreaterOrEqual(t, at, 0, "%d is not among %v", port, ports)
	target, err := p.o.Target(api.Host)
	require.NoError(t, err)
	cards := identifyAll(t.Context(), target, ports[at:at+1], nil)
	require.Len(t, cards, 1)
	require.Equal(t, api.Host, cards[0].Sandbox)
	return cards[0]
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

func text(s string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, s) }
}

func TestWhatAnswersOnAPortIsNamed(t *testing.T) {
	t.Parallel()
	d, _ := onHost(t, nil)
	secure := httptest.NewTLSServer(text("hello"))
	t.Cleanup(secure.Close)
	kasm := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Server", "KasmVNC/4.0")
		w.WriteHeader(http.StatusUnauthorized)
	}))
	t.Cleanup(kasm.Close)
	for name, test := range map[string]struct {
		port    int
		service string
		title   string
		remarks []string
		warning string
		path    string
		desktop string
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
		"novnc":          {port: servePage(t, text("<title>noVNC</title>")), service: "vnc", title: "noVNC", desktop: "noVNC"},
		"vnc listing": {port: servePage(t, only(map[string]string{
			"/": `<title>Directory listing for /</title><a href="vnc.html">`, "/vnc.html": "<title>noVNC</title>",
		})), service: "vnc", title: "noVNC", desktop: "noVNC"},
		"vnc lite": {port: servePage(t, only(map[string]string{
			"/": `<title>Desk</title><a href="vnc_lite.html">noVNC</a>`, "/vnc_lite.html": "<title>noVNC</title>",
		})), service: "vnc", title: "Desk", path: "/vnc_lite.html", desktop: "noVNC"},
		"noVNC at the root": {port: servePage(t, only(map[string]string{
			"/": `<html class="noVNC_loading"><title>Firefox</title><div id="noVNC_container">`,
		})), service: "vnc", title: "Firefox", path: "/", desktop: "noVNC"},
		"kasm": {port: servePage(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Server", "KasmVNC/4.0")
			w.WriteHeader(http.StatusUnauthorized)
		}), service: "http", title: "KasmVNC/4.0", remarks: []string{"login"}, desktop: "KasmVNC"},
		"kasm over TLS": {port: portOf(t, kasm.Listener.Addr()), service: "https", title: "KasmVNC/4.0", desktop: "KasmVNC",
			warning: "speaks TLS itself: the daemon forwards plain HTTP only"},
		"selkies": {port: servePage(t, text(`<title>Selkies</title><div id="app">`)), service: "http", title: "Selkies", desktop: "Selkies"},
		"guacamole": {port: servePage(t, func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path != "/guacamole/" {
				w.WriteHeader(http.StatusNotFound)
				fmt.Fprint(w, "<title>HTTP Status 404</title><h3>Apache Tomcat/9.0</h3>")
				return
			}
			fmt.Fprint(w, "<title>Apache Guacamole</title><guac-notification>")
		}), service: "http", title: "Apache Guacamole", remarks: []string{"base path /guacamole/"}, path: "/guacamole/", desktop: "Guacamole"},
		"a recipe": {port: servePage(t, text("<title>Guacamole in five minutes</title>")), service: "http", title: "Guacamole in five minutes"},
		"rdp":      {port: servePage(t, text("<title>Web RDP client</title>")), service: "http", title: "Web RDP client", desktop: "remote desktop"},
		"a word":   {port: servePage(t, text("<title>Birdplay</title>")), service: "http", title: "Birdplay"},
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
			require.Equal(t, test.desktop, card.Desktop)
			require.False(t, card.Chosen)
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
	d, _ := onHost(t, nil)
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
	var mu sync.Mutex
	asked := map[int]int{}
	var ports []int
	d, _ := onHost(t, func(port int) bool { return slices.Contains(ports, port) })
	for range 40 {
		ports = append(ports, talk(t, "127.0.0.1:0", func(c net.Conn) {
			mu.Lock()
			asked[portOf(t, c.LocalAddr())]++
			mu.Unlock()
		}))
	}
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

func TestAPortThatBeginsToListenIsTold(t *testing.T) {
	t.Parallel()
	var mine sync.Map
	d, told := onHost(t, func(port int) bool { _, ok := mine.Load(port); return ok })
	old := servePage(t, text("<title>old</title>"))
	mine.Store(old, true)
	ctx, cancel := context.WithCancel(t.Context())
	var following sync.WaitGroup
	following.Go(func() { d.Follow(ctx, 20*time.Millisecond) })
	t.Cleanup(following.Wait)
	t.Cleanup(cancel)
	other := api.Ref{Engine: "default", Name: "gone"} // has no daemon, which keeps nothing from the host
	require.Equal(t, []api.Ref{api.Host}, d.Watch([]api.Ref{api.Host}))
	require.Equal(t, []api.Ref{other}, d.Watch([]api.Ref{other, api.Host, other}))
	port := 0
	// What listens before the first look is no news; so a port is opened until
	// one of them is told.
	require.Eventually(t, func() bool {
		port = servePage(t, text("<title>Vite</title>"))
		mine.Store(port, true)
		deadline := time.Now().Add(2 * time.Second)
		for time.Now().Before(deadline) && len(told.of(port)) == 0 {
			select {
			case <-time.After(look):
			case <-t.Context().Done():
			}
		}
		return len(told.of(port)) > 0
	}, soon, look)
	news := told.of(port)[0]
	require.Equal(t, "Vite", news.Port.Name)
	require.Equal(t, api.Host, news.Port.Sandbox)
	require.Empty(t, told.of(old))
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

func TestPortsAtRandomOfTheMachineAreNotDisturbed(t *testing.T) {
	t.Parallel()
	d, _ := onHost(t, nil)
	port := servePage(t, func(http.ResponseWriter, *http.Request) { t.Error("it was disturbed") })
	cards, err := d.Cards(t.Context(), api.Host)
	require.NoError(t, err)
	at := slices.IndexFunc(cards, func(c api.PortCard) bool { return c.Port.Port == port })
	require.GreaterOrEqual(t, at, 0, "it is listed nonetheless")
	require.Equal(t, "unknown", cards[at].Service)
	require.Greater(t, firstRandom(), 9999)
}
