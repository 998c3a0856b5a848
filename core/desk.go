package core

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"daemon-proxy/core/api"
	"daemon-proxy/core/sandbox"
	"daemon-proxy/core/server"
)

// desk is the sources that are open, with their sandboxes: one engine, and this
// machine beside it. It is api.Sandboxes, and what needs an engine of api.Core.
type desk struct {
	options  Options
	publish  func(api.Event)
	dropPool func(pool string) // ends the idle connections to a place that is gone
	rewatch  func()            // calls watch for a source that was opened
	ctx      context.Context   // ends when the core begins to

	switching sync.Mutex // held while current is replaced
	current   atomic.Pointer[opened]
}

// all are the sandboxes of each source.
func (d *desk) all() []*sandbox.Sandboxes { return []*sandbox.Sandboxes{d.current.Load().sandboxes} }

// at is the sandboxes that ref belongs to, and ref in full.
func (d *desk) at(ref api.Ref) (*sandbox.Sandboxes, api.Ref, error) {
	if ref.Engine == "" && !ref.IsHost() {
		var err error
		if ref, err = d.Resolve(ref); err != nil {
			return nil, ref, err
		}
	}
	s := d.current.Load()
	if s.engine != nil && !ref.IsHost() && ref.Engine != s.engine.Name() {
		return nil, ref, api.NewProblem(api.CodeSandboxMissing,
			fmt.Sprintf("%s is on the engine %q, the program uses %q now", ref, ref.Engine, s.engine.Name()),
			"switch back to that engine").In(ref.String(), 0)
	}
	return s.sandboxes, ref, nil
}

// Settle waits until it is known whether the engine answers, 3 s at most, so
// that no caller needs to guess which sandboxes there are.
func (d *desk) Settle() {
	select {
	case <-d.current.Load().sandboxes.Settled():
	case <-d.ctx.Done():
	}
}

// Resolve is the sandbox that a name means, in full.
func (d *desk) Resolve(ref api.Ref) (api.Ref, error) {
	if ref.IsHost() {
		return ref, nil
	}
	d.Settle()
	s := d.current.Load()
	if s.engine != nil && ref.Engine == s.engine.Name() {
		return s.sandboxes.Resolve(ref.String())
	}
	return s.sandboxes.Resolve(ref.Long())
}

// Upstream is how the daemon of ref is reached.
func (d *desk) Upstream(ref api.Ref) (server.Upstream, error) {
	if !ref.IsHost() {
		d.Settle()
	}
	s, ref, err := d.at(ref)
	if err != nil {
		return server.Upstream{}, err
	}
	if err := s.EnsureHost(ref); err != nil {
		return server.Upstream{}, err
	}
	up, err := s.Upstream(ref)
	return server.Upstream(up), err
}

// Loopback reports whether the sandbox's localhost is this machine's.
func (d *desk) Loopback(ref api.Ref) bool {
	if ref.IsHost() {
		return true
	}
	s, ref, err := d.at(ref)
	return err == nil && s.Loopback(ref)
}

// Sandboxes are the containers and the host.
func (d *desk) Sandboxes(context.Context) ([]api.Sandbox, error) {
	var list []api.Sandbox
	for _, s := range d.all() {
		list = append(list, s.List()...)
	}
	return list, nil
}

// Sandbox is one of them.
func (d *desk) Sandbox(_ context.Context, ref api.Ref) (api.Sandbox, error) {
	s, ref, err := d.at(ref)
	if err != nil {
		return api.Sandbox{}, err
	}
	box, ok := s.Get(ref)
	if !ok {
		_, err = s.Resolve(ref.String())
	}
	return box, err
}

// DaemonStatus is the state of the daemon of ref.
func (d *desk) DaemonStatus(_ context.Context, ref api.Ref) (api.DaemonStatus, error) {
	s, ref, err := d.at(ref)
	if err != nil {
		return api.DaemonStatus{}, err
	}
	box, _ := s.Get(ref)
	box.Ref = ref
	return box.Status(s.Mode()), nil
}

// watch sets the sandboxes that are followed closely.
func (d *desk) watch(refs []api.Ref) {
	for _, s := range d.all() {
		s.Watch(refs)
	}
}

// Inject puts a daemon into ref; the end of ctx undoes it.
func (d *desk) Inject(ctx context.Context, ref api.Ref, progress func(api.Injection)) error {
	s, ref, err := d.at(ref)
	if err != nil {
		return err
	}
	return s.Inject(ctx, ref, progress)
}

// UndoInjections cancels all injections and returns when nothing of them is
// left; no other begins.
func (d *desk) UndoInjections(ctx context.Context) (err error) {
	for _, s := range d.all() {
		err = errors.Join(err, s.UndoInjections(ctx))
	}
	return err
}

// on calls act on the sandboxes that ref belongs to.
func (d *desk) on(
	ctx context.Context, ref api.Ref, act func(*sandbox.Sandboxes, context.Context, api.Ref) error,
) error {
	s, ref, err := d.at(ref)
	if err != nil {
		return err
	}
	return act(s, ctx, ref)
}

// LeaveInjection makes the injection of ref independent of its callers.
func (d *desk) LeaveInjection(ctx context.Context, ref api.Ref) error {
	return d.on(ctx, ref, (*sandbox.Sandboxes).LeaveInjection)
}

// CancelInjection undoes the injection of ref, whoever started it.
func (d *desk) CancelInjection(ctx context.Context, ref api.Ref) error {
	return d.on(ctx, ref, (*sandbox.Sandboxes).CancelInjection)
}

// StopDaemon stops the daemon of ref.
func (d *desk) StopDaemon(ctx context.Context, ref api.Ref) error {
	return d.on(ctx, ref, (*sandbox.Sandboxes).StopDaemon)
}

// Eject stops the daemon of ref and removes its files from the container.
func (d *desk) Eject(ctx context.Context, ref api.Ref) error {
	return d.on(ctx, ref, (*sandbox.Sandboxes).Eject)
}

// StartContainer starts the container of ref.
func (d *desk) StartContainer(ctx context.Context, ref api.Ref) error {
	return d.on(ctx, ref, (*sandbox.Sandboxes).StartContainer)
}

// StopContainer stops the container of ref.
func (d *desk) StopContainer(ctx context.Context, ref api.Ref) error {
	return d.on(ctx, ref, (*sandbox.Sandboxes).StopContainer)
}

// StartDesktop asks the daemon of ref for its desktop.
func (d *desk) StartDesktop(ctx context.Context, ref api.Ref) error {
	return d.on(ctx, ref, (*sandbox.Sandboxes).StartDesktop)
}

// Listeners are the ports that something listens on in ref.
func (d *desk) Listeners(ctx context.Context, ref api.Ref) ([]api.Port, error) {
	s, ref, err := d.at(ref)
	if err != nil {
		return nil, err
	}
	return s.Ports(ctx, ref)
}

// Ports are the same with what answers there, without this program's own.
func (d *desk) Ports(ctx context.Context, ref api.Ref) ([]api.PortCard, error) {
	s, ref, err := d.at(ref)
	if err != nil {
		return nil, err
	}
	return s.Cards(ctx, ref)
}

// Shell opens a shell in the container of ref.
func (d *desk) Shell(ctx context.Context, ref api.Ref, columns, rows int) (api.Terminal, error) {
	s, ref, err := d.at(ref)
	if err != nil {
		return nil, err
	}
	t, err := s.Shell(ctx, ref, columns, rows)
	if err != nil {
		return nil, err // and not a nil *sandbox.Shell
	}
	return t, nil
}
