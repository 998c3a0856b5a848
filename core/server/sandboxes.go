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
func (s *Server) named(v values) (api.Ref, error) {
	plain, err := url.PathUnescape(v["name"])
	if err != nil {
		return api.Ref{}, api.NewProblem(api.CodeBadPath, "the sandbox's name has a broken escape",
			"see GET /api/sandboxes")
	}
	return s.o.Sandboxes.Resolve(api.ParseRef(plain))
}

func (s *Server) listSandboxes(w http.ResponseWriter, r *http.Request, _ values) error {
	s.o.Sandboxes.Settle()
	engine, err := s.o.Service.Engine(r.Context())
	if err != nil {
		return err
	}
	boxes, err := s.o.Service.Sandboxes(r.Context())
	if err != nil {
		return err
	}
	reply(w, api.SandboxList{Engine: engine, Sandboxes: boxes})
	return nil
}

func (s *Server) listPorts(w http.ResponseWriter, r *http.Request, v values) error {
	ref, err := s.named(v)
	if err != nil {
		return err
	}
	cards := []api.PortCard{}
	if r.URL.Query().Get("identify") == "true" {
		if cards, err = s.o.Service.Ports(r.Context(), ref); err != nil {
			return err
		}
	} else {
		ports, err := s.o.Service.Listeners(r.Context(), ref)
		if err != nil {
			return err
		}
		for _, port := range ports {
			cards = append(cards, api.PortCard{Port: port})
		}
	}
	reply(w, api.NewPortList(ref, cards))
	return nil
}

// changes does something to a sandbox and answers with its state afterwards.
func changes(change func(api.Service, context.Context, api.Ref) error) func(*Server, http.ResponseWriter, *http.Request, values) error {
	return func(s *Server, w http.ResponseWriter, r *http.Request, v values) error {
		ref, err := s.named(v)
		if err != nil {
			return err
		}
		if err := change(s.o.Service, r.Context(), ref); err != nil {
			return err
		}
		return s.replySandbox(w, r, ref)
	}
}

func (s *Server) replySandbox(w http.ResponseWriter, r *http.Request, ref api.Ref) error {
	box, err := s.o.Service.Sandbox(r.Context(), ref)
	if err != nil {
		return err
	}
	reply(w, box)
	return nil
}

// logs sends a log as it was written. With follow it ends with the server, as
// other streams do, and with a client that does not read.
func (s *Server) logs(w http.ResponseWriter, r *http.Request, v values) error {
	ref, err := s.named(v)
	if err != nil {
		return err
	}
	query := r.URL.Query()
	tail := -1
	if text := query.Get("tail"); text != "" {
		if tail, err = strconv.Atoi(text); err != nil || tail < 0 {
			return api.NewProblem(api.CodeBadRequest, "tail is no whole number from 0 on",
				"leave it away for the whole log")
		}
	}
	ctx, cancel := context.WithCancelCause(r.Context())
	defer cancel(nil)
	s.stream(&cancel)
	defer s.streamEnded(&cancel)
	log, err := s.o.Service.Logs(ctx, ref, cmp.Or(query.Get("source"), api.LogDaemon), tail, query.Get("follow") == "true")
	if err != nil {
		return err
	}
	defer log.Close()
	h := w.Header()
	h.Set("Content-Type", "text/plain; charset=utf-8")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	if r.Method == http.MethodHead {
		return nil
	}
	control := http.NewResponseController(w)
	defer context.AfterFunc(ctx, func() { _ = control.SetWriteDeadline(time.Now().Add(lastWrite)) })()
	if control.Flush() != nil { // so that a log in which nothing happens begins
		return nil
	}
	piece := make([]byte, 32<<10)
	for {
		n, err := log.Read(piece)
		if _, failed := w.Write(piece[:n]); failed != nil || err != nil {
			return nil
		}
		if control.SetWriteDeadline(time.Now().Add(longestWrite)) != nil || control.Flush() != nil {
			return nil
		}
	}
}

// inject answers with the sandbox once its daemon is healthy, or, for a client
// that accepts application/x-ndjson, with each step as it happens.
func (s *Server) inject(w http.ResponseWriter, r *http.Request, v values) error {
	ref, err := s.named(v)
	if err != nil {
		return err
	}
	if !strings.Contains(r.Header.Get("Accept"), "application/x-ndjson") {
		if err := s.o.Service.Inject(r.Context(), ref, nil); err != nil {
			return err
		}
		return s.replySandbox(w, r, ref)
	}
	w.Header().Set("Content-Type", "application/x-ndjson")
	w.Header().Set("Cache-Control", "no-store")
	control := http.NewResponseController(w)
	finished, step := false, api.StepInspect
	err = s.o.Service.Inject(r.Context(), ref, func(taken api.Injection) {
		finished, step = finished || taken.Finished, taken.Step
		writeJSON(w, taken)
		_ = control.Flush()
	})
	if err != nil && !finished {
		writeJSON(w, api.Injection{Sandbox: ref, Step: step, State: "failed", Error: s.asProblem(err), Finished: true})
	}
	return nil // it is told in the stream
}
