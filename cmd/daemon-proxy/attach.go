package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"daemon-proxy/core/api"
	"daemon-proxy/core/config"
	"daemon-proxy/core/logging"
	"daemon-proxy/core/server"
	"daemon-proxy/tui"
)

// farewellWithin is how long a core may take to say that it still runs.
const farewellWithin = time.Second

// maxPorts is how many ports a core of one's own tries.
const maxPorts = 100

// attachTo shows the UI on the core at an address, as --server gives it.
func (s *start) attachTo(ctx context.Context, address string) error {
	way, err := openFar(ctx, address, farOptions{Config: s.config, Previews: true, Stderr: s.stderr, Reopen: true})
	if err != nil {
		return atTheTerminal(err)
	}
	if err := way.usable(ctx); err != nil {
		return errors.Join(err, way.Close())
	}
	err = s.attach(ctx, way.Client, &tui.Attached{
		Name: way.Name, URL: way.Previews, Ends: way.Own, Carries: way.Done != nil,
	})
	return errors.Join(err, way.Close())
}

// attach shows the UI on a core that runs without it.
func (s *start) attach(ctx context.Context, core api.Service, to *tui.Attached) error {
	if !s.flags.Changed("log-file") { // which is the core's
		s.config.Logging.File = filepath.Join(filepath.Dir(s.config.Logging.File), "screen.log")
	}
	logger, logs, err := s.log()
	if err != nil {
		return err
	}
	defer logs.Close()
	o := s.screen(logger)
	o.Attached = to
	if err := tui.Run(ctx, core, o); err != nil {
		return fmt.Errorf("%w (the log is %s)", err, s.config.Logging.File)
	}
	if ctx.Err() == nil { // nobody reads it in a terminal that has gone
		fmt.Fprintln(s.stdout, logging.Printable(farewell(ctx, core, to)))
	}
	return nil
}

// farewell says what becomes of the core.
func farewell(ctx context.Context, core api.Service, to *tui.Attached) string {
	where := "on " + to.Name
	if to.Name == "" {
		where = "at " + to.URL
	}
	if to.Ends {
		return "The core " + where + " was started for this session, and ends with it."
	}
	ctx, stop := context.WithTimeout(ctx, farewellWithin)
	defer stop()
	if _, err := core.Status(ctx); err != nil {
		return "The core " + where + " is not reachable."
	}
	return "The core keeps running " + where + "."
}

// standalone makes the configuration that of a second core: with the next port
// that is free, and a links file and a log of its own, except for what was given.
func (s *start) standalone(ctx context.Context) error {
	c := &s.config
	if !s.flags.Changed("port") {
		port, err := nextPort(ctx, c.Server)
		if err != nil {
			return err
		}
		c.Server.Port = port
	}
	name := fmt.Sprintf("standalone-%d", c.Server.Port)
	if !s.flags.Changed("state-file") {
		c.Preview.StateFile = filepath.Join(c.StateDir, name+".db")
	}
	if !s.flags.Changed("log-file") {
		c.Logging.File = filepath.Join(filepath.Dir(c.Logging.File), name+".log")
	}
	return nil
}

// nextPort is the first port that is free, from the configured one on.
func nextPort(ctx context.Context, c config.Server) (int, error) {
	var first error
	for range maxPorts {
		listeners, err := server.Listen(ctx, c)
		for _, l := range listeners {
			err = errors.Join(err, l.Close())
		}
		if err == nil {
			return c.Port, nil
		}
		if first == nil {
			first = err
		}
		c.Port++
	}
	return 0, first
}
