package server

import (
	"context"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"daemon-proxy/core/api"
	"daemon-proxy/core/daemon"
	"daemon-proxy/core/logging"
	"daemon-proxy/core/preview"
	"daemon-proxy/core/proxy"
	"daemon-proxy/core/traffic"
)

// nearDial bounds a connection to a daemon on this machine. One that is down
// refuses it at once; it only takes long where very many connect at a time, and
// then the kernel tries again after 1, 3, 7 and 15 s.
const nearDial = 30 * time.Second

// hop is where a visit goes and what its client sees of it.
type hop struct {
	*visit
	ref      api.Ref
	port     int
	live     *preview.Live // nil for /proxy and /sandboxes
	prefix   string        // empty in host mode
	rest     string        // what the service gets of the target
	hostMode bool
	note     string // a remark for the request log
	cookie   string // a Set-Cookie line of the server's own; empty: none
	alone    bool   // its client must not learn of other links
	// recorded is called with what was recorded; nil: it is not.
	recorded func(api.Exchange)

	upstream Upstream
	view     preview.View
	rec      *traffic.Recording
}

func (s *Server) servePreviewHost(v *visit) error {
	live, err := s.o.Links.Resolve(v.token)
	if err == nil {
		err = preview.CheckTarget(v.r.RequestURI)
	}
	if err != nil {
		return err
	}
	return s.forward(&hop{
		visit: v, ref: live.Sandbox, port: live.Port, live: live, rest: v.r.RequestURI, hostMode: true,
	})
}

// servePreview serves a link in path mode; alone: its client must not learn of
// other links.
func (s *Server) servePreview(v *visit, route preview.Route, alone bool) error {
	live, err := s.o.Links.Resolve(route.Token)
	if err != nil {
		return err
	}
	if s.belongsOnHost(v) {
		s.redirect(v, http.StatusTemporaryRedirect, s.hostForm(v, live, route), live.Sandbox, live.Port)
		return nil
	}
	if route.Bare() {
		s.redirect(v, http.StatusPermanentRedirect, route.Prefix+"/"+route.Rest, live.Sandbox, live.Port)
		return nil
	}
	h := &hop{
		visit: v, ref: live.Sandbox, port: live.Port, live: live, prefix: route.Prefix, rest: route.Rest, alone: alone,
	}
	if !alone {
		h.cookie = s.visited(v, live)
	}
	return s.forward(h)
}

// serveProxy answers /proxy/{port}/… and /sandboxes/{name}/proxy/{port}/….
func (s *Server) serveProxy(v *visit, route preview.Route) error {
	port, err := preview.ParsePort(route.Port)
	if err != nil {
		return err
	}
	name := route.Sandbox
	if plain, err := url.PathUnescape(name); err == nil {
		name = plain
	}
	ref, err := s.o.Sandboxes.Resolve(api.ParseRef(name))
	if err != nil {
		return err
	}
	if daemon.IsPort(port, s.o.Config.Daemon.Port) && v.r.Header.Get("X-Allow-Daemon-Port") != "true" {
		return preview.DaemonPort(port, "a program that means it sends X-Allow-Daemon-Port: true")
	}
	if daemon.IsPort(port, s.o.Config.Daemon.Port) && s.readOnly {
		return readOnly() // a daemon runs programs
	}
	if typed(v.r) {
		return s.toPreview(v, ref, port, route.Rest)
	}
	if route.Bare() {
		s.redirect(v, http.StatusPermanentRedirect, route.Prefix+"/"+route.Rest, ref, port)
		return nil
	}
	return s.forward(&hop{visit: v, ref: ref, port: port, prefix: route.Prefix, rest: route.Rest})
}

// toPreview sends a person who typed the address of a port to a preview link
// of it, which is where browsers belong.
func (s *Server) toPreview(v *visit, ref api.Ref, port int, rest string) error {
	if _, ok := s.o.Links.Find(ref, port); !ok && s.readOnly {
		return readOnly()
	}
	link, err := s.o.Publisher.LinkTo(v.r.Context(), ref, port, "")
	if err != nil {
		return err
	}
	if !strings.HasPrefix(rest, "/") {
		rest = "/" + rest
	}
	s.redirect(v, http.StatusTemporaryRedirect, "/preview/"+link.Token+rest, ref, port)
	return nil
}

// Again forwards one request as the original was, on the whole way of a
// request, so that it is counted and recorded; recorded is called at its end.
// live is the original's link, nil if it had none.
func (s *Server) Again(o traffic.Original, live *preview.Live, note string, recorded func(api.Exchange)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.enter(w, r, func(v *visit) error {
			v.scheme = o.Scheme
			return s.forward(&hop{visit: v, ref: o.Ref, port: o.Port, live: live, prefix: o.Prefix, rest: o.Target,
				hostMode: o.HostMode, note: note, recorded: recorded})
		})
	})
}

// redirect sends a client to another address of this server.
func (s *Server) redirect(v *visit, status int, location string, ref api.Ref, port int) {
	proxy.Refused(v.w, v.r) // its body is for where it is sent to
	h := v.w.Header()
	h.Set("Location", location)
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Length", "0")
	v.w.WriteHeader(status)
	s.logVisit(v, api.Exchange{Status: status, Sandbox: s.o.Sandboxes.NameOf(ref), Port: port})
}

// forward sends a request to its daemon and its answer back, counts and records it.
func (s *Server) forward(h *hop) error {
	r := h.r
	x := api.Exchange{
		Start: h.start, Method: logging.ShownMethod(r.Method), Sandbox: s.o.Sandboxes.NameOf(h.ref), Ref: h.ref, Port: h.port,
		Kind: "proxy", Protocol: "http", Remote: h.remote,
	}
	x.Path, x.PathSize = traffic.ShownPath(h.rest)
	if h.live != nil {
		x.Kind, x.LinkID = "preview", h.live.ID
	}
	h.rec = s.o.Traffic.Begin(x)
	h.rec.Request(traffic.Sent{
		Scheme: h.scheme, Host: r.Host, Prefix: h.prefix, Target: h.rest, HostMode: h.hostMode, Length: r.ContentLength,
	}, r.Header)
	h.rec.Note(h.note)
	result, err := s.roundTrip(h)
	if result.Tunnel != nil {
		s.tunnel(h, result.Tunnel)
		return nil
	}
	end := count(h.live, result)
	if err != nil {
		begun := end
		h.failed = func(p *api.Problem, bytes int64) {
			end := begun
			end.Status, end.Code, end.BytesOut = p.Status, p.Code, bytes
			s.record(h.rec, h.target(), h.recorded, end)
		}
		return err
	}
	s.record(h.rec, h.target(), h.recorded, end)
	return nil
}

// tunnel starts to serve a WebSocket. It keeps nothing of the request: a
// WebSocket may be idle for hours, and there may be thousands.
func (s *Server) tunnel(h *hop, serve func(context.Context) proxy.Result) {
	live, rec, target, recorded := h.live, h.rec, h.target(), h.recorded
	s.o.Proxy.Go(func() { s.record(rec, target, recorded, count(live, serve(context.Background()))) })
}

// count counts what was forwarded, and returns what to record of it.
func count(live *preview.Live, r proxy.Result) traffic.End {
	if live != nil {
		live.Count(r.BytesIn, r.BytesOut)
	}
	return traffic.End{
		Status: r.Status, Protocol: r.Protocol, Wait: r.Wait, FirstByte: r.FirstByte,
		BytesIn: r.BytesIn, BytesOut: r.BytesOut,
	}
}

// record records the end of what was forwarded.
func (s *Server) record(rec *traffic.Recording, target string, recorded func(api.Exchange), end traffic.End) {
	done := rec.End(end)
	s.logTarget(target, done)
	if recorded != nil {
		recorded(done)
	}
}

// lifetime is a context that ends with parent, with gone, and with the link, of
// which the last two may be nil; release frees it.
func lifetime(
	parent, gone context.Context, link *preview.Live,
) (ctx context.Context, cancel context.CancelCauseFunc, release func()) {
	life, end := context.WithCancelCause(parent)
	never := func() bool { return false }
	forgetLink, forgetDaemon := never, never
	if link != nil {
		revoked := link.Context()
		forgetLink = context.AfterFunc(revoked, func() { end(context.Cause(revoked)) })
	}
	if gone != nil {
		forgetDaemon = context.AfterFunc(gone, func() { end(context.Cause(gone)) })
	}
	return life, end, func() { forgetLink(); forgetDaemon(); end(nil) }
}

func (s *Server) roundTrip(h *hop) (result proxy.Result, err error) {
	if err := s.checkOrigin(h); err != nil {
		return proxy.Result{}, err
	}
	if h.upstream, err = s.o.Sandboxes.Upstream(h.ref); err != nil {
		return proxy.Result{}, err
	}
	r, gone, link := h.r, h.upstream.Until, h.live
	ctx, cancel, release := lifetime(r.Context(), gone, link)
	defer release()
	defer s.streams.remove(&cancel)
	cost := hopCost
	if h.upstream.Loopback {
		cost = hostHopCost
	}
	give, err := s.descriptors.take(ctx, r.RemoteAddr, cost, r.ContentLength != 0 || r.Header.Get("Upgrade") != "")
	if err != nil {
		return proxy.Result{}, err
	}
	defer func() {
		if result.Tunnel == nil {
			give()
		}
	}()
	target := s.target(h)
	target.Response = func(status int, header http.Header) {
		if protocol := h.answered(status, header); protocol != "http" {
			s.streams.add(&cancel)
		}
	}
	result, err = s.o.Proxy.Forward(h.w, proxy.WithContext(ctx, r), target)
	if tunnel := result.Tunnel; tunnel != nil {
		result.Tunnel = func(ctx context.Context) proxy.Result {
			defer give()
			ctx, cancel, release := lifetime(ctx, gone, link)
			defer release()
			s.streams.add(&cancel)
			defer s.streams.remove(&cancel)
			return tunnel(ctx)
		}
	}
	if p, ok := err.(*api.Problem); ok && p.Sandbox == "" { //nolint:errorlint // Forward's own problem, to be completed
		named := *p
		named.Sandbox, named.Port = s.o.Sandboxes.NameOf(h.ref), h.port
		err = &named
	}
	return result, err
}

// target is what the proxy needs to know, but for Response.
func (s *Server) target(h *hop) proxy.Target {
	uri, forwardedPrefix := h.rest, h.prefix
	h.view = preview.View{
		Scheme: h.scheme, Host: h.r.Host, Prefix: h.prefix, HostMode: h.hostMode, Port: h.port,
		OtherPort: s.otherPort(h), IsKey: s.isKey,
	}
	if h.live != nil {
		h.view.Cookies, h.view.Fence, h.view.KeepPrefix = h.live, s.fence(h.visit, h.live), h.live.KeepPrefix
		if h.live.KeepPrefix {
			uri, forwardedPrefix = h.prefix+h.rest, "" // the service would put it before its own
		}
	}
	t := proxy.Target{
		Dial: h.upstream.Dial, DialTimeout: h.upstream.DialTimeout, Pool: h.upstream.Pool, Authority: h.upstream.Authority,
		RequestURI: "/proxy/" + strconv.Itoa(h.port) + uri, ForwardedPrefix: forwardedPrefix,
		RequestBody: h.rec.RequestBody, ResponseBody: h.rec.ResponseBody,
		TunnelIn: h.rec.TunnelIn(), TunnelOut: h.rec.TunnelOut(),
		Header: func(header http.Header) { s.rewriteRequest(h, header) },
	}
	if h.upstream.Loopback {
		t.DialTimeout = nearDial
	}
	if port := h.port; h.upstream.Port != nil {
		dial := h.upstream.Port
		t.Dial = func(ctx context.Context) (net.Conn, error) { return dial(ctx, port) }
		t.Pool, t.Authority = t.Pool+proxy.PoolPort+strconv.Itoa(port), "localhost:"+strconv.Itoa(port)
		t.RequestURI = uri
	}
	return t
}

// rewriteRequest makes the header that the daemon gets.
func (s *Server) rewriteRequest(h *hop, header http.Header) {
	for _, note := range h.view.RewriteRequest(header) {
		h.rec.Note(note)
	}
	if h.trusted {
		header["X-Forwarded-For"] = []string{h.remote}
	}
	delete(header, "X-Allow-Daemon-Port")
	header["Cdn-Loop"] = append(slices.Clone(header["Cdn-Loop"]), s.loopID)
	if h.upstream.Header != nil && h.upstream.Port == nil {
		h.upstream.Header(header)
	}
}

// answered makes the header that the client gets, and records the answer's head.
func (h *hop) answered(status int, header http.Header) (protocol string) {
	for _, note := range h.view.RewriteResponse(status, header) {
		h.rec.Note(note)
	}
	if status < 200 && status != http.StatusSwitchingProtocols {
		return "http"
	}
	if h.cookie != "" {
		header["Set-Cookie"] = append(header["Set-Cookie"], h.cookie)
	}
	protocol = protocolOf(status, header)
	h.rec.Head(status, protocol, header)
	return protocol
}

func protocolOf(status int, h http.Header) string {
	switch {
	case status == http.StatusSwitchingProtocols:
		return "websocket"
	case strings.HasPrefix(h.Get("Content-Type"), "text/event-stream"):
		return "event-stream"
	}
	return "http"
}

// otherPort finds what stands for another port of the same sandbox. A link to
// the daemon's own port is given only to those who have it already.
func (s *Server) otherPort(h *hop) func(int) (string, bool) {
	return func(port int) (string, bool) {
		link, ok := s.o.Links.Find(h.ref, port)
		if !ok || h.alone || link.AllowDaemonPort {
			return "", false
		}
		if h.hostMode {
			return preview.HostURL(s.base(h.visit), h.domain, link.Token), true
		}
		return "/preview/" + link.Token, true
	}
}

// checkOrigin refuses a WebSocket of a page that is neither the preview's own
// nor of a live preview of the same sandbox.
func (s *Server) checkOrigin(h *hop) error {
	r := h.r
	origin := r.Header.Get("Origin")
	if r.Header.Get("Upgrade") == "" || h.live == nil {
		return nil
	}
	if origin == "" {
		if r.Header.Get("Sec-Fetch-Site") == "" && !strings.HasPrefix(r.UserAgent(), "Mozilla/") {
			return nil // a program
		}
	} else if strings.EqualFold(origin, h.origin()) {
		return nil
	} else if _, host, ok := strings.Cut(origin, "://"); ok {
		if token, ok := preview.SplitHost(host, h.domain); ok {
			if other, err := s.o.Links.Resolve(token); err == nil && other.Sandbox == h.ref {
				return nil
			}
		}
	}
	return api.NewProblem(api.CodeCrossOrigin,
		"a page of another origin may not open a WebSocket here", "open the preview itself").In(h.ref.String(), h.port)
}

func (s *Server) logTarget(target string, x api.Exchange) {
	ctx, level := context.Background(), slogLevel(x)
	if !s.log.Enabled(ctx, level) {
		return
	}
	line := "Request: " + logging.ShownMethod(x.Method) + " " + logging.ShownTarget(target) + " " + strconv.Itoa(x.Status)
	s.log.Log(ctx, level, line,
		"duration", x.Duration.Round(time.Microsecond), "bytes", x.BytesOut, "sandbox", x.Sandbox, "port", x.Port)
}
