package sandbox

import (
	"context"
	"errors"
	"fmt"
	"time"

	"daemon-proxy/core/api"
	"daemon-proxy/core/carrier"
	"daemon-proxy/core/daemon"
	"daemon-proxy/core/sandbox/inject"
	"daemon-proxy/core/sandbox/source"
)

// injector does the work of an injection, in a goroutine of its own.
type injector struct {
	*injection
	s     *set
	box   *box
	stops int // how often the daemon had been stopped on request
	// renews: a daemon of another build is not adopted but replaced.
	renews bool
	tell   inject.Report // to the callers
	c      source.Container
	adopt  daemon.Info // what answers, once it does
	// started is when the daemon was started; brought: the bridge's program was
	// copied because the container's address refuses connections.
	started time.Time
	brought bool
}

// proveHost finds out, for a container with host networking, whether the host is
// this machine. It returns an error if that is neither so nor can be reached.
func (in *injector) proveHost() error {
	in.s.mu.Lock()
	network, err := in.box.networkOf()
	if err != nil || !network.onHost() {
		in.s.mu.Unlock()
		return err
	}
	c := network.container
	in.s.mu.Unlock()
	if err = network.onThisMachine(in.ctx, c); (route{network, c}).isAway(err) {
		return nil
	}
	if misplaced := in.s.why.misplaced(in.ref, c, err); misplaced != nil {
		return misplaced
	}
	return err
}

// tryAdopt adopts the daemon that answers, if there is one.
func (in *injector) tryAdopt() (adopted bool, err error) {
	f, err := in.meetOrBring()
	misplaced := in.s.why.misplaced(in.ref, in.c, err)
	broken, isProblem := errors.AsType[*api.Problem](err)
	switch {
	case err == nil:
	case in.ctx.Err() != nil:
		return false, in.ctx.Err()
	case misplaced != nil:
		return false, misplaced
	case isProblem:
		return false, broken
	case errors.Is(err, errMustHelp):
		return false, err
	case errors.Is(err, carrier.ErrNoBridge):
		return false, in.s.why.noBridge(in.ref, inject.CannotRunError{Reason: "no bridge starts in it", Err: err})
	case in.s.mustHelp() != "" && (errors.Is(err, daemon.ErrSecret) || errors.Is(err, daemon.ErrNoChallenge)):
		return false, nil // it is left alone
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
	if in.renews {
		var ended bool
		if f, ended, err = in.renew(f); ended || err != nil {
			return false, err
		}
	}
	in.adopt = in.box.claim(in.ctx, f)
	in.tell.Did(api.StepAdopt, "a daemon answers already (%s %s): adopted", f.Kind, f.Version)
	return true, nil
}

// errMustHelp is the error of put where nothing may be put into a container.
var errMustHelp = errors.New("nothing may be put into the container")

// cannotPut returns why a helper is needed, after put returned err; empty if none is.
func (s *set) cannotPut(err error) string {
	if err == nil || !s.canHelp() {
		return ""
	}
	if errors.Is(err, errMustHelp) {
		return s.mustHelp()
	}
	if cannot, ok := errors.AsType[inject.CannotRunError](err); ok {
		return cannot.Reason
	}
	return ""
}

// help starts a helper for the container, in place of a daemon in it.
func (in *injector) help(why string) error {
	in.tell(api.Injection{Step: api.StepCopy, State: "skipped", Detail: "nothing is put into the container: " + why})
	in.tell.Doing(api.StepStart, "starting a helper")
	if err := in.s.helped.add(in.c.ID); err != nil {
		in.s.log.Warn("the container will not get its helper back when this program is restarted",
			"sandbox", in.ref.String(), "error", err)
	}
	in.route().choose(api.ViaHelper, why)
	f, err := in.route().meet(in.ctx)
	if err != nil {
		in.box.endHelper(in.c)
		return in.s.why.noHelper(in.ref, why, err)
	}
	in.tell.Did(api.StepStart, "a helper runs: %s", why)
	in.adopt = f
	in.box.update(func(b *box) { b.Daemon.Started = f.Kind == daemon.KindBuiltIn })
	return nil
}

// renew replaces what another build of this program has put into the container, if f
// or the bridge to it is of one. If f was ended, another daemon is to be started;
// else the daemon that answers is returned. If the new build cannot be copied, the
// other one is used.
func (in *injector) renew(f daemon.Info) (_ daemon.Info, ended bool, err error) {
	itsDaemon, itsBridge := in.route().otherBuild(f)
	if !itsDaemon && !itsBridge {
		return f, false, nil
	}
	err = in.bringProgram(in.ctx)
	if err == nil && itsDaemon {
		err = in.route().shutDown(in.ctx)
	}
	if err != nil {
		in.s.log.Warn("what another build of daemon-proxy has put into a container is used, as it cannot be replaced",
			"sandbox", in.ref.String(), "error", err)
		return f, false, in.ctx.Err()
	}
	in.box.update((*box).endBridge) // the next one is of this build
	if itsDaemon {
		in.tell.Did(api.StepAdopt, "the built-in daemon there is of another build: it is replaced")
		return f, true, nil
	}
	f, err = in.route().meet(in.ctx)
	return f, false, err
}

// route leads to the daemon of the injection.
func (in *injector) route() route { return route{in.box, in.c} }

// meetOrBring is meet for an injection: if only a bridge leads to the container and
// its program is not there, or is another version, it is copied.
func (in *injector) meetOrBring() (daemon.Info, error) {
	f, err := in.route().meet(in.ctx)
	if !errors.Is(err, carrier.ErrNoBridge) || in.route().chosen() == api.ViaHelper {
		return f, err
	}
	if in.s.mustHelp() != "" {
		return f, errMustHelp
	}
	if err := in.bringProgram(in.ctx); err != nil {
		return f, err
	}
	return in.route().meet(in.ctx)
}

// bringProgram copies this program into the container, as a part of the step.
func (in *injector) bringProgram(ctx context.Context) error {
	step := in.lastStep()
	job := in.job()
	job.Report = func(e api.Injection) { // its end is not the step's
		if e.State == "running" {
			e.Step = step
			in.tell(e)
		}
	}
	return job.BringProgram(ctx)
}

// patienceDirect is how long a daemon that was started may refuse connections at the
// container's address before it is checked that this is the container.
const patienceDirect = 3 * time.Second

// meetStarted is meet for a daemon that was started a moment ago. If its address
// refuses connections while it answers inside, the address belongs to something else.
func (in *injector) meetStarted(ctx context.Context) (daemon.Info, error) {
	f, err := in.route().meet(ctx)
	late := time.Since(in.started) > patienceDirect
	if !late || !isRefused(err) || in.route().chosen() != "" || !in.s.canBridge() {
		return f, err
	}
	answers := func() error {
		_, _, _, err := in.route().throughBridge(ctx, func() {})
		return err
	}
	inside := answers()
	if errors.Is(inside, carrier.ErrNoBridge) && !in.brought {
		in.brought = true
		if err := in.bringProgram(ctx); err != nil {
			return f, err
		}
		inside = answers()
	}
	if inside != nil {
		return f, err
	}
	return in.route().meetHidden(ctx)
}

// daemonAt names where the daemon is expected.
func (in *injector) daemonAt() string {
	if in.route().chosen() == api.ViaExec || in.s.notDirect(in.c, nil) != "" {
		return fmt.Sprintf("port %d in it", in.s.o.Config.Port)
	}
	return in.s.why.at(in.c.Addresses[0])
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
		f, err := in.meetStarted(ctx)
		if misplaced := in.s.why.misplaced(in.ref, in.c, err); misplaced != nil {
			return f, misplaced
		}
		return f, err
	}
	job.Started = func(p *inject.Process) {
		in.started = time.Now()
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
