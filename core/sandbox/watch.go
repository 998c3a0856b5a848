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

// Run follows the engine until ctx ends: containers that come, go and change,
// an engine that goes and comes back. It starts what has to run by itself: the
// daemon of the default sandbox.
func (s *Sandboxes) Run(ctx context.Context) {
	defer s.beginDecision(ctx)()
	if s.o.Source == nil {
		<-ctx.Done()
		return
	}
	wait := retryEngine
	for ctx.Err() == nil {
		began := time.Now()
		err := s.follow(ctx)
		if ctx.Err() != nil {
			return
		}
		if time.Since(began) > maxRetryEngine {
			wait = retryEngine
		}
		s.engineIs("lost", "", s.engineProblem(err), wait)
		select {
		case <-ctx.Done():
		case <-s.decision.retry:
			wait = retryEngine
			continue
		case <-time.After(wait):
		}
		wait = min(2*wait, maxRetryEngine)
	}
}

// follow lists the containers and follows events until the engine is lost.
func (s *Sandboxes) follow(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	version, err := s.o.Source.Ping(ctx)
	if err != nil {
		return err
	}
	events, ended := s.o.Source.Events(ctx)
	if err := s.relist(ctx); err != nil {
		return err
	}
	s.engineIs("connected", version, nil, 0)
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
		if err := s.relist(ctx); err != nil {
			return err
		}
		for _, id := range died {
			s.restarted(id)
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
func (s *Sandboxes) restarted(id string) {
	s.mu.Lock()
	var again *box
	for _, b := range s.boxes {
		if b.ID == id && b.Container == api.ContainerRunning {
			again = b
		}
	}
	s.mu.Unlock()
	if again == nil {
		return
	}
	s.update(again, func(b *box) {
		b.began()
		b.Started = time.Now()
		if b.injected == nil {
			b.Daemon.State, b.Daemon.LastError = api.DaemonUnknown, nil
		}
	})
	s.keep(again.Ref)
}

// began notes that the container has started.
func (b *box) began() {
	b.starts++
	b.proof, b.process, b.hopeless = proof{}, nil, false
}

// engineProblem is why the engine is lost.
func (s *Sandboxes) engineProblem(err error) *api.Problem {
	if p, ok := errors.AsType[*api.Problem](err); ok {
		return p
	}
	return api.NewProblem(api.CodeEngineUnreachable,
		fmt.Sprintf("the connection to the Docker engine at %s broke: %v", s.o.Source.Endpoint(), err),
		"daemon-proxy keeps trying; check it with "+s.o.Source.Hint(source.HintCheck, "")).Because(err)
}

// engineIs notes how the engine is and, if that is not 0, in how long it is
// asked again; the log gets what is news.
func (s *Sandboxes) engineIs(state, version string, p *api.Problem, retryIn time.Duration) {
	s.mu.Lock()
	was := s.status.State
	changed := was != state
	if changed {
		s.status.Since = time.Now()
	}
	if changed && state == "connected" {
		s.doubt()
	}
	s.status.State, s.status.Error, s.status.RetryAt = state, p, nil
	if retryIn > 0 {
		at := time.Now().Add(retryIn)
		s.status.RetryAt = &at
	}
	if version != "" {
		s.status.Version = version
	}
	status := s.status
	s.mu.Unlock()
	s.emit(api.Event{Kind: api.EventEngine, Engine: &status})
	if p != nil {
		s.unseen(p)
	}
	s.decideBy(state)
	if changed && was != "connecting" {
		s.keepAll()
	}
	switch {
	case changed && p != nil:
		s.log.Warn("the engine does not answer: its containers are shown as they were last", "engine", status.Name, "error", p.Error(), "hint", p.Hint)
	case changed:
		s.log.Info("engine connected", "engine", status.Name, "version", status.Version)
	}
}

// keepAll checks all daemons now: an engine that is, or was, lost does not report
// that a container ended and another one got its address.
func (s *Sandboxes) keepAll() {
	s.mu.Lock()
	refs := slices.Collect(maps.Keys(s.boxes))
	s.mu.Unlock()
	for _, ref := range refs {
		if !ref.IsHost() {
			s.keep(ref)
		}
	}
}

// doubt forgets proofs that came through the engine: while it did not answer,
// addresses may have got to other containers; mu is held.
func (s *Sandboxes) doubt() {
	for _, b := range s.boxes {
		if b.proof.pid == 0 {
			b.proof.inside = false
		}
	}
}

// unseen gives the containers of which nothing is known the reason for that:
// an engine that does not answer has not said that there are none.
func (s *Sandboxes) unseen(p *api.Problem) {
	s.mu.Lock()
	var boxes []*box
	for _, b := range s.boxes {
		if b.Container == api.ContainerMissing {
			boxes = append(boxes, b)
		}
	}
	s.mu.Unlock()
	for _, b := range boxes {
		s.update(b, func(b *box) {
			if b.Container == api.ContainerMissing && b.injected == nil {
				b.Daemon.State, b.Daemon.LastError = api.DaemonUnknown, asProblem(b.Ref, p)
			}
		})
	}
}

// relist brings all boxes up to date.
func (s *Sandboxes) relist(ctx context.Context) error {
	containers, err := s.o.Source.List(ctx)
	if err != nil {
		return err
	}
	seen := map[api.Ref]bool{api.Host: true}
	for _, c := range containers {
		seen[s.ref(c.Name)] = true
	}
	for range 2 { // whose network a container shares is known once all are
		for _, c := range containers {
			s.see(s.ref(c.Name), c)
		}
	}
	s.mu.Lock()
	var gone []api.Ref
	for ref := range s.boxes {
		if !seen[ref] {
			gone = append(gone, ref)
		}
	}
	s.mu.Unlock()
	for _, ref := range gone {
		s.lose(ref)
	}
	return nil
}

// see takes in what the engine says of a container.
func (s *Sandboxes) see(ref api.Ref, c source.Container) {
	anew := false
	s.mu.Lock()
	seen := s.boxFor(ref)
	s.mu.Unlock()
	s.update(seen, func(b *box) {
		was := b.container
		if b.ID != "" && b.ID != c.ID { // another container under the same name
			b.began()
			b.Started = time.Time{}
			b.Daemon = api.Daemon{State: api.DaemonUnknown, Since: time.Now()}
			if b.injected != nil {
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
		b.hopeless = b.hopeless && b.ID == c.ID && b.Container == c.State
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
		b.SharesNetworkOf = s.sharesWith(c)
		switch {
		case c.State != api.ContainerRunning:
			b.Daemon.State, b.Daemon.LastError = api.DaemonStopped, nil
			if b.wanted { // then it is missed
				b.Daemon.LastError = asProblem(ref, s.notRunning(ref, c.State))
			}
			b.Daemon.Started = false
		case b.Daemon.State == api.DaemonStopped:
			b.Daemon.State, b.Daemon.LastError = api.DaemonUnknown, nil
		case was.ID == "":
			b.Daemon.LastError = nil // that the engine did not answer
		}
	})
	if anew {
		s.keep(ref)
	}
}

func (s *Sandboxes) sharesWith(c source.Container) string {
	if c.HostNetwork {
		return api.HostName
	}
	for ref, b := range s.boxes {
		if c.SharesNetworkOf != "" && b.ID == c.SharesNetworkOf {
			return ref.String()
		}
	}
	return c.SharesNetworkOf
}

// lose takes in that a container is gone. The default one stays in the list
// as missing: it is asked for by name.
func (s *Sandboxes) lose(ref api.Ref) {
	s.mu.Lock()
	b := s.boxes[ref]
	s.mu.Unlock()
	if b == nil {
		return
	}
	s.update(b, func(b *box) {
		if b.Container == api.ContainerMissing && b.Daemon.State == api.DaemonStopped {
			return // known already
		}
		b.container, b.process = source.Container{Infra: b.container.Infra}, nil
		b.ID, b.Address, b.Container, b.ExitCode = "", "", api.ContainerMissing, nil
		b.Daemon = api.Daemon{State: api.DaemonStopped, Since: time.Now(), LastError: missing(ref)}
	})
	s.dropGone(b)
}

// dropGone takes a box whose container is gone off the list, unless it is the
// default one or still has an injection to end.
func (s *Sandboxes) dropGone(b *box) {
	s.telling.Lock()
	defer s.telling.Unlock()
	s.mu.Lock()
	gone := s.boxes[b.Ref] == b && b.Container == api.ContainerMissing && !b.Default && b.injected == nil
	if gone {
		delete(s.boxes, b.Ref)
		close(b.kick)
	}
	s.mu.Unlock()
	if gone && b.announced {
		s.emit(api.Event{Kind: api.EventRemoved, Sandbox: &api.Sandbox{Ref: b.Ref}})
	}
}
