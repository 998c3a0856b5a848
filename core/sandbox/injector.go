package sandbox

import (
	"context"
	"errors"
	"fmt"

	"daemon-proxy/core/api"
	"daemon-proxy/core/daemon"
	"daemon-proxy/core/sandbox/inject"
	"daemon-proxy/core/sandbox/source"
)

// injector does the work of an injection, in a goroutine of its own.
type injector struct {
	*injection
	s     *set
	box   *box
	stops int           // how often the daemon had been stopped on request
	tell  inject.Report // to the callers
	c     source.Container
	adopt daemon.Info // what answers, once it does
}

// proveHost proves, for a container with host networking, that the host is this
// machine.
func (in *injector) proveHost() error {
	in.s.mu.Lock()
	network, err := in.box.networkOf()
	if err != nil || !network.container.HostNetwork {
		in.s.mu.Unlock()
		return err
	}
	c := network.container
	in.s.mu.Unlock()
	err = network.onThisMachine(in.ctx, c)
	if misplaced := in.s.why.misplaced(in.ref, c, err); misplaced != nil {
		return misplaced
	}
	return err
}

// tryAdopt adopts the daemon that answers, if there is one.
func (in *injector) tryAdopt() (adopted bool, err error) {
	f, err := in.box.meet(in.ctx, in.c)
	misplaced := in.s.why.misplaced(in.ref, in.c, err)
	switch {
	case err == nil:
	case in.ctx.Err() != nil:
		return false, in.ctx.Err()
	case misplaced != nil:
		return false, misplaced
	case errors.Is(err, daemon.ErrSecret):
		return false, in.replaceStranger("the built-in daemon there had a secret that is lost")
	case errors.Is(err, daemon.ErrNoChallenge):
		return false, in.replaceStranger("the built-in daemon there is of a version that cannot prove itself")
	case errors.Is(err, daemon.ErrNotDaemon), errors.Is(err, daemon.ErrSilent):
		return false, in.ref.Problem(api.CodePortTaken,
			fmt.Sprintf("port %d of %s is used by something that is not a daemon, or by one that hangs: %v",
				in.s.o.Config.Port, in.ref, err),
			inject.PortHint)
	default:
		return false, nil // refused or not reachable: start one
	}
	in.adopt = in.box.claim(in.ctx, f)
	in.tell.Did(api.StepAdopt, "a daemon answers already (%s %s): adopted", f.Kind, f.Version)
	return true, nil
}

// replaceStranger ends a built-in daemon that is not known to be ours.
func (in *injector) replaceStranger(why string) error {
	if err := in.job().KillBuiltIn(in.ctx); err != nil {
		return in.ref.Problem(api.CodePortTaken,
			fmt.Sprintf("a built-in daemon answers for %s that does not prove to be ours, and it cannot be ended there: %v",
				in.ref, err),
			in.s.source.Hint(source.HintRestart, in.ref.Name)).Because(err)
	}
	in.tell.Did(api.StepAdopt, "%s: it is replaced", why)
	return nil
}

// job returns the injection's work in the container.
func (in *injector) job() *inject.Job {
	job := in.s.job(in.ref, in.c)
	job.Report = in.tell
	job.Meet = func(ctx context.Context) (daemon.Info, error) {
		f, err := in.box.meet(ctx, in.c)
		if misplaced := in.s.why.misplaced(in.ref, in.c, err); misplaced != nil {
			return f, misplaced
		}
		return f, err
	}
	job.Started = func(p *inject.Process) {
		in.s.mu.Lock()
		in.box.process = p
		in.s.mu.Unlock()
	}
	return job
}

// removed reports whether the container, which was there at the beginning, is gone.
func (in *injector) removed() bool {
	if in.c.ID == "" {
		return false
	}
	ctx, cancel := context.WithTimeout(in.ctx, callTimeout)
	defer cancel()
	c, err := in.s.source.Inspect(ctx, in.c.ID)
	return errors.Is(err, &api.Problem{Code: api.CodeSandboxMissing}) || err == nil && c.State == api.ContainerDead
}
