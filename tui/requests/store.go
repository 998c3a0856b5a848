package requests

import (
	"cmp"
	"slices"

	"daemon-proxy/core/api"
	"daemon-proxy/tui/draw"
)

const (
	exchangesKept = 10_000 // as many as the core's request log holds
	exchangesOver = 1_000  // how many more there may be before the oldest are dropped
)

// store holds exchanges by id, oldest first, and which of them match the filter.
// An exchange that has ended stays ended, in whatever order updates arrive.
type store struct {
	all      []api.Exchange
	filtered bool
	taken    []uint64 // the ids that match the filter, oldest first
}

func (s *store) find(id uint64) (int, bool) {
	return slices.BinarySearchFunc(s.all, id, func(x api.Exchange, id uint64) int { return cmp.Compare(x.ID, id) })
}

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

// load replaces the exchanges by a snapshot, newest first. It keeps those that are
// newer than the snapshot.
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

// take shows the answer for a filter, newest first.
func (s *store) take(newestFirst []api.Exchange) {
	s.filtered = true
	s.taken = s.takenOf(newestFirst, s.taken[:0])
}

// takePage updates what is shown with the newest page of the answer; whole means
// that the page is the whole answer. gap reports whether exchanges between the
// page and what was shown may be missing.
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

func (s *store) showAll() { s.filtered, s.taken = false, nil }

func (s *store) count() int {
	if s.filtered {
		return len(s.taken)
	}
	return len(s.all)
}

// row returns the exchange at row i; 0 is the newest.
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

// rowOf returns the row of an exchange, or of the next older one.
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

// place is the position of the list: at the newest exchange while it follows,
// else at the one at the cursor.
type place struct {
	store  store
	cursor draw.Cursor
	Chosen uint64 // the exchange at the cursor
	paused bool
	seen   uint64 // the newest at the pause
}

// settle moves the cursor after a change of the list: to the newest exchange while
// it follows, else to the same exchange, at the same place on the screen.
func (p *place) settle(height int) {
	onScreen := p.cursor.At - p.cursor.Top
	p.cursor.Resize(p.store.count(), height)
	if !p.paused || p.Chosen == 0 {
		p.paused = false
		p.cursor.Put(0)
	} else if at := max(0, p.store.rowOf(p.Chosen)); at != p.cursor.At {
		p.cursor.Top = max(0, at-onScreen)
		p.cursor.Put(at)
	}
	p.remember()
}

func (p *place) remember() { x, _ := p.store.row(p.cursor.At); p.Chosen = x.ID }

func (p *place) pause() {
	if !p.paused {
		p.paused = true
		newest, _ := p.store.row(0)
		p.seen = newest.ID
	}
}

// missed returns how many exchanges are new since the pause.
func (p *place) missed() int {
	if !p.paused {
		return 0
	}
	return max(0, p.store.rowOf(p.seen))
}

// goTo moves the cursor; at the newest exchange the list follows, else it pauses.
func (p *place) goTo(move func()) {
	p.pause()
	move()
	p.remember()
	p.paused = p.cursor.At > 0
}
