package sandbox

import (
	"context"

	"daemon-proxy/core/api"
	"daemon-proxy/core/sandbox/source"
)

// Inject copies a daemon into ref and starts it, or adopts the one that answers.
// It returns when the daemon is healthy. progress, unless it is nil, is called
// with each step, one call at a time, until Inject returns. A call for a sandbox
// that is being injected joins that injection, which is undone when the contexts
// of all its callers have ended, or by CancelInjection. The error is an
// *api.Problem and, unless the injection was cancelled, also the sandbox's
// Daemon.LastError.
func (s *Sandboxes) Inject(ctx context.Context, ref api.Ref, progress func(api.Injection)) error {
	if p := s.inject(ctx, ref, progress, false); p != nil {
		return p
	}
	return nil
}

// UndoInjections cancels all injections and returns when they are undone, or with
// the error of ctx. No other injection begins afterwards.
func (s *Sandboxes) UndoInjections(ctx context.Context) error {
	s.mu.Lock()
	s.ending = true
	var cancelled []*injection
	for _, b := range s.boxes {
		if b.injected != nil {
			b.injected.cancel()
			cancelled = append(cancelled, b.injected)
		}
	}
	s.mu.Unlock()
	for _, in := range cancelled {
		select {
		case <-in.done:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// CancelInjection undoes the injection of ref and returns when that is done, or
// with the error of ctx. If none is in progress, it ends the retries. No daemon
// is wanted then until the next call of Inject. It is a problem if the daemon
// runs already.
func (s *Sandboxes) CancelInjection(ctx context.Context, ref api.Ref) error {
	s.mu.Lock()
	b := s.boxes[ref]
	if b == nil {
		s.mu.Unlock()
		return missing(ref)
	}
	in, healthy := b.injected, b.Daemon.State == api.DaemonHealthy
	if in != nil {
		in.dropped = true
		in.cancel()
	}
	s.mu.Unlock()
	switch {
	case in == nil && !healthy:
		b.update(func(b *box) {
			if b.state.work != injecting {
				b.state, b.Daemon.RetryAt = b.state.next(renounced), nil
			}
		})
	case in != nil:
		select {
		case <-in.done:
			healthy = in.err == nil
		case <-ctx.Done():
			return asProblem(ref, ctx.Err())
		}
	}
	if healthy {
		return conflict(ref, "the daemon in "+ref.String()+" is already running", "stop it instead")
	}
	return nil
}

// LeaveInjection makes the injection of ref independent of the contexts of its
// callers: the program itself waits for it from now on. It ends by itself, by
// CancelInjection or with the program. It is a problem if none is in progress.
func (s *Sandboxes) LeaveInjection(_ context.Context, ref api.Ref) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	b := s.boxes[ref]
	if b == nil {
		return missing(ref)
	}
	in := b.injected
	if in == nil || in.ctx.Err() != nil { // the second: it is being undone
		return conflict(ref, "no injection into "+ref.String()+" is in progress", "inject a daemon first")
	}
	in.waiting++ // for good: this caller does not leave
	return nil
}

// EnsureHost starts the daemon of the host if ref uses it and there is none.
// Daemons in containers are started only by Inject.
func (s *Sandboxes) EnsureHost(ref api.Ref) error {
	s.mu.Lock()
	b := s.boxes[ref]
	uses := b != nil && b.Container == api.ContainerRunning && b.usesHost()
	s.mu.Unlock()
	if port, _ := s.host.current(); port != 0 || !uses {
		return nil
	}
	hosts, host := s.hostBox.set, s.hostBox.shown()
	if hosts.Mode() == "host" && host.Daemon.State == api.DaemonFailed && host.Daemon.LastError != nil {
		return host.Daemon.LastError // it is retried by itself
	}
	if p := hosts.inject(hosts.ctx, api.Host, nil, false); p != nil {
		return p
	}
	return nil
}

// Upstream returns how to reach the daemon of ref. It neither connects nor starts
// anything. The error is an *api.Problem if the daemon is known not to be usable.
func (s *Sandboxes) Upstream(ref api.Ref) (Upstream, error) {
	_, up, err := s.upstream(ref)
	return up, err
}

// Loopback reports whether the localhost of ref is this machine's. It starts nothing.
func (s *Sandboxes) Loopback(ref api.Ref) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	b := s.boxes[ref]
	return b != nil && b.usesHost()
}

// StopDaemon ends the daemon of ref, if it is the built-in one or one that
// this program started. It is not restarted until it is requested again.
func (s *Sandboxes) StopDaemon(ctx context.Context, ref api.Ref) error {
	b := s.box(ref)
	if b == nil {
		return missing(ref)
	}
	return b.stopDaemon(ctx, nil)
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
	b := s.box(ref)
	if b == nil {
		return missing(ref)
	}
	s.mu.Lock()
	own := b.own()
	s.mu.Unlock()
	if !own {
		return conflict(ref,
			ref.String()+" uses the network of another sandbox, and so its daemon", "eject the daemon of that one")
	}
	if err := s.why.notRunning(ref, c.State); err != nil {
		return err
	}
	return b.stopDaemon(ctx, func() error {
		if helpers, ok := s.source.(source.Helper); ok {
			if err := helpers.RemoveHelperImages(ctx); err != nil {
				return s.why.refused(ref, "remove the image of the helper of", source.HintCheck, err)
			}
		}
		return s.job(ref, c).TakeOut(ctx)
	})
}

// Ports returns the TCP ports that something listens on in ref, sorted by number.
func (s *Sandboxes) Ports(ctx context.Context, ref api.Ref) ([]api.Port, error) {
	if err := s.EnsureHost(ref); err != nil {
		return nil, err
	}
	list, err := s.ports.List(ctx, ref)
	return list, wrap(ref, err)
}

// Cards returns the ports of ref with what answers there: see ports.Cards.
func (s *Sandboxes) Cards(ctx context.Context, ref api.Ref) ([]api.PortCard, error) {
	if err := s.EnsureHost(ref); err != nil {
		return nil, err
	}
	cards, err := s.ports.Cards(ctx, ref)
	return cards, wrap(ref, err)
}

// StartDesktop starts the VNC desktop of ref: see ports.StartDesktop.
func (s *Sandboxes) StartDesktop(ctx context.Context, ref api.Ref) error {
	if err := s.EnsureHost(ref); err != nil {
		return err
	}
	return wrap(ref, s.ports.StartDesktop(ctx, ref))
}

// Watch sets the watched sandboxes: their daemons are checked every 2 s, and a
// port that begins to listen there is reported as an event.
func (s *Sandboxes) Watch(refs []api.Ref) {
	for _, ref := range s.ports.Watch(refs) {
		s.keep(ref)
	}
}
