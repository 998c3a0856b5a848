package server

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"daemon-proxy/core/api"
	"daemon-proxy/core/preview"
)

// maxCreate bounds the body of a create, in bytes.
const maxCreate = 4 << 10

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
	x := api.Exchange{Method: r.Method}
	if err := s.callAPI(answer, r); err != nil {
		p := s.asProblem(err)
		x.Code, x.Sandbox = p.Code, p.Sandbox
		s.answer(answer, r, p)
	}
	x.Status, x.BytesOut, x.Duration = answer.status, answer.bytes, time.Since(start)
	s.logRequest(r, x)
}

func (s *Server) callAPI(w http.ResponseWriter, r *http.Request) error {
	path, _, _ := strings.Cut(r.RequestURI, "?")
	if path == "/health" {
		return s.health(w, r)
	}
	if !strings.HasPrefix(path, "/api/") && !strings.HasPrefix(path, "/daemon/") {
		return unknownRoute()
	}
	if err := onlyJSON(r); err != nil {
		return err
	}
	switch path {
	case "/daemon/status":
		return only(w, r, http.MethodGet, func() error { return s.daemonStatus(w, r) })
	case "/api/preview/create":
		return only(w, r, http.MethodPost, func() error { return s.createLink(w, r) })
	case "/api/preview":
		return only(w, r, http.MethodGet, func() error {
			reply(w, map[string]any{"links": s.withURLs(r, s.o.Links.List())})
			return nil
		})
	case "/api/preview/stats":
		return only(w, r, http.MethodGet, func() error {
			stats := s.o.Links.Stats()
			stats.Links = s.withURLs(r, stats.Links)
			reply(w, stats)
			return nil
		})
	case "/api/sandboxes":
		return only(w, r, http.MethodGet, func() error {
			reply(w, map[string]any{"engine": s.o.Sandboxes.Engine(), "sandboxes": s.o.Sandboxes.List()})
			return nil
		})
	}
	if token, ok := strings.CutPrefix(path, "/api/preview/"); ok && token != "" && !strings.Contains(token, "/") {
		return only(w, r, http.MethodDelete, func() error { return s.revokeLink(w, token) })
	}
	if rest, ok := strings.CutPrefix(path, "/api/sandboxes/"); ok {
		if name, what, ok := strings.Cut(rest, "/"); ok {
			return s.sandboxAPI(w, r, name, what)
		}
	}
	return unknownRoute()
}

func unknownRoute() error {
	return bad(http.StatusNotFound, api.CodeUnknownRoute, "Not found", "there is nothing at this address", "previews are at /preview/TOKEN/, ports at /proxy/PORT/")
}

// only refuses other methods. A HEAD is a GET.
func only(w http.ResponseWriter, r *http.Request, method string, do func() error) error {
	if r.Method != method && (method != http.MethodGet || r.Method != http.MethodHead) {
		allow := method
		if method == http.MethodGet {
			allow = "GET, HEAD"
		}
		w.Header().Set("Allow", allow)
		return bad(http.StatusMethodNotAllowed, api.CodeMethodNotAllowed, "Method not allowed", "this address knows only "+method, "use "+method)
	}
	return do()
}

// sandboxAPI answers /api/sandboxes/{name}/inject, stop and ports.
func (s *Server) sandboxAPI(w http.ResponseWriter, r *http.Request, name, what string) error {
	method := map[string]string{"inject": http.MethodPost, "stop": http.MethodPost, "ports": http.MethodGet}[what]
	if method == "" {
		return unknownRoute()
	}
	return only(w, r, method, func() error {
		plain, err := url.PathUnescape(name)
		if err != nil {
			return bad(http.StatusBadRequest, api.CodeBadPath, "Bad path", "the sandbox's name has a broken escape", "see GET /api/sandboxes")
		}
		ref, err := s.o.Sandboxes.Resolve(plain)
		if err != nil {
			return err
		}
		switch what {
		case "inject":
			return s.inject(w, r, ref)
		case "stop":
			if err := s.o.Sandboxes.StopDaemon(r.Context(), ref); err != nil {
				return err
			}
			box, _ := s.o.Sandboxes.Get(ref)
			reply(w, box)
			return nil
		}
		ports, err := s.o.Sandboxes.Ports(r.Context(), ref)
		if err != nil {
			return err
		}
		reply(w, map[string]any{"sandbox": ref.String(), "ports": ports})
		return nil
	})
}

// inject answers with the sandbox once its daemon is healthy, or, for a client
// that accepts application/x-ndjson, with each step as it happens.
func (s *Server) inject(w http.ResponseWriter, r *http.Request, ref api.Ref) error {
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
	finished := false
	err := s.o.Sandboxes.Inject(r.Context(), ref, func(step api.Injection) {
		finished = finished || step.Finished
		writeJSON(w, step)
		_ = control.Flush()
	})
	if err != nil && !finished {
		writeJSON(w, api.Injection{Sandbox: ref, State: "failed", Error: s.asProblem(err), Finished: true})
	}
	return nil // it is told in the stream
}

// createRequest is the body of POST /api/preview/create.
type createRequest struct {
	Port            *int   `json:"port"`
	Sandbox         string `json:"sandbox"`
	Label           string `json:"label"`
	TTLSeconds      *int64 `json:"ttl_seconds"`
	AllowDaemonPort bool   `json:"allow_daemon_port"`
	Fence           *bool  `json:"fence"`
	StripPrefix     *bool  `json:"strip_prefix"`
}

func (s *Server) createLink(w http.ResponseWriter, r *http.Request) error {
	var body createRequest
	control := http.NewResponseController(w)
	_ = control.SetReadDeadline(time.Now().Add(s.http.ReadHeaderTimeout)) // the body is as short as a head
	decoder := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxCreate))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&body); err != nil {
		if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
			return err
		}
		if errors.Is(err, io.EOF) {
			return bad(http.StatusBadRequest, api.CodeBadRequest, "Bad request", "the body is empty", `send {"port": 6080}`)
		}
		return bad(http.StatusBadRequest, api.CodeBadRequest, "Bad request", "the body is not what it should be: "+err.Error(), `send {"port": 6080}`)
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return bad(http.StatusBadRequest, api.CodeBadRequest, "Bad request", "something follows the JSON document", `send {"port": 6080}`)
	}
	_ = control.SetReadDeadline(time.Time{})
	if body.Port == nil {
		return bad(http.StatusBadRequest, api.CodeBadPort, "No port", "the body names no port", `send {"port": 6080}`)
	}
	ref, err := s.o.Sandboxes.Resolve(body.Sandbox)
	if err != nil {
		return err
	}
	if err := s.checkLoop(ref, *body.Port); err != nil {
		return err
	}
	request := preview.Request{Sandbox: ref, Port: *body.Port, Label: body.Label, AllowDaemonPort: body.AllowDaemonPort,
		NoFence: body.Fence != nil && !*body.Fence, KeepPrefix: body.StripPrefix != nil && !*body.StripPrefix}
	if body.TTLSeconds != nil {
		const longest = 100 * 365 * 24 * 3600
		if *body.TTLSeconds < 0 || *body.TTLSeconds > longest {
			return bad(http.StatusBadRequest, api.CodeBadRequest, "Bad time to live", "ttl_seconds must be from 0 to 3153600000", "0 means until revoked")
		}
		ttl := time.Duration(*body.TTLSeconds) * time.Second
		request.TTL = &ttl
	}
	link, err := s.o.Links.Create(request)
	if err != nil {
		return err
	}
	reply(w, s.withURLs(r, []api.Link{link})[0])
	return nil
}

func (s *Server) revokeLink(w http.ResponseWriter, token string) error {
	link, err := s.o.Links.Revoke(token)
	if err != nil {
		return err
	}
	reply(w, map[string]any{"token": link.Token, "revoked": true})
	return nil
}

// withURLs fills in where the client of r finds the links.
func (s *Server) withURLs(r *http.Request, links []api.Link) []api.Link {
	scheme, host := s.base(r)
	for i := range links {
		links[i].URL = scheme + "://" + host + "/preview/" + links[i].Token
		if s.HostLinks() {
			links[i].HostURL = scheme + "://" + links[i].Token + "." + s.o.Config.Server.PreviewDomain + portOf(host)
		}
	}
	return links
}

// health answers to everybody; without the API key, where one is needed, only
// with the status.
func (s *Server) health(w http.ResponseWriter, r *http.Request) error {
	return only(w, r, http.MethodGet, func() error {
		answer := map[string]any{"status": "healthy"}
		ref, err := s.o.Sandboxes.Resolve("")
		if err == nil {
			box, _ := s.o.Sandboxes.Get(ref)
			answer["sandbox"], answer["daemon"] = ref.String(), box.Daemon.State
			if box.Daemon.State != api.DaemonHealthy {
				answer["status"] = "degraded"
				if box.Daemon.LastError != nil {
					answer["reason"] = box.Daemon.LastError
				}
			}
		} else if engine := s.o.Sandboxes.Engine(); engine.State == "lost" {
			answer["status"], answer["reason"] = "degraded", engine.Error
		}
		answer["version"], answer["uptime_seconds"] = s.o.Version, seconds(s.started)
		if s.exposed() {
			answer["warning"] = "everybody who reaches this address may use the API: security is off"
		}
		if s.o.Config.Security.Enabled && !s.keyed(r) {
			answer = map[string]any{"status": answer["status"]}
		}
		reply(w, answer)
		return nil
	})
}

// daemonStatus answers for the default sandbox, or the one of ?sandbox=.
func (s *Server) daemonStatus(w http.ResponseWriter, r *http.Request) error {
	ref, err := s.o.Sandboxes.Resolve(r.URL.Query().Get("sandbox"))
	if err != nil {
		return err
	}
	box, _ := s.o.Sandboxes.Get(ref)
	d := box.Daemon
	reply(w, map[string]any{
		"mode": s.o.Config.Daemon.Mode, "sandbox": ref.String(), "container_state": box.Container,
		"state": d.State, "running": d.State == api.DaemonHealthy, "kind": d.Kind, "version": d.Version, "url": d.URL,
		"latency_ms": d.LatencyMS, "since": d.Since, "last_error": d.LastError,
	})
	return nil
}
