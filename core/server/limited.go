package server

import (
	"container/list"
	"errors"
	"net"
	"net/netip"
	"sync"
)

// limited is a listener whose connections, with those of all listeners that
// share its places, are at most as many as there are places; further clients
// wait until one leaves. (The method is that of x/net/netutil, whose
// connections hide what a *net.TCPConn can do: half-close, on which the ends of
// uploads and WebSockets rely, and splice.)
type limited struct {
	*net.TCPListener
	places *places
	closed chan struct{}
	once   sync.Once
}

func newLimited(l *net.TCPListener, places *places) *limited {
	return &limited{TCPListener: l, places: places, closed: make(chan struct{})}
}

// Accept waits for a client, and then for a place for it: a place that was taken
// before would be missing to the other listeners. A client that has fewer places
// than another need not wait: see yield.
func (l *limited) Accept() (net.Conn, error) {
	c, err := l.AcceptTCP()
	if err != nil {
		return nil, err
	}
	from := shareOf(c.RemoteAddr().String())
	select {
	case l.places.taken <- struct{}{}:
		return l.places.add(from, c), nil
	default:
		l.places.yield(from)
	}
	select {
	case l.places.taken <- struct{}{}:
		return l.places.add(from, c), nil
	case <-l.closed:
		return nil, errors.Join(net.ErrClosed, c.Close())
	}
}

// Close ends Accept, also where it waits for a place.
func (l *limited) Close() error {
	l.once.Do(func() { close(l.closed) })
	return l.TCPListener.Close()
}

// places are those of open connections, and who has them.
type places struct {
	taken chan struct{}

	mu      sync.Mutex
	clients map[netip.Prefix]*list.List // of *placed, the oldest first
}

func newPlaces(n int) *places {
	return &places{taken: make(chan struct{}, n), clients: map[netip.Prefix]*list.List{}}
}

// shareOf identifies a client that shares places: an address, of IPv6 the network of one client.
func shareOf(remote string) netip.Prefix {
	at, err := netip.ParseAddrPort(remote)
	if err != nil {
		return netip.Prefix{}
	}
	addr := at.Addr().Unmap().WithZone("")
	bits := addr.BitLen()
	if addr.Is6() && !addr.IsLoopback() {
		bits = 64
	}
	prefix, _ := addr.Prefix(bits) // the number of bits is right
	return prefix
}

// add gives c the place that was taken for it.
func (p *places) add(from netip.Prefix, c *net.TCPConn) *placed {
	p.mu.Lock()
	defer p.mu.Unlock()
	all := p.clients[from]
	if all == nil {
		all = list.New()
		p.clients[from] = all
	}
	client := &placed{TCPConn: c}
	at := all.PushBack(client)
	client.leave = sync.OnceFunc(func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		if all.Remove(at); all.Len() == 0 && p.clients[from] == all {
			delete(p.clients, from)
		}
		<-p.taken
	})
	return client
}

// yield ends the oldest connection of the client that has the most of them, if
// that one would still have as many as the client that needs room now. So
// no client can keep others out, and one that is alone may have every place.
func (p *places) yield(to netip.Prefix) {
	if c := p.excess(to); c != nil {
		_ = c.Close() // its exchange ends as if the client had left
	}
}

func (p *places) excess(to netip.Prefix) *placed {
	p.mu.Lock()
	defer p.mu.Unlock()
	var most *list.List
	for _, all := range p.clients {
		if most == nil || all.Len() > most.Len() {
			most = all
		}
	}
	own := 0
	if all := p.clients[to]; all != nil {
		own = all.Len()
	}
	if most == nil || most.Len() <= own+1 {
		return nil
	}
	c, _ := most.Front().Value.(*placed)
	return c
}

// placed is a connection that has a place until it is closed.
type placed struct {
	*net.TCPConn
	leave func()
}

func (c *placed) Close() error {
	defer c.leave()
	return c.TCPConn.Close()
}
