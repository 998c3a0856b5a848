package sandbox

import (
	"fmt"
	"math"
	"time"

	"daemon-proxy/core/api"
)

// update changes a box and reports an event if a visible part of it changed. No
// event is sent for a box that is no longer listed.
func (b *box) update(change func(*box)) {
	b.set.eventMu.Lock()
	defer b.set.eventMu.Unlock()
	b.set.mu.Lock()
	before := b.Sandbox
	change(b)
	b.Daemon.State = b.state.daemon()
	b.updatePlace()
	if before.Daemon.State != b.Daemon.State {
		b.Daemon.Since, b.Daemon.RetryAt = time.Now(), nil
	}
	changed := b.set.boxes[b.Ref] == b && !b.container.Infra &&
		(!b.announced || !sameShown(before, b.Sandbox) ||
			!sameLatency(before.Daemon.LatencyMS, b.Daemon.LatencyMS, b.set.ports.Watched(b.Ref)))
	b.announced = b.announced || changed
	after := b.snapshot()
	b.set.mu.Unlock()
	if changed {
		b.set.emit(api.Event{Kind: api.EventSandbox, Sandbox: &after})
	}
}

// become changes the state and the last error; it is called within update.
func (b *box) become(e event, lastError *api.Problem) {
	b.state, b.Daemon.LastError = b.state.next(e), lastError
}

// sameLatency reports whether two latencies are told apart: closely, they look the
// same in whole milliseconds or, below 10 ms, in tenths; otherwise neither is twice
// the other, or both are below 5 ms. Each event is work for every screen.
func sameLatency(a, b float64, closely bool) bool {
	low, high := min(a, b), max(a, b)
	switch {
	case !closely:
		return low > 0 && high < max(5, 2*low) || high == 0
	case low < 10:
		low, high = 10*low, 10*high
	}
	return math.Round(low) == math.Round(high)
}

// sameShown reports whether two states look the same, except for the latency.
func sameShown(a, b api.Sandbox) bool {
	return a.Default == b.Default && a.Via == b.Via && a.ViaReason == b.ViaReason && a.Container == b.Container &&
		sameExit(a.ExitCode, b.ExitCode) && a.ID == b.ID && a.Image == b.Image &&
		a.Address == b.Address && a.SharesNetworkOf == b.SharesNetworkOf &&
		a.Daemon.State == b.Daemon.State && a.Daemon.Version == b.Daemon.Version && a.Daemon.Kind == b.Daemon.Kind &&
		sameProblem(a.Daemon.LastError, b.Daemon.LastError) && sameTime(a.Daemon.RetryAt, b.Daemon.RetryAt)
}

func sameExit(a, b *int) bool { return a == b || a != nil && b != nil && *a == *b }

func sameTime(a, b *time.Time) bool { return a == b || a != nil && b != nil && a.Equal(*b) }

func sameProblem(a, b *api.Problem) bool {
	return a == b || a != nil && b != nil && a.Code == b.Code && a.Detail == b.Detail
}

// updatePlace updates the place of b after a change of its state; mu is held. A
// paused container keeps its place, and so does a daemon that is about to be
// checked.
func (b *box) updatePlace() {
	key := ""
	if b.proof.address != "" {
		key = fmt.Sprintf("%s %s %d", b.proof.id, b.proof.address, b.starts)
	}
	shown := b.Daemon.State
	switch {
	case b.Container == api.ContainerPaused:
		return
	case b.Container != api.ContainerRunning:
	case b.place.key == key && (shown == api.DaemonUnknown || shown == api.DaemonInjecting):
		return
	case shown == api.DaemonHealthy && key != "":
		if b.place.key != key {
			b.place.leave(b.gone())
			b.place = newPlace(key, b.set.o.OnGone)
		}
		return
	}
	b.place.leave(b.gone())
}

// gone is the problem of requests that wait for the daemon of b; mu is held.
func (b *box) gone() error {
	if err := b.unusable(); err != nil {
		return err
	}
	return b.Problem(api.CodeDaemonDown,
		"the daemon in "+b.String()+" has moved: the container was restarted, or its address has changed",
		"send the request again")
}

// unusable returns why the daemon of b cannot be called; nil if it may answer; mu
// is held.
func (b *box) unusable() error {
	if p := b.Daemon.LastError; p != nil && b.Container == api.ContainerMissing {
		return p // perhaps that the engine does not answer
	}
	if err := b.set.why.notRunning(b.Ref, b.Container); err != nil {
		return err
	}
	if b.Daemon.State == api.DaemonHealthy {
		return nil
	}
	if p := b.Daemon.LastError; p != nil && p.Code == api.CodeUnreachable {
		return p
	}
	if p := b.Daemon.LastError; p != nil {
		return b.Problem(api.CodeDaemonDown,
			fmt.Sprintf("no daemon runs in %s: %s", b, p.Error()), p.Hint).Because(p)
	}
	if b.Daemon.State == api.DaemonInjecting {
		return b.Problem(api.CodeDaemonDown, "the daemon in "+b.String()+" is being started",
			"try again in a moment")
	}
	if b.Daemon.State == api.DaemonEjecting {
		return b.busy()
	}
	detail := "no daemon has been injected into " + b.String() + " yet"
	if b.ended != "" {
		detail = "the daemon in " + b.String() + " " + b.ended
	}
	return b.Problem(api.CodeNoDaemon, detail, "POST /api/sandboxes/"+b.String()+"/inject")
}

// busy is the problem of a sandbox with an operation in progress; mu is held.
func (b *box) busy() *api.Problem {
	doing := "started or stopped"
	if b.state.work == ejecting {
		doing = "removed"
	}
	return b.Problem(api.CodeSandboxBusy, "the daemon in "+b.String()+" is being "+doing,
		"try again in a moment")
}

// keep checks the daemon of ref now, and monitors it from then on.
func (s *set) keep(ref api.Ref) {
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
	b.set.group.Go(func() { b.set.monitor(b, wait) })
}
