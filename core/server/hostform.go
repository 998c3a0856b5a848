package server

import (
	"net/http"
	"strings"

	"daemon-proxy/core/preview"
)

// belongsOnHost reports whether a browser that opens a path link should get the
// host form: there the preview is isolated from all others.
func (s *Server) belongsOnHost(v *visit) bool {
	r := v.r
	return s.o.Config.Preview.RedirectToHost && s.hostLinks(v) && v.name == "localhost" &&
		(r.Method == http.MethodGet || r.Method == http.MethodHead) &&
		r.Header.Get("Sec-Fetch-Mode") == "navigate" &&
		r.Header.Get("Sec-Fetch-Dest") == "document" && !isSafari(r.UserAgent())
}

// isSafari reports whether a browser is Safari or, on iOS, built on it: these do
// not resolve names under localhost.
func isSafari(agent string) bool {
	return strings.Contains(agent, "AppleWebKit/") &&
		!strings.Contains(agent, "Chrome/") && !strings.Contains(agent, "Chromium/")
}

// hostForm is where a request to a path link goes in host mode.
func (s *Server) hostForm(v *visit, live *preview.Live, route preview.Route) string {
	rest := route.Rest
	if !strings.HasPrefix(rest, "/") {
		rest = "/" + rest
	}
	if live.KeepPrefix {
		rest = route.Prefix + rest
	}
	return preview.HostURL(v.origin(), v.domain, live.Token) + rest
}

// portFence is the fence for one port in Host and one domain of previews.
type portFence struct {
	port, domain string
	fence        *preview.Fence
}

// fence is the one around the answers of a link, nil for none.
func (s *Server) fence(v *visit, live *preview.Live) *preview.Fence {
	if live.NoFence || !s.o.Config.Preview.Fence {
		return nil
	}
	if last := s.fences.Load(); last != nil && last.port == v.port && last.domain == v.domain {
		return last.fence
	}
	made := &portFence{v.port, v.domain, preview.NewFence("host"+v.port, v.domain)}
	s.fences.Store(made)
	return made.fence
}
