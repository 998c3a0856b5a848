package preview

import (
	"context"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"daemon-proxy/core/api"
	"daemon-proxy/core/config"
)

// longestTTL bounds the time to live of a link, in seconds: 100 years.
const longestTTL = 100 * 365 * 24 * 3600

// Publisher creates links for people and sets the addresses at which they are
// found: it is api.Previews on Links.
type Publisher struct {
	o         PublisherOptions
	hostLinks atomic.Bool // see HostLinks
}

// PublisherOptions configure NewPublisher.
type PublisherOptions struct {
	Links     *Links
	Server    config.Server
	Sandboxes Sandboxes
	// Logger gets the reason why the host form is not used.
	Logger *slog.Logger
}

// Sandboxes is what a Publisher needs of the sandboxes.
type Sandboxes interface {
	// Resolve is a sandbox in full; its problems are those of CreateLink.
	Resolve(ref api.Ref) (api.Ref, error)
	// NameOf is the name by which people and URLs address a sandbox.
	NameOf(ref api.Ref) string
	// Loopback reports whether the sandbox's localhost is this machine's. It
	// starts nothing.
	Loopback(ref api.Ref) bool
}

// NewPublisher returns a Publisher.
func NewPublisher(o PublisherOptions) *Publisher {
	p := &Publisher{o: o}
	p.hostLinks.Store(strings.HasSuffix("."+o.Server.PreviewDomain, ".localhost") && !p.noWildcard())
	return p
}

// Base is the scheme and host under which this machine reaches the server:
// server.public_url, if it is set.
func (p *Publisher) Base() string {
	if url := p.o.Server.PublicURL; url != "" {
		return url
	}
	return p.o.Server.URL()
}

// Links are all links that are remembered, newest first.
func (p *Publisher) Links(context.Context) ([]api.Link, error) {
	return p.WithURLs(p.Base(), p.o.Links.List()), nil
}

// LinkStats counts the links.
func (p *Publisher) LinkStats(context.Context) (api.LinkStats, error) {
	stats := p.o.Links.Stats()
	stats.Links = p.WithURLs(p.Base(), stats.Links)
	return stats, nil
}

// CreateLink creates a link. Problems: those of Sandboxes.Resolve and
// Links.Create, and CodeLoop for the server's own port.
func (p *Publisher) CreateLink(_ context.Context, request api.LinkRequest) (api.Link, error) {
	ref, err := p.o.Sandboxes.Resolve(api.ParseRef(request.Sandbox))
	if err != nil {
		return api.Link{}, err
	}
	if request.Port == p.o.Server.Port && p.o.Sandboxes.Loopback(ref) {
		return api.Link{}, api.NewProblem(api.CodeLoop,
			"port "+strconv.Itoa(request.Port)+" of "+ref.String()+" is daemon-proxy itself",
			"use the port of the service").In(ref.String(), request.Port).WithStatus(409)
	}
	wanted := Request{
		Sandbox: ref, Port: request.Port, Label: request.Label, AllowDaemonPort: request.AllowDaemonPort,
		NoFence:    request.Fence != nil && !*request.Fence,
		KeepPrefix: request.StripPrefix != nil && !*request.StripPrefix,
	}
	if seconds := request.TTLSeconds; seconds != nil {
		if *seconds < 0 || *seconds > longestTTL {
			return api.Link{}, api.NewProblem(api.CodeBadRequest,
				"ttl_seconds must be from 0 to 3153600000", "0 means until revoked")
		}
		ttl := time.Duration(*seconds) * time.Second
		wanted.TTL = &ttl
	}
	link, err := p.o.Links.Create(wanted)
	if err != nil {
		return api.Link{}, err
	}
	return p.WithURLs(p.Base(), []api.Link{link})[0], nil
}

// LinkTo is the newest live link to a port of a sandbox, created if there is none.
func (p *Publisher) LinkTo(ctx context.Context, ref api.Ref, port int, label string) (api.Link, error) {
	if link, ok := p.o.Links.Find(ref, port); ok {
		return p.WithURLs(p.Base(), []api.Link{link})[0], nil
	}
	return p.CreateLink(ctx, api.LinkRequest{Port: port, Sandbox: ref.Long(), Label: label})
}

// RevokeLink ends a link, named by its token or its public id.
func (p *Publisher) RevokeLink(_ context.Context, tokenOrID string) error {
	_, err := p.o.Links.Revoke(tokenOrID)
	return err
}

// WithURLs sets the URLs of links relative to base ("http://localhost:8080"),
// and the names of their sandboxes, in place.
func (p *Publisher) WithURLs(base string, links []api.Link) []api.Link {
	domain := ""
	if p.HostLinks() {
		domain = p.o.Server.PreviewDomain
	}
	for i := range links {
		links[i].SandboxName = p.o.Sandboxes.NameOf(links[i].Sandbox)
	}
	return WithURLs(base, domain, links)
}

// WithURLs sets the URLs of links relative to base ("http://localhost:8080"), in
// place: of the host form too unless domain is empty.
func WithURLs(base, domain string, links []api.Link) []api.Link {
	for i := range links {
		links[i].URL = base + "/preview/" + links[i].Token
		if domain != "" {
			links[i].HostURL = HostURL(base, domain, links[i].Token)
		}
	}
	return links
}

// HostURL is the host form of a link relative to base, whether or not it works
// anywhere.
func HostURL(base, domain, token string) string {
	scheme, host, _ := strings.Cut(base, "://")
	port := ""
	if _, number, err := net.SplitHostPort(host); err == nil && number != "" {
		port = ":" + number
	}
	return scheme + "://" + token + "." + domain + port
}

// HostLinks reports whether the host form of links works on this machine: the
// preview domain is localhost, which browsers resolve themselves, or
// FindHostLinks has found that it leads here.
func (p *Publisher) HostLinks() bool { return p.hostLinks.Load() }

// noWildcard reports whether the certificate from files cannot be for the host
// form: Chromium refuses a wildcard under localhost, whatever authority signed it.
func (p *Publisher) noWildcard() bool {
	return p.o.Server.TLS.Mode == "files" && p.o.Server.PreviewDomain == "localhost"
}

// Lookup is net.Resolver.LookupNetIP.
type Lookup func(ctx context.Context, network, host string) ([]netip.Addr, error)

// FindHostLinks looks up whether the preview domain leads to this machine, or
// to where the public URL leads. It asks for one label that is not a token,
// since a name that is looked up is known to every DNS server on the way. For
// localhost it asks nobody.
func (p *Publisher) FindHostLinks(ctx context.Context, lookup Lookup) {
	if p.HostLinks() {
		return
	}
	if p.noWildcard() {
		p.o.Logger.Warn("the host form of links is off: browsers do not accept a wildcard certificate for localhost; " +
			"with server.tls.mode self-signed each name gets its own")
		return
	}
	name := "probe." + p.o.Server.PreviewDomain
	found, err := lookup(ctx, "ip", name)
	here := ownAddresses()
	if _, host, ok := strings.Cut(p.o.Server.PublicURL, "://"); ok {
		if name, _, err := net.SplitHostPort(host); err == nil {
			host = name
		}
		if public, err := lookup(ctx, "ip", strings.Trim(host, "[]")); err == nil {
			here = append(here, public...)
		}
	}
	for _, addr := range found {
		addr = addr.Unmap()
		if addr.IsLoopback() || slices.ContainsFunc(here, func(a netip.Addr) bool { return a.Unmap() == addr }) {
			p.hostLinks.Store(true)
			return
		}
	}
	p.o.Logger.Warn("the host form of links is off: names under server.preview_domain do not resolve to this machine",
		"looked_up", name, "error", err)
}

func ownAddresses() (own []netip.Addr) {
	addresses, err := net.InterfaceAddrs()
	if err != nil {
		return nil
	}
	for _, address := range addresses {
		if prefix, err := netip.ParsePrefix(address.String()); err == nil {
			own = append(own, prefix.Addr())
		}
	}
	return own
}
