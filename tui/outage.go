package tui

import (
	"cmp"
	"time"
)

const (
	// firstRetry is how soon a core that does not answer is tried again; each
	// failure doubles it, up to lastRetry.
	firstRetry = 500 * time.Millisecond
	lastRetry  = 5 * time.Second
)

// outage is the time during which the core does not answer; the zero value: it does.
type outage struct {
	wait  time.Duration // the last one; 0: there is no outage
	retry time.Time     // when the core is tried again
	round int           // number of the current wait, for its timer
	said  string        // why, if it is more than silence
	// refused is true if the core answers, and does not let this screen in.
	refused bool
}

// is reports whether there is one.
func (o *outage) is() bool { return o.wait > 0 }

// failed begins an outage or goes on with it; it returns how long to wait.
func (o *outage) failed(now time.Time) time.Duration {
	o.wait = min(cmp.Or(2*o.wait, firstRetry), lastRetry)
	o.retry = now.Add(o.wait)
	o.round++
	return o.wait
}

// end ends it and reports whether there was one.
func (o *outage) end() (was bool) {
	was = o.is()
	*o = outage{round: o.round + 1}
	return was
}
