package server

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"daemon-proxy/core/api"
	"daemon-proxy/core/config"
	"daemon-proxy/core/logging"
	"daemon-proxy/core/preview"
	"daemon-proxy/core/proxy"
	"daemon-proxy/core/traffic"
)

// still is a daemon without a network: it answers every request as soon as its
// head ends, on the goroutine that asks.
type still struct {
	net.Conn
	answer  string
	pending int // bytes of answers that were not read yet
}

func (c *still) Write(p []byte) (int, error) {
	if strings.HasSuffix(string(p[max(0, len(p)-4):]), "\r\n\r\n") {
		c.pending += len(c.answer)
	}
	return len(p), nil
}

func (c *still) Read(p []byte) (int, error) {
	if c.pending == 0 {
		return 0, io.EOF
	}
	n := copy(p, c.answer[len(c.answer)-c.pending:])
	c.pending -= n
	return n, nil
}

func (c *still) Close() error { return nil }

// nowhere is a client that takes everything.
type nowhere struct{ header http.Header }

func (w *nowhere) Header() http.Header         { return w.header }
func (w *nowhere) WriteHeader(int)             {}
func (w *nowhere) Write(p []byte) (int, error) { return len(p), nil }
func (w *nowhere) Flush()                      {}

// BenchmarkShare is what a request costs in this program beside the network:
// guard, lookup, rewriting, recording, the log line, and the rendering and
// parsing of heads.
func BenchmarkShare(b *testing.B) {
	for _, bench := range []struct {
		name, target, host string
		level              string
	}{
		{"preview/path", "/preview/TOKEN/assets/app-3f2a.js?v=12", "localhost:8080", "INFO"},
		{"preview/host", "/assets/app-3f2a.js?v=12", "TOKEN.localhost:8080", "INFO"},
		{"proxy", "/proxy/3000/assets/app-3f2a.js?v=12", "localhost:8080", "INFO"},
		{"preview/path/unlogged", "/preview/TOKEN/assets/app-3f2a.js?v=12", "localhost:8080", "WARNING"},
	} {
		b.Run(bench.name, func(b *testing.B) {
			s, link := benchServer(b, bench.level)
			r := httptest.NewRequestWithContext(b.Context(), http.MethodGet, strings.Replace(bench.target, "TOKEN", link.Token, 1), nil)
			r.Host = strings.Replace(bench.host, "TOKEN", link.Token, 1)
			r.RemoteAddr = "127.0.0.1:54321"
			for name, value := range map[string]string{
				"Accept": "*/*", "Accept-Encoding": "gzip, br", "Cookie": "sid=abc; theme=dark",
			} {
				r.Header.Set(name, value)
			}
			if bench.name != "proxy" { // for programs only
				r.Header.Set("Accept-Language", "en")
				r.Header.Set("User-Agent", "Mozilla/5.0 (X11; Linux x86_64)")
				r.Header.Set("Referer", "http://"+r.Host+strings.Replace(strings.TrimSuffix(bench.target, "assets/app-3f2a.js?v=12"), "TOKEN", link.Token, 1))
			}
			w := &nowhere{header: make(http.Header, 16)}
			b.ReportAllocs()
			for b.Loop() {
				clear(w.header)
				s.ServeHTTP(w, r)
			}
			require.Equal(b, "text/javascript", w.header.Get("Content-Type"), "it was forwarded")
		})
	}
}

// BenchmarkSteps are the parts of a request's way before it is forwarded.
func BenchmarkSteps(b *testing.B) {
	s, link := benchServer(b, "INFO")
	r := httptest.NewRequestWithContext(b.Context(), http.MethodGet, "/proxy/3000/x", nil)
	r.Host = "localhost:8080"
	b.Run("host", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			s.knownHost(splitHost(r.Host))
		}
	})
	b.Run("guard", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			_ = s.check(r)
		}
	})
	b.Run("lookup", func(b *testing.B) {
		b.ReportAllocs()
		target := "/preview/" + link.Token + "/assets/app.js?v=1"
		for b.Loop() {
			route, _ := preview.SplitPath(target)
			_, _ = s.o.Links.Resolve(route.Token)
		}
	})
	b.Run("recording", func(b *testing.B) {
		b.ReportAllocs()
		x := api.Exchange{Method: "GET", Path: "/x", Sandbox: "web", Port: 3000, Kind: "preview"}
		for b.Loop() {
			rec := s.o.Traffic.Begin(x)
			rec.Request(traffic.Sent{}, r.Header)
			rec.Head(200, "http", r.Header)
			rec.End(traffic.End{Status: 200})
		}
	})
	b.Run("log line", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			s.logTarget(r.RequestURI, api.Exchange{Method: "GET", Status: 200, Sandbox: "web", Port: 3000})
		}
	})
}

func benchServer(b *testing.B, level string) (*Server, api.Link) {
	b.Helper()
	logger, closer, err := logging.New(logging.Options{Level: level, Format: "text", Stderr: io.Discard})
	require.NoError(b, err)
	links, err := preview.Open(b.Context(), preview.Options{StateFile: filepath.Join(b.TempDir(), "links.db")})
	require.NoError(b, err)
	p := proxy.New(proxy.Options{Logger: slog.New(slog.DiscardHandler)})
	b.Cleanup(func() {
		p.Close()
		require.NoError(b, links.Close())
		require.NoError(b, closer.Close())
	})
	sandboxes := &boxes{known: map[string]*box{}, fallback: "web"}
	sandboxes.add(web, "127.0.0.1:2280").up.Dial = func(context.Context) (net.Conn, error) {
		return &still{answer: "HTTP/1.1 200 OK\r\nContent-Type: text/javascript\r\nCache-Control: no-cache\r\nEtag: \"abc\"\r\nDate: Wed, 01 Jan 2025 00:00:00 GMT\r\nContent-Length: 5\r\n\r\nhello"}, nil
	}
	link, err := links.Create(preview.Request{Sandbox: web, Port: 3000})
	require.NoError(b, err)
	urls := preview.NewPublisher(preview.PublisherOptions{Links: links, Server: config.Defaults().Server, Sandboxes: sandboxes})
	return New(Options{
		Config: config.Defaults(), Logger: logger, Links: links, Publisher: urls, Proxy: p,
		Traffic: traffic.New(traffic.Options{Bodies: true}), Sandboxes: sandboxes,
	}), link
}
