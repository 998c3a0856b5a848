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
	retryEngine    = time.Second      // first wait for an engine that is gone
	maxRetryEngine = 10 * time.Second // and the longest
	coalesce       = 50 * time.Millisecond
)

// engine is what is known of the engine, and follows it.
type engine struct {
	set      *Sandboxes
	status   api.EngineStatus // guarded by Sandboxes.mu
	decision decision         // what mode "auto" means
}

// Run follows the engine until ctx ends: containers that come, go and change,
// an engine that goes and comes back. It starts what has to run by itself: the
// daemon of the default sandbox.
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
		// One list answers all events of a moment.
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

// restarted notes that a container has died. If it is listed as running all the
// same, its daemon and all that went there died with its last start.
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
		if b.plan.work != injecting {
			b.Daemon.State, b.Daemon.LastError = api.DaemonUnknown, nil
		}
	})
	f.set.keep(again.Ref)
}

// began notes that the container has started.
func (b *box) began() {
	b.starts++
	b.proof, b.process, b.plan = proof{}, nil, b.plan.next(containerChanged)
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

// setStatus notes how the engine is and, if that is not 0, in how long it is
// asked again; the log gets what is news.
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
		f.set.log.Warn("the engine does not answer: its containers are shown as they were last", "engine", status.Name, "error", p.Error(), "hint", p.Hint)
	case changed:
		f.set.log.Info("engine connected", "engine", status.Name, "version", status.Version)
	}
}

// checkAll checks all daemons now: an engine that is, or was, lost does not report
// that a container ended and another one got its address.
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

// doubt forgets proofs that came through the engine: while it did not answer,
// addresses may have got to other containers; mu is held.
func (f *engine) doubt() {
	for _, b := range f.set.boxes {
		if b.proof.pid == 0 {
			b.proof.inside = false
		}
	}
}

// unseen gives the containers of which nothing is known the reason for that:
// an engine that does not answer has not said that there are none.
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
			if b.Container == api.ContainerMissing && b.plan.work != injecting {
				b.Daemon.State, b.Daemon.LastError = api.DaemonUnknown, asProblem(b.Ref, p)
			}
		})
	}
}

// relist brings all boxes up to date.
func (f *engine) relist(ctx context.Context) error {
	containers, err := f.set.o.Source.List(ctx)
	if err != nil {
		return err
	}
	seen := map[api.Ref]bool{api.Host: true}
	for _, c := range containers {
		seen[f.set.ref(c.Name)] = true
	}
	for range 2 { // whose network a container shares is known once all are
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

// see takes in what the engine says of a container.
func (f *engine) see(ref api.Ref, c source.Container) {
	anew := false
	f.set.mu.Lock()
	seen := f.set.boxFor(ref)
	f.set.mu.Unlock()
	seen.update(func(b *box) {
		was := b.container
		if b.ID != "" && b.ID != c.ID { // another container under the same name
			b.began()
			b.Started = time.Time{}
			b.Daemon = api.Daemon{State: api.DaemonUnknown, Since: time.Now()}
			if b.plan.work == injecting {
				b.Daemon.State = api.DaemonInjecting
			}
		}
		anew = b.ID != c.ID || b.Container != c.State || !slices.Equal(was.Addresses, c.Addresses)
		if was.ID == c.ID && c.State == api.ContainerRunning && was.State != api.ContainerRunning && was.State != api.ContainerPaused {
			b.began()
			b.Started = time.Now() // a list does not have it, and the stop before may have been missed
		}
		if b.proof.address != "" && !c.HostNetwork && !slices.Contains(c.Addresses, b.proof.address) {
			b.proof = proof{}
			if b.Daemon.State == api.DaemonHealthy {
				b.Daemon.State = api.DaemonUnknown
			}
		}
		if b.ID != c.ID || b.Container != c.State {
			b.plan = b.plan.next(containerChanged)
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
		switch {
		case c.State != api.ContainerRunning:
			b.Daemon.State, b.Daemon.LastError = api.DaemonStopped, nil
			if b.plan.goal != unwanted { // then it is missed
				b.Daemon.LastError = asProblem(ref, f.set.why.notRunning(ref, c.State))
			}
			b.Daemon.Started = false
		case b.Daemon.State == api.DaemonStopped:
			b.Daemon.State, b.Daemon.LastError = api.DaemonUnknown, nil
		case was.ID == "":
			b.Daemon.LastError = nil // that the engine did not answer
		}
	})
	if anew {
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

// lose takes in that a container is gone. The default one stays in the list
// as missing: it is asked for by name.
func (f *engine) lose(ref api.Ref) {
	f.set.mu.Lock()
	b := f.set.boxes[ref]
	f.set.mu.Unlock()
	if b == nil {
		return
	}
	b.update(func(b *box) {
		if b.Container == api.ContainerMissing && b.Daemon.State == api.DaemonStopped {
			return // known already
		}
		b.container, b.process = source.Container{Infra: b.container.Infra}, nil
		b.ID, b.Address, b.Container, b.ExitCode = "", "", api.ContainerMissing, nil
		b.Daemon = api.Daemon{State: api.DaemonStopped, Since: time.Now(), LastError: missing(ref)}
	})
	b.dropGone()
}

// dropGone takes a box whose container is gone off the list, unless it is the
// default one or still has an injection to end.
func (b *box) dropGone() {
	b.set.telling.Lock()
	defer b.set.telling.Unlock()
	b.set.mu.Lock()
	gone := b.set.boxes[b.Ref] == b && b.Container == api.ContainerMissing && !b.Default && b.plan.work != injecting
	if gone {
		delete(b.set.boxes, b.Ref)
		close(b.kick)
	}
	b.set.mu.Unlock()
	if gone && b.announced {
		b.set.emit(api.Event{Kind: api.EventRemoved, Sandbox: &api.Sandbox{Ref: b.Ref}})
	}
}
