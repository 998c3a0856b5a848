package core

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"daemon-proxy/core/api"
	"daemon-proxy/core/sandbox"
	"daemon-proxy/core/server"
)

// desk is the engines that are open, with their sandboxes, and this machine. It is
// api.Sandboxes.
type desk struct{ engines }

// sets are this machine and the sandboxes of each engine.
func (d *desk) sets() []*sandbox.Sandboxes {
	list := []*sandbox.Sandboxes{d.machine.host}
	for _, o := range d.all() {
		list = append(list, o.sandboxes)
	}
	return list
}

// at is the sandboxes that ref belongs to, and ref in full.
func (d *desk) at(ref api.Ref) (*sandbox.Sandboxes, api.Ref, error) {
	if ref.Engine == "" && !ref.IsHost() {
		var err error
		if ref, err = d.Resolve(ref); err != nil {
			return nil, ref, err
		}
	}
	if ref.IsHost() {
		return d.machine.host, ref, nil
	}
	o := d.find(ref.Engine)
	if o == nil {
		return nil, ref, api.NewProblem(api.CodeEngineClosed,
			fmt.Sprintf("%s is on the engine %q, which is not open", ref, ref.Engine),
			"open that engine: E in the terminal UI, or PUT /api/engines/"+ref.Engine).In(ref.Long(), 0)
	}
	ref.Engine = o.name
	if o.problem != nil {
		return nil, ref, o.unusable(ref)
	}
	return o.sandboxes, ref, nil
}

// Settle waits until it is known whether the primary engine answers, 3 s at most,
// so that no caller needs to guess which sandboxes there are.
func (d *desk) Settle() { d.settle(d.primary()) }

func (d *desk) settle(s *sandbox.Sandboxes) {
	if s == d.machine.host && len(d.all()) > 0 {
		return
	}
	select {
	case <-s.Settled():
	case <-d.ctx.Done():
	}
}

// Resolve is the sandbox that a name means, in full. A name without its engine is
// one of any engine that is open. It is a problem, sandbox_required, if several
// engines have it. An engine that was opened later counts once it has answered.
func (d *desk) Resolve(ref api.Ref) (api.Ref, error) {
	if ref.IsHost() {
		return ref, nil
	}
	if ref == (api.Ref{}) {
		d.Settle()
		return d.primary().Resolve("")
	}
	if ref.Engine != "" {
		s, ref, err := d.at(ref)
		if err != nil {
			return ref, err
		}
		d.settle(s)
		return s.Resolve(ref.String())
	}
	for _, o := range d.all() {
		if o.first {
			d.settle(o.sandboxes)
		}
	}
	return d.resolveName(ref.Name)
}

// resolveName is Resolve for a name without its engine.
func (d *desk) resolveName(name string) (api.Ref, error) {
	all := d.all()
	if len(all) == 0 {
		return d.machine.host.Resolve(name)
	}
	var found []string
	var last api.Ref
	var failed error
	for _, o := range all {
		ref, err := o.sandboxes.Resolve(name)
		switch {
		case err == nil:
			last, found = ref, append(found, ref.Long())
		case o.problem != nil:
			failed = o.unusable(api.Ref{Name: name})
		case failed == nil || errors.Is(failed, &api.Problem{Code: api.CodeUnknownSandbox}): // others explain more
			failed = err
		}
	}
	switch {
	case len(found) == 1:
		return last, nil
	case len(found) > 1:
		p := api.NewProblem(api.CodeSandboxRequired,
			fmt.Sprintf("there is a container %q on several engines", name), "name its engine, too: "+found[0]).In(name, 0)
		p.Names = found
		return api.Ref{}, p
	}
	if p, ok := errors.AsType[*api.Problem](failed); ok && p.Code == api.CodeUnknownSandbox {
		p.Names = nil
		for _, o := range all {
			for _, box := range o.sandboxes.List() {
				p.Names = append(p.Names, d.NameOf(box.Ref))
			}
		}
	}
	return api.Ref{}, failed
}

// NameOf is the name by which people and URLs address a sandbox: NAME where that is
// unique among the engines that are open, else ENGINE/NAME.
func (d *desk) NameOf(ref api.Ref) string {
	if ref.Engine == "" {
		return ref.String()
	}
	open := false
	for _, o := range d.all() {
		if o.name == ref.Engine {
			open = true
		} else if o.sandboxes.Has(api.Ref{Engine: o.name, Name: ref.Name}) {
			return ref.Long()
		}
	}
	if !open {
		return ref.Long()
	}
	return ref.String()
}

// Upstream is how the daemon of ref is reached.
func (d *desk) Upstream(ref api.Ref) (server.Upstream, error) {
	s, ref, err := d.at(ref)
	if err != nil {
		return server.Upstream{}, err
	}
	d.settle(s)
	if err := s.EnsureHost(ref); err != nil {
		return server.Upstream{}, err
	}
	up, err := s.Upstream(ref)
	return server.Upstream(up), d.named(ref, err)
}

// named names the sandbox in a problem, and in its hint, with its engine where the
// name alone means several.
func (d *desk) named(ref api.Ref, err error) error {
	p, ok := errors.AsType[*api.Problem](err)
	name := d.NameOf(ref)
	if !ok || name == ref.String() {
		return err
	}
	long := *p
	long.Sandbox = name
	long.Hint = strings.ReplaceAll(p.Hint, "/api/sandboxes/"+ref.String()+"/", "/api/sandboxes/"+name+"/")
	return &long
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
	for _, s := range d.sets() {
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
	status := box.Status(d.primary().Mode())
	status.Sandbox = d.NameOf(ref)
	return status, nil
}

// watch sets the sandboxes that are followed closely.
func (d *desk) watch(refs []api.Ref) {
	d.machine.host.Watch(of("", refs))
	for _, o := range d.all() {
		o.sandboxes.Watch(of(o.name, refs))
	}
}

// of are those of an engine.
func of(engine string, refs []api.Ref) (list []api.Ref) {
	for _, ref := range refs {
		if ref.Engine == engine {
			list = append(list, ref)
		}
	}
	return list
}

// Inject puts a daemon into ref; the end of ctx undoes it.
func (d *desk) Inject(ctx context.Context, ref api.Ref, progress func(api.Injection)) error {
	s, ref, err := d.at(ref)
	if err != nil {
		return err
	}
	return d.named(ref, s.Inject(ctx, ref, progress))
}

// UndoInjections cancels all injections and returns when nothing of them is
// left; no other begins.
func (d *desk) UndoInjections(ctx context.Context) (err error) {
	for _, s := range d.sets() {
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
	return d.named(ref, act(s, ctx, ref))
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
