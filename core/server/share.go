package server

import (
	"net/http"

	"daemon-proxy/core/preview"
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
