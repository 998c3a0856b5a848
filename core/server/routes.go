package server

import (
	"net/http"
	"slices"
	"strings"

	"daemon-proxy/core/api"
	"daemon-proxy/core/proxy"
)

// route is a row of the table of everything that the API answers. What
// dispatches, what Allow says, the OpenAPI document and the manual come from it.
type route struct {
	method string // GET means HEAD too; empty: any
	// path is matched byte by byte and segment by segment; {x} stands for one
	// segment that is not empty, undecoded. Of two rows that fit the first counts.
	path    string
	summary string
	// about says more, in one paragraph for people.
	about string
	query []param
	// body and answer are values of the types that cross JSON; nil: none.
	body, answer any
	// kind is the media type of an answer that is no JSON document; stream is
	// a value of the type of its elements, or nil for text.
	kind   string
	stream any
	// both says that the client chooses between answer and kind by Accept.
	both bool
	// codes are the problems that are this route's own.
	codes []string
	// open says that the route wants no API key and takes browsers too.
	open bool
	// serve answers; nil: it is not the API that answers (forward.go).
	serve func(*Server, http.ResponseWriter, *http.Request, values) error
}

// param is a parameter of a path or of a query.
type param struct {
	name, about string
	value       any // of the parameter's type
}

// values are what the segments {x} of a path were.
type values map[string]string

// match compares the path of a request target with the route's.
func (r route) match(path string) (values, bool) {
	if !strings.Contains(r.path, "{") {
		return nil, r.path == path
	}
	var v values
	pattern := r.path
	for {
		want, restOfPattern, more := strings.Cut(pattern, "/")
		have, rest, another := strings.Cut(path, "/")
		if more != another {
			return nil, false
		}
		if name, ok := strings.CutPrefix(want, "{"); ok {
			if have == "" {
				return nil, false
			}
			if v == nil {
				v = values{}
			}
			v[strings.TrimSuffix(name, "}")] = have
		} else if want != have {
			return nil, false
		}
		if !more {
			return v, true
		}
		pattern, path = restOfPattern, rest
	}
}

// allow is what the header Allow says for the methods of a path.
func allow(rows []route) string {
	var methods []string
	for _, row := range rows {
		methods = append(methods, row.method)
		if row.method == http.MethodGet {
			methods = append(methods, http.MethodHead)
		}
	}
	return strings.Join(methods, ", ")
}

// callAPI dispatches over the table.
func (s *Server) callAPI(w http.ResponseWriter, r *http.Request) error {
	path, _, _ := strings.Cut(r.RequestURI, "?")
	var fits []route // all rows of one path
	for _, row := range s.routes {
		if row.serve == nil || len(fits) > 0 && row.path != fits[0].path {
			continue
		}
		v, ok := row.match(path)
		if !ok {
			continue
		}
		if r.Method == row.method || r.Method == http.MethodHead && row.method == http.MethodGet {
			if row.open {
				proxy.Refused(w, r)
			} else if err := s.takeBody(w, r); err != nil {
				return err
			}
			return row.serve(s, w, r, v)
		}
		fits = append(fits, row)
	}
	if strings.HasPrefix(path, "/api/") || strings.HasPrefix(path, "/daemon/") {
		if err := s.onlyJSON(w, r); err != nil {
			return err
		}
	}
	if len(fits) == 0 {
		return bad(http.StatusNotFound, api.CodeUnknownRoute, "Not found", "there is nothing at this address", "previews are at /preview/TOKEN/, ports at /proxy/PORT/")
	}
	w.Header().Set("Allow", allow(fits))
	return bad(http.StatusMethodNotAllowed, api.CodeMethodNotAllowed, "Method not allowed", "this address knows only "+fits[0].method, "use "+fits[0].method)
}

// routes is the table.
func routes() []route {
	rows := linkRoutes()
	rows = append(rows, sandboxRoutes()...)
	rows = append(rows, requestRoutes()...)
	rows = append(rows, stateRoutes()...)
	return append(rows, forwardedRoutes()...)
}

func linkRoutes() []route {
	return []route{{
		method: "POST", path: "/api/preview/create", summary: "Make a preview link",
		about: "Whoever has the token of a link may look at one port of one sandbox. The body is at most 4 KiB.",
		body:  api.LinkRequest{}, answer: api.Link{}, serve: (*Server).createLink,
		codes: []string{api.CodeBadPort, api.CodeDaemonPort, api.CodeUnknownSandbox, api.CodeSandboxRequired, api.CodeLoop, api.CodeTooMany, api.CodeStateUnusable},
	}, {
		method: "GET", path: "/api/preview", summary: "List the preview links",
		about:  "All current links and those that ended in the last thirty days (at most 10,000), newest first. Tokens and URLs are whole: this is for whoever may make links.",
		answer: api.Links{}, serve: (*Server).listLinks,
	}, {
		method: "GET", path: "/api/preview/stats", summary: "Count the preview links",
		answer: api.LinkStats{}, serve: (*Server).linkStats,
	}, {
		method: "DELETE", path: "/api/preview/{token}", summary: "Revoke a preview link",
		about:  "The token may be the link's public id. What is open through the link ends at once. To revoke a link again changes nothing.",
		answer: api.Revoked{}, serve: (*Server).revokeLink, codes: []string{api.CodeUnknownLink, api.CodeStateUnusable},
	}}
}

// notInjected are the problems of an injection that failed, which a sandbox
// without a daemon goes on to answer with.
var notInjected = []string{api.CodePortTaken, api.CodeForeignFile, api.CodeArchMismatch, api.CodeNotExecutable, api.CodeDynamicBinary, api.CodeBinaryMissing,
	api.CodeReadOnlyRoot, api.CodeWorkDir, api.CodeDaemonExited, api.CodeStartTimeout, api.CodeCancelled}

// unreachable are the problems of a sandbox that cannot be talked to.
var unreachable = []string{api.CodeUnknownSandbox, api.CodeBadPath, api.CodeSandboxStopped, api.CodeSandboxPaused, api.CodeSandboxMissing,
	api.CodeSandboxBusy, api.CodeEngineUnreachable, api.CodeUnreachable, api.CodeDaemonDown, api.CodeNoDaemon}

func sandboxRoutes() []route {
	return []route{{
		method: "GET", path: "/api/sandboxes", summary: "List the sandboxes",
		about:  "The machine itself, which is called host, and the containers of the engine.",
		answer: api.SandboxList{}, serve: (*Server).listSandboxes,
	}, {
		method: "GET", path: "/api/sandboxes/{name}/ports", summary: "List what listens in a sandbox",
		about:  "With identify=true each port is asked once what it serves, which takes up to 1.5 seconds; the answers are kept for a short time. Ports of daemon-proxy itself are then omitted.",
		query:  []param{{"identify", "true: add service, name, remarks, warning, label and path.", true}},
		answer: api.PortList{}, serve: (*Server).listPorts, codes: slices.Concat(unreachable, notInjected),
	}, {
		method: "POST", path: "/api/sandboxes/{name}/inject", summary: "Put a daemon into a sandbox",
		about:  "Answers when the daemon is healthy. With Accept: application/x-ndjson it answers at once with one line for each step; the last line has finished set, and error if it failed. A client that goes away undoes the injection.",
		answer: api.Sandbox{}, kind: "application/x-ndjson", stream: api.Injection{}, both: true, serve: (*Server).inject,
		codes: slices.Concat(notInjected, unreachable),
	}, {
		method: "DELETE", path: "/api/sandboxes/{name}/inject", summary: "Cancel the injection into a sandbox",
		about:  "Whoever asked for it gets the problem cancelled; nothing of it is kept, and it is not tried again until somebody asks. Where none runs, one that failed is not tried again. A daemon that runs already is left alone: 409.",
		answer: api.Sandbox{}, serve: changes(Sandboxes.CancelInjection), codes: slices.Concat([]string{api.CodeCancelled}, unreachable),
	}, {
		method: "POST", path: "/api/sandboxes/{name}/stop", summary: "Stop the daemon of a sandbox",
		about:  "The container itself goes on. A daemon that this program did not start, in this run or an earlier one, is left alone: 409.",
		answer: api.Sandbox{}, serve: changes(Sandboxes.StopDaemon), codes: unreachable,
	}, {
		method: "POST", path: "/api/sandboxes/{name}/eject", summary: "Stop the daemon of a sandbox and remove its files",
		about:  "Removes the daemon's binary and logs, and its working directory if daemon-proxy created it and it is empty. Where the image has no rm, the files are emptied instead: 409.",
		answer: api.Sandbox{}, serve: changes(Sandboxes.Eject), codes: slices.Concat([]string{api.CodeEmptied}, unreachable),
	}, {
		method: "POST", path: "/api/sandboxes/{name}/container/start", summary: "Start the container of a sandbox",
		answer: api.Sandbox{}, serve: changes(Sandboxes.StartContainer), codes: unreachable,
	}, {
		method: "POST", path: "/api/sandboxes/{name}/container/stop", summary: "Stop the container of a sandbox",
		answer: api.Sandbox{}, serve: changes(Sandboxes.StopContainer), codes: unreachable,
	}, {
		method: "GET", path: "/api/sandboxes/{name}/logs", summary: "Read a log",
		about: "The text as it was written: what prints it on a terminal must keep control characters from it.",
		query: []param{
			{"source", "daemon, container, or program for the log of daemon-proxy itself; daemon without it.", ""},
			{"tail", "How many of the last lines; all without it.", 1},
			{"follow", "true: go on with what comes.", true},
		},
		kind: "text/plain", serve: (*Server).logs, codes: slices.Concat([]string{api.CodeNoLog}, unreachable),
	}}
}

func requestRoutes() []route {
	return []route{{
		method: "GET", path: "/api/requests", summary: "List the latest requests",
		about: "What was forwarded, newest first, as far as the request log goes back (10,000 requests, fewer if traffic.memory does not hold them). Secrets are masked.",
		query: []param{
			{"filter", "Words that must all hold: status:5xx, status:404, method:post, port:3000, path:/api, sandbox:web, kind:preview, protocol:websocket, link:ID, live:true, or text that is looked for in method, path, sandbox and note. A ! before a word turns it round, quotes hold words together.", ""},
			{"limit", "How many at most, from 1 on; all that are kept without it.", 1},
		},
		answer: api.ExchangeList{}, serve: (*Server).listRequests,
	}, {
		method: "GET", path: "/api/requests/{id}", summary: "One request with its headers and bodies",
		about:  "Bodies are base64: of at most 64 KiB that were captured of each, unpacked. Long headers are cut, and those of old requests are discarded with their bodies; the answer says so. Secrets are masked, in JSON and forms by their names.",
		answer: api.ExchangeDetail{}, serve: (*Server).oneRequest, codes: []string{api.CodeUnknownExchange},
	}, {
		method: "GET", path: "/api/events", summary: "Follow what happens",
		about: "Server-sent events: event is the kind, data is the event in JSON. What happened before the request is in the lists above. Comments come at least every 15 seconds. " +
			"Whoever reads slowly skips states in between, but always gets the latest state of each thing.",
		kind: "text/event-stream", stream: api.Event{}, serve: (*Server).events,
	}}
}

func stateRoutes() []route {
	return []route{{
		method: "GET", path: "/health", summary: "How the server is",
		about:  "Answers to everybody. Where an API key is needed and missing, only with the status.",
		answer: api.Health{}, serve: (*Server).health, open: true,
	}, {
		method: "GET", path: "/daemon/status", summary: "How the daemon of a sandbox is",
		query:  []param{{"sandbox", "Name of the sandbox; the default one without it.", ""}},
		answer: api.DaemonStatus{}, serve: (*Server).daemonStatus, codes: []string{api.CodeUnknownSandbox, api.CodeSandboxRequired},
	}, {
		method: "GET", path: "/openapi.json", summary: "This document",
		answer: map[string]any{}, serve: (*Server).serveOpenAPI, open: true,
	}}
}

// forwardedRoutes are answered by what listens in the sandbox. They stand here
// to be documented; preview.SplitPath finds them.
func forwardedRoutes() []route {
	failures := slices.Concat([]string{api.CodePortClosed, api.CodeBadUpstream, api.CodeUpstreamCut, api.CodeLoop, api.CodeDaemonPort}, unreachable, notInjected)
	return []route{{
		path: "/preview/{token}/{path}", summary: "Look through a preview link",
		about: "Every method, WebSockets and event streams included. The token is the permission. The same at http://TOKEN.localhost:8080/{path}.",
		codes: append([]string{api.CodeUnknownLink, api.CodeLinkRevoked, api.CodeLinkExpired, api.CodeCrossOrigin}, failures...), open: true,
	}, {
		path: "/proxy/{port}/{path}", summary: "Talk to a port of the default sandbox",
		about: "For programs: pages in a browser are refused, and who types the address is sent to a preview link. A daemon's own port needs the header X-Allow-Daemon-Port: true.",
		codes: append([]string{api.CodeBadPort, api.CodeSandboxRequired}, failures...),
	}, {
		path: "/sandboxes/{name}/proxy/{port}/{path}", summary: "Talk to a port of any sandbox",
		codes: append([]string{api.CodeBadPort}, failures...),
	}}
}
