package server

import (
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"daemon-proxy/core/api"
	"daemon-proxy/core/proxy"
)

// slogLevel is ERROR for a failure of this program, INFO for a service's answer.
func slogLevel(x api.Exchange) slog.Level {
	if x.Code != "" && x.Status >= 500 {
		return slog.LevelError
	}
	return slog.LevelInfo
}

// refuse answers with a problem, and records or logs that.
func (s *Server) refuse(v *visit, err error) {
	p := s.asProblem(err)
	counted := &statusWriter{ResponseWriter: v.w}
	s.answer(counted, v.r, p)
	if v.failed != nil {
		v.failed(p, counted.bytes)
		return
	}
	s.logVisit(v, api.Exchange{Status: p.Status, Code: p.Code, Sandbox: p.Sandbox, Port: p.Port, BytesOut: counted.bytes})
}

// logVisit writes the one line of a request that was not forwarded.
func (s *Server) logVisit(v *visit, x api.Exchange) {
	x.Method, x.Duration = v.r.Method, time.Since(v.start)
	s.logTarget(v.target(), x)
}

// answer writes a problem: a page for a person in a browser, a document for
// everything else (RFC 9457).
func (s *Server) answer(w http.ResponseWriter, r *http.Request, p *api.Problem) {
	proxy.Refused(w, r)
	h := w.Header()
	setOwn(h)
	switch p.Status {
	case http.StatusUnauthorized:
		h.Set("WWW-Authenticate", `Bearer realm="daemon-proxy"`)
	case http.StatusServiceUnavailable:
		h.Set("Retry-After", "2")
	}
	status := p.Status
	if status < 200 {
		status = http.StatusInternalServerError
	}
	if !navigation(r) {
		h.Set("Content-Type", "application/problem+json")
		w.WriteHeader(status)
		writeJSON(w, p)
		return
	}
	writePage(w, r, status, p)
}

// navigation reports whether a browser asks for a page that a person will see.
func navigation(r *http.Request) bool {
	if mode := r.Header.Get("Sec-Fetch-Mode"); mode != "" {
		return mode == "navigate"
	}
	return strings.HasPrefix(r.UserAgent(), "Mozilla/") && strings.Contains(r.Header.Get("Accept"), "text/html")
}

func writeJSON(w io.Writer, v any) {
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	_ = encoder.Encode(v)
}

// reply is an answer of the API.
func reply(w http.ResponseWriter, v any) {
	setOwn(w.Header())
	w.Header().Set("Content-Type", "application/json")
	writeJSON(w, v)
}

// seconds since a time, as the API gives them.
func seconds(since time.Time) float64 { return time.Since(since).Round(time.Millisecond).Seconds() }
