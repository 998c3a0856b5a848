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
	scheme, host := s.base(r)
	link, err := s.CreateLink(body, Base{scheme, host})
	if err != nil {
		return err
	}
	reply(w, link)
	return nil
}

func (s *Server) listLinks(w http.ResponseWriter, r *http.Request, _ values) error {
	reply(w, api.Links{Links: s.withURLs(r, s.o.Links.List())})
	return nil
}

func (s *Server) linkStats(w http.ResponseWriter, r *http.Request, _ values) error {
	stats := s.o.Links.Stats()
	stats.Links = s.withURLs(r, stats.Links)
	reply(w, stats)
	return nil
}

func (s *Server) revokeLink(w http.ResponseWriter, _ *http.Request, v values) error {
	link, err := s.o.Links.Revoke(v["token"])
	if err != nil {
		return err
	}
	reply(w, api.Revoked{Token: link.Token, Revoked: true})
	return nil
}

// withURLs fills in where the client of r finds the links.
func (s *Server) withURLs(r *http.Request, links []api.Link) []api.Link {
	scheme, host := s.base(r)
	return s.fillIn(links, Base{scheme, host})
}

// health answers to everybody; without the API key, where one is needed, and
// to pages, which may be a preview's, only with the status.
func (s *Server) health(w http.ResponseWriter, r *http.Request, _ values) error {
	answer := api.Health{Status: "healthy"}
	ref, err := s.o.Sandboxes.Resolve("")
	if err == nil {
		box, _ := s.o.Sandboxes.Get(ref)
		answer.Sandbox, answer.Daemon = ref.String(), box.Daemon.State
		if box.Daemon.State != api.DaemonHealthy {
			answer.Status, answer.Reason = "degraded", box.Daemon.LastError
			if answer.Reason == nil && box.Daemon.State == api.DaemonNone {
				answer.Reason = api.NewProblem(api.CodeNoDaemon, "no daemon was put into "+ref.String()+" yet",
					"POST /api/sandboxes/"+ref.String()+"/inject").In(ref.String(), 0)
			}
		}
	} else if engine := s.o.Sandboxes.Engine(); engine.State == "lost" {
		answer.Status, answer.Reason = "degraded", engine.Error
	}
	answer.Version, answer.UptimeSeconds = s.o.Version, max(seconds(s.started), 0.001)
	if s.exposed() {
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
	ref, err := s.o.Sandboxes.Resolve(r.URL.Query().Get("sandbox"))
	if err != nil {
		return err
	}
	box, _ := s.o.Sandboxes.Get(ref)
	d := box.Daemon
	reply(w, api.DaemonStatus{
		Mode: s.mode(), Sandbox: ref.String(), ContainerState: box.Container,
		State: d.State, Running: d.State == api.DaemonHealthy, Kind: d.Kind, Version: d.Version, URL: d.URL,
		LatencyMS: d.LatencyMS, Since: d.Since, LastError: d.LastError,
	})
	return nil
}
