package bridge

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"daemon-proxy/core/api"
	"daemon-proxy/core/logging"
	"daemon-proxy/core/preview"
	"daemon-proxy/core/proxy"
)

const (
	// maxPorts is how many ports are tried.
	maxPorts = 100
	// drain is what requests get to end when Previews does: none waits for a person.
	drain = 200 * time.Millisecond
	// openWithin bounds the wait for a free place in the session.
	openWithin = 10 * time.Second
)

// Previews serves the previews of the core at the far end to this machine, in
// host form (http://TOKEN.localhost:PORT/) and in path form, and nothing else:
// whatever is not a preview is 404, because every user of this machine can
// connect to the port. What is one is decided for each request; the core, which
// knows the links, decides it again.
type Previews struct {
	way     Way
	proxy   *proxy.Proxy
	server  *http.Server
	port    int
	serving sync.WaitGroup
}

// ServePreviews listens on 127.0.0.1 and, where there is IPv6, ::1, on the
// first port from the given one on that is free on both. Close ends it. logger
// may be nil.
func ServePreviews(ctx context.Context, way Way, port int, logger *slog.Logger) (*Previews, error) {
	if logger == nil {
		logger = slog.New(slog.DiscardHandler)
	}
	listeners, port, err := listenFrom(ctx, port)
	if err != nil {
		return nil, err
	}
	p := &Previews{way: way, proxy: proxy.New(proxy.Options{Logger: logger}), port: port}
	p.server = proxy.NewServer(p, logger)
	for _, l := range listeners {
		p.serving.Go(func() { _ = p.server.Serve(l) }) // it ends with Close
	}
	return p, nil
}

// URL is the base of the previews' addresses, without a slash at its end.
func (p *Previews) URL() string { return "http://localhost:" + strconv.Itoa(p.port) }

// Close ends what is open and stops listening.
func (p *Previews) Close() error {
	p.proxy.Close()
	ctx, cancel := context.WithTimeout(context.Background(), drain)
	defer cancel()
	err := p.server.Shutdown(ctx)
	if errors.Is(err, context.DeadlineExceeded) {
		err = p.server.Close()
	}
	p.serving.Wait()
	return err
}

// listenFrom listens on both loopback addresses: browsers take either for
// localhost, so another program must have neither.
func listenFrom(ctx context.Context, first int) (open []net.Listener, port int, err error) {
	var lc net.ListenConfig
	for port = first; port < first+maxPorts && port <= 65535; port++ {
		v4, err := lc.Listen(ctx, "tcp4", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
		if errors.Is(err, syscall.EADDRINUSE) {
			continue
		}
		if err != nil {
			return nil, 0, fmt.Errorf("listen for previews: %w", err)
		}
		v6, err := lc.Listen(ctx, "tcp6", net.JoinHostPort("::1", strconv.Itoa(port)))
		switch {
		case err == nil:
			return []net.Listener{v4, v6}, port, nil
		case !errors.Is(err, syscall.EADDRINUSE): // no IPv6 here
			return []net.Listener{v4}, port, nil
		}
		v4.Close()
	}
	return nil, 0, fmt.Errorf("listen for previews: all ports from %d to %d are in use", first, port-1)
}

// ServeHTTP answers one request.
func (p *Previews) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !isPreview(r) {
		proxy.Refused(w, r)
		answer(w, r, api.NewProblem(api.CodeUnknownRoute, "only previews are served here", "open the URL of a preview"))
		return
	}
	session, err := p.way.session(r.Context())
	if err != nil {
		proxy.Refused(w, r)
		answer(w, r, api.AsProblem(err))
		return
	}
	core := session.greeting.Load()
	result, err := p.proxy.Forward(w, r, proxy.Target{
		Dial:        func(ctx context.Context) (net.Conn, error) { return session.dial(ctx, core) },
		DialTimeout: openWithin, Pool: fmt.Sprintf("%d.%d", session.number, core.Turn),
		Authority: r.Host, RequestURI: r.RequestURI,
		Header: func(h http.Header) { h[api.BridgeHeader] = []string{api.BridgePreviews + " " + core.Key} },
	})
	if result.Tunnel != nil {
		p.proxy.Go(func() { result.Tunnel(context.Background()) })
		return
	}
	if err != nil {
		proxy.Refused(w, r)
		answer(w, r, api.AsProblem(blame(session, err)))
	}
}

// blame is err, or why the session has ended if that is the cause.
func blame(s *Session, err error) error {
	if ended := s.Err(); ended != nil {
		return ended
	}
	problem := api.AsProblem(err)
	if problem.Code != api.CodeUpstreamCut && problem.Code != api.CodeDaemonDown {
		return err
	}
	return api.NewProblem(api.CodeUpstreamCut,
		"daemon-proxy on the other machine closed the connection before it answered", "check that it still runs there").Because(err)
}

// isPreview reports whether the core may be asked for it: the address of a
// preview, or what a page of one requests with an absolute path, which the core
// sends back to that preview. What a page asks for is never a call to the
// core: to be taken for one by it, a request must not come from a page.
func isPreview(r *http.Request) bool {
	if r.Method == http.MethodConnect || !strings.HasPrefix(r.RequestURI, "/") {
		return false
	}
	if _, ok := preview.SplitHost(r.Host, "localhost"); ok {
		return true
	}
	if !isLoopback(r.Host) {
		return false
	}
	target := r.RequestURI
	if strings.HasPrefix(target, "//preview/") {
		target = target[1:] // as the core takes it
	}
	if route, err := preview.SplitPath(target); err == nil && route.Kind == preview.KindPreview {
		return true
	}
	if site := r.Header.Get("Sec-Fetch-Site"); site != "" && site != "same-origin" {
		return false
	}
	origin := "http://" + r.Host
	if strings.EqualFold(r.Header.Get("Upgrade"), "websocket") && strings.EqualFold(r.Header.Get("Origin"), origin) {
		return true
	}
	referers := r.Header["Referer"]
	if len(referers) != 1 {
		return false
	}
	_, ok := preview.PathToken(referers[0], origin)
	return ok
}

// isLoopback reports whether a Host is localhost or an address of this machine's
// own. Any other name may be that of a stranger who made it lead here.
func isLoopback(host string) bool {
	name, _, err := net.SplitHostPort(host)
	if err != nil {
		name = strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
	}
	if strings.EqualFold(strings.TrimSuffix(name, "."), "localhost") {
		return true
	}
	addr, err := netip.ParseAddr(name)
	return err == nil && addr.Unmap().IsLoopback()
}

// answer writes a problem: text for a person in a browser, a document for
// everything else.
func answer(w http.ResponseWriter, r *http.Request, p *api.Problem) {
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
	status := p.Status
	if status < 200 {
		status = http.StatusInternalServerError
	}
	if r.Header.Get("Sec-Fetch-Mode") == "navigate" {
		h.Set("Content-Type", "text/plain; charset=utf-8")
		w.WriteHeader(status)
		fmt.Fprintf(w, "%s\n\n%s\nTry: %s\n", p.Title, logging.Printable(p.Detail), logging.Printable(p.Hint))
		return
	}
	h.Set("Content-Type", "application/problem+json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(p) // the client may have gone
}
