package server

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"daemon-proxy/core/api"
	"daemon-proxy/core/logging"
	"daemon-proxy/core/preview"
	"daemon-proxy/core/proxy"
	"daemon-proxy/core/traffic"
)

// nearDial bounds a connection to a daemon on this machine. One that is down
// refuses it at once; it only takes long where very many connect at a time, and
// then the kernel tries again after 1, 3, 7 and 15 s.
const nearDial = 30 * time.Second

// hop says where a request goes and what its client sees of it.
type hop struct {
	ref      api.Ref
	port     int
	live     *preview.Live // nil for /proxy and /sandboxes
	prefix   string        // empty in host mode
	rest     string        // what the service gets of the target
	hostMode bool
	note     string // a remark for the request log
	cookie   string // a Set-Cookie line of the front's own; empty: none

	scheme string             // what the client saw; empty: as the request came
	alone  bool               // it must not learn of other links
	ended  func(api.Exchange) // is told what was recorded; nil: nobody
}

func (s *Server) servePreviewHost(w http.ResponseWriter, r *http.Request, token string) {
	if s.looped(r) {
		s.refuse(w, r, loopProblem())
		return
	}
	live, err := s.o.Links.Resolve(token)
	if err == nil {
		err = preview.CheckTarget(r.RequestURI)
	}
	if err != nil {
		s.refuse(w, r, err)
		return
	}
	s.forward(w, r, hop{ref: live.Sandbox, port: live.Port, live: live, rest: r.RequestURI, hostMode: true})
}

func (s *Server) servePreview(w http.ResponseWriter, r *http.Request, route preview.Route) {
	s.servePreviewAs(w, r, route, false)
}

// servePreviewAs serves a link in path mode; alone says that other links must
// stay unknown to its client.
func (s *Server) servePreviewAs(w http.ResponseWriter, r *http.Request, route preview.Route, alone bool) {
	live, err := s.o.Links.Resolve(route.Token)
	if err != nil {
		s.refuse(w, r, err)
		return
	}
	if s.belongsOnHost(r) {
		s.redirect(w, r, http.StatusTemporaryRedirect, s.hostForm(r, live, route), live.Sandbox, live.Port)
		return
	}
	if route.Bare() {
		s.redirect(w, r, http.StatusPermanentRedirect, route.Prefix+"/"+route.Rest, live.Sandbox, live.Port)
		return
	}
	h := hop{ref: live.Sandbox, port: live.Port, live: live, prefix: route.Prefix, rest: route.Rest, alone: alone}
	if !alone {
		h.cookie = s.visited(r, live)
	}
	s.forward(w, r, h)
}

// serveProxy answers /proxy/{port}/… and /sandboxes/{name}/proxy/{port}/….
func (s *Server) serveProxy(w http.ResponseWriter, r *http.Request, route preview.Route) {
	port, err := preview.ParsePort(route.Port)
	if err != nil {
		s.refuse(w, r, err)
		return
	}
	name := route.Sandbox
	if plain, err := url.PathUnescape(name); err == nil {
		name = plain
	}
	ref, err := s.o.Sandboxes.Resolve(api.ParseRef(name))
	if err == nil && preview.IsDaemonPort(port, s.o.Config.Daemon.Port) && r.Header.Get("X-Allow-Daemon-Port") != "true" {
		err = preview.DaemonPort(port, "a program that means it sends X-Allow-Daemon-Port: true")
	}
	if err != nil {
		s.refuse(w, r, err)
		return
	}
	if typed(r) {
		s.toPreview(w, r, ref, port, route.Rest)
		return
	}
	if route.Bare() {
		s.redirect(w, r, http.StatusPermanentRedirect, route.Prefix+"/"+route.Rest, ref, port)
		return
	}
	s.forward(w, r, hop{ref: ref, port: port, prefix: route.Prefix, rest: route.Rest})
}

// toPreview sends a person who typed the address of a port to a preview link
// of it, which is where browsers belong.
func (s *Server) toPreview(w http.ResponseWriter, r *http.Request, ref api.Ref, port int, rest string) {
	link, err := s.o.Publisher.LinkTo(r.Context(), ref, port, "")
	if err != nil {
		s.refuse(w, r, err)
		return
	}
	if !strings.HasPrefix(rest, "/") {
		rest = "/" + rest
	}
	s.redirect(w, r, http.StatusTemporaryRedirect, "/preview/"+link.Token+rest, ref, port)
}

// redirect sends a client to another address of this server.
func (s *Server) redirect(w http.ResponseWriter, r *http.Request, status int, location string, ref api.Ref, port int) {
	start := time.Now()
	proxy.Refused(w, r) // its body is for where it is sent to
	h := w.Header()
	h.Set("Location", location)
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Length", "0")
	w.WriteHeader(status)
	s.logRequest(r, api.Exchange{Method: r.Method, Status: status, Sandbox: ref.String(), Port: port, Duration: time.Since(start)})
}

// forward sends a request to its daemon and its answer back, counts and records it.
func (s *Server) forward(w http.ResponseWriter, r *http.Request, h hop) {
	x := api.Exchange{Start: time.Now(), Method: logging.ShownMethod(r.Method), Sandbox: h.ref.String(), Ref: h.ref, Port: h.port, Kind: "proxy", Protocol: "http", Remote: s.remote(r)}
	x.Path, x.PathSize = traffic.ShownPath(h.rest)
	if h.live != nil {
		x.Kind, x.LinkID = "preview", h.live.ID
	}
	rec := s.o.Traffic.Begin(x)
	if h.scheme == "" {
		h.scheme = s.scheme(r)
	}
	rec.Request(traffic.Sent{Scheme: h.scheme, Host: r.Host, Prefix: h.prefix, Target: h.rest, HostMode: h.hostMode, Length: r.ContentLength}, r.Header)
	rec.Note(h.note)
	result, err := s.roundTrip(w, r, h, rec)
	target := s.loggedTarget(r)
	if result.Tunnel != nil {
		s.tunnel(h, rec, target, result.Tunnel)
		return
	}
	end := h.count(result)
	if err != nil {
		p := s.asProblem(err)
		counted := &statusWriter{ResponseWriter: w}
		s.answer(counted, r, p)
		end.Status, end.Code, end.BytesOut = p.Status, p.Code, counted.bytes
	}
	s.ended(h, rec, target, end)
}

// tunnel starts to serve a WebSocket. It keeps nothing of the request: a
// WebSocket may be idle for hours, and there may be thousands.
func (s *Server) tunnel(h hop, rec *traffic.Recording, target string, serve func(context.Context) proxy.Result) {
	s.o.Proxy.Go(func() { s.ended(h, rec, target, h.count(serve(context.Background()))) })
}

// count counts what was forwarded, and returns what to record of it.
func (h hop) count(r proxy.Result) traffic.End {
	if h.live != nil {
		h.live.Count(r.BytesIn, r.BytesOut)
	}
	return traffic.End{
		Status: r.Status, Protocol: r.Protocol, Wait: r.Wait, FirstByte: r.FirstByte,
		BytesIn: r.BytesIn, BytesOut: r.BytesOut,
	}
}

// ended records the end of what was forwarded.
func (s *Server) ended(h hop, rec *traffic.Recording, target string, end traffic.End) {
	done := rec.End(end)
	s.logTarget(target, done)
	if h.ended != nil {
		h.ended(done)
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

func (s *Server) roundTrip(
	w http.ResponseWriter, r *http.Request, h hop, rec *traffic.Recording,
) (result proxy.Result, err error) {
	scheme := h.scheme
	if err := s.checkOrigin(r, h, scheme); err != nil {
		return proxy.Result{}, err
	}
	up, err := s.o.Sandboxes.Upstream(h.ref)
	if err != nil {
		return proxy.Result{}, err
	}
	view := preview.View{Scheme: scheme, Host: r.Host, Prefix: h.prefix, HostMode: h.hostMode, Port: h.port, OtherPort: s.otherPort(r, h), IsKey: s.isKey}
	uri, forwardedPrefix := h.rest, h.prefix
	if h.live != nil {
		view.Cookies, view.Fence, view.KeepPrefix = h.live, s.fence(r, h.live), h.live.KeepPrefix
		if h.live.KeepPrefix {
			uri, forwardedPrefix = h.prefix+h.rest, "" // it would put a prefix that it is told before its own
		}
	}
	ctx, cancel, release := lifetime(r.Context(), up.Until, h.live)
	defer release()
	defer s.streamEnded(&cancel)
	cost, dialTimeout := hopCost, time.Duration(0)
	if up.Loopback {
		cost, dialTimeout = hostHopCost, nearDial
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
	target := proxy.Target{
		Dial: up.Dial, DialTimeout: dialTimeout, Pool: up.Pool, Authority: up.Authority, RequestURI: "/proxy/" + strconv.Itoa(h.port) + uri,
		ForwardedPrefix: forwardedPrefix, RequestBody: rec.RequestBody, ResponseBody: rec.ResponseBody,
		TunnelIn: rec.TunnelIn(), TunnelOut: rec.TunnelOut(),
		Header: func(header http.Header) {
			for _, note := range view.RewriteRequest(header) {
				rec.Note(note)
			}
			if s.fromTrusted(r) {
				header["X-Forwarded-For"] = []string{s.remote(r)}
			}
			delete(header, "X-Allow-Daemon-Port")
			header["Cdn-Loop"] = append(slices.Clone(header["Cdn-Loop"]), s.loopID)
			if up.Header != nil {
				up.Header(header)
			}
		},
		Response: func(status int, header http.Header) {
			for _, note := range view.RewriteResponse(status, header) {
				rec.Note(note)
			}
			if status < 200 && status != http.StatusSwitchingProtocols {
				return
			}
			if h.cookie != "" {
				header["Set-Cookie"] = append(header["Set-Cookie"], h.cookie)
			}
			protocol := protocolOf(status, header)
			if protocol != "http" {
				s.stream(&cancel)
			}
			rec.Head(status, protocol, header)
		},
	}
	result, err = s.o.Proxy.Forward(w, proxy.WithContext(ctx, r), target)
	if tunnel := result.Tunnel; tunnel != nil {
		gone, link := up.Until, h.live
		result.Tunnel = func(ctx context.Context) proxy.Result {
			defer give()
			ctx, cancel, release := lifetime(ctx, gone, link)
			defer release()
			s.stream(&cancel)
			defer s.streamEnded(&cancel)
			return tunnel(ctx)
		}
	}
	if p, ok := err.(*api.Problem); ok && p.Sandbox == "" { //nolint:errorlint // Forward's own problem, to be completed
		named := *p
		named.Sandbox, named.Port = h.ref.String(), h.port
		err = &named
	}
	return result, err
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
// the daemon's own port is told to nobody who has not got it.
func (s *Server) otherPort(r *http.Request, h hop) func(int) (string, bool) {
	return func(port int) (string, bool) {
		link, ok := s.o.Links.Find(h.ref, port)
		if !ok || h.alone || link.AllowDaemonPort {
			return "", false
		}
		if h.hostMode {
			return s.o.Publisher.HostURL(s.base(r), link.Token), true
		}
		return "/preview/" + link.Token, true
	}
}

// checkOrigin refuses a WebSocket of a page that is neither the preview's own
// nor of a live preview of the same sandbox.
func (s *Server) checkOrigin(r *http.Request, h hop, scheme string) error {
	origin := r.Header.Get("Origin")
	if r.Header.Get("Upgrade") == "" || h.live == nil {
		return nil
	}
	if origin == "" {
		if r.Header.Get("Sec-Fetch-Site") == "" && !strings.HasPrefix(r.UserAgent(), "Mozilla/") {
			return nil // a program
		}
	} else if strings.EqualFold(origin, scheme+"://"+r.Host) {
		return nil
	} else if _, host, ok := strings.Cut(origin, "://"); ok {
		if token, ok := preview.SplitHost(host, s.o.Config.Server.PreviewDomain); ok {
			if other, err := s.o.Links.Resolve(token); err == nil && other.Sandbox == h.ref {
				return nil
			}
		}
	}
	return api.NewProblem(api.CodeCrossOrigin,
		"a page of another origin may not open a WebSocket here", "open the preview itself").In(h.ref.String(), h.port)
}

// logRequest writes the one line of an exchange.
func (s *Server) logRequest(r *http.Request, x api.Exchange) { s.logTarget(s.loggedTarget(r), x) }

// loggedTarget is what the line names: the same in path and in host mode.
func (s *Server) loggedTarget(r *http.Request) string {
	if token, ok := preview.SplitHost(r.Host, s.o.Config.Server.PreviewDomain); ok {
		return "/preview/" + token + r.RequestURI
	}
	return r.RequestURI
}

func (s *Server) logTarget(target string, x api.Exchange) {
	ctx, level := context.Background(), slogLevel(x)
	if !s.log.Enabled(ctx, level) {
		return
	}
	s.log.Log(ctx, level, "Request: "+logging.ShownMethod(x.Method)+" "+logging.ShownTarget(target)+" "+strconv.Itoa(x.Status),
		"duration", x.Duration.Round(time.Microsecond), "bytes", x.BytesOut, "sandbox", x.Sandbox, "port", x.Port)
}
