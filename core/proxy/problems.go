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

// failureProblem is why the exchange was given up, as a problem.
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
		return &api.Problem{
			Title: "Body too large", Status: http.StatusRequestEntityTooLarge, Code: api.CodeTooLarge,
			Detail: cause.Error(), Hint: "send less in one request", Cause: cause,
		}
	}
	if e, ok := errors.AsType[*clientError](cause); ok && !connectionEnded(e.err) {
		return badRequest(e)
	}
	return &api.Problem{
		Title: "Request given up", Status: 499, Code: api.CodeCancelled,
		Detail: "the request was given up before it was answered: " + cause.Error(),
		Hint:   "send it again", Cause: cause,
	}
}

func bodyTimeout(after time.Duration) *api.Problem {
	return &api.Problem{
		Title: "Request body stopped", Status: http.StatusRequestTimeout, Code: api.CodeBodyTimeout,
		Detail: "nothing came of the request body for " + after.String(), Hint: "send it again, without a pause",
	}
}

// connectionEnded says whether err is of the connection rather than of what
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
	return &api.Problem{
		Title: "Daemon not reachable", Status: http.StatusServiceUnavailable, Code: api.CodeDaemonDown,
		Detail: "the daemon of the sandbox cannot be reached: " + err.Error(),
		Hint:   "see whether the container runs; inject the daemon again if it does",
		Cause:  err,
	}
}

// answerProblem is why no final head could be read, as a problem.
func answerProblem(err error) *api.Problem {
	if !connectionEnded(err) {
		return badUpstream(err)
	}
	return &api.Problem{
		Title: "Daemon hung up", Status: http.StatusBadGateway, Code: api.CodeUpstreamCut,
		Detail: "the daemon hung up before it answered: " + err.Error(),
		Hint:   "look at the service's own log; it may have crashed on this request",
		Cause:  err,
	}
}

func badUpstream(err error) *api.Problem {
	return &api.Problem{
		Title: "Unusable answer", Status: http.StatusBadGateway, Code: api.CodeBadUpstream,
		Detail: "the answer from the sandbox cannot be used: " + err.Error(),
		Hint:   "see whether an HTTP/1.1 server listens on that port",
		Cause:  err,
	}
}

func portClosed() *api.Problem {
	return &api.Problem{
		Title: "Nothing listens on the port", Status: http.StatusBadGateway, Code: api.CodePortClosed,
		Detail: "the daemon answers, but nothing listens on the port",
		Hint:   "start the service in the sandbox, or ask for the port that it listens on",
	}
}

func badPath(err error) *api.Problem {
	return &api.Problem{
		Title: "Bad path", Status: http.StatusBadRequest, Code: api.CodeBadPath,
		Detail: "the path cannot be forwarded: " + err.Error(), Hint: "percent-encode it", Cause: err,
	}
}

func badRequest(err error) *api.Problem {
	return &api.Problem{
		Title: "Bad request", Status: http.StatusBadRequest, Code: api.CodeBadRequest,
		Detail: "the request cannot be forwarded: " + err.Error(), Hint: "send valid HTTP/1.1", Cause: err,
	}
}
