package server

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"time"

	"daemon-proxy/core/api"
)

// maxBody bounds the body of a request to the API, in bytes.
const maxBody = 4 << 10

// statusWriter remembers what an API handler answered.
type statusWriter struct {
	http.ResponseWriter
	status int
	bytes  int64
}

func (w *statusWriter) WriteHeader(status int) {
	if status >= 200 { // an interim answer is none yet
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

// serveAPI answers everything that is not forwarded.
func (s *Server) serveAPI(w http.ResponseWriter, r *http.Request) {
	start := time.Now()
	answer := &statusWriter{ResponseWriter: w}
	setOwn(w.Header())
	x := api.Exchange{Method: r.Method}
	if err := s.callAPI(answer, r); err != nil {
		p := s.asProblem(err)
		x.Code, x.Sandbox = p.Code, p.Sandbox
		s.answer(answer, r, p)
	}
	x.Status, x.BytesOut, x.Duration = answer.status, answer.bytes, time.Since(start)
	s.logRequest(r, x)
}

func (s *Server) createLink(w http.ResponseWriter, r *http.Request, _ values) error {
	var body api.LinkRequest
	decoder := json.NewDecoder(r.Body)
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&body); err != nil {
		if errors.Is(err, io.EOF) {
			return api.NewProblem(api.CodeBadRequest, "the body is empty", `send {"port": 6080}`)
		}
		return api.NewProblem(api.CodeBadRequest, "the body is not what it should be: "+err.Error(),
			`send {"port": 6080}`)
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return api.NewProblem(api.CodeBadRequest, "something follows the JSON document", `send {"port": 6080}`)
	}
	if body.Port == 0 {
		return api.NewProblem(api.CodeBadPort, "the body has no port, or port 0", `send {"port": 6080}`)
	}
	link, err := s.o.Service.CreateLink(r.Context(), body)
	if err != nil {
		return err
	}
	reply(w, s.withURLs(r, []api.Link{link})[0])
	return nil
}

func (s *Server) listLinks(w http.ResponseWriter, r *http.Request, _ values) error {
	links, err := s.o.Service.Links(r.Context())
	if err != nil {
		return err
	}
	reply(w, api.Links{Links: s.withURLs(r, links)})
	return nil
}

func (s *Server) linkStats(w http.ResponseWriter, r *http.Request, _ values) error {
	stats, err := s.o.Service.LinkStats(r.Context())
	if err != nil {
		return err
	}
	stats.Links = s.withURLs(r, stats.Links)
	reply(w, stats)
	return nil
}

func (s *Server) revokeLink(w http.ResponseWriter, r *http.Request, v values) error {
	link, _ := s.o.Links.Get(v["token"]) // that there is none RevokeLink says
	if err := s.o.Service.RevokeLink(r.Context(), v["token"]); err != nil {
		return err
	}
	reply(w, api.Revoked{Token: link.Token, Revoked: true})
	return nil
}

// withURLs sets where the client of r finds the links.
func (s *Server) withURLs(r *http.Request, links []api.Link) []api.Link {
	return s.o.Publisher.WithURLs(s.base(r), links)
}

// health answers to everybody; without the API key, where one is needed, and
// to pages, which may be a preview's, only with the status.
func (s *Server) health(w http.ResponseWriter, r *http.Request, _ values) error {
	answer := api.Health{Status: "healthy"}
	if daemon, err := s.o.Service.DaemonStatus(r.Context(), api.Ref{}); err == nil {
		answer.Sandbox, answer.Daemon = daemon.Sandbox, daemon.State
		if !daemon.Running {
			answer.Status, answer.Reason = "degraded", daemon.LastError
			if answer.Reason == nil && daemon.State == api.DaemonNone {
				answer.Reason = api.NewProblem(api.CodeNoDaemon, "no daemon was put into "+daemon.Sandbox+" yet",
					"POST /api/sandboxes/"+daemon.Sandbox+"/inject").In(daemon.Sandbox, 0)
			}
		}
	} else if engine, err := s.o.Service.Engine(r.Context()); err == nil && engine.State == "lost" {
		answer.Status, answer.Reason = "degraded", engine.Error
	}
	answer.Version, answer.UptimeSeconds = s.o.Version, max(seconds(s.started), 0.001)
	if s.o.Config.Exposed() {
		answer.Warning = "everybody who reaches this address may use the API: security is off"
	}
	if (s.o.Config.Security.Enabled || pageMade(r)) && !s.keyed(r) {
		answer = api.Health{Status: answer.Status}
	}
	reply(w, answer)
	return nil
}

// daemonStatus answers for the default sandbox, or the one of ?sandbox=.
func (s *Server) daemonStatus(w http.ResponseWriter, r *http.Request, _ values) error {
	ref, err := s.o.Sandboxes.Resolve(api.ParseRef(r.URL.Query().Get("sandbox")))
	if err != nil {
		return err
	}
	status, err := s.o.Service.DaemonStatus(r.Context(), ref)
	if err != nil {
		return err
	}
	reply(w, status)
	return nil
}
