package api

import (
	"errors"
	"net/http"
)

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
	return &Problem{
		Title: "Internal error", Status: http.StatusInternalServerError, Code: "internal",
		Detail: "the program met an error that it does not know", Hint: "see the log for the cause", Cause: err,
	}
}

// Codes of problems. They are part of the HTTP API and never change.
const (
	CodeUnknownRoute     = "unknown_route"      // 404
	CodeUnknownLink      = "unknown_link"       // 404
	CodeUnknownSandbox   = "unknown_sandbox"    // 404
	CodeLinkRevoked      = "link_revoked"       // 410
	CodeLinkExpired      = "link_expired"       // 410
	CodeSandboxRequired  = "sandbox_required"   // 409
	CodePortClosed       = "port_closed"        // 502: nothing listens on the port
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
	CodeMethodNotAllowed = "method_not_allowed" // 405

	CodeEngineUnreachable = "engine_unreachable"  // 503
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
	CodeNotReplayable     = "not_replayable"      // 409
	CodeNeedsExpiry       = "needs_expiry"        // 409: only a link that expires may be shared
	CodeNoNetwork         = "no_network"          // 503: this machine has no address on a network
	CodeStateLocked       = "state_locked"        // 409: another program has the links file open
	CodeStateUnusable     = "state_unusable"      // 500: the links file cannot be read or written
	CodeInternal          = "internal"            // 500
)
