package sandbox

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"daemon-proxy/core/api"
	"daemon-proxy/core/sandbox/source"
)

const (
	retryEngine    = time.Second      // the first wait before a lost engine is retried
	maxRetryEngine = 10 * time.Second // the longest
	coalesce       = 50 * time.Millisecond
	// decideWithin is how long an engine may take to answer before mode "auto"
	// means the host.
	decideWithin = 3 * time.Second
)

// follower follows the engine and sets its state.
type follower struct {
	decision
	retry chan struct{} // requests an immediate retry
}

// newFollower makes what follows the engine of s, which has no containers yet.
func newFollower(s *set) *follower {
	e := &follower{decision{set: s, settled: make(chan struct{})}, make(chan struct{}, 1)}
	if s.source != nil {
		s.status = api.EngineStatus{
			Name: s.source.Name(), Endpoint: s.source.Endpoint(), State: "connecting", Since: time.Now(),
		}
		if name := s.defaultName(); name != "" && s.o.Config.Mode == "docker" {
			s.boxFor(s.ref(name)).Container = api.ContainerMissing
		}
	}
	return e
}

// Run follows the engine and its containers until ctx ends; it reconnects to an
// engine that was lost. It also starts the daemon of the default sandbox.
func (f *follower) Run(ctx context.Context) {
	var ports sync.WaitGroup
	ports.Go(func() { f.set.ports.Follow(ctx, f.set.pace.often) })
	defer ports.Wait()
	defer f.settle()
	if (f.set.source == nil || f.set.o.Config.Mode == "host") && !f.set.follows.Load() {
		f.decide("host")
		f.wantHost()
	}
	if f.set.source == nil {
		f.settle()
		<-ctx.Done()
		return
	}
	defer time.AfterFunc(decideWithin, func() { f.giveUpWaiting(ctx) }).Stop()
	wait := retryEngine
	for ctx.Err() == nil {
		began := time.Now()
		err := f.follow(ctx)
		if ctx.Err() != nil {
			return
		}
		if time.Since(began) > maxRetryEngine {
			wait = retryEngine
		}
		f.setStatus("lost", "", f.problem(err), wait)
		select {
		case <-ctx.Done():
		case <-f.retry:
			wait = retryEngine
			continue
		case <-time.After(wait):
		}
		wait = min(2*wait, maxRetryEngine)
	}
}

// giveUpWaiting calls an engine lost that has not answered yet.
func (f *follower) giveUpWaiting(ctx context.Context) {
	if ctx.Err() == nil && f.Engine().State == "connecting" {
		f.setStatus("lost", "", api.NewProblem(api.CodeEngineUnreachable,
			"the engine at "+f.set.source.Endpoint()+
				" accepts connections but has not answered for "+decideWithin.String(),
			"check whether it is overloaded: "+f.set.source.Hint(source.HintCheck, "")+"; daemon-proxy keeps trying"), 0)
	}
}

// Engine returns the state of the engine; zero if there is none.
func (f *follower) Engine() api.EngineStatus {
	f.set.mu.Lock()
	defer f.set.mu.Unlock()
	return f.set.status
}

// RetryEngine connects to the engine now instead of at the next retry; if it is
// connected, it lists the containers again.
func (f *follower) RetryEngine(ctx context.Context) error {
	if f.set.source == nil {
		return nil
	}
	if f.Engine().State == "connected" {
		return f.relist(ctx)
	}
	select {
	case f.retry <- struct{}{}:
	default:
	}
	return nil
}

var errEventsEnded = errors.New("the event stream ended")

// follow lists the containers and follows events until the engine is lost.
func (f *follower) follow(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	version, err := f.set.source.Ping(ctx)
	if err != nil {
		return err
	}
	events, ended := f.set.source.Events(ctx)
	if err := f.relist(ctx); err != nil {
		return err
	}
	f.setStatus("connected", version, nil, 0)
	f.set.sweepHelpers(ctx)
	var died []string            // containers whose processes ended
	var settled <-chan time.Time // one list covers all events of a short time
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case e, open := <-events:
			if e.Died {
				died = append(died, e.ID)
			}
			switch {
			case !open && settled == nil:
				return errors.Join(<-ended, errEventsEnded)
			case !open:
				events = nil // until the list
			case settled == nil:
				settled = time.After(coalesce)
			}
			continue
		case <-settled:
		}
		if err := f.relist(ctx); err != nil {
			return err
		}
		for _, b := range f.set.where(func(b *box) bool {
			return b.Container == api.ContainerRunning && slices.Contains(died, b.ID)
		}) {
			f.restarted(b)
		}
		if died, settled = nil, nil; events == nil {
			return errors.Join(<-ended, errEventsEnded)
		}
	}
}

// restarted handles the death of a container that is listed as running: it was
// restarted, so its daemon and the connections to it are gone.
func (f *follower) restarted(b *box) {
	b.update(func(b *box) {
		b.began()
		b.Started = time.Now()
		b.become(containerStarted, nil)
	})
	f.set.keep(b.Ref)
}

// problem is why the engine is lost.
func (f *follower) problem(err error) *api.Problem {
	if p, ok := errors.AsType[*api.Problem](err); ok {
		return p
	}
	return api.NewProblem(api.CodeEngineUnreachable,
		fmt.Sprintf("the connection to the Docker engine at %s broke: %v", f.set.source.Endpoint(), err),
		"daemon-proxy keeps trying; check it with "+f.set.source.Hint(source.HintCheck, "")).Because(err)
}

// setStatus records the engine's state and, if retryIn > 0, when the next attempt
// is; changes of the state are logged.
func (f *follower) setStatus(state, version string, p *api.Problem, retryIn time.Duration) {
	f.set.mu.Lock()
	was := f.set.status.State
	changed := was != state
	if changed {
		f.set.status.Since = time.Now()
	}
	if changed && state == "connected" {
		f.doubt()
	}
	f.set.status.State, f.set.status.Error, f.set.status.RetryAt = state, p, nil
	if retryIn > 0 {
		at := time.Now().Add(retryIn)
		f.set.status.RetryAt = &at
	}
	if version != "" {
		f.set.status.Version = version
	}
	status := f.set.status
	f.set.mu.Unlock()
	f.set.emit(api.Event{Kind: api.EventEngine, Engine: &status})
	if p != nil {
		f.unseen(p)
	}
	f.decideBy(state)
	if changed && was != "connecting" {
		// An engine that is, or was, lost does not report that a container ended and
		// another got its address.
		for _, b := range f.set.where(func(*box) bool { return true }) {
			f.set.keep(b.Ref)
		}
	}
	switch {
	case changed && p != nil:
		f.set.log.Warn("the engine does not answer: the last known state of its containers is shown",
			"error", p.Error(), "hint", p.Hint)
	case changed:
		f.set.log.Info("engine connected", "version", status.Version)
	}
}

// doubt discards the proofs that came through the engine: while it did not
// answer, other containers may have got the addresses; mu is held.
func (f *follower) doubt() {
	for _, b := range f.set.boxes {
		if b.proof.pid == 0 {
			b.proof.inside = false
		}
	}
}

// unseen sets p as the problem of the containers that were never listed: they may
// exist, but the engine does not answer.
func (f *follower) unseen(p *api.Problem) {
	for _, b := range f.set.where(func(b *box) bool { return b.Container == api.ContainerMissing }) {
		b.update(func(b *box) {
			if b.Container == api.ContainerMissing && b.state.work != injecting {
				b.become(containerUnseen, asProblem(b.Ref, p))
			}
		})
	}
}

// relist updates all boxes from a new list of the containers.
func (f *follower) relist(ctx context.Context) error {
	containers, err := f.set.source.List(ctx)
	if err != nil {
		return err
	}
	if err := f.set.helped.keep(containers); err != nil {
		f.set.log.Debug("containers that had helpers could not be forgotten", "error", err)
	}
	seen := map[api.Ref]bool{api.Host: true}
	for _, c := range containers {
		seen[f.set.ref(c.Name)] = true
	}
	for range 2 { // the second pass finds the owners of shared networks
		for _, c := range containers {
			if ref := f.set.ref(c.Name); f.set.see(ref, c) {
				f.set.keep(ref)
			}
		}
	}
	for _, b := range f.set.where(func(b *box) bool { return !seen[b.Ref] }) {
		b.lose()
	}
	return nil
}
