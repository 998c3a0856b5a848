package bridge

import (
	"context"
	"net/http"
	"sync/atomic"
	"time"

	"daemon-proxy/core/mux"
)

// reopenApart is the shortest time between two attempts to open a session again.
const reopenApart = time.Second

// Way is how the far end is reached: a Session, or a Line of them.
type Way interface {
	// Transport carries calls of the API, as Session's does.
	Transport(here bool) http.RoundTripper
	// Close ends it.
	Close() error
	// session is the one to use, which may have to be opened first.
	session(ctx context.Context) (*Session, error)
}

// session makes a Session one that is never opened again.
func (s *Session) session(context.Context) (*Session, error) { return s, nil }

// Line is a session that is opened again when it has ended and is needed.
type Line struct {
	open    func(context.Context) (*Session, error)
	current atomic.Pointer[Session]
	turn    chan struct{} // has an element while nobody opens a session
	failed  time.Time     // the last failed attempt, and why; guarded by turn
	why     error
	closed  bool
}

// NewLine makes a line that begins with s. open opens the next session; it needs
// no person.
func NewLine(s *Session, open func(context.Context) (*Session, error)) *Line {
	l := &Line{open: open, turn: make(chan struct{}, 1)}
	l.current.Store(s)
	l.turn <- struct{}{}
	return l
}

func (l *Line) session(ctx context.Context) (*Session, error) {
	if s := l.current.Load(); s.Err() == nil {
		return s, nil
	}
	select {
	case <-l.turn:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	defer func() { l.turn <- struct{}{} }()
	s := l.current.Load()
	switch {
	case s.Err() == nil: // somebody else has opened it
		return s, nil
	case l.closed:
		return nil, mux.ErrEnded
	case time.Since(l.failed) < reopenApart:
		return nil, l.why
	}
	next, err := l.open(ctx)
	if err != nil {
		if ctx.Err() == nil { // the next caller waits longer
			l.failed, l.why = time.Now(), err
		}
		return nil, err
	}
	_ = s.Close() // has ended
	next.number = s.number + 1
	l.current.Store(next)
	return next, nil
}

// Transport is Session.Transport over the line.
func (l *Line) Transport(here bool) http.RoundTripper { return &transport{way: l, here: here} }

// Close ends the session; no other is opened.
func (l *Line) Close() error {
	<-l.turn
	l.closed = true
	l.turn <- struct{}{}
	return l.current.Load().Close()
}
