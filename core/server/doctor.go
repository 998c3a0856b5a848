package server

import (
	"context"
	"net/http"
	"time"

	"daemon-proxy/core/api"
)

// diagnose sends each finding as it is made. It ends with the server, and with a client
// that disconnects.
func diagnose(m management, v *visit, _ values) error {
	var ref api.Ref
	if name := v.r.URL.Query().Get("sandbox"); name != "" {
		var err error
		if ref, err = m.o.Sandboxes.Resolve(api.ParseRef(name)); err != nil {
			return err
		}
	}
	ctx, cancel := context.WithCancelCause(v.r.Context())
	defer cancel(nil)
	m.streams.add(&cancel)
	defer m.streams.remove(&cancel)
	control := http.NewResponseController(v.w)
	defer endWrites(ctx, control)()
	begun := false
	err := m.o.Service.Diagnose(ctx, ref, func(f api.Finding) {
		if !begun {
			begun = true
			v.w.Header().Set("Content-Type", "application/x-ndjson")
			v.w.Header().Set("Cache-Control", "no-store")
		}
		if control.SetWriteDeadline(time.Now().Add(longestWrite)) != nil {
			return
		}
		writeJSON(v.w, f)
		_ = control.Flush() // the next write fails if the client has gone
	})
	if begun {
		return nil // the stream reported it, or lacks its end
	}
	return err
}
