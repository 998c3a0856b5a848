package api

import "errors"

// Problem is an error for a person or a program outside: an
// application/problem+json document (RFC 9457) with a stable code and a hint.
// It is also the error type that every layer of the core returns for such
// errors, so that text and hint travel with the error instead of being glued
// on at the edge.
type Problem struct {
	// Title is the same for all problems with one code.
	Title string `json:"title"`
	// Status is the HTTP status; 0 means 500.
	Status int `json:"status"`
	// Code is stable and meant for programs: "link_revoked".
	Code string `json:"code"`
	// Detail says what failed, where and why. It never contains a secret.
	Detail string `json:"detail,omitempty"`
	// Hint is the next thing to try.
	Hint string `json:"hint,omitempty"`
	// Sandbox and Port are where it happened, if that applies.
	Sandbox string `json:"sandbox,omitempty"`
	Port    int    `json:"port,omitempty"`
	// Names lists the candidates of a sandbox_required problem.
	Names []string `json:"names,omitempty"`

	// Cause is for logs and errors.Is; it never crosses JSON.
	Cause error `json:"-"`
}

// NewProblem is a problem of that code, with its title and status.
func NewProblem(code, detail, hint string) *Problem {
	kind := kinds[code]
	return &Problem{Title: kind.title, Status: kind.status, Code: code, Detail: detail, Hint: hint}
}

// Problem makes the problem of a sandbox.
func (r Ref) Problem(code, detail, hint string) *Problem {
	return NewProblem(code, detail, hint).In(r.String(), 0)
}

// In names where the problem is; "" and 0 mean nowhere.
func (p *Problem) In(sandbox string, port int) *Problem {
	p.Sandbox, p.Port = sandbox, port
	return p
}

// WithStatus sets an HTTP status other than that of the code.
func (p *Problem) WithStatus(status int) *Problem {
	p.Status = status
	return p
}

// Because sets the cause.
func (p *Problem) Because(cause error) *Problem {
	p.Cause = cause
	return p
}

// Error is Detail, or Title where there is none.
func (p *Problem) Error() string {
	if p.Detail != "" {
		return p.Detail
	}
	return p.Title
}

// Unwrap is the cause.
func (p *Problem) Unwrap() error { return p.Cause }

// Is makes errors.Is(err, &Problem{Code: c}) compare codes.
func (p *Problem) Is(target error) bool {
	t, ok := target.(*Problem)
	return ok && t.Code == p.Code
}

// AsProblem is err as a Problem: the one it wraps, or a new one of code
// "internal" that hides the text of err from the outside but keeps it as Cause.
func AsProblem(err error) *Problem {
	if err == nil {
		return nil
	}
	if p, ok := errors.AsType[*Problem](err); ok {
		return p
	}
	return NewProblem(CodeInternal, "unexpected internal error", "see the log for the cause").Because(err)
}

// Codes of problems. They are part of the HTTP API and never change.
const (
	CodeUnknownRoute     = "unknown_route"      // 404
	CodeUnknownLink      = "unknown_link"       // 404
	CodeUnknownSandbox   = "unknown_sandbox"    // 404
	CodeLinkRevoked      = "link_revoked"       // 410
	CodeLinkExpired      = "link_expired"       // 410
	CodeSandboxRequired  = "sandbox_required"   // 409
	CodePortClosed       = "port_closed"        // 502
	CodeBadUpstream      = "bad_upstream"       // 502: the daemon's answer is not HTTP, or over a limit
	CodeUpstreamCut      = "upstream_cut"       // 502: the daemon hung up before it answered
	CodeDaemonDown       = "daemon_down"        // 503
	CodeNoDaemon         = "no_daemon"          // 503: nothing was injected yet
	CodeSandboxStopped   = "sandbox_stopped"    // 503: exited, created, dead
	CodeSandboxPaused    = "sandbox_paused"     // 503
	CodeSandboxMissing   = "sandbox_missing"    // 503 for a link, 404 for a name
	CodeSandboxBusy      = "sandbox_busy"       // 409: restarting, or an injection is under way
	CodeLoop             = "loop"               // 409 when a link is made, 508 on a request
	CodeBadPort          = "bad_port"           // 400
	CodeDaemonPort       = "daemon_port"        // 403
	CodeBadPath          = "bad_path"           // 400
	CodeBadRequest       = "bad_request"        // 400
	CodeNotJSON          = "not_json"           // 415
	CodeBodyTimeout      = "body_timeout"       // 408
	CodeTooLarge         = "too_large"          // 413
	CodeTooMany          = "too_many"           // 429
	CodeWrongHost        = "wrong_host"         // 421
	CodeCrossOrigin      = "cross_origin"       // 403
	CodePageMade         = "page_made"          // 403
	CodeOutsidePrefix    = "outside_prefix"     // 403: a service worker's script at no preview
	CodeUnauthorized     = "unauthorized"       // 401
	CodeReadOnly         = "read_only"          // 403: server.read_only is on
	CodeMethodNotAllowed = "method_not_allowed" // 405

	CodeEngineUnreachable = "engine_unreachable"  // 503
	CodeEngineRefused     = "engine_refused"      // 403: a filter or a plugin of the engine forbids it
	CodeEngineClosed      = "engine_closed"       // 503: the sandbox is on an engine that is not open
	CodeArchMismatch      = "arch_mismatch"       // 422
	CodeNotExecutable     = "not_executable"      // 422: not an ELF executable
	CodeDynamicBinary     = "dynamic_binary"      // 422: its loader is missing in the container
	CodeBinaryMissing     = "binary_missing"      // 422
	CodeReadOnlyRoot      = "read_only_root"      // 422
	CodeWorkDir           = "work_dir"            // 422
	CodePortTaken         = "port_taken"          // 409: 2280 is something else's
	CodeForeignFile       = "foreign_file"        // 409: a file that is not ours stands at the target
	CodeDaemonExited      = "daemon_exited"       // 502
	CodeStartTimeout      = "start_timeout"       // 504
	CodeUnreachable       = "address_unreachable" // 503: the container has no address that can be dialled
	CodeCancelled         = "cancelled"           // 499
	CodeNoShell           = "no_shell"            // 422: the container has no shell to open
	CodeNoDesktop         = "no_desktop"          // 503: the daemon cannot start one, or it did not come up
	CodeNoLog             = "no_log"              // 404
	CodeEmptied           = "emptied"             // 409: what should have been removed could only be made empty
	CodeUnknownExchange   = "unknown_exchange"    // 404: the request log does not hold it (any more)
	CodeUnknownScreen     = "unknown_screen"      // 404: it has gone, or its connection broke
	CodeCoreUnreachable   = "core_unreachable"    // 503: from the client only: it cannot connect to the core, or the connection broke
	CodeProtocolMismatch  = "protocol_mismatch"   // 409: the client and the core speak protocols with different major numbers
	CodeNotReplayable     = "not_replayable"      // 409
	CodeNeedsExpiry       = "needs_expiry"        // 409: only a link that expires may be shared
	CodeNoNetwork         = "no_network"          // 503: this machine has no address on a network
	CodeStateLocked       = "state_locked"        // 409: another program has the links file open
	CodeStateUnusable     = "state_unusable"      // 500: the links file cannot be read or written
	CodeSSHFailed         = "ssh_failed"          // 502: the core on another machine is not reached by ssh
	CodeNotInstalled      = "not_installed"       // 502: this program is not on the other machine
	CodeInternal          = "internal"            // 500
)

// kinds are the title of each code, and the HTTP status that fits unless a
// problem has another.
var kinds = map[string]struct {
	status int
	title  string
}{
	CodeUnknownRoute:      {404, "Not found"},
	CodeUnknownLink:       {404, "Unknown link"},
	CodeUnknownSandbox:    {404, "Unknown sandbox"},
	CodeLinkRevoked:       {410, "Link revoked"},
	CodeLinkExpired:       {410, "Link expired"},
	CodeSandboxRequired:   {409, "Which sandbox?"},
	CodePortClosed:        {502, "Nothing listens on the port"},
	CodeBadUpstream:       {502, "Unusable answer"},
	CodeUpstreamCut:       {502, "Daemon hung up"},
	CodeDaemonDown:        {503, "Daemon not reachable"},
	CodeNoDaemon:          {503, "No daemon"},
	CodeSandboxStopped:    {503, "Sandbox stopped"},
	CodeSandboxPaused:     {503, "Sandbox paused"},
	CodeSandboxMissing:    {503, "No such container"},
	CodeSandboxBusy:       {409, "Sandbox busy"},
	CodeLoop:              {508, "Request loop"},
	CodeBadPort:           {400, "Bad port"},
	CodeDaemonPort:        {403, "Daemon's own port"},
	CodeBadPath:           {400, "Bad path"},
	CodeBadRequest:        {400, "Bad request"},
	CodeNotJSON:           {415, "Not JSON"},
	CodeBodyTimeout:       {408, "Request body timed out"},
	CodeTooLarge:          {413, "Request body too large"},
	CodeTooMany:           {429, "Limit reached"},
	CodeWrongHost:         {421, "Wrong host"},
	CodeCrossOrigin:       {403, "Cross-origin request"},
	CodePageMade:          {403, "For programs only"},
	CodeOutsidePrefix:     {403, "Outside every preview"},
	CodeUnauthorized:      {401, "API key needed"},
	CodeReadOnly:          {403, "Read-only"},
	CodeMethodNotAllowed:  {405, "Method not allowed"},
	CodeEngineUnreachable: {503, "Engine not reachable"},
	CodeEngineRefused:     {403, "Refused by the engine"},
	CodeEngineClosed:      {503, "Engine not open"},
	CodeArchMismatch:      {422, "Wrong architecture"},
	CodeNotExecutable:     {422, "Not executable"},
	CodeDynamicBinary:     {422, "Dynamically linked binary"},
	CodeBinaryMissing:     {422, "No daemon binary"},
	CodeReadOnlyRoot:      {422, "Read-only container"},
	CodeWorkDir:           {422, "No working directory"},
	CodePortTaken:         {409, "The daemon's port is taken"},
	CodeForeignFile:       {409, "A file is in the way"},
	CodeDaemonExited:      {502, "The daemon exited"},
	CodeStartTimeout:      {504, "The daemon does not answer"},
	CodeUnreachable:       {503, "Address not reachable"},
	CodeCancelled:         {499, "Cancelled"},
	CodeNoShell:           {422, "No shell"},
	CodeNoDesktop:         {503, "No desktop"},
	CodeNoLog:             {404, "No log"},
	CodeEmptied:           {409, "Emptied, not removed"},
	CodeUnknownExchange:   {404, "Unknown request"},
	CodeUnknownScreen:     {404, "Unknown screen"},
	CodeCoreUnreachable:   {503, "Core not reachable"},
	CodeProtocolMismatch:  {409, "Other protocol"},
	CodeNotReplayable:     {409, "Not replayable"},
	CodeNeedsExpiry:       {409, "No expiry"},
	CodeNoNetwork:         {503, "No network"},
	CodeStateLocked:       {409, "State in use"},
	CodeStateUnusable:     {500, "State not usable"},
	CodeSSHFailed:         {502, "No connection by ssh"},
	CodeNotInstalled:      {502, "Not installed there"},
	CodeInternal:          {500, "Internal error"},
}
