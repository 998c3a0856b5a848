package server

import (
	"time"

	"daemon-proxy/core/api"
	"daemon-proxy/core/preview"
)

// Base is scheme and host (with its port) under which somebody reaches this server.
type Base struct{ Scheme, Host string }

// CreateLink makes a link, for whoever reaches the server under base. Problems:
// those of Sandboxes.Resolve and preview.Links.Create, and CodeLoop for this
// server's own port.
func (s *Server) CreateLink(request api.LinkRequest, base Base) (api.Link, error) {
	ref, err := s.o.Sandboxes.Resolve(request.Sandbox)
	if err != nil {
		return api.Link{}, err
	}
	if err := s.checkLoop(ref, request.Port); err != nil {
		return api.Link{}, err
	}
	wanted := preview.Request{Sandbox: ref, Port: request.Port, Label: request.Label, AllowDaemonPort: request.AllowDaemonPort,
		NoFence: request.Fence != nil && !*request.Fence, KeepPrefix: request.StripPrefix != nil && !*request.StripPrefix}
	if request.TTLSeconds != nil {
		const longest = 100 * 365 * 24 * 3600
		if *request.TTLSeconds < 0 || *request.TTLSeconds > longest {
			return api.Link{}, api.NewProblem(api.CodeBadRequest, "ttl_seconds must be from 0 to 3153600000",
				"0 means until revoked")
		}
		ttl := time.Duration(*request.TTLSeconds) * time.Second
		wanted.TTL = &ttl
	}
	link, err := s.o.Links.Create(wanted)
	if err != nil {
		return api.Link{}, err
	}
	return s.fillIn([]api.Link{link}, base)[0], nil
}

// Links are all links, for whoever reaches the server under base.
func (s *Server) Links(base Base) []api.Link { return s.fillIn(s.o.Links.List(), base) }

// fillIn sets where the links are found under base.
func (s *Server) fillIn(links []api.Link, base Base) []api.Link {
	for i := range links {
		links[i].URL = base.Scheme + "://" + base.Host + "/preview/" + links[i].Token
		if s.HostLinks() {
			links[i].HostURL = base.Scheme + "://" + links[i].Token + "." + s.o.Config.Server.PreviewDomain + portOf(base.Host)
		}
	}
	return links
}

// mode is what daemon.mode means now.
func (s *Server) mode() string {
	if s.o.Mode != nil {
		return s.o.Mode()
	}
	return s.o.Config.Daemon.Mode
}

// FillIn is a link with where it is found under base.
func (s *Server) FillIn(link api.Link, base Base) api.Link {
	return s.fillIn([]api.Link{link}, base)[0]
}
