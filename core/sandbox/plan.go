package sandbox

// plan is what is to become of the daemon of a sandbox, and what is being done
// about it. It changes by events only.
type plan struct {
	goal   goal
	work   work
	before goal // the goal before the work began
}

type goal int

const (
	unwanted goal = iota // no daemon was asked for
	wanted               // one was asked for: it is started again when it is gone
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
	asked            event = iota // a daemon is to run here
	renounced                     // none is to run here any more
	containerChanged              // it was replaced, started or stopped
	injectBegan
	injectDone
	injectFailed            // or was cancelled because its callers left
	injectFailedPermanently // and will until the container changes
	injectDropped           // it was cancelled, and none is wanted any more
	stopBegan
	stopDone
	stopFailed
)

// next is the plan after an event.
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
		if p.before != unwanted { // a caller that asked for what was never there asks again
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
