package sandbox

import (
	"context"
	"errors"
	"fmt"
	"time"

	"daemon-proxy/core/api"
	"daemon-proxy/core/daemon"
	"daemon-proxy/core/sandbox/inject"
	"daemon-proxy/core/sandbox/source"
)

// run executes the steps of the injection.
func (in *injection) run() error {
	if in.ref.IsHost() {
		return in.runHost()
	}
	in.doing(api.StepInspect, "looking at %s", in.ref)
	c, err := in.s.o.Source.Inspect(in.ctx, in.ref.Name)
	if errors.Is(err, &api.Problem{Code: api.CodeSandboxMissing}) {
		in.s.engine.lose(in.ref)
		return missing(in.ref)
	}
	if err != nil {
		return err
	}
	in.c = c
	in.s.engine.see(in.ref, c)
	if err := in.s.why.notRunning(in.ref, c.State); err != nil {
		return err
	}
	if shared, err := in.runOwner(); shared || err != nil {
		return err
	}
	if len(c.Addresses) == 0 {
		return in.s.why.noAddress(in.ref)
	}
	in.did(api.StepInspect, "container runs, %s", c.Platform)

	in.doing(api.StepAdopt, "is a daemon answering on %s?", in.s.why.at(c.Addresses[0]))
	if adopted, err := in.tryAdopt(); adopted || err != nil {
		return err
	}
	in.did(api.StepAdopt, "no daemon answers on %s", in.s.why.at(c.Addresses[0]))

	job := in.job()
	if err := job.Prepare(in.ctx); err != nil {
		return err
	}
	if in.adopt, err = job.Start(in.ctx); err == nil {
		in.box.update(func(b *box) { b.Daemon.Started = true })
	}
	return err
}

// runOwner injects into the owner of the network namespace instead, if it is shared.
func (in *injection) runOwner() (shared bool, err error) {
	if err := in.proveHost(); err != nil {
		return false, err
	}
	in.s.mu.Lock()
	owner, err := in.box.owner()
	in.s.mu.Unlock()
	if err != nil || owner.Ref == in.ref {
		return false, err
	}
	in.did(api.StepInspect, "%s uses the network of %s, and so its daemon", in.ref, owner.Ref)
	if err := in.s.Inject(in.ctx, owner.Ref, nil); err != nil {
		return true, err
	}
	now, _ := in.s.Get(owner.Ref)
	in.adopt = daemon.Info{Kind: now.Daemon.Kind, Version: now.Daemon.Version, Started: now.Daemon.StartedAt,
		Latency: time.Duration(now.Daemon.LatencyMS * float64(time.Millisecond))}
	return true, nil
}

// proveHost proves, for a container with host networking, that the host is this
// machine.
func (in *injection) proveHost() error {
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
func (in *injection) tryAdopt() (adopted bool, err error) {
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
		return false, problem(in.ref, api.CodePortTaken,
			fmt.Sprintf("port %d of %s is used by something that is not a daemon, or by one that hangs: %v", in.s.o.Config.Port, in.ref, err),
			inject.PortHint)
	default:
		return false, nil // refused or not reachable: start one
	}
	in.adopt = in.box.claim(in.ctx, f)
	in.did(api.StepAdopt, "a daemon answers already (%s %s): adopted", f.Kind, f.Version)
	return true, nil
}

// job returns the injection's work in the container.
func (in *injection) job() *inject.Job {
	job := in.s.job(in.ref, in.c)
	job.Report = in.report
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

// job returns a Job for the container c of ref.
func (s *Sandboxes) job(ref api.Ref, c source.Container) *inject.Job {
	return &inject.Job{
		Ref: ref, Container: c, Source: s.o.Source, Config: s.o.Config,
		Executable: s.o.Executable, CacheDir: s.o.CacheDir,
		Secret: s.keys.secret(c.ID), Mark: s.keys.mark(c.ID), Log: s.log, Life: s.ctx, Group: &s.group,
		Refused: func(doing, verb string, err error) *api.Problem { return s.why.refused(ref, doing, verb, err) },
	}
}
