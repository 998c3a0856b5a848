package preview

import (
	"context"
	"maps"
	"slices"
	"time"
)

// run ends links when their time is over, stores counters and forgets what
// ended long ago, until ctx ends.
func (l *Links) run(ctx context.Context) {
	defer close(l.done)
	flush := time.NewTicker(flushEvery)
	defer flush.Stop()
	var early <-chan time.Time
	for {
		// The wait is cut at each flush: timers stand still while a machine
		// sleeps, and clocks are set.
		expiry := time.NewTimer(l.untilExpiry())
		select {
		case <-ctx.Done():
			expiry.Stop()
			return
		case <-l.wake:
		case <-expiry.C:
			l.expire()
		case <-l.soon:
			if early == nil {
				early = time.After(storeWithin)
			}
		case <-early:
			early = nil
			l.forget(slackRunning)
			l.tryFlush()
		case <-flush.C:
			l.forget(slackRunning)
			l.tryFlush()
		}
		expiry.Stop()
	}
}

func (l *Links) tryFlush() {
	if err := l.flush(); err != nil {
		l.options.Logger.Warn("cannot store the counters and cookies of preview links", "error", err)
	}
}

// reschedule makes run check the expiries again.
func (l *Links) reschedule() {
	select {
	case l.wake <- struct{}{}:
	default: // it will look anyway
	}
}

// untilExpiry is how long it is until the next link expires, or the next flush.
func (l *Links) untilExpiry() time.Duration {
	now, wait := l.options.Now(), flushEvery
	for _, link := range *l.live.Load() {
		if !link.ExpiresAt.IsZero() {
			wait = min(wait, link.ExpiresAt.Sub(now))
		}
	}
	return wait
}

// expire ends all links whose time is over.
func (l *Links) expire() {
	now := l.options.Now()
	for _, link := range *l.live.Load() {
		if link.due(now) && l.finish(link, func() bool { return link.expireIfDue(now) }) {
			l.notify(link)
		}
	}
}

// flush stores all links that differ from what is stored.
func (l *Links) flush() error {
	l.mu.Lock()
	all := slices.Collect(maps.Values(l.byID))
	l.mu.Unlock()
	l.writing.Lock()
	defer l.writing.Unlock()
	return l.save(all...)
}

// save stores those of the links that differ from what is stored. l.writing
// is held: a link's older state must never overwrite a newer one.
func (l *Links) save(links ...*Live) error {
	var changed []*Live
	var records []record
	for _, link := range links {
		if link.dirty.Swap(false) {
			changed = append(changed, link)
			records = append(records, link.record())
		}
	}
	if len(records) == 0 {
		return nil
	}
	err := l.store.Put(records...)
	if err != nil {
		for _, link := range changed {
			link.dirty.Store(true)
		}
	}
	return err
}

// forget drops the ended links that are not to be remembered any longer, and
// compacts the store if they left it more than slack times too large.
func (l *Links) forget(slack int64) {
	l.writing.Lock()
	defer l.writing.Unlock()
	tokens := l.dropEnded()
	if len(tokens) == 0 && slack != slackAtStart {
		return
	}
	if len(tokens) > 0 {
		if err := l.store.Delete(tokens...); err != nil {
			// They are forgotten all the same: the next start drops them again.
			l.options.Logger.Warn("cannot remove old preview links from the links file", "error", err)
			return
		}
	}
	if err := l.store.Compact(slack); err != nil {
		l.options.Logger.Warn("cannot compact the links file", "error", err)
	}
}

// dropEnded drops what ended long ago, and of the rest what ended first while
// there are too many. It returns their tokens.
func (l *Links) dropEnded() (tokens []string) {
	now := l.options.Now()
	l.mu.Lock()
	defer l.mu.Unlock()
	drop := func(link *Live) {
		tokens = append(tokens, link.Token)
		delete(l.ended, link.Token)
		delete(l.byID, link.ID)
	}
	for _, link := range l.ended {
		if link.forgotten(now) {
			drop(link)
		}
	}
	if surplus := len(l.ended) - l.options.MaxEnded; surplus > 0 {
		rest := slices.SortedFunc(maps.Values(l.ended), func(a, b *Live) int {
			return a.end.Load().at.Compare(b.end.Load().at)
		})
		for _, link := range rest[:surplus] {
			drop(link)
		}
	}
	return tokens
}
