package server

import (
	"context"
	"net"
	"net/http"
	"net/netip"

	"daemon-proxy/core/api"
	"daemon-proxy/core/preview"
	"daemon-proxy/core/proxy"
)

// Share serves one link to the network that this machine is on, in path mode,
// until ctx or the link ends. Everything else is 404 there. The link must have
// an expiry. The result is how others reach it; wait ends when serving has.
// Problems: that of a link which has ended, needs_expiry, no_network.
func (s *Server) Share(ctx context.Context, id string) (share api.Share, wait func(), err error) {
	link, ok := s.o.Links.Get(id)
	if !ok {
		return share, nil, api.NewProblem(api.CodeUnknownLink, "there is no such preview link", "see the list of links")
	}
	live, err := s.resolve(link.Token)
	if err != nil {
		return share, nil, err
	}
	if live.ExpiresAt.IsZero() {
		return share, nil, api.NewProblem(api.CodeNeedsExpiry,
			"this link lives until it is revoked; only one that expires is shown to the network",
			"make a new link with a time to live").In(link.SandboxName, link.Port)
	}
	listener, err := listenLAN(ctx)
	if err != nil {
		return share, nil, err
	}
	address := listener.Addr().String()
	server := proxy.NewServer(s.only(live, address), s.log)
	serving, cancel := context.WithCancel(ctx)
	stop := context.AfterFunc(live.Context(), cancel)
	server.BaseContext = func(net.Listener) context.Context { return serving } // its end ends WebSockets too
	closed := context.AfterFunc(serving, func() { _ = server.Close() })
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = server.Serve(listener) // it ends with serving
		stop()
		closed()
		cancel()
	}()
	s.log.Info("a link is shown to the network", "link", live.ID, "address", address, "until", live.ExpiresAt)
	return api.Share{URL: "http://" + address + "/preview/" + live.Token + "/", Expires: live.ExpiresAt}, func() { <-done }, nil
}

// only serves one link in path mode under one address.
func (s *Server) only(live *preview.Live, address string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if endInDispute(r) {
			w.Header()["Connection"] = []string{"close"}
		}
		route, err := preview.SplitPath(r.RequestURI)
		if err != nil || r.Host != address || route.Kind != preview.KindPreview || route.Token != live.Token {
			http.Error(w, "404 page not found", http.StatusNotFound)
			return
		}
		if s.looped(r) {
			s.refuse(w, r, loopProblem())
			return
		}
		s.servePreviewAs(w, r, route, true)
	})
}

// listenLAN listens on this machine's address on the network. No packet is
// sent to find it: the kernel is asked which address it would use.
func listenLAN(ctx context.Context) (net.Listener, error) {
	var address netip.Addr
	var d net.Dialer
	for _, far := range []string{"192.0.2.1:9", "[2001:db8::1]:9"} { // documentation addresses: the default route
		if c, err := d.DialContext(ctx, "udp", far); err == nil {
			if local, ok := c.LocalAddr().(*net.UDPAddr); ok {
				address = local.AddrPort().Addr().Unmap()
			}
			c.Close()
			break
		}
	}
	if !address.IsValid() || address.IsLoopback() || address.IsUnspecified() {
		return nil, api.NewProblem(api.CodeNoNetwork, "this machine has no address on a network",
			"connect it, then try again")
	}
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", netip.AddrPortFrom(address, 0).String())
	if err != nil {
		return nil, api.NewProblem(api.CodeNoNetwork, "cannot listen on "+address.String()+": "+err.Error(),
			"see whether a firewall or VPN is in the way")
	}
	return l, nil
}
