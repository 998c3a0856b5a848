package sandbox

import (
	"context"
	"fmt"
	"time"

	"daemon-proxy/core/api"
	"daemon-proxy/core/daemon"
	"daemon-proxy/core/sandbox/source"
)

// claim completes what was found in b: whether this program started it, in an
// earlier run too, and since when it runs. A built-in daemon that knows our
// secret has said so itself; for another the container is asked, and if it
// cannot tell (no shell), what was known before stays.
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
// emptied instead, which the problem "emptied" then says. A daytona that the
// image brought along stays.
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
