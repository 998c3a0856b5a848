package server

import (
	"net/http"

	"daemon-proxy/core/api"
	"daemon-proxy/core/preview"
	"daemon-proxy/core/traffic"
)

// Single serves one link in path mode under one address, for people who must learn of
// nothing else: the rest is 404.
func (s *Server) Single(live *preview.Live, address string) http.Handler {
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

// Again forwards one request as the original was, on the whole way of a
// request, so that it is counted and recorded; recorded is called at its end.
// live is the original's link, nil if it had none.
func (s *Server) Again(o traffic.Original, live *preview.Live, note string, recorded func(api.Exchange)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.forward(w, r, hop{ref: o.Ref, port: o.Port, live: live, prefix: o.Prefix, rest: o.Target, hostMode: o.HostMode,
			scheme: o.Scheme, note: note, ended: recorded})
	})
}
