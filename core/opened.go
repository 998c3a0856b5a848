package core

import (
	"context"
	"errors"
	"net/http"
	"sync"

	"daemon-proxy/core/api"
	"daemon-proxy/core/config"
	"daemon-proxy/core/docker"
	"daemon-proxy/core/sandbox"
	"daemon-proxy/core/toolbox"
)

// opened is a source that is open: one engine and the sandboxes on it, this
// machine among them. The server, the links and the request log outlive it.
type opened struct {
	engine    *docker.Engine // nil: there is none
	problem   *api.Problem   // why there is none, if one was looked for
	sandboxes *sandbox.Sandboxes

	cancel context.CancelFunc // ends running
	group  sync.WaitGroup

	mu      sync.Mutex
	toolbox *toolbox.Toolbox // the host's, once it runs
}

// open opens the engine that e means, without asking it, and its sandboxes. In
// mode "docker" an engine that cannot be opened is an error; in mode "auto" the
// host is what there is.
func (d *desk) open(e config.Docker) (*opened, error) {
	s := &opened{}
	if d.options.Config.Daemon.Mode != "host" || d.current.Load() != nil {
		engine, err := docker.Open(docker.Options{Host: e.Host, Context: e.Context, Logger: d.options.Logger})
		switch {
		case err == nil:
			s.engine = engine
		case d.options.Config.Daemon.Mode == "docker" || d.current.Load() != nil:
			return nil, err
		default:
			s.problem = api.AsProblem(err)
			d.options.Logger.Warn("no engine can be used", "error", err, "hint", s.problem.Hint)
		}
	}
	options := sandbox.Options{
		Config: d.options.Config.Daemon, Executable: d.options.Executable, StateDir: d.options.Config.StateDir,
		CacheDir: d.options.Config.CacheDir, Logger: d.options.Logger, OwnPort: d.options.Config.Server.Port,
		Reach: d.options.Config.Docker.Reach, Helper: d.options.Config.Docker.Helper,
		Brief: d.options.Unlisted,
		BoxDaemon: func(secret, workDir string, inside sandbox.Inside) (sandbox.BoxDaemon, error) {
			return toolbox.New(toolbox.Options{
				Secret: secret, Version: d.options.Version, WorkDir: workDir, Inside: inside, Logger: d.options.Logger,
			})
		},
		HostDaemon: func(secret string) (http.Handler, error) { return s.hostDaemon(d.options, secret) },
		OnEvent: func(e api.Event) {
			if d.current.Load() == s { // what an engine that was left still reports is not news
				d.publish(e)
			}
		},
		OnGone: d.dropPool,
	}
	if s.engine != nil {
		options.Source = s.engine
	}
	var err error
	if s.sandboxes, err = sandbox.New(options); err != nil {
		if s.engine != nil {
			err = errors.Join(err, s.engine.Close())
		}
		return nil, err
	}
	return s, nil
}

// hostDaemon makes the built-in daemon of this machine, in place of an earlier one.
func (s *opened) hostDaemon(o Options, secret string) (http.Handler, error) {
	t, err := toolbox.New(toolbox.Options{
		Secret: secret, Version: o.Version, WorkDir: o.Config.Daemon.WorkDir, Logger: o.Logger,
	})
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.toolbox != nil {
		s.toolbox.Close()
	}
	s.toolbox = t
	return t, nil
}

// start follows the engine until ctx ends or the source is closed.
func (s *opened) start(ctx context.Context) {
	ctx, s.cancel = context.WithCancel(ctx)
	s.group.Go(func() { s.sandboxes.Run(ctx) })
}

// close ends everything of it.
func (s *opened) close(ctx context.Context) error {
	s.cancel()
	s.group.Wait()
	err := s.sandboxes.Close(ctx)
	s.mu.Lock()
	if s.toolbox != nil {
		s.toolbox.Close()
	}
	s.mu.Unlock()
	if s.engine != nil {
		err = errors.Join(err, s.engine.Close())
	}
	return err
}

// status is the state of the engine.
func (s *opened) status() api.EngineStatus {
	if s.engine == nil && s.problem != nil {
		return api.EngineStatus{State: "lost", Error: s.problem}
	}
	return s.sandboxes.Engine()
}
