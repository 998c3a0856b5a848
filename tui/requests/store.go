package requests

import (
	"cmp"
	"slices"

	"daemon-proxy/core/api"
)

const (
	exchangesKept = 10_000 // as many as the core's request log holds
	exchangesOver = 1_000  // how many more there may be before the oldest are dropped
)

// store holds exchanges by their number, oldest first, and which of
// them a filter takes. What has ended does not come alive again, in whatever
// order the news comes.
type store struct {
	all      []api.Exchange
	filtered bool
	taken    []uint64 // the ids that the filter takes, oldest first
}

func (s *store) find(id uint64) (int, bool) {
	return slices.BinarySearchFunc(s.all, id, func(x api.Exchange, id uint64) int { return cmp.Compare(x.ID, id) })
}

// put takes the news of one exchange.
func (s *store) put(x api.Exchange) {
	if n := len(s.all); n == 0 || s.all[n-1].ID < x.ID {
		s.all = append(s.all, x)
		s.trim()
		return
	}
	i, ok := s.find(x.ID)
	switch {
	case !ok:
		s.all = slices.Insert(s.all, i, x)
	case s.all[i].Live || !x.Live:
		s.all[i] = x
	}
}

// trim drops the oldest that have ended.
func (s *store) trim() {
	over := len(s.all) - exchangesKept
	if over < exchangesOver {
		return
	}
	s.all = slices.DeleteFunc(s.all, func(x api.Exchange) bool {
		drop := over > 0 && !x.Live
		if drop {
			over--
		}
		return drop
	})
	s.taken = slices.DeleteFunc(s.taken, func(id uint64) bool { _, ok := s.find(id); return !ok })
}

// load takes a snapshot of all, newest first: what the core does not hold any
// more goes, what is newer than the snapshot stays.
func (s *store) load(newestFirst []api.Exchange) {
	before := s.all
	s.all = slices.Clone(newestFirst)
	slices.Reverse(s.all)
	newest := uint64(0)
	if n := len(s.all); n > 0 {
		newest = s.all[n-1].ID
	}
	for _, x := range before {
		i, ok := s.find(x.ID)
		switch {
		case x.ID > newest:
			s.all = append(s.all, x)
		case ok && s.all[i].Live && !x.Live:
			s.all[i] = x
		}
	}
	s.taken = slices.DeleteFunc(s.taken, func(id uint64) bool { _, ok := s.find(id); return !ok })
}

// take makes the answer for a filter, newest first, what is shown.
func (s *store) take(newestFirst []api.Exchange) {
	s.filtered = true
	s.taken = s.takenOf(newestFirst, s.taken[:0])
}

// takePage brings what is shown up to date with the newest page of the answer;
// whole says that there is no more of it. It says whether something may be
// missing between what was shown and the page.
func (s *store) takePage(newestFirst []api.Exchange, whole bool) (gap bool) {
	if whole || len(newestFirst) == 0 {
		s.take(newestFirst)
		return false
	}
	oldest := newestFirst[len(newestFirst)-1].ID
	if n := len(s.taken); n == 0 || s.taken[n-1] < oldest {
		return true
	}
	i, _ := slices.BinarySearch(s.taken, oldest)
	s.taken = s.takenOf(newestFirst, s.taken[:i])
	return false
}

func (s *store) takenOf(newestFirst []api.Exchange, ids []uint64) []uint64 {
	for _, x := range slices.Backward(newestFirst) {
		s.put(x)
		ids = append(ids, x.ID)
	}
	return ids
}

// showAll is the end of a filter.
func (s *store) showAll() { s.filtered, s.taken = false, nil }

// count is how many are shown.
func (s *store) count() int {
	if s.filtered {
		return len(s.taken)
	}
	return len(s.all)
}

// row is the one that is shown at i, 0 the newest.
func (s *store) row(i int) (api.Exchange, bool) {
	i = s.count() - 1 - i
	if i < 0 || i >= s.count() {
		return api.Exchange{}, false
	}
	if !s.filtered {
		return s.all[i], true
	}
	at, ok := s.find(s.taken[i])
	if !ok {
		return api.Exchange{ID: s.taken[i]}, true
	}
	return s.all[at], true
}

// rowOf is the row of an exchange, or of the next older one.
func (s *store) rowOf(id uint64) int {
	i, ok := s.find(id)
	if s.filtered {
		i, ok = slices.BinarySearch(s.taken, id)
	}
	if !ok {
		i--
	}
	return s.count() - 1 - i
}
