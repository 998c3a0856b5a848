package sandbox

import (
	"context"
	"fmt"
	"time"

	"daemon-proxy/core/api"
	"daemon-proxy/core/daemon"
	"daemon-proxy/core/sandbox/source"
)

// claim finds out whether this program, perhaps in an earlier run, started the
// daemon in b, and when. A built-in daemon that knows our secret was started by
// this program; for a daytona a script is run in the container. If that fails
// (no shell), the previous state is kept.
func (b *box) claim(ctx context.Context, f daemon.Info) daemon.Info {
	b.set.mu.Lock()
	c, started := b.container, b.Daemon.Started
	own := b.own()
	b.set.mu.Unlock()
	if !own {
		return f
	}
	if f.Kind == daemon.KindBuiltIn {
		started = true
	} else {
		ctx, cancel := context.WithTimeout(ctx, callTimeout)
		defer cancel()
		age, running, err := b.set.job(b.Ref, c).Age(ctx)
		if err == nil {
			started = running
		}
		if err == nil && running && age >= 0 {
			f.Started = time.Now().Add(-age)
		}
	}
	b.update(func(b *box) { b.Daemon.Started = started })
	return f
}

// replaceStranger ends a built-in daemon that is not known to be ours.
func (in *injection) replaceStranger(why string) error {
	if err := in.job().KillBuiltIn(in.ctx); err != nil {
		return problem(in.ref, api.CodePortTaken,
			fmt.Sprintf("a built-in daemon answers for %s that does not prove to be ours, and it cannot be ended there: %v", in.ref, err),
			in.s.o.Source.Hint(source.HintRestart, in.ref.Name)).Because(err)
	}
	in.did(api.StepAdopt, "%s: it is replaced", why)
	return nil
}

// Eject stops the daemon of ref and removes its binary and log from the
// container, and the working directory that was made for it if it is empty, as
// if it had never been there. Where the container has no rm, the files are
// emptied instead, and the problem is "emptied". A daytona that is part of the
// image is not removed.
func (s *Sandboxes) Eject(ctx context.Context, ref api.Ref) error {
	c, err := s.inspect(ctx, ref)
	if err != nil {
		return err
	}
	if c.HostNetwork || c.SharesNetworkOf != "" {
		return conflict(ref,
			ref.String()+" uses the network of another sandbox, and so its daemon", "eject the daemon of that one")
	}
	if err := s.why.notRunning(ref, c.State); err != nil {
		return err
	}
	b := s.box(ref)
	if b == nil {
		return missing(ref)
	}
	return b.stopDaemon(ctx, func() error { return s.job(ref, c).TakeOut(ctx) })
}
