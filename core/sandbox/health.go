package sandbox

import (
	"context"
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
	// patience is how many consecutive calls may time out before a daemon that
	// still listens counts as down: the machine may just be busy.
	patience = 3
)

// pace is how often a sandbox's daemon is checked.
type pace struct {
	often, seldom        time.Duration // if it is in use or the engine is lost; otherwise
	firstRetry, maxRetry time.Duration // if its daemon is gone; doubled each time
}

var usual = pace{often: 2 * time.Second, seldom: 15 * time.Second, firstRetry: time.Second, maxRetry: time.Minute}

// keep checks the daemon of ref now, and monitors it from then on.
func (s *Sandboxes) keep(ref api.Ref) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if b := s.boxes[ref]; b != nil && s.ctx.Err() == nil {
		select {
		case b.kick <- struct{}{}:
		default:
		}
		b.startMonitor(0)
	}
}

// keepLater is keep after a failure: it waits before the next attempt, and does
// not advance an attempt that is already scheduled.
func (b *box) keepLater() {
	b.set.mu.Lock()
	defer b.set.mu.Unlock()
	if b.set.boxes[b.Ref] == b && b.set.ctx.Err() == nil {
		b.startMonitor(b.set.pace.firstRetry)
	}
}

// startMonitor starts the goroutine that monitors b unless it runs; mu is held.
func (b *box) startMonitor(wait time.Duration) {
	if b.monitored || b.state.goal == unwanted && b.Container != api.ContainerRunning {
		return
	}
	b.monitored = true
	b.set.group.Go(func() { b.monitor(wait) })
}

// monitor checks the daemon of one sandbox and restarts it. It ends when there
// is no daemon and none is wanted.
func (b *box) monitor(wait time.Duration) {
	retry := b.set.pace.firstRetry
	for {
		timer := time.NewTimer(wait)
		select {
		case <-b.set.ctx.Done():
			timer.Stop()
			return
		case _, open := <-b.kick:
			timer.Stop()
			if !open {
				return
			}
			retry = b.set.pace.firstRetry
		case <-timer.C:
		}
		switch b.check() {
		case noDaemon:
			b.set.mu.Lock()
			if b.state.goal == unwanted && len(b.kick) == 0 {
				b.monitored = false
				b.set.mu.Unlock()
				return
			}
			b.set.mu.Unlock()
			wait = b.set.pace.maxRetry // until kicked
		case healthy, busyNow:
			retry = b.set.pace.firstRetry
			wait = b.interval()
		case broken:
			wait = retry
			b.update(func(b *box) {
				if b.state.goal == wanted && (b.Daemon.State == api.DaemonFailed || b.Daemon.State == api.DaemonDown) {
					at := time.Now().Add(wait)
					b.Daemon.RetryAt = &at
				}
			})
			retry = min(2*retry, b.set.pace.maxRetry)
		}
	}
}

func (b *box) interval() time.Duration {
	b.set.mu.Lock()
	defer b.set.mu.Unlock()
	if b.Default || b.set.ports.Watched(b.Ref) || time.Since(b.used) < inUse || b.set.engine.status.State == "lost" {
		return b.set.pace.often
	}
	return b.set.pace.seldom
}

type outcome int

const (
	noDaemon outcome = iota // the container does not run, or has no daemon and needs none
	healthy
	broken
	busyNow // an injection or a stop is in progress and sets the state itself
)

// check calls the daemon of b once, and injects it if it is wanted and gone.
func (b *box) check() outcome {
	b.set.mu.Lock()
	state, busy, stops := b.Container, b.state.work != idle, b.stops
	b.set.mu.Unlock()
	if busy {
		return busyNow
	}
	if state != api.ContainerRunning {
		return noDaemon
	}
	f, err := b.probe()
	b.set.mu.Lock()
	before := b.Daemon.State
	b.set.mu.Unlock()
	if err == nil {
		if before != api.DaemonHealthy {
			f = b.claim(b.set.ctx, f)
		}
		if b.setHealthy(f, stops) && before != api.DaemonHealthy {
			b.set.log.Info("daemon healthy", "sandbox", b.String(), "version", f.Version, "kind", f.Kind, "adopted", true)
		}
		return healthy
	}
	b.set.mu.Lock()
	restart := b.state.goal == wanted
	c := b.container
	busy = b.state.work == injecting || b.stoppedSince(stops)
	b.misses++
	late := errors.Is(err, daemon.ErrSilent) && before == api.DaemonHealthy && b.misses < patience
	b.set.mu.Unlock()
	switch {
	case busy || b.set.ctx.Err() != nil:
		return busyNow
	case late:
		b.update(func(b *box) { b.Daemon.LatencyHistory = sample(b.Daemon.LatencyHistory, 0) })
		return broken
	case errors.Is(err, daemon.ErrSecret) && before == api.DaemonHealthy:
		b.setTaken()
		return noDaemon
	case !restart && b.distrust(c, err):
		return noDaemon
	case restart:
		if before == api.DaemonHealthy {
			b.setDown(err, stops)
		}
		if b.set.inject(b.set.ctx, b.Ref, nil, true) != nil {
			return broken
		}
		return healthy
	case before == api.DaemonHealthy || before == api.DaemonDown:
		b.setDown(err, stops)
		return broken
	}
	b.update(func(b *box) {
		last := b.Daemon.LastError
		if b.state.found != api.DaemonFailed || last != nil && last.Code == api.CodeUnreachable {
			b.become(nobody, nil)
		}
	})
	return noDaemon
}

// distrust records that what answers at the daemon's address is not, or not
// provably, in the container of b; false if err does not mean that.
func (b *box) distrust(c source.Container, err error) bool {
	p := b.set.why.misplaced(b.Ref, c, err)
	if p == nil && errors.Is(err, daemon.ErrNoChallenge) {
		p = problem(b.Ref, api.CodePortTaken,
			"the built-in daemon in "+b.String()+" is of an older version, which cannot prove that it is ours",
			"POST /api/sandboxes/"+b.String()+"/inject replaces it")
	}
	if p == nil {
		return false
	}
	b.set.log.Warn("the daemon that answers for a sandbox is not used",
		"sandbox", b.String(), "error", p.Error(), "hint", p.Hint)
	b.update(func(b *box) {
		if b.Container == api.ContainerRunning {
			b.become(distrusted, p)
		}
	})
	return true
}

// setTaken records that another daemon-proxy has replaced our daemon. It is not
// replaced until an injection is requested: two programs that keep replacing
// each other's daemon would serve no requests.
func (b *box) setTaken() {
	p := problem(b.Ref, api.CodePortTaken,
		"another daemon-proxy has replaced the daemon in "+b.String()+" with its own",
		"stop that one, then POST /api/sandboxes/"+b.String()+"/inject to get it back")
	b.set.log.Warn("daemon replaced by another daemon-proxy", "sandbox", b.String())
	b.update(func(b *box) { b.become(taken, p) })
}

// probe calls the daemon of b, or of the owner of its network.
func (b *box) probe() (daemon.Info, error) {
	if b.IsHost() {
		return b.set.host.probe(b.set.ctx)
	}
	b.set.mu.Lock()
	owner, err := b.networkOf()
	if err != nil {
		b.set.mu.Unlock()
		return daemon.Info{}, err
	}
	c := owner.container
	b.set.mu.Unlock()
	if c.HostNetwork {
		if err := owner.onThisMachine(b.set.ctx, c); err != nil {
			return daemon.Info{}, err
		}
		return b.set.host.probe(b.set.ctx)
	}
	if len(c.Addresses) == 0 {
		return daemon.Info{}, b.set.why.noAddress(b.Ref)
	}
	return owner.meet(b.set.ctx, c)
}

// own reports whether b has a daemon of its own: it shares no network; mu is held.
func (b *box) own() bool {
	return !b.IsHost() && !b.container.HostNetwork && b.container.SharesNetworkOf == ""
}

// stoppedSince reports whether the daemon is being stopped, or was stopped on
// request after b.stops had the value stops; mu is held.
func (b *box) stoppedSince(stops int) bool { return b.state.ending() || b.stops != stops }

// setHealthy records that the daemon answered. It returns false, and records
// nothing, if the container or the daemon was stopped since b.stops had the value
// stops.
func (b *box) setHealthy(f daemon.Info, stops int) (still bool) {
	b.update(func(b *box) { still = b.found(f, stops) })
	return still
}

// found is setHealthy within update.
func (b *box) found(f daemon.Info, stops int) (still bool) {
	if b.Container != api.ContainerRunning || b.stoppedSince(stops) {
		return false // it has stopped since it answered
	}
	if b.own() && b.proof.address == "" { // the container was replaced or restarted
		b.state = b.state.next(moved)
		return false
	}
	b.misses, b.ended = 0, ""
	if b.Daemon.State != api.DaemonHealthy {
		b.Daemon.StartedAt = f.Started
	}
	b.become(answered, nil)
	b.Daemon.Kind, b.Daemon.Version = f.Kind, f.Version
	b.Daemon.LatencyMS = float64(f.Latency.Microseconds()) / 1000
	b.Daemon.LatencyHistory = sample(b.Daemon.LatencyHistory, b.Daemon.LatencyMS)
	if !b.IsHost() && b.Address != "" {
		b.Daemon.URL = "http://" + b.set.why.at(b.Address)
	}
	return true
}

// setDown records that the daemon no longer answers, unless the container or the
// daemon was stopped since b.stops had the value stops.
func (b *box) setDown(err error, stops int) {
	last := b.lastWords()
	detail := "the daemon in " + b.String() + " no longer answers"
	if errors.Is(err, daemon.ErrRefused) {
		detail = "the daemon in " + b.String() + " ended"
	}
	if last != "" {
		detail += "; its last words: " + last
	}
	down := false
	b.update(func(b *box) {
		if b.Container != api.ContainerRunning || b.stoppedSince(stops) {
			return // which is why it does not answer
		}
		down = true
		b.proof = proof{}
		b.become(silent, problem(b.Ref, api.CodeDaemonDown, detail,
			"POST /api/sandboxes/"+b.String()+"/inject starts it again"))
		b.Daemon.LatencyHistory = sample(b.Daemon.LatencyHistory, 0)
	})
	if down {
		b.set.log.Error("daemon down", "sandbox", b.String(), "error", err)
	}
}

func sample(samples []float64, ms float64) []float64 {
	samples = append(slices.Clone(samples), ms)
	return samples[max(0, len(samples)-history):]
}

// lastWords returns the end of the output of a daemon that has gone down.
func (b *box) lastWords() string {
	b.set.mu.Lock()
	p, c := b.process, b.container
	b.set.mu.Unlock()
	if p == nil {
		return ""
	}
	ctx, cancel := context.WithTimeout(b.set.ctx, callTimeout)
	defer cancel()
	return b.set.job(b.Ref, c).Output(ctx, p)
}
