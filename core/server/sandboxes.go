package server

import (
	"cmp"
	"context"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"daemon-proxy/core/api"
)

// named is the sandbox that {name} in a path means.
func (s *Server) named(path values) (api.Ref, error) {
	plain, err := url.PathUnescape(path["name"])
	if err != nil {
		return api.Ref{}, api.NewProblem(api.CodeBadPath, "the sandbox's name has an invalid escape",
			"see GET /api/sandboxes")
	}
	return s.o.Sandboxes.Resolve(api.ParseRef(plain))
}

func (s *Server) listSandboxes(v *visit, _ values) error {
	s.o.Sandboxes.Settle()
	engine, err := s.o.Service.Engine(v.r.Context())
	if err != nil {
		return err
	}
	boxes, err := s.o.Service.Sandboxes(v.r.Context())
	if err != nil {
		return err
	}
	reply(v.w, api.SandboxList{Engine: engine, Sandboxes: boxes})
	return nil
}

func (s *Server) listPorts(v *visit, path values) error {
	ref, err := s.named(path)
	if err != nil {
		return err
	}
	cards := []api.PortCard{}
	if v.r.URL.Query().Get("identify") == "true" {
		if cards, err = s.o.Service.Ports(v.r.Context(), ref); err != nil {
			return err
		}
	} else {
		ports, err := s.o.Service.Listeners(v.r.Context(), ref)
		if err != nil {
			return err
		}
		for _, port := range ports {
			cards = append(cards, api.PortCard{Port: port})
		}
	}
	reply(v.w, api.NewPortList(ref, cards))
	return nil
}

// changes does something to a sandbox and answers with its state afterwards.
func changes(change func(api.Service, context.Context, api.Ref) error) func(*Server, *visit, values) error {
	return func(s *Server, v *visit, path values) error {
		ref, err := s.named(path)
		if err != nil {
			return err
		}
		if err := change(s.o.Service, v.r.Context(), ref); err != nil {
			return err
		}
		return s.replySandbox(v, ref)
	}
}

func (s *Server) replySandbox(v *visit, ref api.Ref) error {
	box, err := s.o.Service.Sandbox(v.r.Context(), ref)
	if err != nil {
		return err
	}
	reply(v.w, box)
	return nil
}

// logs sends a log as it was written. With follow it ends with the server, as
// other streams do, and with a client that does not read.
func (s *Server) logs(v *visit, path values) error {
	ref, err := s.named(path)
	if err != nil {
		return err
	}
	query := v.r.URL.Query()
	tail := -1
	if text := query.Get("tail"); text != "" {
		if tail, err = strconv.Atoi(text); err != nil || tail < 0 {
			return api.NewProblem(api.CodeBadRequest, "tail must be a non-negative integer",
				"omit it to get the whole log")
		}
	}
	ctx, cancel := context.WithCancelCause(v.r.Context())
	defer cancel(nil)
	s.stream(&cancel)
	defer s.streamEnded(&cancel)
	log, err := s.o.Service.Logs(ctx, ref, cmp.Or(query.Get("source"), api.LogDaemon), tail, query.Get("follow") == "true")
	if err != nil {
		return err
	}
	defer log.Close()
	h := v.w.Header()
	h.Set("Content-Type", "text/plain; charset=utf-8")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	if v.r.Method == http.MethodHead {
		return nil
	}
	control := http.NewResponseController(v.w)
	defer context.AfterFunc(ctx, func() { _ = control.SetWriteDeadline(time.Now().Add(lastWrite)) })()
	if control.Flush() != nil { // so that a log in which nothing happens begins
		return nil
	}
	piece := make([]byte, 32<<10)
	for {
		n, err := log.Read(piece)
		if _, failed := v.w.Write(piece[:n]); failed != nil || err != nil {
			return nil
		}
		if control.SetWriteDeadline(time.Now().Add(longestWrite)) != nil || control.Flush() != nil {
			return nil
		}
	}
}

// inject answers with the sandbox once its daemon is healthy, or, for a client
// that accepts application/x-ndjson, with each step as it happens.
func (s *Server) inject(v *visit, path values) error {
	ref, err := s.named(path)
	if err != nil {
		return err
	}
	if !strings.Contains(v.r.Header.Get("Accept"), "application/x-ndjson") {
		if err := s.o.Service.Inject(v.r.Context(), ref, nil); err != nil {
			return err
		}
		return s.replySandbox(v, ref)
	}
	v.w.Header().Set("Content-Type", "application/x-ndjson")
	v.w.Header().Set("Cache-Control", "no-store")
	control := http.NewResponseController(v.w)
	finished, step := false, api.StepInspect
	err = s.o.Service.Inject(v.r.Context(), ref, func(taken api.Injection) {
		finished, step = finished || taken.Finished, taken.Step
		writeJSON(v.w, taken)
		_ = control.Flush()
	})
	if err != nil && !finished {
		writeJSON(v.w, api.Injection{Sandbox: ref, Step: step, State: "failed", Error: s.asProblem(err), Finished: true})
	}
	return nil // the stream reported it
}
