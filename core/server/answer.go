package server

import (
	"encoding/json"
	"html/template"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"daemon-proxy/core/api"
	"daemon-proxy/core/logging"
)

// slogLevel is ERROR for what went wrong here, INFO for what a service said.
func slogLevel(x api.Exchange) slog.Level {
	if x.Code != "" && x.Status >= 500 {
		return slog.LevelError
	}
	return slog.LevelInfo
}

// refuse answers a request that goes nowhere, and records it.
func (s *Server) refuse(w http.ResponseWriter, r *http.Request, err error) {
	start := time.Now()
	p := s.asProblem(err)
	counted := &statusWriter{ResponseWriter: w}
	s.answer(counted, r, p)
	s.logRequest(r, api.Exchange{Method: logging.Printable(r.Method), Status: p.Status, Code: p.Code, Sandbox: p.Sandbox, Port: p.Port,
		BytesOut: counted.bytes, Duration: time.Since(start)})
}

// answer writes a problem: a page for a person in a browser, a document for
// everything else (RFC 9457).
func (s *Server) answer(w http.ResponseWriter, r *http.Request, p *api.Problem) {
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
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
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
	h.Set("Referrer-Policy", "no-referrer")
	w.WriteHeader(status)
	wait := r.Method == http.MethodGet && (status == http.StatusBadGateway || status == http.StatusServiceUnavailable)
	_ = page.Execute(w, struct {
		*api.Problem
		Wait bool
	}{p, wait})
}

// navigation says whether a browser asks for a page that a person will see.
func navigation(r *http.Request) bool {
	if mode := r.Header.Get("Sec-Fetch-Mode"); mode != "" {
		return mode == "navigate"
	}
	return strings.HasPrefix(r.UserAgent(), "Mozilla/") && strings.Contains(r.Header.Get("Accept"), "text/html")
}

// page tells a person what is wrong. While it may mend itself, it loads itself
// again every two seconds, without any script.
var page = template.Must(template.New("page").Parse(`<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
{{if .Wait}}<meta http-equiv="refresh" content="2">{{end}}<title>{{.Title}}</title>
<style>:root{color-scheme:light dark}body{font:16px/1.5 system-ui,sans-serif;max-width:36em;margin:18vh auto;padding:0 1.5em}
h1{font-size:1.4em}p.hint{opacity:.75}code{font-size:.9em}</style></head>
<body><h1>{{.Title}}</h1><p>{{.Detail}}</p>{{if .Hint}}<p class="hint">{{.Hint}}</p>{{end}}
<p><code>{{if .Sandbox}}{{.Sandbox}}{{if .Port}}:{{.Port}}{{end}} · {{end}}{{.Code}}</code></p>
{{if .Wait}}<p class="hint">This page loads again by itself.</p>{{end}}</body></html>
`))

func writeJSON(w io.Writer, v any) {
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false)
	_ = encoder.Encode(v)
}

// reply is an answer of the API.
func reply(w http.ResponseWriter, v any) {
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	writeJSON(w, v)
}

// seconds since a time, as the API gives them.
func seconds(since time.Time) float64 { return time.Since(since).Round(time.Millisecond).Seconds() }
