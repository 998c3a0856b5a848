package core

import (
	"context"
	"time"

	"daemon-proxy/core/api"
	"daemon-proxy/core/config"
	"daemon-proxy/core/docker"
)

// Engine is the state of the engine.
func (d *desk) Engine(context.Context) (api.EngineStatus, error) {
	return d.current.Load().status(), nil
}

// Engines are those that can be switched to.
func (d *desk) Engines(context.Context) ([]api.EngineChoice, error) {
	choices := docker.Contexts(docker.Options{Host: d.options.Config.Docker.Host})
	if e := d.current.Load().engine; e != nil {
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
// name that Engines gave. The server keeps running; links to sandboxes of the
// engine that is left work again when it is switched back to. It does not wait
// for the new engine to answer.
func (d *desk) SwitchEngine(_ context.Context, name string) error {
	if e := d.current.Load().engine; e != nil && e.Name() == name {
		return nil
	}
	o := docker.OptionsFor(docker.Options{Host: d.options.Config.Docker.Host}, name)
	return d.replace(config.Docker{Host: o.Host, Context: o.Context})
}

// RetryEngine looks for the engine now instead of at the next retry; while it
// is there, its containers are listed again.
func (d *desk) RetryEngine(ctx context.Context) error {
	s := d.current.Load()
	if s.problem != nil {
		return d.replace(d.options.Config.Docker) // a docker configuration that was corrected can be opened
	}
	return s.sandboxes.RetryEngine(ctx)
}

// replace opens another source in place of the current one.
func (d *desk) replace(e config.Docker) error {
	d.switching.Lock()
	defer d.switching.Unlock()
	if d.ctx.Err() != nil {
		return d.ctx.Err()
	}
	next, err := d.open(e)
	if err != nil {
		return err
	}
	previous := d.current.Swap(next)
	d.rewatch()
	status := next.status()
	d.publish(api.Event{Kind: api.EventEngine, Time: time.Now(), Engine: &status})
	for _, box := range previous.sandboxes.List() {
		if !box.IsHost() {
			d.publish(api.Event{Kind: api.EventRemoved, Time: time.Now(), Sandbox: &api.Sandbox{Ref: box.Ref}})
		}
	}
	closing, done := context.WithTimeout(d.ctx, drain)
	defer done()
	if err := previous.close(closing); err != nil {
		d.options.Logger.Warn("previous engine did not shut down cleanly", "error", err)
	}
	next.start(d.ctx)
	d.options.Logger.Info("engine switched", "engine", next.engine.Name())
	return nil
}

// close ends the current source; none replaces it any more.
func (d *desk) close(ctx context.Context) error {
	d.switching.Lock()
	defer d.switching.Unlock()
	return d.current.Load().close(ctx)
}
