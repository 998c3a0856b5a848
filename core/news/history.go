package news

import (
	"container/list"
	"slices"

	"daemon-proxy/core/api"
)

// maxKept bounds the events that are kept for followers that resume.
const maxKept = 2000

// history is the latest event of each subject, by the number that it has in the
// order of all events. Its zero value is empty.
type history struct {
	last uint64 // the number of the latest event
	// forgotten is the number of the latest event that is kept no more although
	// none of the same subject came later.
	forgotten uint64
	kept      list.List // of numbered, in their order
	latest    map[subject]*list.Element
}

type numbered struct {
	number uint64
	about  subject
	event  api.Event
}

func (h *history) add(about subject, event api.Event) {
	if h.latest == nil {
		h.latest = map[subject]*list.Element{}
	}
	h.last++
	if before, ok := h.latest[about]; ok {
		h.kept.Remove(before)
	} else if h.kept.Len() >= maxKept {
		oldest, _ := h.kept.Remove(h.kept.Front()).(numbered)
		delete(h.latest, oldest.about)
		h.forgotten = oldest.number
	}
	h.latest[about] = h.kept.PushBack(numbered{h.last, about, event})
}

// since is the latest state of all that has happened after the event of that
// number, oldest first; false if some of it is kept no more.
func (h *history) since(number uint64) ([]numbered, bool) {
	if number < h.forgotten || number > h.last {
		return nil, false
	}
	var missed []numbered
	for at := h.kept.Back(); at != nil; at = at.Prev() {
		one, _ := at.Value.(numbered)
		if one.number <= number {
			break
		}
		missed = append(missed, one)
	}
	slices.Reverse(missed)
	return missed, true
}
