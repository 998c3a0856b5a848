package sandbox

// plan is whether the sandbox should have a daemon, and the work in progress on
// it. Only events change it.
type plan struct {
	goal   goal
	work   work
	before goal // the goal before the work began
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
)

type event int

const (
	asked            event = iota // a daemon was requested
	renounced                     // it is no longer wanted
	containerChanged              // it was replaced, started or stopped
	injectBegan
	injectDone
	injectFailed            // or was cancelled because its callers left
	injectFailedPermanently // it would fail again until the container changes
	injectDropped           // it was cancelled, and no daemon is wanted any more
	stopBegan
	stopDone
	stopFailed
)

// next returns the plan after an event.
func (p plan) next(e event) plan {
	switch e {
	case asked:
		p.goal = max(p.goal, wanted)
	case renounced:
		p.goal = unwanted
	case containerChanged:
		p.goal = min(p.goal, wanted)
	case injectBegan:
		return plan{wanted, injecting, p.goal}
	case stopBegan:
		return plan{unwanted, stopping, p.goal}
	case injectDone, stopDone:
		return plan{goal: p.goal}
	case injectFailed:
		return plan{goal: min(p.before, wanted)}
	case injectFailedPermanently:
		if p.before != unwanted { // the caller of a first injection retries itself
			return plan{goal: noRetry}
		}
		return plan{}
	case injectDropped:
		return plan{}
	case stopFailed:
		return plan{goal: p.before}
	}
	return p
}
