package server

import (
	"context"
	"net/http"
	"time"

	"daemon-proxy/core/preview"
)

// share serves a link on the network for as long as the client is connected: it
// gets the share at once, and again as a sign of life. The stream ends with the
// link, too.
func (m management) share(v *visit, path values) error {
	ctx, cancel := context.WithCancelCause(v.r.Context())
	defer cancel(nil)
	m.streams.add(&cancel)
	defer m.streams.remove(&cancel)
	share, err := m.o.Service.Share(ctx, path["token"])
	if err != nil {
		return err
	}
	if link, ok := m.o.Links.Get(path["token"]); ok {
		if live, err := m.o.Links.Resolve(link.Token); err == nil {
			defer context.AfterFunc(live.Context(), func() { cancel(nil) })()
		} else {
			cancel(nil) // it has just ended
		}
	}
	setOwn(v.w.Header())
	v.w.Header().Set("Content-Type", "application/x-ndjson")
	control := http.NewResponseController(v.w)
	defer endWrites(ctx, control)()
	beat := time.NewTicker(heartbeat)
	defer beat.Stop()
	for {
		if control.SetWriteDeadline(time.Now().Add(longestWrite)) != nil {
			return nil
		}
		writeJSON(v.w, share)
		if control.Flush() != nil {
			return nil
		}
		select {
		case <-beat.C:
		case <-ctx.Done():
			return nil
		}
	}
}

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
