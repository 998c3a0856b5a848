package sandbox

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"daemon-proxy/core/api"
	"daemon-proxy/core/sandbox/source"
)

const (
	retryEngine    = time.Second      // the first wait before a lost engine is retried
	maxRetryEngine = 10 * time.Second // the longest
	coalesce       = 50 * time.Millisecond
)

// engine follows the engine and has its state.
type engine struct {
	set      *Sandboxes
	status   api.EngineStatus // guarded by Sandboxes.mu
	decision decision         // what mode "auto" means
}

// Run follows the engine and its containers until ctx ends; it reconnects to an
// engine that was lost. It also starts the daemon of the default sandbox.
func (s *Sandboxes) Run(ctx context.Context) {
	defer s.engine.begin(ctx)()
	if s.o.Source == nil {
		<-ctx.Done()
		return
	}
	wait := retryEngine
	for ctx.Err() == nil {
		began := time.Now()
		err := s.engine.follow(ctx)
		if ctx.Err() != nil {
			return
		}
		if time.Since(began) > maxRetryEngine {
			wait = retryEngine
		}
		s.engine.setStatus("lost", "", s.engine.problem(err), wait)
		select {
		case <-ctx.Done():
		case <-s.engine.decision.retry:
			wait = retryEngine
			continue
		case <-time.After(wait):
		}
		wait = min(2*wait, maxRetryEngine)
	}
}

// follow lists the containers and follows events until the engine is lost.
func (f *engine) follow(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	version, err := f.set.o.Source.Ping(ctx)
	if err != nil {
		return err
	}
	events, ended := f.set.o.Source.Events(ctx)
	if err := f.relist(ctx); err != nil {
		return err
	}
	f.setStatus("connected", version, nil, 0)
	for {
		var died []string // containers whose processes ended
		select {
		case e, open := <-events:
			if !open {
				return errors.Join(<-ended, errors.New("the event stream ended"))
			}
			died = deathIn(e, died)
		case <-ctx.Done():
			return ctx.Err()
		}
		// One list covers all events of a short time.
		settle := time.NewTimer(coalesce)
	drain:
		for {
			select {
			case e, open := <-events:
				if !open {
					break drain
				}
				died = deathIn(e, died)
			case <-settle.C:
				break drain
			}
		}
		settle.Stop()
		if err := f.relist(ctx); err != nil {
			return err
		}
		for _, id := range died {
			f.restarted(id)
		}
	}
}

// deathIn adds the container of e to died if the event is its death.
func deathIn(e source.Event, died []string) []string {
	if e.Died {
		died = append(died, e.ID)
	}
	return died
}

// restarted handles the death of a container. If the container is listed as
// running, it was restarted: its daemon and the connections to it are gone.
func (f *engine) restarted(id string) {
	f.set.mu.Lock()
	var again *box
	for _, b := range f.set.boxes {
		if b.ID == id && b.Container == api.ContainerRunning {
			again = b
		}
	}
	f.set.mu.Unlock()
	if again == nil {
		return
	}
	again.update(func(b *box) {
		b.began()
		b.Started = time.Now()
		b.become(containerStarted, nil)
	})
	f.set.keep(again.Ref)
}

// began records that the container has started.
func (b *box) began() {
	b.starts++
	b.proof, b.process = proof{}, nil
}

// problem is why the engine is lost.
func (f *engine) problem(err error) *api.Problem {
	if p, ok := errors.AsType[*api.Problem](err); ok {
		return p
	}
	return api.NewProblem(api.CodeEngineUnreachable,
		fmt.Sprintf("the connection to the Docker engine at %s broke: %v", f.set.o.Source.Endpoint(), err),
		"daemon-proxy keeps trying; check it with "+f.set.o.Source.Hint(source.HintCheck, "")).Because(err)
}

// setStatus records the engine's state and, if retryIn > 0, when the next attempt
// is; changes of the state are logged.
func (f *engine) setStatus(state, version string, p *api.Problem, retryIn time.Duration) {
	f.set.mu.Lock()
	was := f.status.State
	changed := was != state
	if changed {
		f.status.Since = time.Now()
	}
	if changed && state == "connected" {
		f.doubt()
	}
	f.status.State, f.status.Error, f.status.RetryAt = state, p, nil
	if retryIn > 0 {
		at := time.Now().Add(retryIn)
		f.status.RetryAt = &at
	}
	if version != "" {
		f.status.Version = version
	}
	status := f.status
	f.set.mu.Unlock()
	f.set.emit(api.Event{Kind: api.EventEngine, Engine: &status})
	if p != nil {
		f.unseen(p)
	}
	f.decideBy(state)
	if changed && was != "connecting" {
		f.checkAll()
	}
	switch {
	case changed && p != nil:
		f.set.log.Warn("the engine does not answer: the last known state of its containers is shown",
			"engine", status.Name,
			"error", p.Error(), "hint", p.Hint)
	case changed:
		f.set.log.Info("engine connected", "engine", status.Name, "version", status.Version)
	}
}

// checkAll checks all daemons now: an engine that is, or was, lost does not report
// that a container ended and another got its address.
func (f *engine) checkAll() {
	f.set.mu.Lock()
	refs := slices.Collect(maps.Keys(f.set.boxes))
	f.set.mu.Unlock()
	for _, ref := range refs {
		if !ref.IsHost() {
			f.set.keep(ref)
		}
	}
}

// doubt discards the proofs that came through the engine: while it did not
// answer, other containers may have got the addresses; mu is held.
func (f *engine) doubt() {
	for _, b := range f.set.boxes {
		if b.proof.pid == 0 {
			b.proof.inside = false
		}
	}
}

// unseen sets p as the problem of the containers that were never listed: they may
// exist, but the engine does not answer.
func (f *engine) unseen(p *api.Problem) {
	f.set.mu.Lock()
	var boxes []*box
	for _, b := range f.set.boxes {
		if b.Container == api.ContainerMissing {
			boxes = append(boxes, b)
		}
	}
	f.set.mu.Unlock()
	for _, b := range boxes {
		b.update(func(b *box) {
			if b.Container == api.ContainerMissing && b.state.work != injecting {
				b.become(containerUnseen, asProblem(b.Ref, p))
			}
		})
	}
}

// relist updates all boxes from a new list of the containers.
func (f *engine) relist(ctx context.Context) error {
	containers, err := f.set.o.Source.List(ctx)
	if err != nil {
		return err
	}
	seen := map[api.Ref]bool{api.Host: true}
	for _, c := range containers {
		seen[f.set.ref(c.Name)] = true
	}
	for range 2 { // the second pass finds the owners of shared networks
		for _, c := range containers {
			f.see(f.set.ref(c.Name), c)
		}
	}
	f.set.mu.Lock()
	var gone []api.Ref
	for ref := range f.set.boxes {
		if !seen[ref] {
			gone = append(gone, ref)
		}
	}
	f.set.mu.Unlock()
	for _, ref := range gone {
		f.lose(ref)
	}
	return nil
}

// see updates the box of a container with what the engine reported.
func (f *engine) see(ref api.Ref, c source.Container) {
	changed := false
	f.set.mu.Lock()
	seen := f.set.boxFor(ref)
	f.set.mu.Unlock()
	seen.update(func(b *box) {
		was := b.container
		if b.ID != "" && b.ID != c.ID { // another container under the same name
			b.began()
			b.Started = time.Time{}
			b.Daemon = api.Daemon{Since: time.Now()}
		}
		changed = b.ID != c.ID || b.Container != c.State || !slices.Equal(was.Addresses, c.Addresses)
		if was.ID == c.ID && c.State == api.ContainerRunning && was.State != api.ContainerRunning && was.State != api.ContainerPaused {
			b.began()
			b.Started = time.Now() // a list does not have it, and the stop before may have been missed
		}
		if b.proof.address != "" && !c.HostNetwork && !slices.Contains(c.Addresses, b.proof.address) {
			b.proof = proof{}
			if b.state.found == api.DaemonHealthy {
				b.state = b.state.next(moved)
			}
		}
		switch {
		case c.State != api.ContainerRunning:
			b.become(containerStopped, nil)
			if b.state.goal != unwanted { // so its daemon is missing
				b.Daemon.LastError = asProblem(ref, f.set.why.notRunning(ref, c.State))
			}
			b.Daemon.Started = false
		case b.ID != c.ID || b.Container != c.State:
			b.become(containerStarted, nil)
		}
		b.container = c
		b.ID, b.Image, b.Container, b.ExitCode, b.Labels = c.ID, c.Image, c.State, c.ExitCode, c.Labels
		b.Project = c.Labels["com.docker.compose.project"]
		if c.Platform != "" {
			b.Platform = c.Platform
		}
		b.Address = ""
		if len(c.Addresses) > 0 {
			b.Address = c.Addresses[0]
		}
		if !c.StartedAt.IsZero() {
			b.Started = c.StartedAt
		}
		b.SharesNetworkOf = f.sharesWith(c)
	})
	if changed {
		f.set.keep(ref)
	}
}

func (f *engine) sharesWith(c source.Container) string {
	if c.HostNetwork {
		return api.HostName
	}
	for ref, b := range f.set.boxes {
		if c.SharesNetworkOf != "" && b.ID == c.SharesNetworkOf {
			return ref.String()
		}
	}
	return c.SharesNetworkOf
}

// lose records that a container is gone. The default one stays in the list as
// missing, as it is configured by name.
func (f *engine) lose(ref api.Ref) {
	f.set.mu.Lock()
	b := f.set.boxes[ref]
	f.set.mu.Unlock()
	if b == nil {
		return
	}
	b.update(func(b *box) {
		if b.Container == api.ContainerMissing && b.state.stopped {
			return // known already
		}
		b.container, b.process = source.Container{Infra: b.container.Infra}, nil
		b.ID, b.Address, b.Container, b.ExitCode = "", "", api.ContainerMissing, nil
		b.Daemon = api.Daemon{Since: time.Now()}
		b.become(containerStopped, missing(ref))
	})
	b.dropGone()
}

// dropGone removes a box whose container is gone from the list, unless it is the
// default one or an injection is still in progress.
func (b *box) dropGone() {
	b.set.eventMu.Lock()
	defer b.set.eventMu.Unlock()
	b.set.mu.Lock()
	gone := b.set.boxes[b.Ref] == b && b.Container == api.ContainerMissing && !b.Default && b.state.work != injecting
	if gone {
		delete(b.set.boxes, b.Ref)
		close(b.kick)
	}
	b.set.mu.Unlock()
	if gone && b.announced {
		b.set.emit(api.Event{Kind: api.EventRemoved, Sandbox: &api.Sandbox{Ref: b.Ref}})
	}
}
