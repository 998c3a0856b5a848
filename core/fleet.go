package core

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"

	"daemon-proxy/core/api"
	"daemon-proxy/core/config"
	"daemon-proxy/core/docker"
	"daemon-proxy/core/sandbox"
	"daemon-proxy/core/server"
	"daemon-proxy/core/toolbox"
)

// fleet is one engine and the sandboxes on it. Another engine is another
// fleet; the server, the links and the request log outlive it.
type fleet struct {
	engine    *docker.Engine // nil: there is none
	problem   *api.Problem   // why there is none, if one was looked for
	sandboxes *sandbox.Sandboxes

	cancel context.CancelFunc // ends running
	group  sync.WaitGroup

	mu      sync.Mutex
	toolbox *toolbox.Toolbox // the host's, once it runs
}

// openFleet opens the engine that d means, without asking it, and its
// sandboxes. In mode "docker" an engine that cannot be opened is an error; in
// mode "auto" the host is what there is.
func (c *Core) openFleet(d config.Docker) (*fleet, error) {
	f := &fleet{}
	if c.config.Daemon.Mode != "host" || c.fleet.Load() != nil {
		e, err := docker.Open(docker.Options{Host: d.Host, Context: d.Context})
		switch {
		case err == nil:
			f.engine = e
		case c.config.Daemon.Mode == "docker" || c.fleet.Load() != nil:
			return nil, err
		default:
			f.problem = api.AsProblem(err)
			c.log.Warn("no engine can be used", "error", err, "hint", f.problem.Hint)
		}
	}
	options := sandbox.Options{
		Config: c.config.Daemon, Executable: c.options.Executable, StateDir: c.config.StateDir, CacheDir: c.config.CacheDir, Logger: c.log,
		OwnPort: c.config.Server.Port,
		HostDaemon: func(secret string) (http.Handler, error) {
			t, err := toolbox.New(toolbox.Options{Secret: secret, Version: c.options.Version, WorkDir: c.config.Daemon.WorkDir, Logger: c.log})
			if err != nil {
				return nil, err
			}
			f.mu.Lock()
			defer f.mu.Unlock()
			if f.toolbox != nil {
				f.toolbox.Close()
			}
			f.toolbox = t
			return t, nil
		},
		OnEvent: func(e api.Event) {
			if c.fleet.Load() == f { // what is still told of an engine that was left is no news
				c.news.Publish(e)
			}
		},
	}
	options.OnGone = func(pool string) { c.proxy.Drop(pool) }
	if f.engine != nil {
		options.Source = f.engine
	}
	var err error
	if f.sandboxes, err = sandbox.New(options); err != nil {
		if f.engine != nil {
			err = errors.Join(err, f.engine.Close())
		}
		return nil, err
	}
	return f, nil
}

// start follows the engine until ctx ends or the fleet is closed.
func (f *fleet) start(ctx context.Context) {
	ctx, f.cancel = context.WithCancel(ctx)
	f.group.Go(func() { f.sandboxes.Run(ctx) })
}

// close ends everything of it.
func (f *fleet) close(ctx context.Context) error {
	f.cancel()
	f.group.Wait()
	err := f.sandboxes.Close(ctx)
	f.mu.Lock()
	if f.toolbox != nil {
		f.toolbox.Close()
	}
	f.mu.Unlock()
	if f.engine != nil {
		err = errors.Join(err, f.engine.Close())
	}
	return err
}

// status is what is known of the engine.
func (f *fleet) status() api.EngineStatus {
	if f.engine == nil && f.problem != nil {
		return api.EngineStatus{State: "lost", Error: f.problem}
	}
	return f.sandboxes.Engine()
}

// settled are the sandboxes once it is known whether an engine answers; that
// takes 3 s at most.
func (c *Core) settled() *sandbox.Sandboxes {
	f := c.fleet.Load()
	select {
	case <-f.sandboxes.Settled():
	case <-c.ctx.Done():
	}
	return c.fleet.Load().sandboxes
}

// forServer gives the server the sandboxes of the present fleet, in its own
// words. Requests that come before it is known what there is wait for that.
type forServer struct{ c *Core }

// Resolve is the sandbox that a name means.
func (f forServer) Resolve(name string) (api.Ref, error) {
	if name == api.HostName {
		return api.Host, nil
	}
	return f.c.settled().Resolve(name)
}

// Upstream says how the daemon of ref is reached.
func (f forServer) Upstream(ref api.Ref) (server.Upstream, error) {
	s := f.c.fleet.Load().sandboxes
	if !ref.IsHost() {
		s = f.c.settled()
		if err := f.c.elsewhere(ref); err != nil {
			return server.Upstream{}, err
		}
	}
	up, err := s.Upstream(ref)
	return server.Upstream(up), err
}

// Loopback says whether the sandbox's localhost is this machine's.
func (f forServer) Loopback(ref api.Ref) bool {
	return ref.IsHost() || f.c.settled().Loopback(ref)
}

// elsewhere is the problem of a sandbox on another engine than the present one.
func (c *Core) elsewhere(ref api.Ref) error {
	e := c.fleet.Load().engine
	if ref.IsHost() || e == nil || ref.Engine == e.Name() {
		return nil
	}
	return api.NewProblem(api.CodeSandboxMissing,
		fmt.Sprintf("%s is on the engine %q, the program uses %q now", ref, ref.Engine, e.Name()),
		"switch back to that engine").In(ref.String(), 0)
}

// List is of server.Sandboxes, as the rest.
func (f forServer) List() []api.Sandbox { return f.c.settled().List() }

// Get is one sandbox.
func (f forServer) Get(ref api.Ref) (api.Sandbox, bool) { return f.c.fleet.Load().sandboxes.Get(ref) }

// Inject puts a daemon into ref.
func (f forServer) Inject(ctx context.Context, ref api.Ref, progress func(api.Injection)) error {
	return f.c.fleet.Load().sandboxes.Inject(ctx, ref, progress)
}

// CancelInjection undoes the injection of ref.
func (f forServer) CancelInjection(ctx context.Context, ref api.Ref) error {
	return f.c.CancelInjection(ctx, ref)
}

// StopDaemon ends the daemon of ref.
func (f forServer) StopDaemon(ctx context.Context, ref api.Ref) error {
	return f.c.fleet.Load().sandboxes.StopDaemon(ctx, ref)
}

// Eject ends the daemon of ref and removes its files.
func (f forServer) Eject(ctx context.Context, ref api.Ref) error { return f.c.Eject(ctx, ref) }

// StartContainer starts the container of ref.
func (f forServer) StartContainer(ctx context.Context, ref api.Ref) error {
	return f.c.StartContainer(ctx, ref)
}

// StopContainer stops the container of ref.
func (f forServer) StopContainer(ctx context.Context, ref api.Ref) error {
	return f.c.StopContainer(ctx, ref)
}

// Ports are what listens in ref.
func (f forServer) Ports(ctx context.Context, ref api.Ref) ([]api.Port, error) {
	return f.c.fleet.Load().sandboxes.Ports(ctx, ref)
}

// Cards are what listens in ref, with what answers there.
func (f forServer) Cards(ctx context.Context, ref api.Ref) ([]api.PortCard, error) {
	return f.c.Ports(ctx, ref)
}

// Engine is what is known of the engine.
func (f forServer) Engine() api.EngineStatus { return f.c.fleet.Load().status() }
