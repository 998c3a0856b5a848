package sandbox

import (
	"context"
	"errors"
	"time"

	"daemon-proxy/core/api"
	"daemon-proxy/core/daemon"
	"daemon-proxy/core/sandbox/inject"
)

// runHost starts the daemon of the host, or adopts the one that answers.
func (in *injector) runHost() error {
	h, port := in.s.host, in.s.o.Config.Port
	in.tell.Doing(api.StepAdopt, "is a daemon answering on %s?", loopback.Authority(port))
	if f, err := h.probe(in.ctx); err == nil {
		in.adopt = f
		return nil
	}
	f, err := h.client(port, "").Version(in.ctx)
	if err == nil && f.Kind == daemon.KindDaytona {
		in.tell.Did(api.StepAdopt, "a daytona answers already: adopted")
		in.s.log.Warn("a daytona runs on this machine: anyone on the network who can reach its port controls the machine",
			"port", port)
		in.adopt = f
		in.useHost(port, "")
		return nil
	}
	free := errors.Is(err, daemon.ErrRefused)
	if in.s.Mode() == "host" {
		path, err := h.binary()
		if err != nil {
			return err
		}
		if path != "" {
			return in.runDaytona(path, port, free)
		}
	}
	if !free {
		port = 0
	}
	return in.serveBuiltIn(port)
}

// useHost makes the daemon on a port of this machine the host's.
func (in *injector) useHost(port int, secret string) {
	in.s.host.use(port, secret)
	in.box.update(func(b *box) { b.Daemon.URL = "http://" + loopback.Authority(port) })
}

// serveBuiltIn serves the built-in daemon in this program: see host.serve.
func (in *injector) serveBuiltIn(port int) (err error) {
	if !in.s.host.serves() { // one that runs may answer late under load; replacing it would cut all its connections
		in.tell.Doing(api.StepStart, "serving the built-in daemon")
		port, secret, err := in.s.host.serve(in.ctx, port)
		if err != nil {
			return err
		}
		in.useHost(port, secret)
	}
	in.adopt, err = in.s.host.probe(in.ctx)
	return err
}

// runDaytona runs a real daytona on this machine.
func (in *injector) runDaytona(path string, port int, free bool) error {
	if !free {
		return api.Host.Problem(api.CodePortTaken,
			"something that is not a daemon uses "+loopback.Authority(port),
			"stop it; the Daytona daemon cannot use another port")
	}
	in.s.log.Warn("starting a daytona on this machine: anyone on the network who can reach its port controls the machine",
		"path", path, "port", port)
	in.tell.Doing(api.StepStart, "starting %s", path)
	h := in.s.host
	ended, err := h.launch(path)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(in.ctx, in.s.o.Config.StartupTimeout)
	defer cancel()
	poll := time.NewTicker(inject.PollEvery)
	defer poll.Stop()
	for {
		select {
		case <-ended:
			return api.Host.Problem(api.CodeDaemonExited,
				"the daemon on this machine ended at once; its last words: "+h.lastWords(),
				"see its own message, or leave daemon.path empty to use the built-in daemon")
		case <-ctx.Done():
			h.stop()
			if in.ctx.Err() != nil {
				return in.ctx.Err()
			}
			return api.Host.Problem(api.CodeStartTimeout,
				"the daemon on this machine did not listen on "+loopback.Authority(port)+
					" in time; its last words: "+h.lastWords(),
				"raise daemon.startup_timeout")
		case <-poll.C:
			if f, err := h.client(port, "").Version(ctx); err == nil {
				f.Started = time.Now()
				in.adopt = f
				in.useHost(port, "")
				in.box.update(func(b *box) { b.Daemon.Started = true })
				return nil
			}
		}
	}
}
