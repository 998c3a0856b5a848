package sandbox

import "daemon-proxy/core/api"

// state is whether a sandbox should have a daemon, the work in progress on it, and
// what is known of both. Only events change it.
type state struct {
	goal    goal
	work    work
	before  goal            // the goal before the work began
	stopped bool            // the container does not run
	found   api.DaemonState // of the daemon: unknown, none, healthy, down or failed
}

type goal int

const (
	unwanted goal = iota // no daemon was requested
	wanted               // one was requested: it is restarted when it is gone
	// noRetry is wanted, but there was no daemon yet and the last injection failed
	// permanently: none begins until the container is replaced or restarted.
	noRetry
)

type work int

const (
	idle work = iota
	injecting
	stopping
	ejecting // what follows stopping if the daemon's files are removed, too
)

type event int

const (
	asked     event = iota // a daemon was requested
	renounced              // it is no longer wanted

	containerStarted // or it was replaced by one that runs
	containerStopped // or was removed
	containerUnseen  // the engine does not answer, so it may run

	answered   // the daemon did
	moved      // the daemon may be elsewhere, and has to be found again
	nobody     // no daemon answers, and none did before
	silent     // the daemon no longer answers
	distrusted // what answers is not, or not provably, in the container
	taken      // another program has replaced the daemon

	injectBegan
	injectDone
	injectFailed
	injectFailedPermanently // it would fail again until the container changes
	injectCancelled         // because its callers left
	injectDropped           // it was cancelled, and no daemon is wanted any more

	stopBegan
	stopFailed
	ejectBegan // the daemon has stopped
	stopDone
)

// next returns the state after an event.
func (s state) next(e event) state {
	switch e {
	case asked:
		s.goal = max(s.goal, wanted)
	case renounced:
		s.goal = unwanted

	case containerStarted:
		s.goal, s.stopped, s.found = min(s.goal, wanted), false, api.DaemonUnknown
	case containerStopped:
		s.goal, s.stopped, s.found = min(s.goal, wanted), true, api.DaemonUnknown
	case containerUnseen:
		s.stopped, s.found = false, api.DaemonUnknown

	case answered:
		s.found = api.DaemonHealthy
	case moved:
		s.found = api.DaemonUnknown
	case nobody:
		s.found = api.DaemonNone
	case silent:
		s.found = api.DaemonDown
	case distrusted:
		s.found = api.DaemonFailed
	case taken:
		s.goal, s.found = unwanted, api.DaemonFailed

	case injectBegan:
		s.goal, s.work, s.before = wanted, injecting, s.goal
	case injectDone:
		s.work = idle
	case injectFailed:
		s.goal, s.work, s.found = min(s.before, wanted), idle, api.DaemonFailed
	case injectFailedPermanently:
		s.goal, s.work, s.found = unwanted, idle, api.DaemonFailed
		if s.before != unwanted { // the caller of a first injection retries itself
			s.goal = noRetry
		}
	case injectCancelled: // as if it had not been requested
		s.goal, s.work, s.found = min(s.before, wanted), idle, api.DaemonNone
	case injectDropped:
		s.goal, s.work, s.found = unwanted, idle, api.DaemonNone

	case stopBegan:
		s.goal, s.work, s.before = unwanted, stopping, s.goal
	case stopFailed:
		s.goal, s.work = s.before, idle
	case ejectBegan:
		s.work = ejecting
	case stopDone:
		if s.found = api.DaemonNone; s.work != injecting { // the daemon may be another sandbox's
			s.work = idle
		}
	}
	return s
}

// ending reports whether the daemon is being stopped or removed.
func (s state) ending() bool { return s.work == stopping || s.work == ejecting }

// daemon returns the state of the daemon, as it is shown.
func (s state) daemon() api.DaemonState {
	switch {
	case s.stopped:
		return api.DaemonStopped
	case s.work == injecting:
		return api.DaemonInjecting
	case s.work == ejecting:
		return api.DaemonEjecting
	}
	return s.found
}
