package server

import (
	"net/http"
	"slices"
	"strings"

	"daemon-proxy/core/api"
	"daemon-proxy/core/proxy"
)

// route is a row of the table of everything that the API answers. What
// dispatches, the header Allow, the OpenAPI document and the manual come from it.
type route struct {
	method string // GET means HEAD too; empty: any
	// path is matched byte by byte and segment by segment; {x} stands for one
	// segment that is not empty, undecoded. Of two rows that fit the first counts.
	path    string
	summary string
	// about describes it in one paragraph for people.
	about string
	query []param
	// body and answer are values of the types that cross JSON; nil: none.
	body, answer any
	// kind is the media type of an answer that is not a JSON document; stream is
	// a value of the type of its elements, or nil for text.
	kind   string
	stream any
	// message is a value of the type of the text messages of a WebSocket, which the
	// route then is; nil: it is none.
	message any
	// both: the client chooses between answer and kind by Accept.
	both bool
	// codes are the problems that are this route's own.
	codes []string
	// open: the route needs no API key, and browsers may use it too.
	open bool
	// keyed: the route needs a key even with security off.
	keyed bool
	// changes: the route changes something, and a read-only server refuses it.
	changes bool
	// serve answers; nil: the request is forwarded (forward.go).
	serve func(management, *visit, values) error
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

// allow is the header Allow of a path.
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
func (m management) callAPI(v *visit) error {
	r := v.r
	path, _, _ := strings.Cut(r.RequestURI, "?")
	path = m.joined(path)
	var fits []route // all rows of one path
	for _, row := range m.table {
		if row.serve == nil || len(fits) > 0 && row.path != fits[0].path {
			continue
		}
		segments, ok := row.match(path)
		if !ok {
			continue
		}
		if r.Method == row.method || r.Method == http.MethodHead && row.method == http.MethodGet {
			if err := m.checkRoute(r, row); err != nil {
				return err
			}
			if row.open {
				proxy.Refused(v.w, r)
			} else if err := m.takeBody(v); err != nil {
				return err
			}
			return row.serve(m, v, segments)
		}
		fits = append(fits, row)
	}
	if strings.HasPrefix(path, "/api/") || strings.HasPrefix(path, "/daemon/") {
		if err := m.onlyJSON(v); err != nil {
			return err
		}
	}
	if len(fits) == 0 {
		return nothingHere()
	}
	v.w.Header().Set("Allow", allow(fits))
	return api.NewProblem(api.CodeMethodNotAllowed, "allowed here: "+allow(fits), "use "+fits[0].method)
}

// joined is a path with ENGINE/NAME as one segment, as {name} in the table is. NAME
// alone comes first where both fit.
func (m management) joined(path string) string {
	rest, ok := strings.CutPrefix(path, "/api/sandboxes/")
	engine, name, long := strings.Cut(rest, "/")
	known := func(row route) bool {
		_, fits := row.match(path)
		return fits
	}
	if !ok || !long || engine == "" || slices.ContainsFunc(m.table, known) {
		return path
	}
	return "/api/sandboxes/" + engine + "%2F" + name
}

func nothingHere() *api.Problem {
	return api.NewProblem(api.CodeUnknownRoute, "there is nothing at this address",
		"previews are at /preview/TOKEN/, ports at /proxy/PORT/")
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
		method: "POST", path: "/api/preview/create", summary: "Create a preview link",
		about: "Anyone who has the token of a link may view one port of one sandbox. The body is limited to 4 KiB.",
		body:  api.LinkRequest{}, answer: api.Link{}, serve: management.createLink, changes: true,
		codes: []string{api.CodeBadPort, api.CodeDaemonPort, api.CodeUnknownSandbox, api.CodeSandboxRequired,
			api.CodeLoop, api.CodeTooMany, api.CodeStateUnusable},
	}, {
		method: "GET", path: "/api/preview", summary: "List the preview links",
		about: "All current links and those that ended in the last thirty days (at most 10,000), newest first. Tokens " +
			"and URLs are complete: this list is for those who may create links.",
		answer: api.Links{}, serve: management.listLinks,
	}, {
		method: "GET", path: "/api/preview/stats", summary: "Get the counters of the preview links",
		answer: api.LinkStats{}, serve: management.linkStats,
	}, {
		method: "DELETE", path: "/api/preview/{token}", summary: "Revoke a preview link",
		about: "The token may be the link's public id. Everything open through the link ends at once. Revoking a link " +
			"again changes nothing.",
		answer: api.Revoked{}, serve: management.revokeLink, changes: true, codes: []string{api.CodeUnknownLink, api.CodeStateUnusable},
	}, {
		method: "POST", path: "/api/preview/{token}/share", summary: "Share a preview link on the network",
		about: "Serves the link, which must expire, and nothing else on an address of the network that the server is on, " +
			"until the client disconnects. The first line says where; it is repeated every 15 seconds. The stream ends " +
			"with the link. The token may be the link's public id.",
		kind: "application/x-ndjson", stream: api.Share{}, serve: management.share, keyed: true, changes: true,
		codes: []string{api.CodeUnknownLink, api.CodeLinkRevoked, api.CodeLinkExpired, api.CodeNeedsExpiry,
			api.CodeNoNetwork},
	}}
}

// notInjected are the problems of an injection that failed, which a sandbox
// without a daemon keeps answering with.
var notInjected = []string{api.CodePortTaken, api.CodeForeignFile, api.CodeArchMismatch, api.CodeNotExecutable,
	api.CodeDynamicBinary, api.CodeBinaryMissing,
	api.CodeReadOnlyRoot, api.CodeWorkDir, api.CodeDaemonExited, api.CodeStartTimeout, api.CodeCancelled}

// unreachable are the problems of a sandbox whose daemon cannot be reached.
var unreachable = []string{api.CodeUnknownSandbox, api.CodeBadPath, api.CodeSandboxStopped,
	api.CodeSandboxPaused, api.CodeSandboxMissing,
	api.CodeSandboxBusy, api.CodeEngineUnreachable, api.CodeEngineRefused, api.CodeEngineClosed, api.CodeUnreachable,
	api.CodeDaemonDown, api.CodeNoDaemon}

func sandboxRoutes() []route {
	return []route{{
		method: "GET", path: "/api/sandboxes", summary: "List the sandboxes",
		about:  "The containers of all engines that are open, and the machine itself under the name host.",
		answer: api.SandboxList{}, serve: management.listSandboxes,
	}, {
		method: "GET", path: "/api/sandboxes/{name}/ports", summary: "List the listening ports of a sandbox",
		about: "With identify=true, each port gets one request to find out what it serves, which takes up to 1.5 " +
			"seconds; the results are cached briefly. Ports of daemon-proxy itself are then omitted.",
		query:  []param{{"identify", "true: add service, name, remarks, warning, label and path.", true}},
		answer: api.PortList{}, serve: management.listPorts, codes: slices.Concat(unreachable, notInjected),
	}, {
		method: "POST", path: "/api/sandboxes/{name}/inject", summary: "Put a daemon into a sandbox",
		about: "Answers when the daemon is healthy. With Accept: application/x-ndjson it answers at once and sends " +
			"one line for each step; the last line has finished set, and error if the injection failed. If the client " +
			"disconnects, the injection is undone.",
		answer: api.Sandbox{}, kind: "application/x-ndjson", stream: api.Injection{}, both: true, serve: management.inject, changes: true,
		codes: slices.Concat(notInjected, unreachable),
	}, {
		method: "DELETE", path: "/api/sandboxes/{name}/inject", summary: "Cancel the injection into a sandbox",
		about: "The client that started it gets the problem cancelled. Everything is undone, and there is no retry " +
			"until a client asks for one. If no injection is running, this cancels the retries of a failed one. A " +
			"daemon that is already running is not stopped: 409.",
		answer: api.Sandbox{}, serve: changes(api.Service.CancelInjection), changes: true,
		codes: slices.Concat([]string{api.CodeCancelled}, unreachable),
	}, {
		method: "POST", path: "/api/sandboxes/{name}/inject/leave", summary: "Let the injection into a sandbox go on",
		about: "The injection is no longer undone when the clients that started it disconnect. If none is in " +
			"progress: 409.",
		answer: api.Sandbox{}, serve: changes(api.Service.LeaveInjection), changes: true, codes: unreachable,
	}, {
		method: "POST", path: "/api/sandboxes/{name}/stop", summary: "Stop the daemon of a sandbox",
		about: "The container keeps running. A daemon that this program did not start, in this run or an earlier one, " +
			"is not stopped: 409.",
		answer: api.Sandbox{}, serve: changes(api.Service.StopDaemon), changes: true, codes: unreachable,
	}, {
		method: "POST", path: "/api/sandboxes/{name}/eject", summary: "Stop the daemon of a sandbox and remove its files",
		about: "Removes the daemon's binary and logs, and its working directory if daemon-proxy created it and it is " +
			"empty. If the image has no rm, the files are emptied instead: 409.",
		answer: api.Sandbox{}, serve: changes(api.Service.Eject), keyed: true, changes: true, codes: slices.Concat([]string{api.CodeEmptied},
			unreachable),
	}, {
		method: "POST", path: "/api/sandboxes/{name}/container/start", summary: "Start the container of a sandbox",
		answer: api.Sandbox{}, serve: changes(api.Service.StartContainer), changes: true, codes: unreachable,
	}, {
		method: "POST", path: "/api/sandboxes/{name}/container/stop", summary: "Stop the container of a sandbox",
		answer: api.Sandbox{}, serve: changes(api.Service.StopContainer), changes: true, codes: unreachable,
	}, {
		method: "POST", path: "/api/sandboxes/{name}/desktop", summary: "Start the VNC desktop of a sandbox",
		about:  "Asks the daemon for its desktop and answers once port 6080 listens.",
		answer: api.Sandbox{}, serve: changes(api.Service.StartDesktop), changes: true,
		codes: slices.Concat([]string{api.CodeNoDesktop}, unreachable, notInjected),
	}, {
		method: "GET", path: "/api/sandboxes/{name}/shell", summary: "Open a shell in a container",
		about: "A WebSocket. Binary messages are the bytes that are typed and shown. Text messages are JSON: the client " +
			`may send {"resize":{"columns":120,"rows":40}}, and the last message of the server is {"exit":0} with the ` +
			"shell's exit code. If the client disconnects, what runs in the terminal is hung up and ended.",
		query: []param{
			{"columns", "Columns of the terminal, 1 to 10,000; 80 if omitted.", 1},
			{"rows", "Rows of the terminal, 1 to 10,000; 24 if omitted.", 1},
		},
		message: api.ShellMessage{}, serve: management.shell, keyed: true, changes: true,
		codes: slices.Concat([]string{api.CodeNoShell, api.CodeTooMany}, unreachable),
	}, {
		method: "GET", path: "/api/sandboxes/{name}/logs", summary: "Read a log",
		about: "The text is unchanged: a client that prints it on a terminal must remove control characters.",
		query: []param{
			{"source", "daemon (default), container, or program for the log of daemon-proxy itself.", ""},
			{"tail", "Number of lines from the end; all lines by default.", 1},
			{"follow", "true: keep sending new lines.", true},
		},
		kind: "text/plain", serve: management.logs, codes: slices.Concat([]string{api.CodeNoLog}, unreachable),
	}}
}

// filterTerms is the parameter of routes that take a filter.
var filterTerms = param{"filter", "Terms that must all match: status:5xx, status:404, method:post, port:3000, path:/api, " +
	"sandbox:web, engine:lab, kind:preview, protocol:websocket, link:ID, live:true, or text to find in method, path, " +
	"sandbox and note. A ! before a term negates it; quotes keep words together.", ""}

func requestRoutes() []route {
	return []route{{
		method: "GET", path: "/api/requests", summary: "List the latest requests",
		about: "The forwarded requests in the request log, newest first (10,000 requests, or fewer if traffic.memory " +
			"cannot hold them). Secrets are masked.",
		query: []param{
			filterTerms,
			{"limit", "Maximum number of requests, at least 1; all in the log by default.", 1},
		},
		answer: api.ExchangeList{}, serve: management.listRequests,
	}, {
		method: "GET", path: "/api/requests/{id}", summary: "Get one request with its headers and bodies",
		about: "Bodies are base64, decompressed, and hold what was captured of each: at most 64 KiB. Long headers are " +
			"cut, and the headers and bodies of old requests are discarded; the answer marks both. Secrets are masked, " +
			"in JSON and forms by their names.",
		answer: api.ExchangeDetail{}, serve: management.oneRequest, codes: []string{api.CodeUnknownExchange},
	}, {
		method: "GET", path: "/api/requests/{id}/bodies", summary: "Get the bodies of a request as they passed",
		about: "Bodies are base64, not decompressed, and hold what was captured of each: at most 64 KiB. Secrets in " +
			"them are not masked.",
		answer: api.Bodies{}, serve: management.bodies, keyed: true, codes: []string{api.CodeUnknownExchange},
	}, {
		method: "GET", path: "/api/requests/{id}/curl", summary: "Get a request as a command for a POSIX shell",
		about: "Secrets are not in it: $COOKIE, $AUTH, $API_KEY and $SECRET stand for them.",
		kind:  "text/plain", serve: management.curl, keyed: true, codes: []string{api.CodeUnknownExchange},
	}, {
		method: "POST", path: "/api/requests/{id}/replay", summary: "Send a request again",
		about: "The same request to the same sandbox and port. The answer is what was recorded of it, within 30 " +
			"seconds; of an event stream, the first second is read.",
		answer: api.Exchange{}, serve: management.replay, keyed: true, changes: true, codes: []string{api.CodeUnknownExchange,
			api.CodeNotReplayable, api.CodeUnknownLink, api.CodeLinkRevoked, api.CodeLinkExpired},
	}, {
		method: "GET", path: "/api/requests.har", summary: "Get the latest requests as an HTTP archive",
		about: "HAR 1.2 with the headers and bodies that were captured, secrets masked.",
		query: []param{filterTerms}, answer: map[string]any{}, serve: management.archive,
	}, {
		method: "GET", path: "/api/rates", summary: "Get the rates of the last minute",
		answer: api.Rates{}, serve: management.rates,
	}, {
		method: "GET", path: "/api/events", summary: "Follow the events",
		about: "Server-sent events: event is the kind, data is the event in JSON. The lists above have everything from " +
			"before the request. A comment is sent at least every 15 seconds. " +
			"A slow reader misses intermediate states, but always gets the latest state of each item. The last event of " +
			"each batch has an id. A client whose connection broke sends the id that it saw last as Last-Event-ID and gets " +
			"the latest state of everything that has changed since; if the server does not have all of that any more, or " +
			"was restarted, the client gets the event reset and begins with the lists. With screen, the client is listed " +
			"as a screen until the connection ends, and the first event, attached, has its id. A screen that connects " +
			"again is another one, with another id, and must set again what it shows.",
		query: []param{{"screen", "Name of a program with a display, for people: you@desk pts/3.", ""}},
		kind:  "text/event-stream", stream: api.Event{}, serve: management.events,
		codes: []string{api.CodeBadRequest, api.CodeTooMany},
	}, {
		method: "GET", path: "/api/screens", summary: "List the screens",
		about:  "The terminal UIs, and other programs with a display, that are attached; the oldest first.",
		answer: api.ScreenList{}, serve: management.listScreens,
	}, {
		method: "PUT", path: "/api/screens/{screen}", summary: "Set the sandbox that a screen shows",
		about: "The health and the ports of the sandboxes that the screens show are followed more closely. Only a screen " +
			"that is attached over HTTP can be set.",
		body: api.ScreenWatch{}, answer: api.ScreenStatus{}, serve: management.watchFrom,
		codes: []string{api.CodeUnknownScreen, api.CodeUnknownSandbox},
	}}
}

func stateRoutes() []route {
	return []route{{
		method: "GET", path: "/health", summary: "Get the state of the server",
		about:  "Answers everybody. If the API key is required and missing, the answer has only the status.",
		answer: api.Health{}, serve: management.health, open: true,
	}, {
		method: "GET", path: "/api/status", summary: "Get the state of the core",
		answer: api.Status{}, serve: management.status,
	}, {
		method: "GET", path: "/api/engine", summary: "Get the state of the primary engine",
		about:  "The default sandbox is on this engine.",
		answer: api.EngineStatus{}, serve: management.engine,
	}, {
		method: "PUT", path: "/api/engine", summary: "Open an engine and close all others",
		about: "The answer does not wait until the new engine answers. Links to sandboxes of the previous engines work " +
			"again once those are opened again. The body is limited to 4 KiB.",
		body: api.EngineName{}, answer: api.EngineStatus{}, serve: management.switchEngine, keyed: true, changes: true,
		codes: []string{api.CodeEngineUnreachable},
	}, {
		method: "POST", path: "/api/engine/retry", summary: "Look for the engines now",
		about:  "The containers of engines that are connected are listed again.",
		answer: api.EngineStatus{}, serve: management.retryEngine, keyed: true, codes: []string{api.CodeEngineUnreachable},
	}, {
		method: "GET", path: "/api/engines", summary: "List the engines",
		about:  "Those that are open and those that can be opened.",
		answer: api.EngineList{}, serve: management.listEngines,
	}, {
		method: "GET", path: "/api/engines/open", summary: "Get the states of the engines that are open",
		answer: api.EngineStates{}, serve: engineStates,
	}, {
		method: "PUT", path: "/api/engines/{engine}", summary: "Open an engine beside the others",
		about: "The answer does not wait until the engine answers. The engines that are open are opened again by the " +
			"next start with the same configuration.",
		answer: api.EngineStates{}, serve: changesEngine(api.Service.OpenEngine), keyed: true, changes: true,
		codes: []string{api.CodeEngineUnreachable, api.CodeBadPath},
	}, {
		method: "DELETE", path: "/api/engines/{engine}", summary: "Close an engine",
		about: "Links to its sandboxes work again once it is opened again. The only one that is open cannot be closed " +
			"(409). Closing one that is not open changes nothing.",
		answer: api.EngineStates{}, serve: changesEngine(api.Service.CloseEngine), keyed: true, changes: true,
		codes: []string{api.CodeBadPath},
	}, {
		method: "POST", path: "/api/demo", summary: "Start the demo sandbox",
		about: "Creates the container if needed, puts a daemon into it and answers with a link to its page. If the " +
			"client disconnects, the injection is undone.",
		answer: api.Link{}, serve: management.demo, keyed: true, changes: true, codes: slices.Concat([]string{api.CodeEngineUnreachable,
			api.CodeForeignFile, api.CodeTooMany, api.CodeStateUnusable}, notInjected, unreachable),
	}, {
		method: "POST", path: "/api/doctor", summary: "Check the way to a sandbox, hop by hop",
		about: "One line for each hop, as it is checked: core, state, server, engine, container, carrier, daemon, port, " +
			"front. The last line has finished set. At the last two hops a self-test page, which runs in the sandbox " +
			"meanwhile, is called with all methods, a path and headers that are easily changed, trailers, a WebSocket, an " +
			"event stream and 64 MiB in each direction; lost names what does not pass unchanged. The first hop that " +
			"fails has a hint, and nothing behind it is checked. Nothing is injected or copied.",
		query: []param{{"sandbox", "Name of the sandbox; the default sandbox if omitted, or none if there is none.", ""}},
		kind:  "application/x-ndjson", stream: api.Finding{}, serve: diagnose, keyed: true, changes: true,
		codes: []string{api.CodeUnknownSandbox},
	}, {
		method: "GET", path: "/daemon/status", summary: "Get the state of a sandbox's daemon",
		query:  []param{{"sandbox", "Name of the sandbox; the default sandbox if omitted.", ""}},
		answer: api.DaemonStatus{}, serve: management.daemonStatus, codes: []string{api.CodeUnknownSandbox,
			api.CodeSandboxRequired},
	}, {
		method: "GET", path: "/metrics", summary: "Get the metrics", kind: "text/plain",
		about: "In the form that Prometheus reads, if server.metrics is on. Labels name sandboxes and ports, never " +
			"paths, tokens or hosts.",
		serve: management.metrics, codes: []string{api.CodeUnknownRoute},
	}, {
		method: "GET", path: "/openapi.json", summary: "Get this document",
		answer: map[string]any{}, serve: management.serveOpenAPI, open: true,
	}}
}

// forwardedRoutes are answered by what listens in the sandbox. They stand here
// to be documented; preview.SplitPath finds them.
func forwardedRoutes() []route {
	failures := slices.Concat([]string{api.CodePortClosed, api.CodeBadUpstream, api.CodeUpstreamCut, api.CodeLoop,
		api.CodeDaemonPort}, unreachable, notInjected)
	return []route{{
		path: "/preview/{token}/{path}", summary: "Open a preview link",
		about: "Every method, including WebSockets and event streams. The token is the permission. The same preview is " +
			"at http://TOKEN.localhost:8080/{path}.",
		codes: append([]string{api.CodeUnknownLink, api.CodeLinkRevoked, api.CodeLinkExpired, api.CodeCrossOrigin},
			failures...), open: true,
	}, {
		path: "/proxy/{port}/{path}", summary: "Send a request to a port of the default sandbox",
		about: "For programs: pages in a browser are refused, and a person who types the address is redirected to a " +
			"preview link. The daemon's own ports need the header X-Allow-Daemon-Port: true, and are " +
			"refused by a read-only server.",
		codes: append([]string{api.CodeBadPort, api.CodeSandboxRequired, api.CodeReadOnly}, failures...),
	}, {
		path: "/sandboxes/{name}/proxy/{port}/{path}", summary: "Send a request to a port of any sandbox",
		codes: append([]string{api.CodeBadPort, api.CodeReadOnly}, failures...),
	}}
}
