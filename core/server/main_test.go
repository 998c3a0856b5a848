package server

import (
	"context"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"daemon-proxy/core/api"
	"daemon-proxy/core/certs"
	"daemon-proxy/core/config"
	"daemon-proxy/core/logging"
	"daemon-proxy/core/preview"
	"daemon-proxy/core/proxy"
	"daemon-proxy/core/server/contract"
	"daemon-proxy/core/toolbox"
	"daemon-proxy/core/traffic"
	"daemon-proxy/core/wiretest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	// daemonSecret is what the daemon behind the front wants to see.
	daemonSecret = "the-secret-of-the-daemon"
	apiKey       = "the-key-of-the-front"
)

var (
	web   = api.Ref{Engine: "default", Name: "web"}
	other = api.Ref{Engine: "default", Name: "other"}
)

// logged is what the server logged.
type logged struct {
	wiretest.Buffer
	output *logging.Output
}

// String is all of it.
func (l *logged) String() string {
	l.output.Flush()
	return l.Buffer.String()
}

// front is a whole server on a loopback port, with its links, request log and
// forwarding, and made-up sandboxes behind it.
type front struct {
	*Server
	t      testing.TB
	addr   string // 127.0.0.1:PORT
	host   string // localhost:PORT
	boxes  *boxes
	links  *preview.Links
	urls   *preview.Publisher
	log    *traffic.Log
	logged *logged

	telling sync.Mutex
	told    uint64           // the last change of the log that is in events
	events  *wiretest.Buffer // every exchange that was announced, as JSON

	contract *contract.Contract // that every answer is held to
}

// settings are what a test may change before the front starts.
type settings struct {
	config config.Config
	boxes  *boxes
	links  preview.Options
	tls    certs.Get
	runKey string
	files  int
	places int             // for clients' connections; 0: any number
	log    logging.Options // its Level and Stderr are the front's
}

// newFront starts a front whose default sandbox has its daemon at an address.
func newFront(t testing.TB, daemon string, changes ...func(*settings)) *front {
	t.Helper()
	l := wiretest.Listen(t)
	set := settings{config: config.Defaults(), boxes: &boxes{known: map[string]*box{}}}
	set.config.Daemon.Mode = "docker"
	set.config.Preview.RedirectToHost = false // or no navigation could be tested in path mode
	set.config.Server.Port = wiretest.Port(t, l.Addr())
	set.links.StateFile = filepath.Join(t.TempDir(), "links.db")
	set.boxes.add(web, daemon)
	set.boxes.add(other, daemon)
	set.boxes.fallback = "web"
	for _, change := range changes {
		change(&set)
	}
	f := &front{t: t, addr: l.Addr().String(), boxes: set.boxes, logged: &logged{}, events: &wiretest.Buffer{}, contract: contract.Load(t, OpenAPI())}
	f.host = "localhost:" + strconv.Itoa(set.config.Server.Port)
	set.log.Level, set.log.Stderr = "DEBUG", &f.logged.Buffer
	logger, output, err := logging.New(set.log)
	require.NoError(t, err)
	f.logged.output = output
	f.links, err = preview.Open(t.Context(), set.links)
	require.NoError(t, err)
	f.log = traffic.New(traffic.Options{Bodies: true, OnChange: f.tell})
	p := proxy.New(proxy.Options{Logger: logger})
	f.urls = preview.NewPublisher(preview.PublisherOptions{
		Links: f.links, Server: set.config.Server, Sandboxes: f.boxes, Logger: logger,
	})
	f.Server = New(Options{
		Config: set.config, Version: "1.2.3", Logger: logger, Links: f.links, Publisher: f.urls, Proxy: p, Traffic: f.log,
		Service: service{f.boxes, f.urls, traffic.Requests{Log: f.log}}, Sandboxes: f.boxes, Hostname: "my-desk",
		Certificate: set.tls, OpenFiles: set.files, RunKey: set.runKey,
	})
	served := make(chan error, 1)
	if set.places > 0 {
		l = newLimited(l.(*net.TCPListener), newPlaces(set.places))
	}
	go func() { served <- f.Serve([]net.Listener{l}) }()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		require.NoError(t, f.Shutdown(ctx))
		require.NoError(t, <-served)
		p.Close()
		require.NoError(t, f.links.Close())
		require.NoError(t, output.Close())
	})
	return f
}

// withKey turns security on.
func withKey(s *settings) { s.config.Security.Enabled, s.config.Security.APIKey = true, apiKey }

// link makes a preview link of the default sandbox.
func (f *front) link(port int) api.Link {
	f.t.Helper()
	return f.linkOf(preview.Request{Sandbox: web, Port: port})
}

func (f *front) linkOf(r preview.Request) api.Link {
	f.t.Helper()
	link, err := f.links.Create(r)
	require.NoError(f.t, err)
	return link
}

// way is how a request gets to a port: by path, by host name, or as a program's.
type way struct {
	name, host, prefix string
	link               api.Link
}

// ways are a new link in path mode and in host mode, and /proxy.
func (f *front) ways(port int) []way {
	f.t.Helper()
	link := f.link(port)
	return append(f.modes(link),
		way{name: "proxy", host: f.host, prefix: "/proxy/" + strconv.Itoa(port)},
		way{name: "sandbox", host: f.host, prefix: "/sandboxes/web/proxy/" + strconv.Itoa(port)})
}

// modes are the two forms of a link.
func (f *front) modes(link api.Link) []way {
	return []way{
		{name: "path mode", host: f.host, prefix: "/preview/" + link.Token, link: link},
		{name: "host mode", host: link.Token + "." + f.host, link: link},
	}
}

// do sends a request; headers are "Name: value", "Host" among them.
func (f *front) do(method, target, body string, headers ...string) wiretest.Answer {
	f.t.Helper()
	var reader io.Reader
	if body != "" {
		reader = strings.NewReader(body)
	}
	r, err := http.NewRequestWithContext(f.t.Context(), method, "http://"+f.addr+target, reader)
	require.NoError(f.t, err)
	r.Host = f.host
	r.Header.Set("User-Agent", "curl/8.5.0")
	for _, line := range headers {
		name, value, _ := strings.Cut(line, ": ")
		switch name {
		case "Host":
			r.Host = value
		case "User-Agent":
			r.Header.Set(name, value)
		default:
			r.Header.Add(name, value)
		}
	}
	resp, err := wiretest.Client(f.t).Do(r)
	require.NoError(f.t, err)
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	require.NoError(f.t, err)
	if r.Host == f.host {
		f.contract.Check(f.t, method, target, resp.StatusCode, resp.Header, b)
	}
	return wiretest.Answer{Response: resp, Body: string(b)}
}

func (f *front) get(target string, headers ...string) wiretest.Answer {
	f.t.Helper()
	return f.do(http.MethodGet, target, "", headers...)
}

// newDaemon is the real built-in daemon.
func newDaemon(t testing.TB) string {
	t.Helper()
	d, err := toolbox.New(toolbox.Options{Secret: daemonSecret, Version: "1.2.3", WorkDir: t.TempDir()})
	require.NoError(t, err)
	t.Cleanup(d.Close)
	return wiretest.Serve(t, d.ServeHTTP)
}

// app is what listens in the sandbox; it remembers what it was asked.
type app struct {
	port int
	mu   sync.Mutex
	seen []*http.Request
}

// newService answers every request with h, 200 and "hello" if it is nil.
func newService(t testing.TB, h http.HandlerFunc) *app {
	t.Helper()
	s := &app{}
	s.port = wiretest.Port(t, wiretest.Serve(t, func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		s.seen = append(s.seen, r.Clone(context.Background()))
		s.mu.Unlock()
		if h == nil {
			_, _ = io.WriteString(w, "hello")
			return
		}
		h(w, r)
	}))
	return s
}

// requests are those that the service got since it was last asked.
func (s *app) requests() []*http.Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	seen := s.seen
	s.seen = nil
	return seen
}

// seenNow is requests, but they stay.
func (s *app) seenNow() []*http.Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.seen)
}

// one is the only request that the service got.
func (s *app) one(t testing.TB) *http.Request {
	t.Helper()
	seen := s.requests()
	require.Len(t, seen, 1)
	return seen[0]
}

// newStack is a front, a real daemon and a service behind it.
func newStack(t testing.TB, h http.HandlerFunc, changes ...func(*settings)) (*front, *app) {
	t.Helper()
	s := newService(t, h)
	return newFront(t, newDaemon(t), changes...), s
}

func portText(port int) string { return strconv.Itoa(port) }
