package sandbox

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"daemon-proxy/core/api"
	"daemon-proxy/core/daemon"
	"daemon-proxy/core/sandbox/source"
)

// injection is an injection in progress. Callers of Inject for the same sandbox
// join it; it is cancelled when the last of them has left.
type injection struct {
	s      *Sandboxes
	box    *box
	ref    api.Ref
	ctx    context.Context // ended when no caller waits any more
	cancel context.CancelFunc
	done   chan struct{} // closed at the end; err is valid from then on
	err    *api.Problem

	waiting int  // callers of Inject; guarded by Sandboxes.mu
	stops   int  // how often the daemon had been stopped on request
	dropped bool // by CancelInjection; guarded by Sandboxes.mu until done

	mu      sync.Mutex
	reports []numbered    // of a copy's progress only the latest
	count   int           // of all reports
	more    chan struct{} // closed by the next report
	step    api.InjectionStep

	// What follows belongs to the injection's own goroutine.
	c     source.Container
	adopt daemon.Info // what answers, once it does
}

// numbered is a report and its number.
type numbered struct {
	n int
	e api.Injection
}

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

// inject is Inject; with onlyWanted it does nothing if no daemon is wanted in the
// sandbox.
func (s *Sandboxes) inject(ctx context.Context, ref api.Ref, progress func(api.Injection), onlyWanted bool) *api.Problem {
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
func (s *Sandboxes) joinOrBegin(ctx context.Context, ref api.Ref, onlyWanted bool) (*injection, *api.Problem) {
	s.mu.Lock()
	b := s.boxes[ref]
	switch {
	case s.ending || s.ctx.Err() != nil || ctx.Err() != nil:
		s.mu.Unlock()
		return nil, asProblem(ref, context.Canceled)
	case b == nil:
		s.mu.Unlock()
		return nil, missing(ref)
	case onlyWanted && b.state.goal == unwanted:
		s.mu.Unlock()
		return nil, nil
	case b.state.ending():
		defer s.mu.Unlock()
		return nil, busy(b)
	case b.injected != nil:
		in := b.injected
		in.waiting++
		s.mu.Unlock()
		return in, nil
	}
	in := &injection{
		s: s, box: b, ref: ref, done: make(chan struct{}), more: make(chan struct{}),
		waiting: 1, stops: b.stops,
	}
	in.ctx, in.cancel = context.WithCancel(s.ctx)
	b.injected, b.state = in, b.state.next(injectBegan)
	s.group.Go(in.life)
	s.mu.Unlock()
	return in, nil
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

// permanent are the problems that only a change of the container or of the
// configuration can solve. A missing file is not one: it may be added.
var permanent = map[string]bool{api.CodeReadOnlyRoot: true, api.CodeArchMismatch: true, api.CodeDynamicBinary: true}

// life is the goroutine of the injection.
func (in *injection) life() {
	defer in.cancel()
	s := in.s
	in.box.update(func(*box) {}) // it shows that it is injecting
	started := time.Now()
	err := in.run()
	if err != nil {
		if in.ctx.Err() != nil {
			err = in.ctx.Err() // whatever error the interrupted step returned
		} else if in.removed() {
			err = problem(in.ref, api.CodeSandboxMissing,
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
		s.log.Info("daemon healthy", "sandbox", in.ref.String(), "version", in.adopt.Version, "kind", in.adopt.Kind, "duration", time.Since(started))
	} else if end.State, end.Error = "failed", p; p.Code == api.CodeCancelled {
		s.log.Info("injection cancelled", "sandbox", in.ref.String())
	} else {
		s.log.Error("injection failed", "sandbox", in.ref.String(), "code", p.Code, "error", p.Error(), "hint", p.Hint)
	}
	now, _ := s.Get(in.ref)
	end.Daemon = &now.Daemon
	in.report(end)
	close(in.done)
	if p == nil || in.dropped {
		s.keep(in.ref)
	} else {
		in.box.keepLater()
	}
	in.box.dropGone()
}

// end returns the event for the state; first: there was no daemon before.
func (in *injection) end(first bool) event {
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

// removed reports whether the container, which was there at the beginning, is gone.
func (in *injection) removed() bool {
	if in.c.ID == "" {
		return false
	}
	ctx, cancel := context.WithTimeout(in.ctx, callTimeout)
	defer cancel()
	c, err := in.s.o.Source.Inspect(ctx, in.c.ID)
	return errors.Is(err, &api.Problem{Code: api.CodeSandboxMissing}) || err == nil && c.State == api.ContainerDead
}

// follow calls progress with every report until the injection ends; left is true
// if ctx ended before. A slow progress function does not delay the injection.
func (in *injection) follow(ctx context.Context, progress func(api.Injection)) (left bool) {
	seen := 0
	for {
		in.mu.Lock()
		more := in.more
		var news []api.Injection
		for _, r := range in.reports {
			if r.n > seen {
				news = append(news, r.e)
			}
		}
		seen = in.count
		in.mu.Unlock()
		for _, e := range news {
			if progress != nil {
				progress(e)
			}
			if e.Finished {
				<-in.done
				return false
			}
		}
		select {
		case <-more:
		case <-ctx.Done():
			return true
		}
	}
}

// report reports a step.
func (in *injection) report(e api.Injection) {
	e.Sandbox = in.ref
	in.mu.Lock()
	defer in.mu.Unlock()
	in.step = e.Step
	in.count++
	if last := len(in.reports) - 1; last >= 0 && isProgress(e) && isProgress(in.reports[last].e) {
		in.reports = in.reports[:last]
	}
	in.reports = append(in.reports, numbered{in.count, e})
	close(in.more)
	in.more = make(chan struct{})
	in.s.emit(api.Event{Kind: api.EventInjection, Injection: &e})
}

func isProgress(e api.Injection) bool { return e.State == "running" && e.Bytes > 0 }

func (in *injection) lastStep() api.InjectionStep {
	in.mu.Lock()
	defer in.mu.Unlock()
	return in.step
}

func (in *injection) doing(step api.InjectionStep, format string, args ...any) {
	in.report(api.Injection{Step: step, State: "running", Detail: fmt.Sprintf(format, args...)})
}

func (in *injection) did(step api.InjectionStep, format string, args ...any) {
	in.report(api.Injection{Step: step, State: "done", Detail: fmt.Sprintf(format, args...)})
}
