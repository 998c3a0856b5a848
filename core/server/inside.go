package server

import (
	"net/http"

	"daemon-proxy/core/api"
	"daemon-proxy/core/preview"
	"daemon-proxy/core/traffic"
)

// Single serves one link in path mode under one address, for people who must
// learn of nothing else: the rest is 404.
func (s *Server) Single(live *preview.Live, address string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.enter(w, r, func(v *visit) error {
			route, err := preview.SplitPath(r.RequestURI)
			if ours := err == nil && route.Kind == preview.KindPreview && route.Token == live.Token; !ours || r.Host != address {
				http.Error(w, "404 page not found", http.StatusNotFound)
				return nil
			}
			if s.looped(r) {
				return loopProblem()
			}
			return s.servePreview(v, route, true)
		})
	})
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
