package world

import (
	"fmt"
	"slices"
	"time"

	"daemon-proxy/core/api"
)

// Injection is the progress of one injection.
type Injection struct {
	Steps []api.Injection // the latest report of each step, in order
	// Copying is when the first byte was copied; the speed counts from there.
	Copying, News time.Time
	Finished      bool
	Problem       *api.Problem
}

// injections are those of this run that have not been dismissed.
type injections struct {
	byRef map[api.Ref]*Injection
	// ended is when an injection that this UI started ended; older news of it is ignored.
	ended map[api.Ref]time.Time
}

// Injection returns the injection into ref; nil if there is none.
func (w *injections) Injection(ref api.Ref) *Injection { return w.byRef[ref] }

// Injecting reports whether an injection into ref is running.
func (w *injections) Injecting(ref api.Ref) bool {
	in := w.byRef[ref]
	return in != nil && !in.Finished
}

// InjectionCount counts the sandboxes with a running injection.
func (w *injections) InjectionCount() int {
	n := 0
	for ref := range w.byRef {
		if w.Injecting(ref) {
			n++
		}
	}
	return n
}

// BeginInjection begins an injection that this UI starts; its steps come as events.
func (w *injections) BeginInjection(ref api.Ref) { w.byRef[ref] = &Injection{} }

// FailInjection ends an injection. An event may have brought its problem already.
func (w *injections) FailInjection(ref api.Ref, problem *api.Problem) {
	in := w.byRef[ref]
	if in == nil {
		in = &Injection{}
		w.byRef[ref] = in
	}
	in.Finished = true
	if in.Problem == nil {
		in.Problem = problem
	}
}

// DismissInjection forgets an injection.
func (w *injections) DismissInjection(ref api.Ref) { delete(w.byRef, ref) }

func (w *injections) applyInjection(n api.Injection, at time.Time) {
	if !at.After(w.ended[n.Sandbox]) {
		return
	}
	in := w.byRef[n.Sandbox]
	if in == nil || in.Finished {
		in = &Injection{}
		w.byRef[n.Sandbox] = in
	}
	if i := slices.IndexFunc(in.Steps, func(s api.Injection) bool { return s.Step == n.Step }); i >= 0 {
		in.Steps[i] = n
	} else {
		in.Steps = append(in.Steps, n)
	}
	if n.Step == api.StepCopy && in.Copying.IsZero() {
		in.Copying = at
	}
	in.News, in.Finished, in.Problem = at, n.Finished, n.Error
	if n.Finished && (n.Error == nil || n.Error.Code == api.CodeCancelled) {
		delete(w.byRef, n.Sandbox)
	}
	// n.Daemon is ignored: the sandbox's own events have it, and may be newer.
}

// InjectionSteps are the steps in their order, the text of a pending one, and the
// word in the list while it runs.
var InjectionSteps = []struct {
	Step          api.InjectionStep
	Ahead, inList string
}{
	{api.StepInspect, "looking at the container", "checking"},
	{api.StepAdopt, "does a daemon answer already?", "checking"},
	{api.StepPrepare, "preparing the binary", "preparing"},
	{api.StepCopy, "copying the binary", "copying"},
	{api.StepStart, "starting it", "starting"},
	{api.StepWait, "waiting for it to answer", "waiting"},
}

// Progress returns an injection in two words: "copying", "62 %".
func (in *Injection) Progress() (word, percent string) {
	word = "injecting"
	if len(in.Steps) == 0 {
		return word, ""
	}
	last := in.Steps[len(in.Steps)-1]
	for _, s := range InjectionSteps {
		if s.Step == last.Step {
			word = s.inList
		}
	}
	if last.Step == api.StepCopy && last.Total > 0 {
		percent = fmt.Sprintf("%d %%", last.Bytes*100/last.Total)
	}
	return word, percent
}
