package world

import (
	"cmp"
	"slices"

	"daemon-proxy/core/api"
)

// recentKept is how many exchanges of a sandbox the overview can show.
const recentKept = 20

// exchanges are the newest exchanges of each sandbox, and what stays open.
type exchanges struct {
	recent  map[api.Ref][]api.Exchange // newest first
	sockets map[string]map[uint64]bool // ids of WebSockets and event streams, by the id of their link
}

// Recent returns the newest exchanges of a sandbox, newest first.
func (w *exchanges) Recent(ref api.Ref) []api.Exchange { return w.recent[ref] }

// exchangeRef returns the sandbox of an exchange, by name if the exchange does not
// have its engine.
func exchangeRef(x api.Exchange, among []api.Sandbox) api.Ref {
	if x.Ref != (api.Ref{}) {
		return x.Ref
	}
	return refNamed(x.Sandbox, among)
}

// Sockets returns how many sockets are open on a link.
func (w *exchanges) Sockets(link string) int { return len(w.sockets[link]) }

// OpenSockets returns the numbers of open sockets of all links that have some.
func (w *exchanges) OpenSockets() []int {
	var counts []int
	for _, open := range w.sockets {
		counts = append(counts, len(open))
	}
	return counts
}

// ApplyRecent takes the newest exchanges of the core; complete: there are no others
// than these and newer ones. What is missing among them is no longer in the log,
// for example because the core was restarted.
func (w *World) ApplyRecent(newest []api.Exchange, complete bool) {
	listed := map[uint64]bool{}
	var last uint64
	for _, x := range newest {
		listed[x.ID], last = true, max(last, x.ID)
	}
	for name, list := range w.recent {
		w.recent[name] = slices.DeleteFunc(list, func(x api.Exchange) bool {
			return complete && !listed[x.ID] && (x.ID < last || last == 0)
		})
	}
	for _, x := range newest {
		w.ApplyExchange(x)
	}
}

func (w *exchanges) addRecent(ref api.Ref, x api.Exchange) {
	list := w.recent[ref]
	if i := slices.IndexFunc(list, func(o api.Exchange) bool { return o.ID == x.ID }); i >= 0 {
		list[i] = x
		return
	}
	if len(list) == recentKept {
		if x.ID < list[recentKept-1].ID {
			return
		}
		list = list[:recentKept-1]
	}
	i, _ := slices.BinarySearchFunc(list, x, func(a, b api.Exchange) int { return cmp.Compare(b.ID, a.ID) })
	w.recent[ref] = slices.Insert(list, i, x)
}

func (w *exchanges) applySocket(x api.Exchange) {
	if x.LinkID == "" {
		return
	}
	if x.Live && (x.Protocol == "websocket" || x.Protocol == "event-stream") {
		if w.sockets[x.LinkID] == nil {
			w.sockets[x.LinkID] = map[uint64]bool{}
		}
		w.sockets[x.LinkID][x.ID] = true
		return
	}
	delete(w.sockets[x.LinkID], x.ID)
	if len(w.sockets[x.LinkID]) == 0 {
		delete(w.sockets, x.LinkID)
	}
}

// ApplySockets restarts the count with all live exchanges, except those that an
// event has reported as ended in the meantime.
func (w *World) ApplySockets(live []api.Exchange) {
	clear(w.sockets)
	for _, x := range live {
		over := slices.ContainsFunc(w.recent[exchangeRef(x, w.sandboxes)], func(o api.Exchange) bool { return o.ID == x.ID && !o.Live })
		if !over {
			w.applySocket(x)
		}
	}
}
