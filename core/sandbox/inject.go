package sandbox

import (
	"context"
	"errors"
	"fmt"
	"time"

	"daemon-proxy/core/api"
	"daemon-proxy/core/daemon"
)

// inject is Inject; with onlyWanted it does nothing if no daemon is wanted in the
// sandbox.
func (s *set) inject(
	ctx context.Context, ref api.Ref, progress func(api.Injection), onlyWanted bool,
) *api.Problem {
	for {
		in, p := s.joinOrBegin(ctx, ref, onlyWanted)
		if in == nil {
			return p
		}
		left := in.follow(ctx, progress)
		s.mu.Lock()
		in.waiting--
		last := left && in.waiting == 0
		if last {
			in.cancel()
		}
		s.mu.Unlock()
		if last {
			<-in.done // the injection is undone then
		}
		if left {
			return asProblem(ref, ctx.Err())
		}
		if in.err == nil || in.err.Code != api.CodeCancelled || in.dropped || s.ctx.Err() != nil {
			return in.err
		}
		// Its last caller left just as this one joined.
	}
}

// joinOrBegin returns the injection of ref, which now has one more caller. It is
// nil if there is nothing to do, or with a problem if none can begin.
func (s *set) joinOrBegin(ctx context.Context, ref api.Ref, onlyWanted bool) (*injection, *api.Problem) {
	s.mu.Lock()
	defer s.mu.Unlock()
	b := s.boxes[ref]
	switch {
	case s.ending || s.ctx.Err() != nil || ctx.Err() != nil:
		return nil, asProblem(ref, context.Canceled)
	case b == nil:
		return nil, missing(ref)
	case onlyWanted && b.state.goal == unwanted:
		return nil, nil
	case b.state.ending():
		return nil, b.busy()
	case b.injected != nil:
		b.injected.waiting++
		return b.injected, nil
	}
	in := newInjection(s.ctx, ref, s.emit)
	b.injected, b.state = in, b.state.next(injectBegan)
	renews := !onlyWanted || b.Daemon.Kind == ""
	s.group.Go((&injector{injection: in, s: s, box: b, stops: b.stops, renews: renews, tell: in.report}).life)
	return in, nil
}

// permanent are the problems that only a change of the container or of the
// configuration can solve. A missing file is not one: it may be added.
var permanent = map[string]bool{api.CodeReadOnlyRoot: true, api.CodeArchMismatch: true, api.CodeDynamicBinary: true}

// life is the goroutine of the injection.
func (in *injector) life() {
	defer in.cancel()
	s := in.s
	in.box.update(func(*box) {}) // it shows that it is injecting
	started := time.Now()
	err := in.run()
	if err != nil {
		if in.ctx.Err() != nil {
			err = in.ctx.Err() // whatever error the interrupted step returned
		} else if in.removed() {
			err = in.ref.Problem(api.CodeSandboxMissing,
				fmt.Sprintf("the container %s was removed while the daemon was put into it", in.ref),
				"choose another container, or recreate this one")
		}
		in.err = asProblem(in.ref, err)
	}
	p := in.err
	in.box.update(func(b *box) {
		b.injected = nil
		if b.state = b.state.next(in.end(b.Daemon.Kind == "")); p == nil {
			b.found(in.adopt, in.stops)
			return
		}
		if b.Daemon.LastError = p; p.Code == api.CodeCancelled {
			b.Daemon.LastError = nil
		}
		if b.Container != api.ContainerRunning {
			b.state = b.state.next(containerStopped)
		}
	})
	end := api.Injection{Step: in.lastStep(), State: "done", Finished: true}
	if p == nil {
		s.log.Info("daemon healthy", "sandbox", in.ref.String(),
			"version", in.adopt.Version, "kind", in.adopt.Kind, "duration", time.Since(started))
	} else if end.State, end.Error = "failed", p; p.Code == api.CodeCancelled {
		s.log.Info("injection cancelled", "sandbox", in.ref.String())
	} else {
		s.log.Error("injection failed", "sandbox", in.ref.String(),
			"code", p.Code, "error", p.Error(), "hint", p.Hint)
	}
	now := in.box.shown()
	end.Daemon = &now.Daemon
	in.report(end)
	close(in.done)
	if p == nil || in.dropped {
		s.mu.Lock()
		users := s.usersOf(in.box)
		s.mu.Unlock()
		for _, b := range append(users, in.box) {
			s.keep(b.Ref)
		}
	} else {
		in.box.keepLater()
	}
	in.box.dropGone()
}

// end returns the event for the state; first: there was no daemon before.
func (in *injector) end(first bool) event {
	switch {
	case in.err == nil:
		return injectDone
	case in.dropped:
		return injectDropped
	case in.err.Code == api.CodeCancelled:
		return injectCancelled
	case first && permanent[in.err.Code]:
		return injectFailedPermanently
	}
	return injectFailed
}

// run executes the steps of the injection.
func (in *injector) run() error {
	if in.ref.IsHost() {
		return in.runHost()
	}
	in.tell.Doing(api.StepInspect, "looking at %s", in.ref)
	c, err := in.s.source.Inspect(in.ctx, in.ref.Name)
	if errors.Is(err, &api.Problem{Code: api.CodeSandboxMissing}) {
		in.box.lose()
		return missing(in.ref)
	}
	if err != nil {
		return err
	}
	in.c = c
	in.s.see(in.ref, c)
	if err := in.s.why.notRunning(in.ref, c.State); err != nil {
		return err
	}
	if shared, err := in.runOwner(); shared || err != nil {
		return err
	}
	if len(c.Addresses) == 0 && !in.s.canBridge() && !in.s.canHelp() {
		return in.s.why.noAddress(in.ref)
	}
	in.tell.Did(api.StepInspect, "container runs, %s", c.Platform)
	switch {
	case in.s.o.Reach == reachHelper:
		return in.help(in.s.mustHelp())
	case c.HostNetwork: // a daemon in it would listen on the network of that machine
		return in.help(in.s.notDirect(c, nil))
	}
	err = in.put()
	if why := in.s.cannotPut(err); why != "" {
		return in.help(why)
	}
	return err
}

// put adopts the daemon that answers, or puts one into the container and starts it.
func (in *injector) put() error {
	in.tell.Doing(api.StepAdopt, "is a daemon answering on %s?", in.daemonAt())
	if adopted, err := in.tryAdopt(); adopted || err != nil {
		return err
	}
	in.tell.Did(api.StepAdopt, "no daemon answers on %s", in.daemonAt())
	if in.s.mustHelp() != "" {
		return errMustHelp
	}

	job := in.job()
	if err := job.Prepare(in.ctx); err != nil {
		return err
	}
	var err error
	if in.adopt, err = job.Start(in.ctx); err == nil {
		in.box.update(func(b *box) { b.Daemon.Started = true })
	}
	return err
}

// runOwner injects into the owner of the network namespace instead, if it is shared.
func (in *injector) runOwner() (shared bool, err error) {
	if err := in.proveHost(); err != nil {
		return false, err
	}
	in.s.mu.Lock()
	owner, err := in.box.owner()
	in.s.mu.Unlock()
	if err != nil || owner.Ref == in.ref {
		return false, err
	}
	in.tell.Did(api.StepInspect, "%s uses the network of %s, and so its daemon", in.ref, owner.Ref)
	if p := owner.set.inject(in.ctx, owner.Ref, nil, false); p != nil {
		return true, p
	}
	now := owner.shown()
	in.adopt = daemon.Info{Kind: now.Daemon.Kind, Version: now.Daemon.Version, Started: now.Daemon.StartedAt,
		Latency: time.Duration(now.Daemon.LatencyMS * float64(time.Millisecond))}
	return true, nil
}
