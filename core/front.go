package core

import (
	"context"
	"io"
	"strings"
	"time"

	"daemon-proxy/core/api"
	"daemon-proxy/core/config"
	"daemon-proxy/core/docker"
	"daemon-proxy/core/server"
)

// What a front needs of a core is an interface that the front defines; a Core
// is one. These are the types in it that are no plain values: identical
// interfaces without a name of their own, so that neither side imports the other.
type (
	eventStream = interface {
		Next(ctx context.Context) ([]api.Event, error)
	}
	terminal = interface {
		io.ReadWriteCloser
		Resize(ctx context.Context, columns, rows int) error
	}
)

// Status is what there is to say of the core itself.
func (c *Core) Status(context.Context) (api.Status, error) {
	return api.Status{
		Version: c.options.Version, URL: c.URL(), Mode: c.fleet.Load().sandboxes.Mode(), Exposed: server.Exposed(c.config),
		HostLinks: c.server.HostLinks(), ConfigFile: c.config.File, LogFile: c.config.Logging.File,
		StopOnExit: c.config.Daemon.StopOnExit, LinkTTLSeconds: int64(c.config.Preview.DefaultTTL / time.Second),
	}, nil
}

// Events follows the event stream until ctx ends; it is registered on return.
func (c *Core) Events(ctx context.Context) (eventStream, error) { return c.Subscribe(ctx), nil }

// Engine is what is known of the engine.
func (c *Core) Engine(context.Context) (api.EngineStatus, error) { return c.fleet.Load().status(), nil }

// Engines are those that can be switched to.
func (c *Core) Engines(context.Context) ([]api.EngineChoice, error) {
	options := docker.Options{Host: c.config.Docker.Host}
	choices := docker.Contexts(options)
	if e := c.fleet.Load().engine; e != nil {
		known := false
		for i := range choices {
			choices[i].Current = choices[i].Name == e.Name()
			known = known || choices[i].Current
		}
		if !known {
			choices = append(choices, api.EngineChoice{Name: e.Name(), Endpoint: e.Endpoint(), Current: true})
		}
	}
	return choices, nil
}

// SwitchEngine leaves the engine and its sandboxes for those of another, by the
// name that Engines gave. The server goes on; links to sandboxes of the engine
// that is left work again when it is switched back to. It does not wait for the
// new engine to answer.
func (c *Core) SwitchEngine(_ context.Context, name string) error {
	if e := c.fleet.Load().engine; e != nil && e.Name() == name {
		return nil
	}
	o := docker.OptionsFor(docker.Options{Host: c.config.Docker.Host}, name)
	return c.replaceFleet(config.Docker{Host: o.Host, Context: o.Context})
}

// replaceFleet opens another fleet in place of the present one.
func (c *Core) replaceFleet(d config.Docker) error {
	c.switching.Lock()
	defer c.switching.Unlock()
	if c.ctx.Err() != nil {
		return c.ctx.Err()
	}
	next, err := c.openFleet(d)
	if err != nil {
		return err
	}
	old := c.fleet.Swap(next)
	status := next.status()
	c.news.Publish(api.Event{Kind: api.EventEngine, Time: time.Now(), Engine: &status})
	for _, box := range old.sandboxes.List() {
		if !box.IsHost() {
			c.news.Publish(api.Event{Kind: api.EventRemoved, Time: time.Now(), Sandbox: &api.Sandbox{Ref: box.Ref}})
		}
	}
	closing, done := context.WithTimeout(c.ctx, drain)
	defer done()
	if err := old.close(closing); err != nil {
		c.log.Warn("the engine that was left did not end in order", "error", err)
	}
	next.start(c.ctx)
	c.log.Info("engine switched", "engine", next.engine.Name())
	return nil
}

// RetryEngine looks for the engine now instead of at the next retry; while it
// is there, its containers are listed anew.
func (c *Core) RetryEngine(ctx context.Context) error {
	f := c.fleet.Load()
	if f.problem != nil {
		return c.replaceFleet(c.config.Docker) // a mended docker configuration can be opened
	}
	return f.sandboxes.RetryEngine(ctx)
}

// Sandboxes are the containers and the host.
func (c *Core) Sandboxes(context.Context) ([]api.Sandbox, error) {
	return c.fleet.Load().sandboxes.List(), nil
}

// Watch says which sandbox is looked at.
func (c *Core) Watch(ref api.Ref) { c.fleet.Load().sandboxes.Watch(ref) }

// Inject puts a daemon into ref; the end of ctx undoes it.
func (c *Core) Inject(ctx context.Context, ref api.Ref) error {
	return c.fleet.Load().sandboxes.Inject(ctx, ref, nil)
}

// CancelInjection undoes the injection of ref, whoever asked for it.
func (c *Core) CancelInjection(ctx context.Context, ref api.Ref) error {
	return c.fleet.Load().sandboxes.CancelInjection(ctx, ref)
}

// UndoInjections cancels all injections and returns when nothing of them is
// left; no other begins.
func (c *Core) UndoInjections(ctx context.Context) error {
	return c.fleet.Load().sandboxes.UndoInjections(ctx)
}

// StopDaemon ends the daemon of ref.
func (c *Core) StopDaemon(ctx context.Context, ref api.Ref) error {
	return c.fleet.Load().sandboxes.StopDaemon(ctx, ref)
}

// Eject ends the daemon of ref and takes its files out of the container.
func (c *Core) Eject(ctx context.Context, ref api.Ref) error {
	return c.fleet.Load().sandboxes.Eject(ctx, ref)
}

// StartContainer starts the container of ref.
func (c *Core) StartContainer(ctx context.Context, ref api.Ref) error {
	return c.fleet.Load().sandboxes.StartContainer(ctx, ref)
}

// StopContainer stops the container of ref.
func (c *Core) StopContainer(ctx context.Context, ref api.Ref) error {
	return c.fleet.Load().sandboxes.StopContainer(ctx, ref)
}

// Ports are what listens in ref, with what answers there. This program's own
// port is left out.
func (c *Core) Ports(ctx context.Context, ref api.Ref) ([]api.PortCard, error) {
	return c.fleet.Load().sandboxes.Cards(ctx, ref)
}

// StartDesktop asks the daemon of ref for its desktop.
func (c *Core) StartDesktop(ctx context.Context, ref api.Ref) error {
	return c.fleet.Load().sandboxes.StartDesktop(ctx, ref)
}

// Shell opens a shell in the container of ref.
func (c *Core) Shell(ctx context.Context, ref api.Ref, columns, rows int) (terminal, error) {
	t, err := c.fleet.Load().sandboxes.Shell(ctx, ref, columns, rows)
	if err != nil {
		return nil, err
	}
	return t, nil
}

// base is how this machine reaches the core, for links.
func (c *Core) base() server.Base {
	address := c.config.Server.PublicURL
	if address == "" {
		address = c.URL()
	}
	scheme, host, _ := strings.Cut(address, "://")
	return server.Base{Scheme: scheme, Host: host}
}

// Links are all preview links.
func (c *Core) Links(context.Context) ([]api.Link, error) { return c.server.Links(c.base()), nil }

// CreateLink makes a preview link.
func (c *Core) CreateLink(_ context.Context, request api.LinkRequest) (api.Link, error) {
	return c.server.CreateLink(request, c.base())
}

// RevokeLink ends a preview link.
func (c *Core) RevokeLink(_ context.Context, id string) error {
	_, err := c.links.Revoke(id)
	return err
}

// Share shows a link that expires to the network until ctx ends.
func (c *Core) Share(ctx context.Context, id string) (api.Share, error) {
	ctx, cancel := context.WithCancel(ctx)
	stop := context.AfterFunc(c.ctx, cancel)
	share, wait, err := c.server.Share(ctx, id)
	if err != nil {
		stop()
		cancel()
		return api.Share{}, err
	}
	c.group.Go(func() {
		wait()
		stop()
		cancel()
	})
	return share, nil
}
