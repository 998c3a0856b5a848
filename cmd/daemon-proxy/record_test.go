package main

import (
	"context"
	"crypto/sha256"
	"flag"
	"fmt"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/charmbracelet/x/ansi"
	"github.com/stretchr/testify/require"

	"daemon-proxy/core/docker/enginetest"
)

var record = flag.String("record", "", "SVG file that a session of the terminal UI is recorded to; one screen goes beside it as .txt")

// recorded marks the containers that the recording may show.
const recorded = "daemon-proxy.recorded"

// TestRecord makes the README's picture of the program from the real program,
// on a real terminal, with a real engine.
func TestRecord(t *testing.T) {
	if *record == "" {
		t.Skip("it writes a document: make record")
	}
	d := newDesk(t)
	d.port = 8080
	files := enginetest.BusyboxFiles(t)
	files["/service"] = enginetest.File{Path: enginetest.StaticGo(t, "./testdata/service")}
	for name, text := range map[string]string{
		"index.html": "<title>Storefront</title><link rel=stylesheet href=/style.css><script src=/app.js></script>\n",
		"app.js":     "fetch('/cart.json')\n", "style.css": "body { font: 16px sans-serif }\n", "cart.json": `{"items":[{"sku":"A-17","count":2}]}`,
	} {
		files["/www/"+name] = enginetest.File{Data: []byte(text), Mode: 0o644}
	}
	image := enginetest.Import(t, files, []string{`CMD ["/bin/sh", "-c", "httpd -p 3000 -h /www; exec /service"]`, "ENV PATH=/bin"})
	enginetest.Tag(t, image, "acme/workspace:1.4")
	for name, project := range map[string]string{"my-sandbox": "", "notebook": "", "shop-web": "shop", "shop-db": "shop"} {
		enginetest.Run(t, "acme/workspace:1.4", enginetest.RunOptions{Name: name, CreateOnly: name == "notebook",
			Labels: map[string]string{recorded: "1", "com.docker.compose.project": project}})
	}
	env := append(onlyRecorded(t, d), "COLORFGBG=15;0")
	p := d.serving(t, env)
	f := &film{screen: newScreen(t, d, env...)}
	f.tmux("set-option", "-g", "set-clipboard", "on") // the link is copied
	f.tmux("resize-window", "-x", "120", "-y", fmt.Sprint(rows))

	f.keys(d.binary, "Enter")
	f.shows("my-sandbox", "shop-db", "notebook")
	f.take("your containers; no daemon in any yet", `▸ ○ my-sandbox +running +no daemon`, `shop-db +running`, `daemon-proxy  ⇄`)
	second := newScreen(t, d, env...)
	second.keys(d.binary, "Enter")
	f.take("another terminal opens a second screen on the same core", `2 screens`)
	second.shows(`▸ ○ my-sandbox +running +no daemon`)
	second.keys("i")
	f.take("i there: the daemon goes in, and both screens show it", `\d+ ?%|MB`)
	f.take("healthy, and what listens inside", `Daemon +healthy`, `3000 Storefront`, `6080 noVNC`, `8080`)
	f.keys("n")
	f.take("n: a preview of a port", "Preview a port", "3000 +Storefront")
	f.keys("Enter")
	f.shows(`Previews +3000`)
	_, _, api := p.link(`{"port": 8080, "label": "api", "sandbox": "my-sandbox", "ttl_seconds": 3600}`)
	f.keys("3")
	f.take("the link is in the clipboard", `PORT +LABEL +LINK`, `8080 +api`)
	web := "http://" + regexp.MustCompile(`[a-z2-7]{32}`).FindString(f.tmux("show-buffer")) + ".localhost:8080"
	for _, target := range []string{"/", "/style.css", "/app.js", "/cart.json", "/favicon.ico"} {
		p.try("GET", web+target, "", "Accept", "*/*")
	}
	for _, target := range []string{"/api/data", "/search?q=lamp", "/search?q=desk+lamp", "/api/orders"} {
		p.try("GET", api+target, "", "Accept", "application/json")
	}
	p.try("POST", api+"/api/users", `{"name": "ada", "mail": "ada@example.org", "cart": [{"sku": "A-17", "count": 2}]}`,
		"Content-Type", "application/json", "Accept", "application/json", "Authorization", "Bearer 6f1c9a")
	f.keys("2")
	f.take("every request as it happens", `201 POST`, `404 GET +3000 +/favicon.ico`)
	f.keys("g", "Enter")
	f.take("enter: headers and bodies, secrets masked", `POST /api/users`, `sku`, `201`)
	f.keys("Escape")
	f.shows("Sandboxes") // 1 together with the escape would be another key
	f.keys("1")
	f.best = len(f.frames)
	f.take("the whole sandbox at a glance", `(?s)[1-9] requests.*[1-9] requests`, `Recent`, `201 POST`)
	for _, s := range []*screen{f.screen, second} {
		s.keys("q")
		s.shows("The core keeps running")
	}

	require.NoError(t, os.WriteFile(*record, f.svg(), 0o644))
	require.NoError(t, os.WriteFile(strings.TrimSuffix(*record, ".svg")+".txt", []byte(ansi.Strip(f.frames[f.best].text)), 0o644))
}

// film is what a screen showed at some moments.
type film struct {
	*screen
	frames []frame
	best   int // the frame that stands alone
}

type frame struct {
	caption, text string // text has escape sequences
}

// take waits until the screen matches every pattern and keeps that screen.
func (f *film) take(caption string, patterns ...string) {
	f.t.Helper()
	require.Eventually(f.t, func() bool {
		text := f.tmux("capture-pane", "-e", "-p")
		for _, pattern := range patterns {
			if !regexp.MustCompile(pattern).MatchString(ansi.Strip(text)) {
				return false
			}
		}
		f.frames = append(f.frames, frame{caption, text})
		return true
	}, startsWithin, 2*time.Millisecond, "%s: %v", caption, patterns)
}

// onlyRecorded gives the desk a docker context that shows no containers but
// those of the recording, and says how the program is told of it.
func onlyRecorded(t *testing.T, d *desk) []string {
	endpoint, err := url.Parse(enginetest.Require(t).Endpoint())
	require.NoError(t, err)
	require.Equal(t, "unix", endpoint.Scheme, "the recording needs an engine of this machine")
	listener, err := net.Listen("unix", filepath.Join(d.dir, "docker.sock"))
	require.NoError(t, err)
	transport := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", endpoint.Path)
	}}
	server := &http.Server{Handler: &httputil.ReverseProxy{Transport: transport, FlushInterval: -1, Rewrite: func(r *httputil.ProxyRequest) {
		r.Out.URL.Scheme, r.Out.URL.Host = "http", "docker"
		if strings.HasSuffix(r.In.URL.Path, "/containers/json") {
			query := r.In.URL.Query()
			query.Set("filters", `{"label":["`+recorded+`"]}`)
			r.Out.URL.RawQuery = query.Encode()
		}
	}}}
	done := make(chan struct{})
	go func() { defer close(done); _ = server.Serve(listener) }()
	t.Cleanup(func() { _ = server.Close(); <-done; transport.CloseIdleConnections() })

	folder := filepath.Join(d.dir, ".docker", "contexts", "meta", fmt.Sprintf("%x", sha256.Sum256([]byte("desk"))))
	require.NoError(t, os.MkdirAll(folder, 0o700))
	require.NoError(t, os.WriteFile(filepath.Join(folder, "meta.json"),
		fmt.Appendf(nil, `{"Name":"desk","Metadata":{},"Endpoints":{"docker":{"Host":"unix://%s"}}}`, listener.Addr()), 0o600))
	return []string{"DOCKER_HOST=", "DOCKER_CONTEXT=desk"}
}
