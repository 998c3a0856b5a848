package server

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"

	"daemon-proxy/core/api"
	"daemon-proxy/core/preview"
)

// maxBody bounds the body of a request to the API, in bytes.
const maxBody = 4 << 10

// statusWriter keeps the status and the size of an answer.
type statusWriter struct {
	http.ResponseWriter
	status int
	bytes  int64
}

func (w *statusWriter) WriteHeader(status int) {
	if status >= 200 || status == http.StatusSwitchingProtocols { // not an interim answer
		w.status = status
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *statusWriter) Write(p []byte) (int, error) {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	n, err := w.ResponseWriter.Write(p)
	w.bytes += int64(n)
	return n, err
}

// Unwrap is for http.ResponseController.
func (w *statusWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// management answers everything that is not forwarded: the routes of the table.
type management struct {
	*Server
	table []route
}

func (m management) serve(v *visit) error {
	answer := &statusWriter{ResponseWriter: v.w}
	v.w = answer
	setOwn(answer.Header())
	if err := m.callAPI(v); err != nil {
		return err
	}
	m.logVisit(v, api.Exchange{Status: answer.status, BytesOut: answer.bytes})
	return nil
}

// decode reads the body of a request, one JSON document of known fields; hint
// shows one.
func decode(v *visit, body any, hint string) error {
	decoder := json.NewDecoder(v.r.Body)
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(body); err != nil {
		if errors.Is(err, io.EOF) {
			return api.NewProblem(api.CodeBadRequest, "the body is empty", hint)
		}
		return api.NewProblem(api.CodeBadRequest, "the body is invalid: "+err.Error(), hint)
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return api.NewProblem(api.CodeBadRequest, "unexpected data after the JSON document", hint)
	}
	return nil
}

func (m management) createLink(v *visit, _ values) error {
	var body api.LinkRequest
	if err := decode(v, &body, `send {"port": 6080}`); err != nil {
		return err
	}
	if body.Port == 0 {
		return api.NewProblem(api.CodeBadPort, "the body has no port, or port 0", `send {"port": 6080}`)
	}
	link, err := m.o.Service.CreateLink(v.r.Context(), body)
	if err != nil {
		return err
	}
	reply(v.w, m.withURLs(v, []api.Link{link})[0])
	return nil
}

func (m management) listLinks(v *visit, _ values) error {
	links, err := m.o.Service.Links(v.r.Context())
	if err != nil {
		return err
	}
	reply(v.w, api.Links{Links: m.withURLs(v, links)})
	return nil
}

func (m management) linkStats(v *visit, _ values) error {
	stats, err := m.o.Service.LinkStats(v.r.Context())
	if err != nil {
		return err
	}
	stats.Links = m.withURLs(v, stats.Links)
	reply(v.w, stats)
	return nil
}

func (m management) revokeLink(v *visit, path values) error {
	link, _ := m.o.Links.Get(path["token"]) // that there is none RevokeLink says
	if err := m.o.Service.RevokeLink(v.r.Context(), path["token"]); err != nil {
		return err
	}
	reply(v.w, api.Revoked{Token: link.Token, Revoked: true})
	return nil
}

// withURLs sets where the client finds the links.
func (m management) withURLs(v *visit, links []api.Link) []api.Link {
	if v.bridge != "" {
		return preview.WithURLs(m.base(v), v.domain, links)
	}
	return m.o.Publisher.WithURLs(m.base(v), links)
}

// health answers everyone; without the API key, where one is needed, and
// to pages, which may be a preview's, only with the status.
func (m management) health(v *visit, _ values) error {
	answer := api.Health{Status: "healthy"}
	if daemon, err := m.o.Service.DaemonStatus(v.r.Context(), api.Ref{}); err == nil {
		answer.Sandbox, answer.Daemon = daemon.Sandbox, daemon.State
		if !daemon.Running {
			answer.Status, answer.Reason = "degraded", daemon.LastError
			if answer.Reason == nil && daemon.State == api.DaemonNone {
				answer.Reason = api.NewProblem(api.CodeNoDaemon, "no daemon has been injected into "+daemon.Sandbox+" yet",
					"POST /api/sandboxes/"+daemon.Sandbox+"/inject").In(daemon.Sandbox, 0)
			}
		}
	} else if engine, err := m.o.Service.Engine(v.r.Context()); err == nil && engine.State == "lost" {
		answer.Status, answer.Reason = "degraded", engine.Error
	}
	if engines, err := m.o.Service.EngineStates(v.r.Context()); err == nil {
		for _, engine := range engines {
			if engine.State == "lost" {
				answer.LostEngines = append(answer.LostEngines, engine.Name)
			}
		}
	}
	answer.Version, answer.Protocol = m.o.Version, api.Protocol
	answer.UptimeSeconds = max(seconds(m.started), 0.001)
	if m.o.Config.Exposed() {
		answer.Warning = "anyone who can reach this address can use the API: security is off"
	}
	if (m.o.Config.Security.Enabled || pageMade(v.r)) && !m.keyed(v.r) {
		answer = api.Health{Status: answer.Status}
	}
	reply(v.w, answer)
	return nil
}

// daemonStatus answers for the default sandbox, or the one of ?sandbox=.
func (m management) daemonStatus(v *visit, _ values) error {
	ref, err := m.o.Sandboxes.Resolve(api.ParseRef(v.r.URL.Query().Get("sandbox")))
	if err != nil {
		return err
	}
	status, err := m.o.Service.DaemonStatus(v.r.Context(), ref)
	if err != nil {
		return err
	}
	reply(v.w, status)
	return nil
}
