package docker

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strings"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/client"

	"daemon-proxy/core/api"
)

// dialError marks a connection that could not be opened. Its text is constant
// and it is not a net.Error, because the Docker client replaces errors that look
// like a refused connection or a timeout by one without a cause.
type dialError struct{ cause error }

func (*dialError) Error() string   { return "no connection to the engine" }
func (e *dialError) Unwrap() error { return e.cause }

// fail translates the error of an API call on a container for callers. op is a
// verb: "inspect".
func (e *Engine) fail(op, container string, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, context.Canceled):
		return fmt.Errorf("%s %s: %w", op, container, err)
	case errdefs.IsNotFound(err):
		return missing(container, err)
	case client.IsErrConnectionFailed(err), isDialError(err), errors.Is(err, context.DeadlineExceeded):
		return e.unreachable(err)
	case errdefs.IsPermissionDenied(err):
		return e.refused(op+" "+container, err).In(container, 0)
	}
	return fmt.Errorf("%s %s: %w", op, container, err)
}

// refused is the problem of a call that something in front of the engine forbids,
// such as a proxy that lets only some calls through, or a plugin of the engine.
func (e *Engine) refused(what string, err error) *api.Problem {
	detail := fmt.Sprintf("the Docker engine at %s refuses to %s", e.at.host, what)
	if said := err.Error(); !strings.Contains(said, "<") { // a page is not for people
		detail += ": " + said
	}
	return api.NewProblem(api.CodeEngineRefused, detail, "allow it in the socket proxy or the authorization plugin in front of the engine: "+
		"lists, inspections, events, execs and copies are needed (docker-socket-proxy: CONTAINERS, EXEC, EVENTS and POST)").Because(err)
}

func isDialError(err error) bool {
	_, ok := errors.AsType[*dialError](err)
	return ok
}

// missing is the problem of a container that does not exist.
func missing(container string, cause error) *api.Problem {
	return api.NewProblem(api.CodeSandboxMissing, fmt.Sprintf("there is no container %q", container),
		"list them: docker ps -a").In(container, 0).WithStatus(http.StatusNotFound).Because(cause)
}

// nameForm matches the names and ids that the engine accepts. Anything else in a
// URL could reach another part of its API.
var nameForm = regexp.MustCompile(`^[a-zA-Z0-9][a-zA-Z0-9_.-]*$`)

// begin starts every call on a container: it rejects invalid names and negotiates
// the API version.
func (e *Engine) begin(ctx context.Context, nameOrID string) error {
	if !nameForm.MatchString(nameOrID) {
		return missing(nameOrID, nil)
	}
	return e.ready(ctx)
}

// unreachable is the problem behind an error of the connection.
func (e *Engine) unreachable(err error) *api.Problem {
	if p, ok := errors.AsType[*api.Problem](err); ok {
		return p
	}
	if errors.Is(err, context.Canceled) {
		what := "the request to the Docker engine at " + e.at.host + " was cancelled"
		return api.NewProblem(api.CodeCancelled, what, "").Because(err)
	}
	if errors.Is(err, context.DeadlineExceeded) {
		_ = e.cli.Close() // its idle connections, which may be lost, too
	}
	if errdefs.IsPermissionDenied(err) {
		return e.refused("list containers and events", err)
	}
	why, hint := e.at.diagnose(e.opts, err)
	return api.NewProblem(api.CodeEngineUnreachable,
		fmt.Sprintf("the Docker engine at %s does not answer: %s", e.at.host, why), hint).Because(err)
}
