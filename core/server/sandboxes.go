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
func (m management) named(path values) (api.Ref, error) {
	plain, err := url.PathUnescape(path["name"])
	if err != nil {
		return api.Ref{}, api.NewProblem(api.CodeBadPath, "the sandbox's name has an invalid escape",
			"see GET /api/sandboxes")
	}
	return m.o.Sandboxes.Resolve(api.ParseRef(plain))
}

func (m management) listSandboxes(v *visit, _ values) error {
	m.o.Sandboxes.Settle()
	engine, err := m.o.Service.Engine(v.r.Context())
	if err != nil {
		return err
	}
	boxes, err := m.o.Service.Sandboxes(v.r.Context())
	if err != nil {
		return err
	}
	engines, err := m.o.Service.EngineStates(v.r.Context())
	if err != nil {
		return err
	}
	reply(v.w, api.SandboxList{Engine: engine, Engines: append([]api.EngineStatus{}, engines...), Sandboxes: boxes})
	return nil
}

func (m management) listPorts(v *visit, path values) error {
	ref, err := m.named(path)
	if err != nil {
		return err
	}
	cards := []api.PortCard{}
	if v.r.URL.Query().Get("identify") == "true" {
		if cards, err = m.o.Service.Ports(v.r.Context(), ref); err != nil {
			return err
		}
	} else {
		ports, err := m.o.Service.Listeners(v.r.Context(), ref)
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
func changes(change func(api.Service, context.Context, api.Ref) error) func(management, *visit, values) error {
	return func(m management, v *visit, path values) error {
		ref, err := m.named(path)
		if err != nil {
			return err
		}
		if err := change(m.o.Service, v.r.Context(), ref); err != nil {
			return err
		}
		return m.replySandbox(v, ref)
	}
}

// replySandbox answers with the state of a sandbox after a change that succeeded.
// The sandbox may be gone by now: a container of docker run --rm is once it is
// stopped, and the engine may have been left or lost.
func (m management) replySandbox(v *visit, ref api.Ref) error {
	box, err := m.o.Service.Sandbox(v.r.Context(), ref)
	if err != nil {
		box = api.Sandbox{Ref: ref, Kind: "container", Container: api.ContainerMissing}
		box.Daemon.State = api.DaemonStopped
	}
	reply(v.w, box)
	return nil
}

// logs sends a log as it was written. With follow it ends with the server, as
// other streams do, and with a client that does not read.
func (m management) logs(v *visit, path values) error {
	ref, err := m.named(path)
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
	m.streams.add(&cancel)
	defer m.streams.remove(&cancel)
	log, err := m.o.Service.Logs(ctx, ref, cmp.Or(query.Get("source"), api.LogDaemon), tail, query.Get("follow") == "true")
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
	defer endWrites(ctx, control)()
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
func (m management) inject(v *visit, path values) error {
	ref, err := m.named(path)
	if err != nil {
		return err
	}
	if !strings.Contains(v.r.Header.Get("Accept"), "application/x-ndjson") {
		if err := m.o.Service.Inject(v.r.Context(), ref, nil); err != nil {
			return err
		}
		return m.replySandbox(v, ref)
	}
	v.w.Header().Set("Content-Type", "application/x-ndjson")
	v.w.Header().Set("Cache-Control", "no-store")
	control := http.NewResponseController(v.w)
	finished, step := false, api.StepInspect
	err = m.o.Service.Inject(v.r.Context(), ref, func(taken api.Injection) {
		finished, step = finished || taken.Finished, taken.Step
		writeJSON(v.w, taken)
		_ = control.Flush()
	})
	if err != nil && !finished {
		writeJSON(v.w, api.Injection{Sandbox: ref, Step: step, State: "failed", Error: m.asProblem(err), Finished: true})
	}
	return nil // the stream reported it
}
