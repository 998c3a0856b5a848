package server

import (
	"crypto/sha256"
	"encoding/base64"
	"html/template"
	"net/http"

	"daemon-proxy/core/api"
	"daemon-proxy/core/logging"
)

// pageStyle follows the viewer's choice of dark or light.
const pageStyle = `:root{color-scheme:light dark}body{font:16px/1.5 system-ui,sans-serif;max-width:38em;margin:16vh auto;padding:0 1.5em;overflow-wrap:anywhere}` +
	`h1{font-size:1.4em;margin-bottom:.2em}.where{opacity:.7;font-family:ui-monospace,monospace;font-size:.9em}li{margin:.3em 0}`

// The policies of our own answers. A page may have its one style sheet, identified
// by its hash, and nothing else; no page may frame it.
const (
	documentPolicy = "default-src 'none'; frame-ancestors 'none'"
	pagePolicyRest = "; base-uri 'none'; form-action 'none'"
)

var pagePolicy = documentPolicy + "; style-src '" + hashSource(pageStyle) + "'" + pagePolicyRest

// setOwn sets the headers that all our own answers have.
func setOwn(h http.Header) {
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Content-Security-Policy", documentPolicy)
}

// hashSource names an inline text in a Content-Security-Policy.
func hashSource(text string) string {
	sum := sha256.Sum256([]byte(text))
	return "sha256-" + base64.StdEncoding.EncodeToString(sum[:])
}

// page tells a person what is wrong, and what to try. While it may mend
// itself, it loads itself again every two seconds, without any script.
var page = template.Must(template.New("page").Parse(`<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><meta name="robots" content="noindex">
{{if .Wait}}<meta http-equiv="refresh" content="2">{{end}}<title>{{.Title}}</title><style>` + pageStyle + `</style></head>
<body><h1>{{.Title}}</h1><p class="where">{{if .Sandbox}}{{.Sandbox}}{{if .Port}}:{{.Port}}{{end}} · {{end}}{{.Code}}</p>
<p>{{.Detail}}</p>{{if .Steps}}<ul>{{range .Steps}}<li>{{.}}</li>{{end}}</ul>{{end}}
{{if .Wait}}<p>This page retries automatically and shows the preview as soon as it is available.</p>{{end}}</body></html>
`))

// pageData is what a page shows. Whatever came from outside may hold
// anything; what could turn or hide text is made visible.
type pageData struct {
	Title, Code, Detail, Sandbox string
	Port                         int
	Steps                        []string
	Wait                         bool
}

func writePage(w http.ResponseWriter, r *http.Request, status int, p *api.Problem) {
	data := pageData{
		Title: logging.Printable(p.Title), Code: p.Code, Detail: logging.Printable(p.Detail),
		Sandbox: logging.Printable(p.Sandbox), Port: p.Port,
	}
	if p.Hint != "" {
		data.Steps = append(data.Steps, logging.Printable(p.Hint))
	}
	data.Steps = append(data.Steps, furtherSteps(p.Code)...)
	data.Wait = r.Method == http.MethodGet && (status == http.StatusBadGateway || status == http.StatusServiceUnavailable)
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", pagePolicy)
	h.Set("Referrer-Policy", "no-referrer")
	w.WriteHeader(status)
	_ = page.Execute(w, data)
}

// furtherSteps is what a person can try beside the problem's own hint.
func furtherSteps(code string) []string {
	switch code {
	case api.CodePortClosed:
		return []string{"a service that was just started may need a moment", "it may listen on one address only: 127.0.0.1 and 0.0.0.0 both work"}
	case api.CodeDaemonDown, api.CodeNoDaemon:
		return []string{"daemon-proxy tries to restart the daemon automatically", "the daemon's own log says why it ended"}
	case api.CodeSandboxStopped, api.CodeSandboxPaused, api.CodeSandboxMissing, api.CodeSandboxBusy:
		return []string{"the link stays valid and works again once the sandbox runs"}
	case api.CodeLinkExpired, api.CodeLinkRevoked:
		return []string{"the person who gave you this link can make another"}
	case api.CodeUnknownLink:
		return []string{"check that the address is complete: the token in it has 32 letters and digits"}
	case api.CodeWrongHost:
		return []string{"the preview of a link is at TOKEN.DOMAIN, with nothing before the token"}
	}
	return nil
}
