package proxy

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"time"

	"daemon-proxy/core/api"
)

// clientError is what went wrong with reading the client's body.
type clientError struct{ err error }

func (e *clientError) Error() string { return "read the request body: " + e.err.Error() }
func (e *clientError) Unwrap() error { return e.err }

// failureProblem is the reason for which the exchange was cancelled, as a problem.
func (x *exchange) failureProblem() *api.Problem {
	x.mu.Lock()
	cause := x.failure
	x.mu.Unlock()
	if cause == nil {
		cause = context.Canceled
	}
	if p, ok := errors.AsType[*api.Problem](cause); ok {
		return p
	}
	if _, ok := errors.AsType[*http.MaxBytesError](cause); ok {
		return api.NewProblem(api.CodeTooLarge, cause.Error(), "send less in one request").Because(cause)
	}
	if e, ok := errors.AsType[*clientError](cause); ok && !connectionEnded(e.err) {
		return badRequest(e)
	}
	return api.NewProblem(api.CodeCancelled,
		"the request was cancelled before it was answered: "+cause.Error(), "send it again").Because(cause)
}

func bodyTimeout(after time.Duration) *api.Problem {
	return api.NewProblem(api.CodeBodyTimeout,
		"no bytes of the request body arrived for "+after.String(), "send it again, without a pause")
}

// connectionEnded reports whether err is of the connection rather than of what
// was sent on it.
func connectionEnded(err error) bool {
	_, isNet := errors.AsType[net.Error](err)
	return isNet || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed) ||
		errors.Is(err, io.ErrClosedPipe) || errors.Is(err, http.ErrBodyReadAfterClose)
}

// dialProblem is err of Target.Dial as a problem.
func dialProblem(err error) *api.Problem {
	if p, ok := errors.AsType[*api.Problem](err); ok {
		return p
	}
	return api.NewProblem(api.CodeDaemonDown, "the daemon of the sandbox cannot be reached: "+err.Error(),
		"check that the container is running; if it is, inject the daemon again").Because(err)
}

// answerProblem is why no final head could be read, as a problem.
func answerProblem(err error) *api.Problem {
	if !connectionEnded(err) {
		return badUpstream(err)
	}
	return api.NewProblem(api.CodeUpstreamCut, "the daemon closed the connection before it answered: "+err.Error(),
		"check the service's own log; it may have crashed on this request").Because(err)
}

func badUpstream(err error) *api.Problem {
	return api.NewProblem(api.CodeBadUpstream, "the answer from the sandbox cannot be used: "+err.Error(),
		"check that an HTTP/1.1 server listens on that port").Because(err)
}

func portClosed() *api.Problem {
	return api.NewProblem(api.CodePortClosed, "the daemon answers, but nothing listens on the port",
		"start the service in the sandbox, or use the port that it listens on")
}

func badPath(err error) *api.Problem {
	return api.NewProblem(api.CodeBadPath,
		"the path cannot be forwarded: "+err.Error(), "percent-encode it").Because(err)
}

func badRequest(err error) *api.Problem {
	return api.NewProblem(api.CodeBadRequest,
		"the request cannot be forwarded: "+err.Error(), "send valid HTTP/1.1").Because(err)
}
