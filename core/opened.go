package core

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"daemon-proxy/core/api"
	"daemon-proxy/core/docker"
	"daemon-proxy/core/sandbox"
	"daemon-proxy/core/toolbox"
)

// opened is an engine that is open, with the sandboxes on it. The server, the links
// and the request log outlive it.
type opened struct {
	name      string
	options   docker.Options
	engine    *docker.Engine // nil: it could not be opened
	problem   *api.Problem   // why it could not be opened
	sandboxes *sandbox.Sandboxes
	first     bool // it was opened when the program started

	cancel context.CancelFunc // ends running
	group  sync.WaitGroup
}

// open opens the engine that e means, without asking it, and its sandboxes. It
// follows if the default sandbox is on another engine.
func (d *engines) open(e docker.Options, follows bool) (*opened, error) {
	e.Logger = d.options.Logger
	engine, err := docker.Open(e)
	if err != nil {
		return nil, err
	}
	o := &opened{name: engine.Name(), options: e, engine: engine}
	options := d.sandboxOptions(follows)
	options.Source, options.OnEvent = engine, func(e api.Event) { d.tell(o, e) }
	options.Logger = options.Logger.With("engine", o.name)
	if o.sandboxes, err = d.machine.host.Beside(options); err != nil {
		return nil, errors.Join(err, engine.Close())
	}
	return o, nil
}

// broken is an engine that cannot be opened because of err: it has no sandboxes.
func (d *engines) broken(e docker.Options, follows bool, err error) (*opened, error) {
	o := &opened{name: engineName(e), options: e, problem: api.AsProblem(err)}
	d.options.Logger.Warn("an engine cannot be used", "engine", o.name, "error", err, "hint", o.problem.Hint)
	o.sandboxes, err = d.machine.host.Beside(d.sandboxOptions(follows))
	return o, err
}

// unusable is the problem of a sandbox that may be on o, which could not be opened.
func (o *opened) unusable(ref api.Ref) *api.Problem {
	p := *o.problem
	p.Detail = fmt.Sprintf("there is no container %q, unless it is on %s: %s", ref.Name, o.name, p.Detail)
	return p.In(ref.Long(), 0)
}

func (d *engines) sandboxOptions(follows bool) sandbox.Options {
	c := d.options.Config
	return sandbox.Options{
		Config: c.Daemon, Executable: d.options.Executable, StateDir: c.StateDir, CacheDir: c.CacheDir,
		Logger: d.options.Logger, OwnPort: c.Server.Port, Reach: c.Docker.Reach, Helper: c.Docker.Helper,
		Brief: d.options.Unlisted,
		BoxDaemon: func(secret, workDir string, inside sandbox.Inside) (sandbox.BoxDaemon, error) {
			return toolbox.New(toolbox.Options{
				Secret: secret, Version: d.options.Version, WorkDir: workDir, Inside: inside, Logger: d.options.Logger,
			})
		},
		HostDaemon: d.machine.daemon(d.options),
		OnGone:     d.dropPool, Follows: follows,
	}
}

// tell publishes an event of an engine that is still open.
func (d *engines) tell(o *opened, e api.Event) {
	if !d.isOpen(o) {
		return
	}
	if e.Engine != nil {
		e.Engine.Primary = d.isPrimary(o)
	}
	d.publish(e)
}

// start follows the engine until ctx ends or it is closed.
func (o *opened) start(ctx context.Context) {
	ctx, o.cancel = context.WithCancel(ctx)
	o.group.Go(func() { o.sandboxes.Run(ctx) })
}

// close ends everything of it.
func (o *opened) close(ctx context.Context) error {
	o.cancel()
	o.group.Wait()
	err := o.sandboxes.Close(ctx)
	if o.engine != nil {
		err = errors.Join(err, o.engine.Close())
	}
	return err
}

// status is the state of the engine.
func (o *opened) status() api.EngineStatus {
	if o.problem != nil {
		return api.EngineStatus{Name: o.name, State: "lost", Error: o.problem}
	}
	return o.sandboxes.Engine()
}
