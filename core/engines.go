package core

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"daemon-proxy/core/api"
	"daemon-proxy/core/config"
	"daemon-proxy/core/docker"
	"daemon-proxy/core/sandbox"
)

// engines are those that are open, and this machine beside them. They are what needs
// an engine of api.Core.
type engines struct {
	machine  machine
	options  Options
	publish  func(api.Event)
	dropPool func(pool string) // ends the idle connections to a place that is gone
	rewatch  func()            // calls watch for an engine that was opened
	ctx      context.Context   // ends when the core begins to

	opening sync.Mutex // held while list changes
	// list is copied on write. Its first engine is the primary one, on which the
	// default sandbox is; in mode "host" there may be none.
	list atomic.Pointer[[]*opened]
}

// all are those that are open, the primary one first.
func (d *engines) all() []*opened {
	if all := d.list.Load(); all != nil {
		return *all
	}
	return nil
}

func (d *engines) isOpen(o *opened) bool { return slices.Contains(d.all(), o) }

func (d *engines) isPrimary(o *opened) bool {
	all := d.all()
	return len(all) > 0 && all[0] == o
}

// primary are the sandboxes among which the default one is.
func (d *engines) primary() *sandbox.Sandboxes {
	for _, o := range d.all() {
		return o.sandboxes
	}
	return d.machine.host
}

// Engine is the state of the primary engine; zero if none is open.
func (d *engines) Engine(context.Context) (api.EngineStatus, error) {
	for _, o := range d.all() {
		return d.status(o), nil
	}
	return api.EngineStatus{}, nil
}

// EngineStates are the states of the engines that are open, the primary one first.
func (d *engines) EngineStates(context.Context) ([]api.EngineStatus, error) {
	var list []api.EngineStatus
	for _, o := range d.all() {
		list = append(list, d.status(o))
	}
	return list, nil
}

// status is the state of an engine of the desk.
func (d *engines) status(o *opened) api.EngineStatus {
	status := o.status()
	status.Primary = d.isPrimary(o)
	return status
}

// Engines are those that are open and those that can be opened.
func (d *engines) Engines(context.Context) ([]api.EngineChoice, error) {
	var choices []api.EngineChoice
	add := func(c api.EngineChoice) {
		known := func(o api.EngineChoice) bool {
			return o.Name == c.Name || o.Open && o.Endpoint == c.Endpoint
		}
		if !slices.ContainsFunc(choices, known) {
			choices = append(choices, c)
		}
	}
	for _, o := range d.all() {
		c := api.EngineChoice{Name: o.name, Current: d.isPrimary(o), Open: true}
		if o.engine != nil {
			c.Endpoint = o.engine.Endpoint()
		}
		add(c)
	}
	for _, c := range d.configured() {
		if e, err := docker.Open(c); err == nil {
			add(api.EngineChoice{Name: e.Name(), Endpoint: e.Endpoint()})
			_ = e.Close() // it has no connections
		}
	}
	for _, c := range docker.Contexts(docker.Options{}) {
		add(c)
	}
	slices.SortStableFunc(choices, func(a, b api.EngineChoice) int { return cmp.Compare(a.Name, b.Name) })
	return choices, nil
}

// configured are the engines of the configuration, the primary one first.
func (d *engines) configured() []docker.Options { return configured(d.options.Config.Docker) }

func configured(c config.Docker) []docker.Options {
	if len(c.Engines) == 0 {
		return []docker.Options{{Host: c.Host, Context: c.Context}}
	}
	list := make([]docker.Options, len(c.Engines))
	for i, name := range c.Engines {
		list[i] = docker.OptionsFor(docker.Options{}, name)
	}
	return list
}

// engineOptions are the options that open the engine of that name.
func (d *engines) engineOptions(name string) docker.Options {
	name = api.EngineID(name)
	for _, o := range d.configured() {
		if o.Host != "" && api.EngineID(o.Host) == name {
			return o
		}
	}
	return docker.OptionsFor(docker.Options{}, name)
}

// find is the engine of that name, or the same one under another name; nil if it
// is not open.
func (d *engines) find(name string) *opened {
	all := d.all()
	if i := slices.IndexFunc(all, func(o *opened) bool { return o.name == name }); i >= 0 {
		return all[i]
	}
	e, err := docker.Open(d.engineOptions(name))
	if err != nil {
		return nil
	}
	defer func() { _ = e.Close() }() // it has no connections
	if i := slices.IndexFunc(all, func(o *opened) bool { return o.engine != nil && o.engine.Same(e) }); i >= 0 {
		return all[i]
	}
	return nil
}

// OpenEngine opens the engine of a name that Engines gave, beside those that are
// open. It does not wait for it to answer. One that is open is left alone.
func (d *engines) OpenEngine(_ context.Context, name string) error {
	d.opening.Lock()
	defer d.opening.Unlock()
	return d.openNamed(name)
}

// openNamed is OpenEngine; opening is held.
func (d *engines) openNamed(name string) error {
	if d.ctx.Err() != nil || d.find(name) != nil {
		return d.ctx.Err()
	}
	o, err := d.open(d.engineOptions(name), len(d.all()) > 0)
	if err != nil {
		return err
	}
	d.add(o)
	o.start(d.ctx)
	d.changed(o)
	d.options.Logger.Info("engine opened", "engine", o.name)
	return nil
}

// add adds an engine to those that are open.
func (d *engines) add(o *opened) {
	all := append(slices.Clone(d.all()), o)
	d.list.Store(&all)
}

// changed publishes an engine that was opened and remembers it; opening is held.
func (d *engines) changed(o *opened) {
	d.rewatch()
	status := d.status(o)
	d.publish(api.Event{Kind: api.EventEngine, Time: time.Now(), Engine: &status})
	d.remember()
}

// CloseEngine closes an engine. Links to its sandboxes work again when it is
// opened again. It is a problem to close the only one that is open.
func (d *engines) CloseEngine(_ context.Context, name string) error {
	d.opening.Lock()
	defer d.opening.Unlock()
	o := d.find(name)
	if o == nil {
		return nil
	}
	if len(d.all()) == 1 {
		return api.NewProblem(api.CodeBadRequest, fmt.Sprintf("%s is the only engine that is open", o.name),
			"open another one first").WithStatus(http.StatusConflict)
	}
	return d.closeOne(o)
}

// closeOne closes an engine, and lets the next one lead; opening is held.
func (d *engines) closeOne(o *opened) error {
	if d.ctx.Err() != nil {
		return d.ctx.Err()
	}
	led := d.isPrimary(o)
	rest := slices.DeleteFunc(slices.Clone(d.all()), func(other *opened) bool { return other == o })
	d.list.Store(&rest)
	boxes := o.sandboxes.List()
	d.publish(api.Event{Kind: api.EventEngine, Time: time.Now(), Engine: &api.EngineStatus{
		Name: o.name, State: api.EngineClosed, Since: time.Now(),
	}})
	for _, box := range boxes {
		d.publish(api.Event{Kind: api.EventRemoved, Time: time.Now(), Sandbox: &api.Sandbox{Ref: box.Ref}})
	}
	if led && len(rest) > 0 {
		rest[0].sandboxes.Lead()
		d.changed(rest[0])
	} else {
		d.remember()
	}
	closing, done := context.WithTimeout(d.ctx, drain)
	defer done()
	if err := o.close(closing); err != nil {
		d.options.Logger.Warn("the engine did not shut down cleanly", "engine", o.name, "error", err)
	}
	d.options.Logger.Info("engine closed", "engine", o.name)
	return nil
}

// SwitchEngine opens an engine and closes all others.
func (d *engines) SwitchEngine(_ context.Context, name string) error {
	d.opening.Lock()
	defer d.opening.Unlock()
	if err := d.openNamed(name); err != nil {
		return err
	}
	kept := d.find(name)
	for _, o := range d.all() {
		if o != kept {
			if err := d.closeOne(o); err != nil {
				return err
			}
		}
	}
	return nil
}

// RetryEngine looks for the engines now instead of at the next retry; the
// containers of those that are there are listed again.
func (d *engines) RetryEngine(ctx context.Context) error {
	all := d.all()
	errs := make([]error, len(all))
	var group sync.WaitGroup
	for i, o := range all {
		group.Go(func() {
			if o.problem != nil {
				errs[i] = d.reopen(o)
				return
			}
			errs[i] = o.sandboxes.RetryEngine(ctx)
		})
	}
	group.Wait()
	return errors.Join(errs...)
}

// reopen replaces an engine that could not be opened: its configuration may have
// been corrected.
func (d *engines) reopen(o *opened) error {
	d.opening.Lock()
	defer d.opening.Unlock()
	all := slices.Clone(d.all())
	at := slices.Index(all, o)
	if at < 0 || d.ctx.Err() != nil {
		return d.ctx.Err()
	}
	next, err := d.open(o.options, at > 0)
	if err != nil {
		return err
	}
	all[at] = next
	d.list.Store(&all)
	next.start(d.ctx)
	if next.name != o.name {
		d.publish(api.Event{Kind: api.EventEngine, Time: time.Now(), Engine: &api.EngineStatus{
			Name: o.name, State: api.EngineClosed, Since: time.Now(),
		}})
	}
	d.changed(next)
	return o.close(d.ctx)
}

// remembered is the file in which the engines that are open are kept for the next
// start with the same configuration.
type remembered struct {
	// Configured and Open are names of engines, the primary one first.
	Configured []string `json:"configured"`
	Open       []string `json:"open"`
}

func (d *engines) rememberedFile() string {
	return filepath.Join(d.options.Config.StateDir, "engines.json")
}

// remember writes the engines that are open; opening is held.
func (d *engines) remember() {
	r := remembered{Configured: d.configuredNames()}
	for _, o := range d.all() {
		r.Open = append(r.Open, o.name)
	}
	raw, err := json.Marshal(r)
	if err == nil {
		err = writeFile(d.rememberedFile(), raw)
	}
	if err != nil {
		d.options.Logger.Warn("the engines that are open are not remembered", "error", err)
	}
}

// configuredNames are the names of the configured engines.
func (d *engines) configuredNames() (names []string) {
	for _, o := range d.configured() {
		names = append(names, engineName(o))
	}
	return names
}

// engineName is the name of the engine that o opens, as far as that is known.
func engineName(o docker.Options) string {
	e, err := docker.Open(o)
	if err != nil {
		return cmp.Or(o.Context, api.EngineID(o.Host), "current")
	}
	defer func() { _ = e.Close() }() // it has no connections
	return e.Name()
}

// openFirst opens the engines of the configuration, or those that were open last.
// The error is that of a configured primary engine in mode "docker".
func (d *engines) openFirst() error {
	first, last := d.configured(), d.openLast()
	strict := d.options.Config.Daemon.Mode == "docker" && len(last) == 0
	if len(last) > 0 {
		first = nil
		for _, name := range last {
			first = append(first, d.engineOptions(name))
		}
	}
	for i, options := range first {
		if d.find(engineName(options)) != nil { // the same one under another name
			continue
		}
		o, err := d.open(options, i > 0)
		if err != nil && i == 0 && strict {
			return err
		}
		if err != nil {
			if o, err = d.broken(options, i > 0, err); err != nil {
				return err
			}
		}
		d.add(o)
	}
	return nil
}

// openLast are the names of the engines that were open at last with this
// configuration.
func (d *engines) openLast() []string {
	var r remembered
	raw, err := os.ReadFile(d.rememberedFile())
	if err != nil || json.Unmarshal(raw, &r) != nil || !slices.Equal(r.Configured, d.configuredNames()) {
		return nil
	}
	return r.Open
}

// close closes this machine and the engines; none is opened any more.
func (d *engines) close(ctx context.Context) error {
	d.opening.Lock()
	defer d.opening.Unlock()
	all := d.all()
	errs := make([]error, len(all))
	var group sync.WaitGroup
	for i, o := range all {
		group.Go(func() { errs[i] = o.close(ctx) })
	}
	group.Wait()
	return errors.Join(append(errs, d.machine.close(ctx))...)
}
