package sandbox

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"daemon-proxy/core/api"
	"daemon-proxy/core/reach"
	"daemon-proxy/core/sandbox/inject"
	"daemon-proxy/core/sandbox/source"
)

// conflict is the problem of a request that conflicts with the state of ref.
func conflict(ref api.Ref, detail, hint string) *api.Problem {
	return ref.Problem(api.CodeBadRequest, detail, hint).WithStatus(http.StatusConflict)
}

// asProblem returns err as a problem that names the sandbox.
func asProblem(ref api.Ref, err error) *api.Problem {
	if errors.Is(err, context.Canceled) {
		return ref.Problem(api.CodeCancelled, "the injection into "+ref.String()+" was cancelled",
			"nothing was left behind; you can inject again at any time")
	}
	if p, ok := errors.AsType[*api.Problem](err); ok {
		if p.Sandbox == "" {
			named := *p
			named.Sandbox = ref.String()
			return &named
		}
		return p
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return ref.Problem(api.CodeStartTimeout, ref.String()+": "+err.Error(), "try again")
	}
	return ref.Problem(api.CodeInternal, ref.String()+": "+err.Error(),
		"see the engine's log").WithStatus(http.StatusBadGateway).Because(err)
}

// wrap is asProblem for an error that may be nil.
func wrap(ref api.Ref, err error) error {
	if err == nil {
		return nil
	}
	return asProblem(ref, err)
}

func missing(ref api.Ref) *api.Problem {
	return ref.Problem(api.CodeSandboxMissing,
		fmt.Sprintf("the container %s does not exist", ref), "create it; daemon-proxy will find it")
}

// unknown is the problem of a daemon that is about to be checked.
func unknown(ref api.Ref) *api.Problem {
	return ref.Problem(api.CodeDaemonDown,
		"daemon-proxy is still checking whether a daemon runs in "+ref.String(), "try again in a moment")
}

// errUnproved is why a daemon is not used although it may be in the container.
var errUnproved = errors.New("what answers there cannot be proved to be in the container")

// problems makes the problems of containers, with the source's own commands as
// hints.
type problems struct {
	source source.Source
	port   int // the daemon's
}

// at returns the host and port of the daemon at an address.
func (w problems) at(address string) string {
	return reach.Direct(0, address).Authority(w.port)
}

// notRunning is the problem of a container that does not run; nil if it does.
func (w problems) notRunning(ref api.Ref, state string) error {
	switch state {
	case api.ContainerRunning:
		return nil
	case api.ContainerMissing:
		return missing(ref)
	case api.ContainerPaused:
		return ref.Problem(api.CodeSandboxPaused, fmt.Sprintf("the container %s is paused", ref),
			w.source.Hint(source.HintUnpause, ref.Name))
	case api.ContainerRestarting:
		return ref.Problem(api.CodeSandboxBusy, fmt.Sprintf("the container %s is restarting", ref),
			"wait a moment; if it keeps restarting, see "+w.source.Hint(source.HintLogs, ref.Name)).
			WithStatus(http.StatusServiceUnavailable)
	case api.ContainerDead:
		return ref.Problem(api.CodeSandboxStopped, fmt.Sprintf("the container %s is being removed", ref),
			"choose another container, or recreate this one")
	}
	return ref.Problem(api.CodeSandboxStopped,
		fmt.Sprintf("the container %s does not run (%s)", ref, state), w.source.Hint(source.HintStart, ref.Name))
}

func (w problems) noAddress(ref api.Ref) *api.Problem {
	return ref.Problem(api.CodeUnreachable,
		ref.String()+" has no network address that can be dialled (--network none?)",
		"connect it: "+w.source.Hint(source.HintConnect, ref.Name))
}

// noBridge is the problem of a container that only a bridge could reach.
func (w problems) noBridge(ref api.Ref, err error) *api.Problem {
	return ref.Problem(api.CodeUnreachable,
		fmt.Sprintf("%s can be reached only by a process in it, and that did not start: %v", ref, err),
		"see whether the engine can run a program in it: "+w.source.Hint(source.HintExec, ref.Name)).Because(err)
}

// noHelper is the problem of a container that only a helper could reach; reason is
// why.
func (w problems) noHelper(ref api.Ref, reason string, err error) *api.Problem {
	return ref.Problem(api.CodeUnreachable,
		fmt.Sprintf("%s needs a helper, a container of this program in its network (%s), and that did not start: %v",
			ref, reason, err),
		"see whether the engine can run another container: "+w.source.Hint(source.HintCheck, "")).Because(err)
}

// portClosed is the problem of a port on which nothing listens.
func portClosed(ref api.Ref, port int) *api.Problem {
	return ref.Problem(api.CodePortClosed, fmt.Sprintf("nothing listens on port %d in %s", port, ref),
		"start the service in the sandbox, or use the port that it listens on")
}

// servedOutside is the problem of a request to the port of a daemon that this
// program serves.
func servedOutside(ref api.Ref) *api.Problem {
	return ref.Problem(api.CodePortClosed,
		"no daemon runs in "+ref.String()+": it is reached by a helper, through which there are ports, but no files "+
			"and no programs",
		"use the engine for those, or put a daemon into the image")
}

// refused is the problem of a request that the engine refused.
func (w problems) refused(ref api.Ref, doing, verb string, err error) *api.Problem {
	if p, ok := errors.AsType[*api.Problem](err); ok {
		return asProblem(ref, p)
	}
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return ref.Problem(api.CodeCancelled,
			fmt.Sprintf("the engine did not %s %s in time", doing, ref),
			"it may still complete; check the list").WithStatus(http.StatusGatewayTimeout).Because(err)
	}
	return conflict(ref, fmt.Sprintf("the engine will not %s %s: %v", doing, ref, err),
		"see "+w.source.Hint(verb, ref.Name)).Because(err)
}

// misplaced is the problem of a daemon that is not, or not provably, in the
// container of ref; nil if err is none of these.
func (w problems) misplaced(ref api.Ref, c source.Container, err error) *api.Problem {
	what := "another daemon answers at its address"
	if len(c.Addresses) > 0 {
		what = fmt.Sprintf("what answers at %s is not in %s", w.at(c.Addresses[0]), ref)
	}
	switch {
	case c.HostNetwork && (errors.Is(err, inject.ErrElsewhere) || errors.Is(err, errUnproved)):
		p := ref.Problem(api.CodeUnreachable,
			ref.String()+" uses the network of the engine's machine, and that is not known to be this one: "+
				err.Error(),
			"run daemon-proxy on the engine's machine, allow helpers (docker.reach, docker.helper), or give the container a network of its own")
		p.Cause = err
		return p
	case errors.Is(err, inject.ErrElsewhere):
		p := ref.Problem(api.CodeUnreachable,
			what+": the engine's containers are not on a network of this machine, "+
				"and here that address belongs to something else",
			"run daemon-proxy on the engine's machine, "+
				"or put the container into a network whose addresses nothing here uses: "+w.source.Hint(source.HintSubnet, ""))
		p.Cause = err
		return p
	case errors.Is(err, errUnproved):
		p := ref.Problem(api.CodeUnreachable,
			"a daemon answers at the address of "+ref.String()+", but it is not used: "+err.Error(),
			"use the built-in daemon, which proves itself: end the other one and leave daemon.binary_source_path empty")
		p.Cause = err
		return p
	}
	return nil
}
