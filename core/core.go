// Package core assembles the parts of the program: the engine, the sandboxes,
// the links, the request log and the HTTP server. It owns their goroutines,
// the order in which they start and end, and the event stream that a front
// follows.
package core

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"daemon-proxy/core/api"
	"daemon-proxy/core/certs"
	"daemon-proxy/core/config"
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
	// Version is what /health and the built-in daemon say.
	Version string
	// Executable is this program's own file, which is what is injected where
	// no daytona binary is.
	Executable string
	Logger     *slog.Logger
	// Unlisted keeps the core out of core.json: other commands do not find it.
	Unlisted bool
}

// Core is a running core. Its methods that a front uses are in front….go.
type Core struct {
	log     *slog.Logger
	options Options
	config  config.Config
	news    news.Feed
	links   *preview.Links
	proxy   *proxy.Proxy
	traffic *traffic.Log
	server  *server.Server
	done    chan struct{}
	err     error

	ctx    context.Context // ends when the core begins to
	cancel context.CancelFunc
	group  sync.WaitGroup // what a front began and ctx ends

	switching sync.Mutex // held while the fleet is replaced
	fleet     atomic.Pointer[fleet]
}

// Start runs a core until ctx ends; Wait gives the outcome. The error is for a
// person: the port or the links file is in use, the configuration names
// something that is not there. Nothing is left behind then. An engine or a
// container that does not answer is no error.
func Start(ctx context.Context, o Options) (_ *Core, err error) {
	c := &Core{log: o.Logger, options: o, config: o.Config, done: make(chan struct{})}
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
	c.sayConfig()
	c.links, err = preview.Open(ctx, preview.Options{
		StateFile: c.config.Preview.StateFile, DefaultTTL: c.config.Preview.DefaultTTL, MaxLinks: c.config.Preview.MaxLinks,
		DaemonPort: c.config.Daemon.Port, Logger: c.log,
		OnChange: func(l api.Link) {
			l.Token = ""
			c.news.Publish(api.Event{Kind: api.EventLink, Time: time.Now(), Link: &l})
		},
	})
	if err != nil {
		return nil, sayWhoRuns(err, c.config.StateDir)
	}
	undo = append(undo, c.links.Close)
	certificate, err := c.certificate()
	if err != nil {
		return nil, err
	}
	listeners, err := server.Listen(ctx, c.config.Server)
	if err != nil {
		return nil, err
	}
	undo = append(undo, func() error {
		for _, l := range listeners {
			l.Close()
		}
		return nil
	})
	first, err := c.openFleet(c.config.Docker)
	if err != nil {
		return nil, err
	}
	c.fleet.Store(first)
	c.proxy = proxy.New(proxy.Options{Logger: c.log, Crowded: func() bool { return c.server.Crowded() }})
	c.traffic = traffic.New(traffic.Options{Bodies: c.config.Traffic.Bodies, Memory: c.config.Traffic.Memory, OnChange: c.news.LogChanged})
	c.news.SetLog(c.traffic)
	hostname, _ := os.Hostname() // without one, that name is not served
	c.server = server.New(server.Options{
		Config: c.config, Version: o.Version, Logger: c.log, Links: c.links, Proxy: c.proxy, Traffic: c.traffic,
		Sandboxes: forServer{c}, Hostname: hostname, Certificate: certificate, Mode: func() string { return c.fleet.Load().sandboxes.Mode() },
		Events: func(ctx context.Context) server.News { return c.Subscribe(ctx) }, Logs: c.Logs,
	})
	if o.Unlisted {
		// nobody is told
	} else if err := writeRunning(c.config.StateDir, Running{
		Address: listeners[0].Addr().String(), URL: c.URL(), PID: os.Getpid(), Version: o.Version,
	}); err != nil {
		c.log.Warn("other commands will not find this one: core.json cannot be written", "error", err)
	}
	first.start(c.ctx)
	go c.run(listeners)
	c.log.Info("daemon-proxy serves", "url", c.URL(), "mode", c.config.Daemon.Mode, "version", o.Version)
	return c, nil
}

// sayConfig logs where the configuration came from and what is dangerous in it.
func (c *Core) sayConfig() {
	if c.config.File != "" {
		c.log.Info("configuration read", "file", c.config.File)
	}
	for _, note := range c.config.Notes {
		c.log.Warn("configuration", "note", note)
	}
	if server.Exposed(c.config) {
		c.log.Warn("everybody on the network may use the API and look into the sandboxes: set security.enabled and security.api_key, or server.host: 127.0.0.1", "host", c.config.Server.Host)
	}
}

// certificate is where the server has its certificates from; nil without TLS.
func (c *Core) certificate() (certs.Get, error) {
	switch tls := c.config.Server.TLS; tls.Mode {
	case "files":
		return certs.Files(tls.Cert, tls.Key, c.log)
	case "self-signed":
		authority, err := certs.OpenAuthority(c.config.StateDir)
		if err != nil {
			return nil, err
		}
		c.log.Info("certificates are signed by an authority of this program's own: tell your browser to trust it", "file", certs.AuthorityFile(c.config.StateDir))
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
		c.server.FindHostLinks(asking, net.DefaultResolver.LookupNetIP)
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
	c.log.Info("ending")
	closing, done := context.WithTimeout(context.WithoutCancel(c.ctx), drain)
	defer done()
	errs := []error{c.err, c.server.Shutdown(closing)}
	if !ended {
		errs = append(errs, <-served)
	}
	c.group.Wait()
	c.switching.Lock() // nothing replaces the fleet any more
	errs = append(errs, c.fleet.Load().close(closing))
	c.switching.Unlock()
	c.proxy.Close()
	errs = append(errs, c.links.Close(), removeRunning(c.config.StateDir))
	c.err = errors.Join(errs...)
}

// Wait waits for the end. The error is nil after an orderly one.
func (c *Core) Wait() error {
	<-c.done
	if c.err != nil {
		return fmt.Errorf("the end was not orderly: %w", c.err)
	}
	return nil
}

// URL is how this machine reaches the core.
func (c *Core) URL() string {
	host := c.config.Server.Host
	if ip := net.ParseIP(host); ip != nil && (ip.IsLoopback() || ip.IsUnspecified()) {
		host = "localhost"
	}
	scheme := "http://"
	if mode := c.config.Server.TLS.Mode; mode == "self-signed" || mode == "files" {
		scheme = "https://"
	}
	return scheme + net.JoinHostPort(host, strconv.Itoa(c.config.Server.Port))
}

// Subscribe follows the event stream until ctx ends.
func (c *Core) Subscribe(ctx context.Context) *news.Follower { return c.news.Follow(ctx) }
