package bridge

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"daemon-proxy/core/api"
	"daemon-proxy/core/logging"
	"daemon-proxy/core/mux"
)

// Session is the near end.
type Session struct {
	number   int // among those of a Line
	mux      *mux.Session
	greeting atomic.Pointer[Greeting]
	asking   atomic.Bool // a question for the greeting is under way
	// reason is why the session has ended, as far as the program at the other
	// end of the pipes knows; it may be nil. end ends that program.
	reason func() error
	end    func() error
}

// Near makes the near end of a session of what a far end has written to in and
// reads from out. It waits for the greeting, until ctx ends; what comes before
// that is ignored. The session closes in and out, also if there is an error.
func Near(ctx context.Context, in, out *os.File, l mux.Limits) (*Session, error) {
	p := mux.Pipes(in, out)
	greeting, err := readGreeting(ctx, p)
	if err != nil {
		return nil, errors.Join(err, p.Close())
	}
	if err := speaks(greeting); err != nil {
		_ = p.Close() // the reason is the version
		return nil, err
	}
	m, err := mux.Near(p, l)
	if err != nil {
		return nil, errors.Join(err, p.Close())
	}
	s := &Session{mux: m, reason: func() error { return nil }, end: func() error { return nil }}
	s.greeting.Store(&greeting)
	m.OnReset = func(code uint32) {
		if code == resetReplaced {
			s.replaced()
		}
	}
	return s, nil
}

// readGreeting reads up to the end of the greeting and not a byte further.
func readGreeting(ctx context.Context, p net.Conn) (Greeting, error) {
	var g Greeting
	_, err := mux.Greeting(ctx, p, func(line []byte) bool {
		g = Greeting{}
		return bytes.HasPrefix(line, []byte(`{"protocol":`)) && json.Unmarshal(line, &g) == nil
	})
	return g, err
}

// speaks is nil if the core speaks this program's protocol.
func speaks(g Greeting) error {
	there := "the core there (version " + logging.Printable(g.Version) + ")"
	return api.CheckProtocol("this program", there, logging.Printable(g.Protocol))
}

// Greeting describes the core at the far end, as it was known last.
func (s *Session) Greeting() Greeting { return *s.greeting.Load() }

// Done is closed when the session has ended.
func (s *Session) Done() <-chan struct{} { return s.mux.Done() }

// Err is why the session has ended; nil while it has not.
func (s *Session) Err() error {
	select {
	case <-s.Done():
	default:
		return nil
	}
	if err := s.reason(); err != nil {
		return err
	}
	return mux.ErrEnded
}

// Close ends the session and everything that is open through it, and waits for
// the end of what carries it.
func (s *Session) Close() error {
	s.mux.Close()
	return s.end()
}

// Dial opens a connection to the core. That the core cannot be reached shows
// only when the connection is used: it is reset.
func (s *Session) Dial(ctx context.Context) (net.Conn, error) { return s.dial(ctx, s.greeting.Load()) }

// dial opens a connection to that core.
func (s *Session) dial(ctx context.Context, to *Greeting) (net.Conn, error) {
	conn, err := s.mux.Open(ctx)
	if err == nil {
		if _, err = conn.Write([]byte{kindConnection, to.Turn}); err != nil {
			_ = conn.Close() // never fails
		}
	}
	if err != nil {
		if ended := s.Err(); ended != nil {
			return nil, ended
		}
		return nil, err
	}
	return conn, nil
}

// Refresh asks the far end again which core it leads to.
func (s *Session) Refresh(ctx context.Context) error {
	conn, err := s.mux.Open(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }() // never fails
	if deadline, ok := ctx.Deadline(); ok {
		_ = conn.SetDeadline(deadline) // never fails
	}
	if _, err := conn.Write([]byte{kindGreeting, 0}); err != nil {
		return err
	}
	var g Greeting
	if err := json.NewDecoder(io.LimitReader(conn, mux.MaxNoise)).Decode(&g); err != nil {
		return fmt.Errorf("ask the other end which core it leads to: %w", err)
	}
	if err := speaks(g); err != nil {
		return err
	}
	s.greeting.Store(&g)
	return nil
}

// replaced asks for the greeting of the core that has replaced the one that is known.
func (s *Session) replaced() {
	if s.asking.Swap(true) {
		return
	}
	s.mux.Later(func() {
		defer s.asking.Store(false)
		ctx, cancel := context.WithTimeout(context.Background(), refreshWithin)
		defer cancel()
		_ = s.Refresh(ctx) // the next connection shows it again
	})
}

// refreshWithin bounds a question for the greeting.
const refreshWithin = 10 * time.Second

// Transport carries calls of the API, with the key that the core accepts. here:
// addresses in answers are those of this machine, at the Host of the call;
// otherwise they are those of the core's.
func (s *Session) Transport(here bool) http.RoundTripper {
	return &transport{way: s, here: here}
}

// transport is an http.RoundTripper. What it sends has the key of one core, and
// goes through connections to that core only.
type transport struct {
	way  Way
	here bool

	mu   sync.Mutex
	core *Greeting
	http *http.Transport // its connections lead to core
}

// through returns the connections to a core, and closes those to another one.
func (t *transport) through(s *Session, core *Greeting) *http.Transport {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.core != core {
		if t.http != nil {
			t.http.CloseIdleConnections()
		}
		t.core, t.http = core, &http.Transport{
			DialContext:     func(ctx context.Context, _, _ string) (net.Conn, error) { return s.dial(ctx, core) },
			IdleConnTimeout: time.Minute, MaxIdleConnsPerHost: 4, DisableCompression: true,
		}
	}
	return t.http
}

// CloseIdleConnections is called by http.Client.
func (t *transport) CloseIdleConnections() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.http != nil {
		t.http.CloseIdleConnections()
	}
}

// RoundTrip sends a call with the key of the core.
func (t *transport) RoundTrip(r *http.Request) (*http.Response, error) {
	s, err := t.way.session(r.Context())
	if err != nil {
		return nil, err
	}
	core := s.greeting.Load()
	r = r.Clone(r.Context())
	r.Header.Set("X-Api-Key", core.Key)
	if t.here {
		r.Header.Set(api.BridgeHeader, api.BridgeCalls+" "+core.Key)
	}
	return t.through(s, core).RoundTrip(r)
}
