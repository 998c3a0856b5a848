package wiretest

import (
	"io"
	"net"
	"sync"
	"testing"
)

// Relay is an address that leads to another one.
type Relay struct {
	net.Listener
	mu   sync.Mutex
	open []net.Conn
}

// NewRelay relays to an address. carry carries the bytes of one direction, until
// it returns; nil: as they come.
func NewRelay(t testing.TB, to string, carry func(dst, src net.Conn)) *Relay {
	t.Helper()
	return NewRelayTo(t, "tcp", to, carry)
}

// NewRelayTo is NewRelay to an address of any network, such as "unix".
func NewRelayTo(t testing.TB, network, to string, carry func(dst, src net.Conn)) *Relay {
	t.Helper()
	if carry == nil {
		carry = func(dst, src net.Conn) { _, _ = io.Copy(dst, src) }
	}
	r := &Relay{Listener: Listen(t)}
	var group sync.WaitGroup
	group.Go(func() {
		for {
			near, err := r.Accept()
			if err != nil {
				return
			}
			far, err := net.Dial(network, to)
			if err != nil {
				near.Close()
				continue
			}
			r.mu.Lock()
			r.open = append(r.open, near, far)
			r.mu.Unlock()
			group.Go(func() { defer far.Close(); carry(far, near) })
			group.Go(func() { defer near.Close(); carry(near, far) })
		}
	})
	t.Cleanup(func() { r.Close(); r.Cut(); group.Wait() })
	return r
}

// Reset ends all connections with a reset.
func (r *Relay) Reset() {
	r.mu.Lock()
	for _, c := range r.open {
		if c, ok := c.(*net.TCPConn); ok {
			_ = c.SetLinger(0) // it may have been closed
		}
	}
	r.mu.Unlock()
	r.Cut()
}

// Cut ends all connections.
func (r *Relay) Cut() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, c := range r.open {
		c.Close()
	}
	r.open = nil
}
