package sandbox

import (
	"context"
	"fmt"

	"daemon-proxy/core/api"
	"daemon-proxy/core/daemon"
	"daemon-proxy/core/sandbox/source"
)

// stopDaemon is StopDaemon; if eject is not nil, the sandbox stays busy until
// eject has returned.
func (b *box) stopDaemon(ctx context.Context, eject func() error) error {
	s, ref := b.set, b.Ref
	s.mu.Lock()
	owner, err := b.owner()
	switch {
	case err != nil:
	case owner == b && b.onHost():
		err = conflict(ref, "the host is served from within this program", "end the program instead")
	case owner.onHost():
		err = conflict(ref, ref.String()+" uses the daemon of the host, which is served from within this program",
			"end the program instead")
	case owner.state.work != idle:
		err = owner.busy()
	}
	if err != nil {
		s.mu.Unlock()
		return err
	}
	running, c := owner.Daemon, owner.container
	owner.state = owner.state.next(stopBegan)
	users := s.usersOf(owner)
	var wanting []*box
	for _, user := range users { // one that still wants a daemon would start it again
		if user.state.goal != unwanted {
			wanting = append(wanting, user)
		}
		user.state = user.state.next(renounced)
	}
	s.mu.Unlock()
	err = owner.stop(ctx, running, c)
	if err != nil {
		s.mu.Lock()
		owner.state = owner.state.next(stopFailed)
		for _, user := range wanting {
			user.state = user.state.next(asked)
		}
		s.mu.Unlock()
		return asProblem(owner.Ref, err)
	}
	s.log.Info("daemon stopped", "sandbox", owner.String())
	if eject != nil {
		owner.update(func(b *box) { b.state, b.Daemon = b.state.next(ejectBegan), api.Daemon{Since: b.Daemon.Since} })
		err = eject()
	}
	for _, stopped := range append(users, owner) {
		stopped.update(func(b *box) {
			b.state, b.Daemon = b.state.next(stopDone), api.Daemon{Since: b.Daemon.Since}
			b.stops++
			if b.ended = "was stopped"; eject != nil {
				b.ended = "was removed"
				b.endBridge()
			}
		})
	}
	return err
}

// stop ends the daemon in the container c of b.
func (b *box) stop(ctx context.Context, running api.Daemon, c source.Container) error {
	s, ref := b.set, b.Ref
	if b.endHelper(c) {
		return nil
	}
	switch {
	case running.State != api.DaemonHealthy:
		return nil // it does not run
	case running.Kind == daemon.KindBuiltIn:
		client, err := s.client(ref)
		if err == nil {
			err = client.Shutdown(ctx)
		}
		if err != nil {
			return fmt.Errorf("stop the daemon in %s: %w", ref, err)
		}
		return nil
	case !running.Started:
		return conflict(ref, "the daemon in "+ref.String()+" was not started by this program",
			"stop it where it was started")
	}
	if err := s.job(ref, c).KillOurs(ctx); err != nil {
		return conflict(ref,
			fmt.Sprintf("the daemon in %s cannot be stopped; this needs a shell and grep in the image: %v", ref, err),
			s.source.Hint(source.HintRestart, ref.Name)).Because(err)
	}
	return nil
}

// endHelper ends the helper of b, if it is reached by one, and waits for that; a
// daemon that the container has itself is left alone.
func (b *box) endHelper(c source.Container) (was bool) {
	var helper *bridge
	b.update(func(b *box) {
		if b.ID == c.ID && b.Via == api.ViaHelper {
			was, helper = true, b.bridge
			b.proof = proof{}
			b.dropBridge()
		}
	})
	if helper != nil {
		helper.end()
	}
	if err := b.set.helped.remove(c.ID); err != nil {
		b.set.log.Warn("that the container had a helper could not be forgotten", "sandbox", b.String(), "error", err)
	}
	return was
}
