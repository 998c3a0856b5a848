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
	"strings"
	"sync/atomic"
	"time"

	"github.com/libp2p/go-yamux/v5"

	"daemon-proxy/core/api"
)

// maxNoise bounds what a login script may print before the greeting.
const maxNoise = 64 << 10

// Session is the near end.
type Session struct {
	mux      *mux
	greeting atomic.Pointer[Greeting]
	// reason is why the session has ended, as far as the program at the other
	// end of the pipes knows; it may be nil. end ends that program.
	reason func() error
	end    func() error
}

// Near makes the near end of a session of what a far end has written to in and
// reads from out. It waits for the greeting, until ctx ends; what comes before
// that is ignored. The session closes in and out, also if there is an error.
func Near(ctx context.Context, in, out *os.File, l Limits) (*Session, error) {
	p := pipes{in, out}
	greeting, err := readGreeting(ctx, p)
	if err != nil {
		return nil, errors.Join(err, p.Close())
	}
	if err := speaks(greeting); err != nil {
		_ = p.Close() // the reason is the version
		return nil, err
	}
	m, err := newMux(p, l, yamux.Client)
	if err != nil {
		return nil, errors.Join(err, p.Close())
	}
	s := &Session{mux: m, reason: func() error { return nil }, end: func() error { return nil }}
	s.greeting.Store(&greeting)
	return s, nil
}

var errNoGreeting = errors.New("the other end said nothing that a bridge says")

// readGreeting reads up to the end of the greeting and not a byte further.
func readGreeting(ctx context.Context, p pipes) (Greeting, error) {
	stop := context.AfterFunc(ctx, func() { _ = p.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	var line []byte
	var b [1]byte
	for range maxNoise {
		if _, err := io.ReadFull(p, b[:]); err != nil {
			if ctx.Err() != nil {
				return Greeting{}, ctx.Err()
			}
			return Greeting{}, errNoGreeting
		}
		if b[0] != '\n' {
			line = append(line, b[0])
			continue
		}
		var g Greeting
		if bytes.HasPrefix(line, []byte(`{"protocol":`)) && json.Unmarshal(line, &g) == nil {
			return g, nil
		}
		line = line[:0]
	}
	return Greeting{}, errNoGreeting
}

// speaks is nil if the core speaks this program's protocol.
func speaks(g Greeting) error {
	major := func(protocol string) string {
		m, _, _ := strings.Cut(protocol, ".")
		return m
	}
	if major(g.Protocol) == major(api.Protocol) {
		return nil
	}
	return api.NewProblem(api.CodeOtherVersion,
		fmt.Sprintf("the daemon-proxy there has version %s and another protocol (%s, here %s)",
			g.Version, orNone(g.Protocol), api.Protocol),
		"install the same version on both machines, and restart the one that runs there")
}

func orNone(protocol string) string {
	if protocol == "" {
		return "none"
	}
	return protocol
}

// Greeting describes the core at the far end, as it was known last.
func (s *Session) Greeting() Greeting { return *s.greeting.Load() }

// Done is closed when the session has ended.
func (s *Session) Done() <-chan struct{} { return s.mux.CloseChan() }

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
	return errEnded
}

// Close ends the session and everything that is open through it, and waits for
// the end of what carries it.
func (s *Session) Close() error {
	s.mux.end()
	return s.end()
}

// Dial opens a connection to the core. That the core cannot be reached shows
// only when the connection is used: it is reset.
func (s *Session) Dial(ctx context.Context) (net.Conn, error) {
	conn, err := s.mux.open(ctx)
	if err == nil {
		if _, err = conn.Write([]byte{kindConnection}); err != nil {
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
	conn, err := s.mux.open(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }() // never fails
	if deadline, ok := ctx.Deadline(); ok {
		_ = conn.SetDeadline(deadline) // never fails
	}
	if _, err := conn.Write([]byte{kindGreeting}); err != nil {
		return err
	}
	var g Greeting
	if err := json.NewDecoder(io.LimitReader(conn, maxNoise)).Decode(&g); err != nil {
		return fmt.Errorf("ask the other end which core it leads to: %w", err)
	}
	if err := speaks(g); err != nil {
		return err
	}
	s.greeting.Store(&g)
	return nil
}

// refreshWithin bounds a question for the greeting.
const refreshWithin = 10 * time.Second

// Transport carries calls of the API, with the key that the core accepts.
func (s *Session) Transport() http.RoundTripper {
	return &transport{s, &http.Transport{
		DialContext:     func(ctx context.Context, _, _ string) (net.Conn, error) { return s.Dial(ctx) },
		IdleConnTimeout: time.Minute, MaxIdleConnsPerHost: 4, DisableCompression: true,
	}}
}

// transport is an http.RoundTripper.
type transport struct {
	session *Session
	http    *http.Transport
}

// CloseIdleConnections is called by http.Client.
func (t *transport) CloseIdleConnections() { t.http.CloseIdleConnections() }

// RoundTrip sends a call, and again with another key if the core is another
// one by now.
func (t *transport) RoundTrip(r *http.Request) (*http.Response, error) {
	key := t.session.Greeting().Key
	response, err := t.http.RoundTrip(keyed(r, key))
	if err != nil || response.StatusCode != http.StatusUnauthorized || r.Body != nil && r.GetBody == nil {
		return response, err
	}
	ctx, cancel := context.WithTimeout(r.Context(), refreshWithin)
	defer cancel()
	if t.session.Refresh(ctx) != nil || t.session.Greeting().Key == key {
		return response, nil
	}
	again := r.Clone(r.Context())
	if r.GetBody != nil {
		if again.Body, err = r.GetBody(); err != nil {
			return response, nil // the answer that there is
		}
	}
	response.Body.Close()
	return t.http.RoundTrip(keyed(again, t.session.Greeting().Key))
}

// keyed is r with the key.
func keyed(r *http.Request, key string) *http.Request {
	r = r.Clone(r.Context())
	r.Header.Set("X-Api-Key", key)
	r.Header.Set(api.BridgeHeader, api.BridgeCalls+" "+key)
	return r
}
