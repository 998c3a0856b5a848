package bridge

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"daemon-proxy/core/mux"
)

// Greeting is what the far end says of the core that it leads to, on the first
// line of its output, in JSON.
type Greeting struct {
	// Protocol is the core's api.Protocol; empty if it is older than that. It is
	// first, since the line is known by it.
	Protocol string `json:"protocol"`
	Version  string `json:"version"`
	// Address is what the core listens on there: "127.0.0.1:8080".
	Address string `json:"address"`
	// Key is the core's key of this run.
	Key string `json:"key"`
	// Own: the core was started for the session, and ends with it.
	Own bool `json:"own,omitempty"`
	// Turn counts the cores that the session has led to, this one included. Each
	// connection says for which one it is meant, since it may have that one's key.
	Turn byte `json:"turn"`
}

// Core is a core as the far end reaches it.
type Core struct {
	Greeting
	Dial func(ctx context.Context) (net.Conn, error)
	// Replaced reports whether another core runs in its place, perhaps at the same
	// address. nil: that shows when it cannot be reached.
	Replaced func() bool
}

// The first byte of a stream says what it is for.
const (
	kindConnection = 'c' // a connection to the core whose turn is the second byte
	kindGreeting   = 'g' // a greeting, since the core may be another by now
)

// resetReplaced is the code of a reset that means that the core was replaced: the
// other end must ask for a greeting.
const resetReplaced = 1

const (
	// dialWithin is how long a core on the same machine may take to accept.
	dialWithin = 5 * time.Second
	// kindWithin is how long the first byte of a stream may take.
	kindWithin = 30 * time.Second
)

// Serve is the far end of a session: it writes the greeting to out and then
// connects streams to the core, until in ends, the session breaks or ctx ends.
// find is called at the start, and again when the core cannot be reached any more
// or was replaced. Serve closes in and out. It returns an error only if it could not begin.
func Serve(ctx context.Context, in, out *os.File, find func(context.Context) (Core, error), l mux.Limits) error {
	p := mux.Pipes(in, out)
	defer func() { _ = p.Close() }() // the session may have closed them
	first, err := find(ctx)
	if err != nil {
		return err
	}
	first.Turn = 1
	line, err := json.Marshal(first.Greeting)
	if err != nil {
		return err
	}
	if _, err := out.Write(append(line, '\n')); err != nil {
		return fmt.Errorf("greet the other end: %w", err)
	}
	m, err := mux.Far(p, l)
	if err != nil {
		return err
	}
	f := &far{find: find}
	f.core.Store(&first)
	m.Serve(ctx, func(s *mux.Stream) { f.serve(ctx, s) })
	return nil
}

// far connects streams to a core.
type far struct {
	find func(context.Context) (Core, error)
	core atomic.Pointer[Core]
	one  sync.Mutex // held while a core is looked for
}

func (f *far) serve(ctx context.Context, s *mux.Stream) {
	defer func() { _ = s.Close() }() // never fails
	var kind [2]byte
	_ = s.SetReadDeadline(time.Now().Add(kindWithin)) // never fails
	if _, err := io.ReadFull(s, kind[:]); err != nil {
		return
	}
	_ = s.SetReadDeadline(time.Time{})
	switch kind[0] {
	case kindConnection:
		core, conn, err := f.dial(ctx)
		if err != nil {
			_ = s.SetLinger(0) // never fails
			return
		}
		if core.Turn != kind[1] {
			conn.Close()
			_ = s.ResetWithError(resetReplaced) // never fails
			return
		}
		mux.Join(s, conn)
	case kindGreeting:
		core, conn, err := f.dial(ctx)
		if err != nil {
			return
		}
		conn.Close()
		_ = json.NewEncoder(s).Encode(core.Greeting) // the other end sees what is missing
	}
}

// dial connects to the core, or to the one that has taken its place.
func (f *far) dial(ctx context.Context) (*Core, net.Conn, error) {
	known := f.core.Load()
	if known.Replaced == nil || !known.Replaced() {
		conn, err := known.connect(ctx)
		if err == nil || ctx.Err() != nil {
			return known, conn, err
		}
	}
	f.one.Lock()
	defer f.one.Unlock()
	now := f.core.Load()
	if now == known { // nobody else has looked meanwhile
		found, err := f.find(ctx)
		if err != nil {
			return nil, nil, err
		}
		found.Turn = now.Turn + 1
		now = &found
		f.core.Store(now)
	}
	conn, err := now.connect(ctx)
	return now, conn, err
}

func (c *Core) connect(ctx context.Context) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, dialWithin)
	defer cancel()
	return c.Dial(ctx)
}
