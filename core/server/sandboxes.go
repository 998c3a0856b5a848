package server

import (
	"net/http"
	"net/url"
	"strings"

	"daemon-proxy/core/api"
)

// named is the sandbox that {name} in a path means.
func (s *Server) named(v values) (api.Ref, error) {
	plain, err := url.PathUnescape(v["name"])
	if err != nil {
		return api.Ref{}, bad(http.StatusBadRequest, api.CodeBadPath, "Bad path", "the sandbox's name has a broken escape", "see GET /api/sandboxes")
	}
	return s.o.Sandboxes.Resolve(plain)
}

func (s *Server) listSandboxes(w http.ResponseWriter, _ *http.Request, _ values) error {
	reply(w, api.SandboxList{Engine: s.o.Sandboxes.Engine(), Sandboxes: s.o.Sandboxes.List()})
	return nil
}

func (s *Server) listPorts(w http.ResponseWriter, r *http.Request, v values) error {
	ref, err := s.named(v)
	if err != nil {
		return err
	}
	ports, err := s.o.Sandboxes.Ports(r.Context(), ref)
	if err != nil {
		return err
	}
	if ports == nil {
		ports = []api.Port{}
	}
	reply(w, api.PortList{Sandbox: ref.String(), Ports: ports})
	return nil
}

func (s *Server) stopDaemon(w http.ResponseWriter, r *http.Request, v values) error {
	ref, err := s.named(v)
	if err != nil {
		return err
	}
	if err := s.o.Sandboxes.StopDaemon(r.Context(), ref); err != nil {
		return err
	}
	box, _ := s.o.Sandboxes.Get(ref)
	reply(w, box)
	return nil
}

// inject answers with the sandbox once its daemon is healthy, or, for a client
// that accepts application/x-ndjson, with each step as it happens.
func (s *Server) inject(w http.ResponseWriter, r *http.Request, v values) error {
	ref, err := s.named(v)
	if err != nil {
		return err
	}
	if !strings.Contains(r.Header.Get("Accept"), "application/x-ndjson") {
		if err := s.o.Sandboxes.Inject(r.Context(), ref, nil); err != nil {
			return err
		}
		box, _ := s.o.Sandboxes.Get(ref)
		reply(w, box)
		return nil
	}
	w.Header().Set("Content-Type", "application/x-ndjson")
	w.Header().Set("Cache-Control", "no-store")
	control := http.NewResponseController(w)
	finished, step := false, api.StepInspect
	err = s.o.Sandboxes.Inject(r.Context(), ref, func(taken api.Injection) {
		finished, step = finished || taken.Finished, taken.Step
		writeJSON(w, taken)
		_ = control.Flush()
	})
	if err != nil && !finished {
		writeJSON(w, api.Injection{Sandbox: ref, Step: step, State: "failed", Error: s.asProblem(err), Finished: true})
	}
	return nil // it is told in the stream
}
