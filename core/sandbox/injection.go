package sandbox

import (
	"context"
	"sync"

	"daemon-proxy/core/api"
)

// injection is an injection in progress, as its callers see it. Callers of Inject
// for the same sandbox join it; it is cancelled when the last of them has left.
type injection struct {
	ref    api.Ref
	emit   func(api.Event)
	ctx    context.Context // ended when no caller waits any more
	cancel context.CancelFunc
	done   chan struct{} // closed at the end; err is valid from then on
	err    *api.Problem

	waiting int  // callers of Inject; guarded by set.mu
	dropped bool // by CancelInjection; guarded by set.mu until done

	mu      sync.Mutex
	reports []numbered    // of a copy's progress only the latest
	count   int           // of all reports
	more    chan struct{} // closed by the next report
	step    api.InjectionStep
}

// newInjection makes an injection with one caller.
func newInjection(ctx context.Context, ref api.Ref, emit func(api.Event)) *injection {
	in := &injection{
		ref: ref, emit: emit, done: make(chan struct{}), more: make(chan struct{}), waiting: 1,
	}
	in.ctx, in.cancel = context.WithCancel(ctx)
	return in
}

// numbered is a report and its number.
type numbered struct {
	n int
	e api.Injection
}

// follow calls progress with every report until the injection ends; left is true
// if ctx ended before. A slow progress function does not delay the injection.
func (in *injection) follow(ctx context.Context, progress func(api.Injection)) (left bool) {
	seen := 0
	for {
		in.mu.Lock()
		more := in.more
		var news []api.Injection
		for _, r := range in.reports {
			if r.n > seen {
				news = append(news, r.e)
			}
		}
		seen = in.count
		in.mu.Unlock()
		for _, e := range news {
			if progress != nil {
				progress(e)
			}
			if e.Finished {
				<-in.done
				return false
			}
		}
		select {
		case <-more:
		case <-ctx.Done():
			return true
		}
	}
}

// report reports a step.
func (in *injection) report(e api.Injection) {
	e.Sandbox = in.ref
	in.mu.Lock()
	defer in.mu.Unlock()
	in.step = e.Step
	in.count++
	if last := len(in.reports) - 1; last >= 0 && isProgress(e) && isProgress(in.reports[last].e) {
		in.reports = in.reports[:last]
	}
	in.reports = append(in.reports, numbered{in.count, e})
	close(in.more)
	in.more = make(chan struct{})
	in.emit(api.Event{Kind: api.EventInjection, Injection: &e})
}

func isProgress(e api.Injection) bool { return e.State == "running" && e.Bytes > 0 }

func (in *injection) lastStep() api.InjectionStep {
	in.mu.Lock()
	defer in.mu.Unlock()
	return in.step
}
