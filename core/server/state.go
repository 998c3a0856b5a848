package server

import (
	"context"
	"net/url"

	"daemon-proxy/core/api"
)

// status describes the core, at the address under which the client reaches it.
func (m management) status(v *visit, _ values) error {
	status, err := m.o.Service.Status(v.r.Context())
	if err != nil {
		return err
	}
	status.URL, status.HostLinks = m.base(v), m.hostLinks(v)
	reply(v.w, status)
	return nil
}

func (m management) engine(v *visit, _ values) error {
	engine, err := m.o.Service.Engine(v.r.Context())
	if err != nil {
		return err
	}
	reply(v.w, engine)
	return nil
}

func (m management) listEngines(v *visit, _ values) error {
	engines, err := m.o.Service.Engines(v.r.Context())
	if err != nil {
		return err
	}
	reply(v.w, api.EngineList{Engines: append([]api.EngineChoice{}, engines...)})
	return nil
}

func engineStates(m management, v *visit, _ values) error {
	open, err := m.o.Service.EngineStates(v.r.Context())
	if err != nil {
		return err
	}
	reply(v.w, api.EngineStates{Engines: append([]api.EngineStatus{}, open...)})
	return nil
}

// changesEngine opens or closes the engine of the path and answers with the states.
func changesEngine(change func(api.Service, context.Context, string) error) func(management, *visit, values) error {
	return func(m management, v *visit, path values) error {
		name, err := url.PathUnescape(path["engine"])
		if err != nil {
			return api.NewProblem(api.CodeBadPath, "the engine's name has an invalid escape", "see GET /api/engines")
		}
		if err := change(m.o.Service, v.r.Context(), name); err != nil {
			return err
		}
		return engineStates(m, v, path)
	}
}

func (m management) switchEngine(v *visit, path values) error {
	var body api.EngineName
	if err := decode(v, &body, `send {"name": "default"}`); err != nil {
		return err
	}
	if body.Name == "" {
		return api.NewProblem(api.CodeBadRequest, "the body names no engine", "see GET /api/engines")
	}
	if err := m.o.Service.SwitchEngine(v.r.Context(), body.Name); err != nil {
		return err
	}
	return m.engine(v, path)
}

func (m management) retryEngine(v *visit, path values) error {
	if err := m.o.Service.RetryEngine(v.r.Context()); err != nil {
		return err
	}
	return m.engine(v, path)
}

// metrics answers in the form that Prometheus reads.
func (m management) metrics(v *visit, _ values) error {
	if m.o.Metrics == nil {
		return api.NewProblem(api.CodeUnknownRoute, "there are no metrics here", "turn them on with server.metrics (--metrics)")
	}
	setOwn(v.w.Header())
	m.o.Metrics.ServeHTTP(v.w, v.r)
	return nil
}

// demo answers with the demo's link. If the client disconnects, an injection
// that is in progress is undone.
func (m management) demo(v *visit, _ values) error {
	link, err := m.o.Service.Demo(v.r.Context())
	if err != nil {
		return err
	}
	reply(v.w, m.withURLs(v, []api.Link{link})[0])
	return nil
}
