package core

import (
	"context"
	"net/http"
	"sync"

	"daemon-proxy/core/api"
	"daemon-proxy/core/sandbox"
	"daemon-proxy/core/toolbox"
)

// machine is this machine as a sandbox, beside the engines.
type machine struct {
	host *sandbox.Sandboxes // only this machine

	cancel context.CancelFunc // ends running
	group  sync.WaitGroup

	mu      sync.Mutex
	toolbox *toolbox.Toolbox // its built-in daemon, once it runs
}

// openHost makes the sandbox of this machine. It follows if there is an engine that
// may have the default sandbox.
func (d *engines) openHost() (err error) {
	options := d.sandboxOptions(d.options.Config.Daemon.Mode != "host")
	options.OnEvent = func(e api.Event) { d.publish(e) }
	d.machine.host, err = sandbox.New(options)
	return err
}

// daemon returns what makes the built-in daemon of this machine, in place of an
// earlier one.
func (m *machine) daemon(o Options) func(secret string) (http.Handler, error) {
	return func(secret string) (http.Handler, error) {
		t, err := toolbox.New(toolbox.Options{
			Secret: secret, Version: o.Version, WorkDir: o.Config.Daemon.WorkDir, Logger: o.Logger,
		})
		if err != nil {
			return nil, err
		}
		m.mu.Lock()
		defer m.mu.Unlock()
		if m.toolbox != nil {
			m.toolbox.Close()
		}
		m.toolbox = t
		return t, nil
	}
}

// start monitors the machine until ctx ends or it is closed.
func (m *machine) start(ctx context.Context) {
	ctx, m.cancel = context.WithCancel(ctx)
	m.group.Go(func() { m.host.Run(ctx) })
}

// close ends everything of it.
func (m *machine) close(ctx context.Context) error {
	m.cancel()
	m.group.Wait()
	err := m.host.Close(ctx)
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.toolbox != nil {
		m.toolbox.Close()
	}
	return err
}
