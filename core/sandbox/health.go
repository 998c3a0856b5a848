package sandbox

import (
	"errors"
	"slices"
	"time"

	"daemon-proxy/core/api"
	"daemon-proxy/core/daemon"
	"daemon-proxy/core/sandbox/source"
)

const (
	inUse   = time.Minute // how long after a request a sandbox counts as in use
	history = 60
	// patience is how many calls in a row may get no answer before a daemon
	// that still listens counts as down: a busy machine is no dead daemon.
	patience = 3
)

// pace is how often a sandbox is looked at.
type pace struct {
	often, seldom        time.Duration // one in use or without its engine, another
	firstRetry, maxRetry time.Duration // one whose daemon is gone: doubled from the first to the last
}

var usual = pace{often: 2 * time.Second, seldom: 15 * time.Second, firstRetry: time.Second, maxRetry: time.Minute}

// want notes that a sandbox should have a daemon, and sees to it.
func (s *Sandboxes) want(ref api.Ref) {
	s.mu.Lock()
	s.boxFor(ref).wanted = true
	s.mu.Unlock()
	s.keep(ref)
}

// keep sees to it that a goroutine looks after the daemon of ref, now.
func (s *Sandboxes) keep(ref api.Ref) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if b := s.boxes[ref]; b != nil && s.ctx.Err() == nil {
		select {
		case b.kick <- struct{}{}:
		default:
		}
		s.keeper(b, 0)
	}
}

// keepLater is keep after a failure: the next try comes after a pause, and
// one that is being waited for is not brought forward.
func (s *Sandboxes) keepLater(ref api.Ref) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if b := s.boxes[ref]; b != nil && s.ctx.Err() == nil {
		s.keeper(b, s.pace.firstRetry)
	}
}

// keeper starts the goroutine that looks after b unless it runs; mu is held.
func (s *Sandboxes) keeper(b *box, wait time.Duration) {
	if b.kept || !b.wanted && b.Container != api.ContainerRunning {
		return
	}
	b.kept = true
	s.group.Go(func() { s.lookAfter(b, wait) })
}

// lookAfter watches the daemon of one sandbox and brings it back. It ends
// when there is nothing to watch: no daemon, and none was asked for.
func (s *Sandboxes) lookAfter(b *box, wait time.Duration) {
	retry := s.pace.firstRetry
	for {
		timer := time.NewTimer(wait)
		select {
		case <-s.ctx.Done():
			timer.Stop()
			return
		case _, open := <-b.kick:
			timer.Stop()
			if !open {
				return
			}
			retry = s.pace.firstRetry
		case <-timer.C:
		}
		switch s.look(b) {
		case nothing:
			s.mu.Lock()
			if !b.wanted && len(b.kick) == 0 {
				b.kept = false
				s.mu.Unlock()
				return
			}
			s.mu.Unlock()
			wait = s.pace.maxRetry // until kicked
		case healthy:
			retry = s.pace.firstRetry
			wait = s.interval(b)
		case broken:
			wait = retry
			s.update(b, func(b *box) {
				if b.wanted && !b.hopeless && (b.Daemon.State == api.DaemonFailed || b.Daemon.State == api.DaemonDown) {
					at := time.Now().Add(wait)
					b.Daemon.RetryAt = &at
				}
			})
			retry = min(2*retry, s.pace.maxRetry)
		}
	}
}

func (s *Sandboxes) interval(b *box) time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	if b.Default || s.ports.Watched(b.Ref) || time.Since(b.used) < inUse || s.status.State == "lost" {
		return s.pace.often
	}
	return s.pace.seldom
}

type outcome int

const (
	nothing outcome = iota // not running, or no daemon and none wanted
	healthy
	broken
)

// look checks the daemon of b once, and injects it if it is wanted and gone.
func (s *Sandboxes) look(b *box) outcome {
	s.mu.Lock()
	state, busy, stops := b.Container, b.injected != nil || b.stopping, b.stops
	s.mu.Unlock()
	if busy {
		return healthy // the injection tells what comes of it
	}
	if state != api.ContainerRunning {
		return nothing
	}
	f, err := s.ask(b)
	s.mu.Lock()
	before := b.Daemon.State
	s.mu.Unlock()
	if err == nil {
		if before != api.DaemonHealthy {
			f = s.claim(s.ctx, b, f)
		}
		if s.alive(b, f, stops) && before != api.DaemonHealthy {
			s.log.Info("daemon healthy", "sandbox", b.String(), "version", f.Version, "kind", f.Kind, "adopted", true)
		}
		return healthy
	}
	s.mu.Lock()
	wanted := b.wanted && !b.hopeless
	c := b.container
	busy = b.injected != nil || b.stoppedSince(stops)
	b.misses++
	late := errors.Is(err, daemon.ErrSilent) && before == api.DaemonHealthy && b.misses < patience
	s.mu.Unlock()
	switch {
	case busy || s.ctx.Err() != nil:
		return healthy
	case late:
		s.update(b, func(b *box) { b.Daemon.LatencyHistory = sample(b.Daemon.LatencyHistory, 0) })
		return broken
	case errors.Is(err, daemon.ErrSecret) && before == api.DaemonHealthy:
		s.taken(b)
		return nothing
	case !wanted && s.distrust(b, c, err):
		return nothing
	case wanted:
		if before == api.DaemonHealthy {
			s.dead(b, err, stops)
		}
		if s.inject(s.ctx, b.Ref, nil, true) != nil {
			return broken
		}
		return healthy
	case before == api.DaemonHealthy || before == api.DaemonDown:
		s.dead(b, err, stops)
		return broken
	}
	s.update(b, func(b *box) {
		distrusted := b.Daemon.LastError != nil && b.Daemon.LastError.Code == api.CodeUnreachable
		if b.Daemon.State != api.DaemonFailed && b.Daemon.State != api.DaemonInjecting || distrusted {
			b.Daemon.State, b.Daemon.LastError = api.DaemonNone, nil
		}
	})
	return nothing
}

// distrust notes that something answers in the place of the daemon of b which
// is not, or not provably, in the container; false if err is none of that.
func (s *Sandboxes) distrust(b *box, c source.Container, err error) bool {
	p := s.misplaced(b.Ref, c, err)
	if p == nil && errors.Is(err, daemon.ErrNoChallenge) {
		p = problem(b.Ref, api.CodePortTaken,
			"the built-in daemon in "+b.String()+" is of an older version, which cannot prove that it is ours",
			"POST /api/sandboxes/"+b.String()+"/inject replaces it")
	}
	if p == nil {
		return false
	}
	s.log.Warn("what answers for a sandbox is not used", "sandbox", b.String(), "error", p.Error(), "hint", p.Hint)
	s.update(b, func(b *box) {
		if b.Container == api.ContainerRunning {
			b.Daemon.State, b.Daemon.LastError = api.DaemonFailed, p
		}
	})
	return true
}

// taken notes that another daemon-proxy has put its daemon in the place of
// ours. It stays so until somebody asks: two who take it back from each other
// would serve nobody.
func (s *Sandboxes) taken(b *box) {
	p := problem(b.Ref, api.CodePortTaken,
		"another daemon-proxy has replaced the daemon in "+b.String()+" by its own",
		"end that one, and POST /api/sandboxes/"+b.String()+"/inject to have it back")
	s.log.Warn("daemon replaced by another daemon-proxy", "sandbox", b.String())
	s.update(b, func(b *box) { b.wanted, b.Daemon.State, b.Daemon.LastError = false, api.DaemonFailed, p })
}

// ask is one look at the daemon of b, its own or the one of its network's owner.
func (s *Sandboxes) ask(b *box) (daemon.Info, error) {
	if b.IsHost() {
		return s.host.probe(s.ctx)
	}
	s.mu.Lock()
	owner, err := s.networkOf(b)
	if err != nil {
		s.mu.Unlock()
		return daemon.Info{}, err
	}
	c := owner.container
	s.mu.Unlock()
	if c.HostNetwork {
		if err := s.onThisMachine(s.ctx, owner, c); err != nil {
			return daemon.Info{}, err
		}
		return s.host.probe(s.ctx)
	}
	if len(c.Addresses) == 0 {
		return daemon.Info{}, s.noAddress(b.Ref)
	}
	return s.meet(s.ctx, owner, c)
}

func (s *Sandboxes) noAddress(ref api.Ref) *api.Problem {
	return problem(ref, api.CodeUnreachable,
		ref.String()+" has no network address that can be dialled (--network none?)",
		"connect it: "+s.o.Source.Hint(source.HintConnect, ref.Name))
}

// own says whether b has a daemon of its own: it shares nobody's network; mu is held.
func (b *box) own() bool {
	return !b.IsHost() && !b.container.HostNetwork && b.container.SharesNetworkOf == ""
}

// stoppedSince says whether somebody has stopped the daemon, or is stopping it,
// since that had been done stops times; mu is held.
func (b *box) stoppedSince(stops int) bool { return b.stopping || b.stops != stops }

// alive notes that the daemon answered after it had been stopped on request
// stops times; false if what did is gone already.
func (s *Sandboxes) alive(b *box, f daemon.Info, stops int) (still bool) {
	s.update(b, func(b *box) {
		if b.Container != api.ContainerRunning || b.stoppedSince(stops) {
			return // it has stopped since it answered
		}
		if b.own() && b.proof.address == "" { // it is another now, or was started again
			b.Daemon.State = api.DaemonUnknown
			return
		}
		still = true
		b.misses, b.ended = 0, ""
		if b.Daemon.State != api.DaemonHealthy {
			b.Daemon.StartedAt = f.Started
		}
		b.Daemon.State, b.Daemon.Kind, b.Daemon.Version, b.Daemon.LastError = api.DaemonHealthy, f.Kind, f.Version, nil
		b.Daemon.LatencyMS = float64(f.Latency.Microseconds()) / 1000
		b.Daemon.LatencyHistory = sample(b.Daemon.LatencyHistory, b.Daemon.LatencyMS)
		if !b.IsHost() && b.Address != "" {
			b.Daemon.URL = "http://" + s.shown(b.Address)
		}
	})
	return still
}

// dead notes that a daemon which was there, and had been stopped on request
// stops times, does not answer.
func (s *Sandboxes) dead(b *box, err error, stops int) {
	last := s.lastWords(b)
	detail := "the daemon in " + b.String() + " does not answer any more"
	if errors.Is(err, daemon.ErrRefused) {
		detail = "the daemon in " + b.String() + " ended"
	}
	if last != "" {
		detail += "; its last words: " + last
	}
	down := false
	s.update(b, func(b *box) {
		if b.Container != api.ContainerRunning || b.stoppedSince(stops) {
			return // that is why
		}
		down = true
		b.Daemon.State, b.proof = api.DaemonDown, proof{}
		b.Daemon.LastError = problem(b.Ref, api.CodeDaemonDown, detail,
			"POST /api/sandboxes/"+b.String()+"/inject starts it again")
		b.Daemon.LatencyHistory = sample(b.Daemon.LatencyHistory, 0)
	})
	if down {
		s.log.Error("daemon down", "sandbox", b.String(), "error", err)
	}
}

func sample(samples []float64, ms float64) []float64 {
	samples = append(slices.Clone(samples), ms)
	return samples[max(0, len(samples)-history):]
}
