package sandbox

import (
	"context"
	"errors"
	"slices"

	"daemon-proxy/core/api"
	"daemon-proxy/core/daemon"
	"daemon-proxy/core/sandbox/source"
)

// history is how many samples of the latency are kept.
const history = 60

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
	switch {
	case b.proof.bridge != nil:
		b.Daemon.URL = ""
	case b.Address != "" && b.own():
		b.Daemon.URL = "http://" + b.set.why.at(b.Address)
	}
	return true
}

// stoppedSince reports whether the daemon is being stopped, or was stopped on
// request after b.stops had the value stops; mu is held.
func (b *box) stoppedSince(stops int) bool { return b.state.ending() || b.stops != stops }

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
		if b.Via == api.ViaDirect { // perhaps it cannot be dialled any more
			b.Via = ""
		}
		b.become(silent, b.Problem(api.CodeDaemonDown, detail,
			"POST /api/sandboxes/"+b.String()+"/inject starts it again"))
		b.Daemon.LatencyHistory = sample(b.Daemon.LatencyHistory, 0)
	})
	if down {
		b.set.log.Error("daemon down", "sandbox", b.String(), "error", err)
	}
}

// distrust records that what answers at the daemon's address is not, or not
// provably, in the container of b; false if err does not mean that.
func (b *box) distrust(c source.Container, err error) bool {
	p := b.set.why.misplaced(b.Ref, c, err)
	if p == nil && errors.Is(err, daemon.ErrNoChallenge) {
		p = b.Problem(api.CodePortTaken,
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
		b.endBridge() // nothing uses it
	})
	return true
}

// setTaken records that another daemon-proxy has replaced our daemon. It is not
// replaced until an injection is requested: two programs that keep replacing
// each other's daemon would serve no requests.
func (b *box) setTaken() {
	p := b.Problem(api.CodePortTaken,
		"another daemon-proxy has replaced the daemon in "+b.String()+" with its own",
		"stop that one, then POST /api/sandboxes/"+b.String()+"/inject to get it back")
	b.set.log.Warn("daemon replaced by another daemon-proxy", "sandbox", b.String())
	b.update(func(b *box) { b.become(taken, p) })
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
