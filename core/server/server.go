// Package server is the HTTP surface: routes, the guard that decides who may ask,
// the management API, and the hand-over of everything else to the daemons.
//
// It routes on the bytes of the request target. Previews need their token and
// nothing else; /api, /daemon, /proxy and /sandboxes are for programs: pages
// in a browser are refused there, since a preview's page may be hostile.
package server

import (
	"context"
	"crypto/tls"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"daemon-proxy/core/api"
	"daemon-proxy/core/config"
	"daemon-proxy/core/logging"
	"daemon-proxy/core/preview"
	"daemon-proxy/core/proxy"
	"daemon-proxy/core/traffic"
)

// Upstream is how the daemon of a sandbox is reached.
type Upstream struct {
	Dial        func(ctx context.Context) (net.Conn, error)
	DialTimeout time.Duration     // bounds Dial; 0: the usual
	Pool        string            // changes with the place that Dial leads to
	Authority   string            // the Host header for the daemon
	Header      func(http.Header) // adds what the daemon wants to see
	Loopback    bool              // the sandbox's localhost is this machine's
	// Until ends when the daemon is known to be gone; its cause is the
	// *api.Problem to answer with. nil: only the connections themselves show it.
	Until context.Context
	// Port connects to a port of the sandbox without the daemon, within DialTimeout;
	// nil: only the daemon does.
	Port func(ctx context.Context, port int) (net.Conn, error)
}

// Sandboxes is the way to the sandboxes. Errors are *api.Problem. Calls wait
// until it is known which sandboxes there are.
type Sandboxes interface {
	Settle()
	// Resolve is the sandbox that a name means, in full.
	Resolve(ref api.Ref) (api.Ref, error)
	// NameOf is the name by which people and URLs address a sandbox.
	NameOf(ref api.Ref) string
	Upstream(ref api.Ref) (Upstream, error)
}

// Options configure New. All but Hostname, RunKey, Certificate and OpenFiles are needed.
type Options struct {
	Config    config.Config
	Version   string
	Logger    *slog.Logger
	Service   api.Service // what the routes of the API call
	Sandboxes Sandboxes
	Links     *preview.Links
	Publisher *preview.Publisher
	Proxy     *proxy.Proxy
	Traffic   *traffic.Log
	// Metrics answers /metrics; nil: nothing does.
	Metrics http.Handler
	// Hostname is this machine's own name; requests may use it.
	Hostname string
	// RunKey is accepted as the API key is, also with security off; empty: none is.
	RunKey string
	// Certificate is tls.Config.GetCertificate; it is asked only for names that
	// are served. nil: plain HTTP.
	Certificate func(*tls.ClientHelloInfo) (*tls.Certificate, error)
	// OpenFiles is how many files the process may have open; 0: the system's limit.
	OpenFiles int
}

// Server answers all requests. Use New.
type Server struct {
	*guard
	o       Options
	log     *slog.Logger
	started time.Time
	http    *http.Server
	routes  []route

	descriptors *descriptors

	newest newest
	fences atomic.Pointer[portFence]

	streams streams
	shells  streams
	screens screens
}

// New makes the server; Serve runs it.
func New(o Options) *Server {
	s := &Server{
		guard: newGuard(o.Config, o.Hostname, o.RunKey), o: o, log: o.Logger, started: time.Now(), routes: routes(),
		descriptors: newDescriptors(orDefault(o.OpenFiles, openFiles())),
	}
	s.http = proxy.NewServer(s, o.Logger)
	if o.Certificate != nil {
		s.http.TLSConfig = &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: s.certificate}
	}
	return s
}

// Serve answers on all listeners until Shutdown. It returns the first error
// that is not http.ErrServerClosed.
func (s *Server) Serve(listeners []net.Listener) error {
	for _, l := range listeners {
		if l, ok := l.(*limited); ok { // all share their places
			s.descriptors.listener.Store(l)
		}
	}
	errs := make(chan error, len(listeners))
	for _, l := range listeners {
		go func() {
			if s.o.Certificate != nil { // TLSConfig is also set by the first Serve
				errs <- s.http.ServeTLS(l, "", "")
				return
			}
			errs <- s.http.Serve(l)
		}()
	}
	var first error
	for range listeners {
		if err := <-errs; err != nil && err != http.ErrServerClosed && first == nil { //nolint:errorlint // Serve returns it bare
			first = err
		}
	}
	return first
}

// Crowded reports whether over half of the descriptors are in use.
func (s *Server) Crowded() bool { return s.descriptors.crowded() }

// Shutdown ends event streams, WebSockets and shells at once, waits for plain
// requests and the ends of the shells until ctx ends, and then cuts what is left.
func (s *Server) Shutdown(ctx context.Context) error {
	s.streams.end()
	s.shells.end()
	err := s.http.Shutdown(ctx)
	s.shells.wait(ctx)
	if err != nil {
		return s.http.Close()
	}
	return nil
}

// ServeHTTP answers one request.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.enter(w, r, s.serve) }

// serve finds out what a request is for.
func (s *Server) serve(v *visit) error {
	r := v.r
	if r.Method == http.MethodConnect || !strings.HasPrefix(r.RequestURI, "/") {
		return api.NewProblem(api.CodeBadRequest, "only requests for a path are served", "send GET /path")
	}
	if !v.known && v.token == "" {
		return api.NewProblem(api.CodeWrongHost, "this server is not "+logging.Printable(v.name),
			"use localhost or an IP address, or add the name to server.allowed_hosts")
	}
	if s.looped(r) {
		return loopProblem()
	}
	previews := v.bridge == api.BridgePreviews
	if !v.known || previews && v.token != "" {
		return s.servePreviewHost(v)
	}
	target := r.RequestURI
	if strings.HasPrefix(target, "//preview/") {
		target = target[1:] // noVNC puts a slash before the path that it is given
	}
	if !strings.HasPrefix(target, "/preview/") {
		if r.Header.Get("Service-Worker") == "script" {
			return outsidePrefix()
		}
		if done, err := s.rescue(v); done || err != nil {
			return err
		}
	}
	if previews {
		return s.servePreviewPath(v, target)
	}
	if guarded(target) {
		if err := s.check(r); err != nil {
			return err
		}
	}
	route, err := preview.SplitPath(target)
	if err != nil {
		return err
	}
	switch route.Kind {
	case preview.KindPreview:
		return s.servePreview(v, route, false)
	case preview.KindProxy, preview.KindSandboxProxy:
		return s.serveProxy(v, route)
	}
	return management{s, s.routes}.serve(v)
}

// servePreviewPath serves a target for which nothing but a preview counts.
func (s *Server) servePreviewPath(v *visit, target string) error {
	route, err := preview.SplitPath(target)
	if err != nil {
		return err
	}
	if route.Kind != preview.KindPreview {
		return nothingHere()
	}
	return s.servePreview(v, route, false)
}

func loopProblem() *api.Problem {
	return api.NewProblem(api.CodeLoop, "the request came back to this server",
		"use the port of the service, not that of daemon-proxy")
}
