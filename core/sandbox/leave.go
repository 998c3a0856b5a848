package sandbox

import (
	"context"

	"daemon-proxy/core/api"
)

// LeaveInjection makes the injection of ref independent of the contexts of its
// callers: the program itself waits for it from now on. It ends by itself, by
// CancelInjection or with the program. It is a problem if none is in progress.
func (s *Sandboxes) LeaveInjection(_ context.Context, ref api.Ref) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	b := s.boxes[ref]
	if b == nil {
		return missing(ref)
	}
	in := b.injected
	if in == nil || in.ctx.Err() != nil { // the second: it is being undone
		return conflict(ref, "no injection into "+ref.String()+" is in progress", "inject a daemon first")
	}
	in.waiting++ // for good: this caller does not leave
	return nil
}
