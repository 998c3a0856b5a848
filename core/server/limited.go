package server

import (
	"errors"
	"net"
	"sync"
)

// limited is a listener whose connections, with those of all listeners that
// share its places, are at most as many as there are places; clients too many
// wait until one leaves. (The method is that of x/net/netutil, whose
// connections hide what a *net.TCPConn can do: half-close, on which the ends of
// uploads and WebSockets rely, and splice.)
type limited struct {
	*net.TCPListener
	places chan struct{}
	closed chan struct{}
	once   sync.Once
}

func newLimited(l *net.TCPListener, places chan struct{}) *limited {
	return &limited{TCPListener: l, places: places, closed: make(chan struct{})}
}

// Accept waits for a client, and then for a place for it: a place that was taken
// before would be missing to the other listeners.
func (l *limited) Accept() (net.Conn, error) {
	c, err := l.AcceptTCP()
	if err != nil {
		return nil, err
	}
	select {
	case l.places <- struct{}{}:
		return &placed{TCPConn: c, leave: sync.OnceFunc(func() { <-l.places })}, nil
	case <-l.closed:
		return nil, errors.Join(net.ErrClosed, c.Close())
	}
}

// Close ends Accept, also where it waits for a place.
func (l *limited) Close() error {
	l.once.Do(func() { close(l.closed) })
	return l.TCPListener.Close()
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
