package mux

import (
	"errors"
	"sync/atomic"

	"github.com/libp2p/go-yamux/v5"
)

// budget is the memory that the streams of a session share beyond their first
// windows, whose number bounds them.
type budget struct {
	limit int64
	used  atomic.Int64
}

var errNoBudget = errors.New("no memory is left for a larger window")

// share is what one stream has taken of the budget.
type share struct {
	of    *budget
	taken atomic.Int64
}

func (b *budget) share() (yamux.MemoryManager, error) { return &share{of: b}, nil }

// firstWindow is the priority of the memory that a stream begins with.
const firstWindow = 255

// ReserveMemory refuses a larger window that the budget has no room for. The
// stream keeps the one that it has.
func (s *share) ReserveMemory(size int, priority uint8) error {
	if priority == firstWindow {
		return nil
	}
	if s.of.used.Add(int64(size)) > s.of.limit {
		s.of.used.Add(-int64(size))
		return errNoBudget
	}
	s.taken.Add(int64(size))
	return nil
}

// ReleaseMemory returns a part.
func (s *share) ReleaseMemory(size int) {
	s.of.used.Add(-int64(size))
	s.taken.Add(-int64(size))
}

// Done returns all that the stream has taken.
func (s *share) Done() { s.of.used.Add(-s.taken.Swap(0)) }
