package world

import (
	"cmp"
	"slices"
	"strings"

	"daemon-proxy/core/api"
)

// engines are those that are open, the primary one first, then by name.
type engines struct {
	list  []api.EngineStatus
	known bool // a state has arrived
	// batch is the number of the last batch of events with news of an engine.
	batch map[string]uint64
}

// Engines returns the engines that are open, the primary one first. They must not be
// changed.
func (w *engines) Engines() []api.EngineStatus { return w.list }

// Engine returns the state of the primary engine.
func (w *engines) Engine() api.EngineStatus {
	switch {
	case len(w.list) > 0:
		return w.list[0]
	case !w.known:
		return api.EngineStatus{State: "connecting"}
	}
	return api.EngineStatus{}
}

// EngineNamed returns the state of an engine; false if it is not open.
func (w *engines) EngineNamed(name string) (api.EngineStatus, bool) {
	i := slices.IndexFunc(w.list, func(e api.EngineStatus) bool { return e.Name == name })
	if i < 0 {
		return api.EngineStatus{}, false
	}
	return w.list[i], true
}

// Several reports whether more than one engine is open.
func (w *engines) Several() bool { return len(w.list) > 1 }

// EngineLost reports whether all engines have stopped answering, or never did.
func (w *engines) EngineLost() bool { return len(w.list) > 0 && w.LostEngines() == len(w.list) }

// Connected reports whether an engine answers.
func (w *engines) Connected() bool {
	return slices.ContainsFunc(w.list, func(e api.EngineStatus) bool { return e.State == "connected" })
}

// LostEngines counts the engines that do not answer.
func (w *engines) LostEngines() (n int) {
	for _, e := range w.list {
		if e.State == "lost" {
			n++
		}
	}
	return n
}

// Lost reports whether the engine of ref does not answer.
func (w *engines) Lost(ref api.Ref) bool {
	e, _ := w.EngineNamed(ref.Engine)
	return !ref.IsHost() && e.State == "lost"
}

func (w *engines) applyStates(list []api.EngineStatus, after uint64) {
	w.known = true
	newer := func(e api.EngineStatus) bool { return w.batch[e.Name] > after }
	kept := slices.DeleteFunc(slices.Clone(w.list), func(e api.EngineStatus) bool { return !newer(e) })
	w.list = slices.Concat(kept, slices.DeleteFunc(slices.Clone(list), newer))
	w.sort()
}

// set applies the state of one engine in the batch of that number.
func (w *engines) setState(e api.EngineStatus, number uint64) {
	w.known, w.batch[e.Name] = true, number
	w.list = slices.DeleteFunc(slices.Clone(w.list), func(o api.EngineStatus) bool { return o.Name == e.Name })
	if e.State == api.EngineClosed {
		return
	}
	for i := range w.list {
		w.list[i].Primary = w.list[i].Primary && !e.Primary
	}
	w.list = append(w.list, e)
	w.sort()
}

func (w *engines) sort() {
	slices.SortFunc(w.list, func(a, b api.EngineStatus) int {
		switch {
		case a.Primary == b.Primary:
			return strings.Compare(a.Name, b.Name)
		case a.Primary:
			return -1
		}
		return 1
	})
}

// compareEngines compares the places of two engines.
func (w *engines) compareEngines(a, b string) int {
	if a == b {
		return 0
	}
	place := func(name string) int {
		return slices.IndexFunc(w.list, func(e api.EngineStatus) bool { return e.Name == name })
	}
	return cmp.Or(cmp.Compare(place(a), place(b)), strings.Compare(a, b))
}
