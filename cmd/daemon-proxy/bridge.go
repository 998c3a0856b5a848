package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"daemon-proxy/core"
	"daemon-proxy/core/api"
	"daemon-proxy/core/bridge"
	"daemon-proxy/core/config"
	"daemon-proxy/core/logging"
	"daemon-proxy/core/mux"
	"daemon-proxy/core/version"
)

const (
	// settlesWithin is how long a core that was just started may look for its
	// engine before it is used.
	settlesWithin = 3 * time.Second
	// turnWithin is how long another start of a core is waited for, which has the
	// links and is not in core.json yet.
	turnWithin = 5 * time.Second
	// turnAgain is how often that is tried.
	turnAgain = 100 * time.Millisecond
)

// newBridge is the far end of --server ssh://…, started by ssh.
func newBridge() *cobra.Command {
	return &cobra.Command{
		Use: "bridge", Hidden: true, Args: noArgs,
		Short: "Carry streams between standard input and output and the core (daemon-proxy starts it by ssh)",
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := config.Load(config.Options{})
			if err != nil {
				return err
			}
			outliveReaders()
			return (&farEnd{config: cfg}).run(cmd.Context())
		},
	}
}

// farEnd leads to the core that runs on this machine, else to one of its own.
type farEnd struct {
	config config.Config
	found  bool // a core was found or started before
	own    *core.Core
	logs   io.Closer // of own
}

func (f *farEnd) run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	in, out := mux.Standard()
	err := bridge.Serve(ctx, in, out, f.find, mux.Limits{})
	cancel()
	if f.own != nil {
		err = errors.Join(err, f.own.Wait(), f.logs.Close())
	}
	return err
}

// find returns the core that runs. If none does at the start of the session, it
// starts one. It does not start another one if a core ends later.
func (f *farEnd) find(ctx context.Context) (bridge.Core, error) {
	deadline := time.Now().Add(turnWithin)
	for {
		if running, ok := core.ReadRunning(f.config.StateDir); ok && f.own == nil {
			if c, err := runningCore(ctx, f.config); err != nil || c != nil {
				f.found = true
				c := throughLoopback(running)
				c.Replaced = func() bool {
					now, ok := core.ReadRunning(f.config.StateDir)
					return ok && now.Key != running.Key
				}
				return c, err
			}
		}
		if f.found {
			return bridge.Core{}, noCoreError{"this session"}
		}
		own, err := f.start(ctx)
		if err == nil {
			f.found = true
			return own, nil
		}
		if !errors.Is(err, &api.Problem{Code: api.CodeStateLocked}) || time.Now().After(deadline) {
			return bridge.Core{}, err
		}
		select { // another start was quicker: its core is listed in a moment
		case <-ctx.Done():
			return bridge.Core{}, ctx.Err()
		case <-time.After(turnAgain):
		}
	}
}

// start starts a core for the time of the session: with the user's state and
// configuration, but on a loopback port of its own.
func (f *farEnd) start(ctx context.Context) (bridge.Core, error) {
	cfg := f.config
	cfg.Server.Host, cfg.Server.PublicURL, cfg.Server.TLS = "127.0.0.1", "", config.TLS{Mode: "off"}
	var err error
	if cfg.Server.Port, err = freeLoopbackPort(); err != nil {
		return bridge.Core{}, err
	}
	logger, logs, err := logging.New(logging.Options{
		Level: cfg.Logging.Level, Format: cfg.Logging.Format, File: cfg.Logging.File,
		MaxSizeMB: cfg.Logging.MaxSizeMB, MaxBackups: cfg.Logging.MaxBackups,
	})
	if err != nil {
		return bridge.Core{}, fmt.Errorf("open the log: %w", err)
	}
	self, err := os.Executable()
	if err != nil {
		logger.Warn("cannot find the program's own file: the built-in daemon cannot be injected", "error", err)
	}
	c, err := core.Start(ctx, core.Options{Config: cfg, Version: version.String(), Executable: self, Logger: logger})
	if err != nil {
		return bridge.Core{}, errors.Join(err, logs.Close())
	}
	f.own, f.logs = c, logs
	settle(ctx, c)
	own := throughLoopback(core.Running{
		Address: net.JoinHostPort("127.0.0.1", strconv.Itoa(cfg.Server.Port)), URL: c.URL(),
		Protocol: api.Protocol, Version: version.String(), Key: c.Key(),
	})
	own.Own = true
	return own, nil
}

// settle waits until it is known whether there is an engine.
func settle(ctx context.Context, c *core.Core) {
	ctx, cancel := context.WithTimeout(ctx, settlesWithin)
	defer cancel()
	for tick := time.NewTicker(20 * time.Millisecond); ; {
		if engine, err := c.Engine(ctx); err != nil || engine.State != "connecting" {
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// throughLoopback is a core of this machine. Its certificate, if it has one, is
// not checked: it may be for another name, and what says where the core listens
// is the user's own file.
func throughLoopback(r core.Running) bridge.Core {
	address := r.Address
	if at, err := netip.ParseAddrPort(address); err == nil && at.Addr().IsUnspecified() {
		loopback := "127.0.0.1"
		if at.Addr().Is6() {
			loopback = "::1"
		}
		address = net.JoinHostPort(loopback, strconv.Itoa(int(at.Port())))
	}
	dial := func(ctx context.Context) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "tcp", address)
	}
	if strings.HasPrefix(r.URL, "https:") {
		secure := &tls.Dialer{Config: &tls.Config{
			ServerName: "localhost", MinVersion: tls.VersionTLS12, InsecureSkipVerify: true, //nolint:gosec // see above
		}}
		dial = func(ctx context.Context) (net.Conn, error) { return secure.DialContext(ctx, "tcp", address) }
	}
	return bridge.Core{
		Greeting: bridge.Greeting{Protocol: r.Protocol, Version: r.Version, Address: address, Key: r.Key}, Dial: dial,
	}
}
