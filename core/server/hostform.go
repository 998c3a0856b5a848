package server

import (
	"context"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"

	"daemon-proxy/core/preview"
)

// HostLinks says whether the host form of links works on this machine: the
// preview domain is localhost, which browsers resolve by themselves, or
// FindHostLinks has found that it leads here.
func (s *Server) HostLinks() bool { return s.hostLinks.Load() }

// noWildcard says that the certificate from files cannot be for the host form:
// Chromium refuses a wildcard under localhost, whoever has signed it.
func (s *Server) noWildcard() bool {
	return s.o.Config.Server.TLS.Mode == "files" && s.o.Config.Server.PreviewDomain == "localhost"
}

// Lookup is net.Resolver.LookupNetIP.
type Lookup func(ctx context.Context, network, host string) ([]netip.Addr, error)

// FindHostLinks looks up whether the preview domain leads to this machine, or
// to where the public URL leads. It asks for one label that is no token, since
// a name that is looked up is known to every DNS server on the way. For
// localhost it asks nobody.
func (s *Server) FindHostLinks(ctx context.Context, lookup Lookup) {
	if s.HostLinks() {
		return
	}
	if s.noWildcard() {
		s.log.Warn("the host form of links is not handed out: browsers take no certificate for all names under localhost; server.tls.mode self-signed makes one for each")
		return
	}
	name := "probe." + s.o.Config.Server.PreviewDomain
	found, err := lookup(ctx, "ip", name)
	here := ownAddresses()
	if url := s.o.Config.Server.PublicURL; url != "" {
		_, host, _ := strings.Cut(url, "://")
		if public, err := lookup(ctx, "ip", hostOf(host)); err == nil {
			here = append(here, public...)
		}
	}
	for _, addr := range found {
		if addr = addr.Unmap(); addr.IsLoopback() || slices.ContainsFunc(here, func(a netip.Addr) bool { return a.Unmap() == addr }) {
			s.hostLinks.Store(true)
			return
		}
	}
	s.log.Warn("the host form of links does not work and is not handed out: names under server.preview_domain do not lead to this machine", "looked_up", name, "error", err)
}

func ownAddresses() (own []netip.Addr) {
	interfaces, err := net.InterfaceAddrs()
	if err != nil {
		return nil
	}
	for _, i := range interfaces {
		if prefix, err := netip.ParsePrefix(i.String()); err == nil {
			own = append(own, prefix.Addr())
		}
	}
	return own
}

// belongsOnHost says whether a browser that opens a path link should get the
// host form: there the preview is isolated from all others.
func (s *Server) belongsOnHost(r *http.Request) bool {
	return s.o.Config.Preview.RedirectToHost && s.HostLinks() && hostOf(r.Host) == "localhost" &&
		(r.Method == http.MethodGet || r.Method == http.MethodHead) &&
		r.Header.Get("Sec-Fetch-Mode") == "navigate" && r.Header.Get("Sec-Fetch-Dest") == "document" && !isSafari(r.UserAgent())
}

// isSafari says whether a browser is Safari or, on iOS, built on it: these do
// not resolve names under localhost.
func isSafari(agent string) bool {
	return strings.Contains(agent, "AppleWebKit/") && !strings.Contains(agent, "Chrome/") && !strings.Contains(agent, "Chromium/")
}

// hostForm is where a request to a path link goes in host mode.
func (s *Server) hostForm(r *http.Request, live *preview.Live, route preview.Route) string {
	rest := route.Rest
	if !strings.HasPrefix(rest, "/") {
		rest = "/" + rest
	}
	if live.KeepPrefix {
		rest = route.Prefix + rest
	}
	return s.scheme(r) + "://" + live.Token + "." + s.o.Config.Server.PreviewDomain + portOf(r.Host) + rest
}

// portFence is the fence for one port in Host.
type portFence struct {
	port  string
	fence *preview.Fence
}

// fence is the one around the answers of a link, nil for none.
func (s *Server) fence(r *http.Request, live *preview.Live) *preview.Fence {
	if live.NoFence || !s.o.Config.Preview.Fence {
		return nil
	}
	port := portOf(r.Host)
	if last := s.fences.Load(); last != nil && last.port == port {
		return last.fence
	}
	made := &portFence{port, preview.NewFence("host"+port, s.o.Config.Server.PreviewDomain)}
	s.fences.Store(made)
	return made.fence
}
