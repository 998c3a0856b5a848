package server

import (
	"net/url"
	"strconv"

	"daemon-proxy/core/traffic"
)

// Curl is the request of an exchange as a command for a shell, secrets as
// variables, sent to this server at base: "http://localhost:8080".
func (s *Server) Curl(id uint64, base string) (string, error) {
	o, ok := s.o.Traffic.OriginalRequest(id)
	if !ok {
		return "", traffic.UnknownExchange(id)
	}
	if o.LinkID != "" {
		if link, ok := s.o.Links.Get(o.LinkID); ok {
			return o.Curl(base + "/preview/" + link.Token), nil
		}
	}
	var extra []string
	if s.o.Config.Security.Enabled {
		extra = append(extra, `-H "X-API-Key: $API_KEY"`)
	}
	return o.Curl(base+"/sandboxes/"+url.PathEscape(o.Sandbox)+"/proxy/"+strconv.Itoa(o.Port), extra...), nil
}
