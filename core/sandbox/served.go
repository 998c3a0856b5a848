package sandbox

import (
	"context"
	"crypto/rand"
	"log/slog"
	"net"
	"sync"
	"syscall"

	"daemon-proxy/core/carrier"
	"daemon-proxy/core/daemon"
	"daemon-proxy/core/proxy"
	"daemon-proxy/core/reach"
	"daemon-proxy/core/sandbox/source"
)

// bridge is the carrier to a container, and the daemon that this program serves for
// it, if there is one.
type bridge struct {
	*carrier.Carrier
	via string // api.ViaExec or api.ViaHelper

	mu     sync.Mutex
	served *served
	ended  bool
}

// end ends the daemon and the carrier, and waits for that.
func (b *bridge) end() {
	b.mu.Lock()
	served := b.served
	b.served, b.ended = nil, true
	b.mu.Unlock()
	if served != nil {
		served.end()
	}
	b.Close()
}

// serve returns the daemon that this program serves for the container, which is
// made if needed.
func (b *bridge) serve(o Options, c source.Container) (_ *served, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.ended {
		return nil, net.ErrClosed
	}
	if b.served == nil {
		b.served, err = newServed(o, c, b.Carrier)
	}
	return b.served, err
}

// served is a built-in daemon of one container that this program serves. It listens
// on nothing: only client connects to it.
type served struct {
	client daemon.Client
	end    func()
}

// newServed serves a daemon for the container c, to whose ports inside leads.
func newServed(o Options, c source.Container, inside Inside) (*served, error) {
	secret := rand.Text()
	handler, err := o.BoxDaemon(secret, c.WorkingDir, inside)
	if err != nil {
		return nil, err
	}
	log := o.Logger
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	listener := &pipeListener{accepted: make(chan net.Conn), closed: make(chan struct{})}
	server := proxy.NewServer(handler, log)
	done := make(chan struct{})
	go func() { // end waits for it
		defer close(done)
		_ = server.Serve(listener) // until it is closed
	}()
	way := reach.Through(c.ID, "localhost", func(ctx context.Context, _ int) (net.Conn, error) { return listener.dial(ctx) })
	return &served{daemon.NewClient(way, o.Config.Port, secret), func() {
		_ = server.Close() // it has nothing to report
		<-done
		handler.Close()
	}}, nil
}

// pipeListener accepts connections from this process.
type pipeListener struct {
	accepted chan net.Conn
	closed   chan struct{}
	once     sync.Once
}

func (l *pipeListener) dial(ctx context.Context) (net.Conn, error) {
	ours, theirs := net.Pipe()
	select {
	case l.accepted <- theirs:
		return ours, nil
	case <-l.closed:
		return nil, syscall.ECONNREFUSED
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// Accept implements net.Listener.
func (l *pipeListener) Accept() (net.Conn, error) {
	select {
	case conn := <-l.accepted:
		return conn, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener.
func (l *pipeListener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return nil
}

// Addr implements net.Listener.
func (*pipeListener) Addr() net.Addr { return &net.UnixAddr{Name: "daemon-proxy", Net: "unix"} }
