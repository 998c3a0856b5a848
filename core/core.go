// Package core assembles the parts of the program: the engine, the sandboxes,
// the links, the request log and the HTTP server. It owns their goroutines,
// the order in which they start and end, and the event stream that a front
// follows.
package core

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"sync"
	"time"

	"daemon-proxy/core/api"
	"daemon-proxy/core/certs"
	"daemon-proxy/core/config"
	"daemon-proxy/core/metrics"
	"daemon-proxy/core/news"
	"daemon-proxy/core/preview"
	"daemon-proxy/core/proxy"
	"daemon-proxy/core/server"
	"daemon-proxy/core/traffic"
)

const (
	// findHostLinks bounds the look-up of the preview domain.
	findHostLinks = 10 * time.Second
	// drain is what requests get to end when the program does.
	drain = 10 * time.Second
)

// Options configure Start.
type Options struct {
	Config config.Config
	// Version is what /health and the built-in daemon report.
	Version string
	// Executable is this program's own file, which is injected where there
	// is no daytona binary.
	Executable string
	Logger     *slog.Logger
	// Unlisted keeps the core out of core.json: other commands do not find it.
	Unlisted bool
}

// Core is a running core: the service that all fronts use. It is made of the
// desk, the links, the request log and the screens.
type Core struct {
	*desk
	*preview.Publisher
	traffic.Requests

	news    news.Feed
	screens *screens
	links   *preview.Links
	proxy   *proxy.Proxy
	server  *server.Server
	address net.Addr // where the server listens
	key     string   // of this run: who can read core.json may do what the API key allows
	done    chan struct{}
	err     error

	cancel context.CancelFunc // ends ctx
	group  sync.WaitGroup     // what a front began and ctx ends
}

var _ api.Service = (*Core)(nil)

// Start runs a core until ctx ends; Wait gives the outcome. The error is for a
// person: the port or the links file is in use, the configuration names
// something that is not there. Nothing is left behind then. An engine or a
// container that does not answer is no error.
func Start(ctx context.Context, o Options) (_ *Core, err error) {
	c := &Core{desk: &desk{engines{options: o}}, done: make(chan struct{}), key: rand.Text()}
	c.ctx, c.cancel = context.WithCancel(ctx)
	var undo []func() error
	defer func() {
		if err != nil {
			c.cancel()
			for i := len(undo) - 1; i >= 0; i-- {
				err = errors.Join(err, undo[i]())
			}
		}
	}()
	c.logConfig()
	if c.links, err = c.openLinks(ctx); err != nil {
		return nil, withHolder(err, o.Config.StateDir)
	}
	undo = append(undo, c.links.Close)
	certificate, err := c.certificate()
	if err != nil {
		return nil, err
	}
	listeners, err := server.Listen(ctx, o.Config.Server)
	if err != nil {
		return nil, err
	}
	undo = append(undo, func() error {
		for _, l := range listeners {
			l.Close()
		}
		return nil
	})
	c.proxy = proxy.New(proxy.Options{Logger: o.Logger, Crowded: func() bool { return c.server.Crowded() }})
	c.screens = &screens{news: &c.news, resolve: c.Resolve, watch: c.watch}
	c.publish, c.dropPool, c.rewatch = c.news.Publish, c.proxy.Drop, c.screens.rewatch
	if err := c.openHost(); err != nil {
		return nil, err
	}
	if o.Config.Daemon.Mode != "host" {
		if err := c.openFirst(); err != nil {
			return nil, err
		}
	}
	c.Publisher = preview.NewPublisher(preview.PublisherOptions{
		Links: c.links, Server: o.Config.Server, Sandboxes: c.desk, Logger: o.Logger,
	})
	logged := traffic.Options{
		Bodies: o.Config.Traffic.Bodies, Memory: o.Config.Traffic.Memory, OnChange: c.news.LogChanged,
		// A front that was attached to an earlier run must not take its exchanges for these.
		After: uint64(time.Now().UnixMicro()),
	}
	hostname, _ := os.Hostname() // without one, that name is not served
	serving := server.Options{
		Config: o.Config, Version: o.Version, Logger: o.Logger, Service: c, Sandboxes: c.desk, Links: c.links,
		Publisher: c.Publisher, Proxy: c.proxy, Hostname: hostname, Certificate: certificate, RunKey: c.key,
	}
	if o.Config.Server.Metrics {
		counted := c.metrics()
		logged.OnEnd, serving.Metrics = counted.Ended, counted
		c.publish = func(e api.Event) {
			counted.Event(e)
			c.news.Publish(e)
		}
	}
	c.Requests = traffic.Requests{Version: o.Version, Log: traffic.New(logged)}
	c.news.SetLog(c.Log)
	serving.Traffic = c.Log
	c.server = server.New(serving)
	c.address = listeners[0].Addr()
	if !o.Unlisted {
		c.list(c.address)
	}
	c.machine.start(c.ctx)
	for _, e := range c.all() {
		e.first = true
		e.start(c.ctx)
	}
	go c.run(listeners)
	o.Logger.Info("daemon-proxy serves", "url", c.URL(), "mode", o.Config.Daemon.Mode, "version", o.Version)
	return c, nil
}

// metrics counts what the core does.
func (c *Core) metrics() *metrics.Metrics {
	return metrics.New(metrics.Options{
		Version: c.options.Version,
		Sandboxes: func() []api.Sandbox {
			list, _ := c.Sandboxes(c.ctx) // from memory: there is no error
			return list
		},
		Open:    func() map[string]int { return c.Log.Open() },
		Dropped: func() uint64 { return c.Log.Dropped() },
	})
}

func (c *Core) openLinks(ctx context.Context) (*preview.Links, error) {
	config := c.options.Config
	return preview.Open(ctx, preview.Options{
		StateFile: config.Preview.StateFile, DefaultTTL: config.Preview.DefaultTTL, MaxLinks: config.Preview.MaxLinks,
		DaemonPort: config.Daemon.Port, Logger: c.options.Logger,
		OnChange: func(l api.Link) {
			l.Token, l.SandboxName = "", c.NameOf(l.Sandbox)
			c.news.Publish(api.Event{Kind: api.EventLink, Time: time.Now(), Link: &l})
		},
	})
}

// list names the core in core.json, where other commands find it.
func (c *Core) list(address net.Addr) {
	running := Running{
		Address: address.String(), URL: c.URL(), PID: os.Getpid(), Version: c.options.Version,
		Protocol: api.Protocol, Key: c.key, Executable: c.options.Executable,
	}
	if err := writeRunning(c.options.Config.StateDir, running); err != nil {
		c.options.Logger.Warn("other commands will not find this one: core.json cannot be written", "error", err)
	}
}

// logConfig logs where the configuration came from and what is dangerous in it.
func (c *Core) logConfig() {
	if c.options.Config.File != "" {
		c.options.Logger.Info("configuration read", "file", c.options.Config.File)
	}
	for _, note := range c.options.Config.Notes {
		c.options.Logger.Warn("configuration", "note", note)
	}
	if c.options.Config.Exposed() {
		c.options.Logger.Warn("anyone on the network can use the API and see into the sandboxes: "+
			"set security.enabled and security.api_key, or server.host: 127.0.0.1", "host", c.options.Config.Server.Host)
	}
}

// certificate is where the server has its certificates from; nil without TLS.
func (c *Core) certificate() (certs.Get, error) {
	switch tls := c.options.Config.Server.TLS; tls.Mode {
	case "files":
		return certs.Files(tls.Cert, tls.Key, c.options.Logger)
	case "self-signed":
		authority, err := certs.OpenAuthority(c.options.Config.StateDir)
		if err != nil {
			return nil, err
		}
		c.options.Logger.Info("certificates are signed by this program's own authority: "+
			"add it to those that your browser trusts", "file", certs.AuthorityFile(c.options.Config.StateDir))
		return authority.Get, nil
	}
	return nil, nil
}

// run serves until ctx ends or the server fails, and then ends everything.
func (c *Core) run(listeners []net.Listener) {
	defer close(c.done)
	c.group.Go(func() {
		asking, stop := context.WithTimeout(c.ctx, findHostLinks)
		defer stop()
		c.FindHostLinks(asking, net.DefaultResolver.LookupNetIP)
	})
	served := make(chan error, 1)
	go func() { served <- c.server.Serve(listeners) }()
	ended := false
	select {
	case <-c.ctx.Done():
	case c.err = <-served:
		ended = true
	}
	c.cancel()
	c.options.Logger.Info("ending")
	closing, done := context.WithTimeout(context.WithoutCancel(c.ctx), drain)
	defer done()
	errs := []error{c.err, c.server.Shutdown(closing)}
	if !ended {
		errs = append(errs, <-served)
	}
	c.group.Wait()
	errs = append(errs, c.close(closing))
	c.proxy.Close()
	errs = append(errs, c.links.Close(), removeRunning(c.options.Config.StateDir))
	c.err = errors.Join(errs...)
}

// Wait waits for the end. The error is nil after a clean shutdown.
func (c *Core) Wait() error {
	<-c.done
	if c.err != nil {
		return fmt.Errorf("shutdown was not clean: %w", c.err)
	}
	return nil
}

// URL is how this machine reaches the core.
func (c *Core) URL() string { return c.options.Config.Server.URL() }

// Key is accepted as the API key is until the core ends. It is what core.json
// says for those who may read that.
func (c *Core) Key() string { return c.key }

// Events follows the event stream until ctx ends; it is registered on return.
func (c *Core) Events(ctx context.Context) (api.Events, error) { return c.news.Follow(ctx), nil }

// Attach is Events for a screen of that name; it is one until ctx ends.
func (c *Core) Attach(ctx context.Context, name string) (api.Screen, error) {
	return c.screens.attach(ctx, name)
}

// Screens are the fronts with a display that are attached, the oldest first.
func (c *Core) Screens(context.Context) ([]api.ScreenStatus, error) { return c.screens.list(), nil }

// Status describes the core itself.
func (c *Core) Status(context.Context) (api.Status, error) {
	config := c.options.Config
	return api.Status{
		Version: c.options.Version, URL: c.URL(), Mode: c.primary().Mode(), Exposed: config.Exposed(),
		ReadOnly:  config.Server.ReadOnly,
		HostLinks: c.HostLinks(), ConfigFile: config.File, LogFile: config.Logging.File,
		StopOnExit: config.Daemon.StopOnExit, LinkTTLSeconds: int64(config.Preview.DefaultTTL / time.Second),
		Screens: c.screens.list(),
	}, nil
}
