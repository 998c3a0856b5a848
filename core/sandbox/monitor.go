package sandbox

import (
	"errors"
	"time"

	"daemon-proxy/core/api"
	"daemon-proxy/core/carrier"
	"daemon-proxy/core/daemon"
)

const (
	inUse = time.Minute // how long after a request a sandbox counts as in use
	// patience is how many consecutive calls may time out before a daemon that
	// still listens counts as down: the machine may just be busy.
	patience = 3
)

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
		case working, busyNow:
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
	if b.Default || b.set.ports.Watched(b.Ref) || time.Since(b.used) < inUse || b.set.status.State == "lost" {
		return b.set.pace.often
	}
	return b.set.pace.seldom
}

type outcome int

const (
	noDaemon outcome = iota // the container does not run, or has no daemon and needs none
	working
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
	before, first := b.Daemon.State, b.Daemon.Kind == ""
	b.set.mu.Unlock()
	if errors.Is(err, carrier.ErrIdle) && before == api.DaemonHealthy {
		return working // it was healthy when it was last used
	}
	if err == nil {
		if before != api.DaemonHealthy {
			f = b.claim(b.set.ctx, f)
		}
		if first {
			if mended, p := b.mend(f); p != nil {
				return broken
			} else if mended {
				return working
			}
		}
		if b.setHealthy(f, stops) && before != api.DaemonHealthy {
			b.set.log.Info("daemon healthy", "sandbox", b.String(), "version", f.Version, "kind", f.Kind, "adopted", true)
		}
		return working
	}
	if errors.Is(err, carrier.ErrStalled) && before == api.DaemonHealthy {
		return broken // which says nothing of the daemon
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
		return working
	case before == api.DaemonHealthy || before == api.DaemonDown:
		b.setDown(err, stops)
		return broken
	}
	b.update(func(b *box) {
		last := b.Daemon.LastError
		if b.state.found != api.DaemonFailed || last != nil && last.Code == api.CodeUnreachable {
			b.become(nobody, nil)
		}
		b.endBridge() // nothing uses it
	})
	return noDaemon
}

// mend replaces the daemon f, which answers in c and was just found for the first
// time, or the bridge to it if they are of another build. It reports whether there
// was anything to replace, and the problem of that.
func (b *box) mend(f daemon.Info) (mended bool, p *api.Problem) {
	b.set.mu.Lock()
	r := route{b, b.container}
	ours := b.own() && b.Daemon.Started
	b.set.mu.Unlock()
	if !ours || b.set.o.Brief {
		return false, nil
	}
	if itsDaemon, itsBridge := r.otherBuild(f); !itsDaemon && !itsBridge {
		return false, nil
	}
	return true, b.set.inject(b.set.ctx, b.Ref, nil, false)
}
