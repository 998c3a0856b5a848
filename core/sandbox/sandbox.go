// Package sandbox manages the sandboxes: the containers of an engine and the
// machine itself. It injects a daemon into a sandbox, monitors it, restarts it
// and stops it. All connections to a daemon are made here.
//
// It promises that nothing is copied before it is known to fit, that a daemon
// which already answers is adopted and never started twice, that a failure is
// an *api.Problem of its own with the next step, and that no partial copy is left
// behind. A sandbox is identified by its name: a container that is recreated under
// the same name is the same sandbox.
package sandbox

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"

	"daemon-proxy/core/api"
	"daemon-proxy/core/sandbox/ports"
)

// Sandboxes are all sandboxes of one engine, and the host unless it is among other
// sandboxes. Their states are updated only while Run runs.
type Sandboxes struct {
	*set      // what can be done with containers, and Mode
	*follower // Run, and what is known of the engine
}

// New makes the set, which has the host; Run fills it and Close ends it.
func New(o Options) (*Sandboxes, error) { return newSandboxes(o, nil) }

// Beside is New without a host: the containers with host networking use the daemon
// of the host of s, which is closed later.
func (s *Sandboxes) Beside(o Options) (*Sandboxes, error) { return newSandboxes(o, s.hostBox) }

// newSandboxes makes a set; without the box of a host it gets one of its own.
func newSandboxes(o Options, shared *box) (*Sandboxes, error) {
	key, err := loadKey(o.StateDir)
	if err != nil {
		p := api.NewProblem(api.CodeStateUnusable, fmt.Sprintf("the key of the built-in daemons: %v", err),
			"name a folder that can be written in XDG_STATE_HOME").Because(err)
		if errors.Is(err, errDamagedKey) {
			p.Hint = "remove it: a new one is made, and the built-in daemons that run are replaced when you inject again"
		}
		return nil, p
	}
	o.Config.ContainerName = strings.TrimPrefix(o.Config.ContainerName, api.ContainerPrefix)
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	s := &set{
		control: control{o.Source, problems{o.Source, o.Config.Port}}, o: o, log: o.Logger, keys: key,
		helped: newHelped(o.StateDir, o.Source),
		prover: prover{source: o.Source, port: o.Config.Port, keys: key},
		pace:   usual, monitor: (*box).monitor, boxes: map[api.Ref]*box{},
	}
	s.ports = ports.New(s.portsOptions())
	s.ctx, s.cancel = context.WithCancel(context.Background())
	s.follows.Store(o.Follows)
	if shared != nil {
		s.host, s.hostBox = shared.set.host, shared
		return &Sandboxes{s, newFollower(s)}, nil
	}
	s.host = &host{o: o, life: s.ctx, group: &s.group}
	if err := s.addHost(s.host); err != nil {
		return nil, err
	}
	return &Sandboxes{s, newFollower(s)}, nil
}

// List returns all sandboxes, the host first, then by name. The containers that
// Podman makes to hold the network of a pod are not listed, and have no events:
// the pod's other containers use their daemons.
func (s *Sandboxes) List() []api.Sandbox {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := make([]api.Sandbox, 0, len(s.boxes))
	for _, b := range s.boxes {
		if !b.container.Infra {
			list = append(list, b.snapshot())
		}
	}
	slices.SortFunc(list, func(a, b api.Sandbox) int {
		return cmp.Or(strings.Compare(a.Engine, b.Engine), strings.Compare(a.Name, b.Name)) // the host's is ""
	})
	return list
}

// Has reports whether ref is known.
func (s *Sandboxes) Has(ref api.Ref) bool { return s.box(ref) != nil }

// Get returns one sandbox; false if it is unknown.
func (s *Sandboxes) Get(ref api.Ref) (api.Sandbox, bool) {
	b := s.box(ref)
	if b == nil {
		return api.Sandbox{}, false
	}
	return b.shown(), true
}

// Resolve returns the sandbox that a name means: "host", a container's name,
// "container:host" for a container of that name. Empty means the default: the
// host in host mode, else the configured container, else the only one that
// runs. Problems: unknown_sandbox, sandbox_required with the names, and
// engine_unreachable if the engine has not listed its containers.
func (s *Sandboxes) Resolve(name string) (api.Ref, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if name == "" {
		return s.defaultRef()
	}
	if name == api.HostName {
		return api.Host, nil
	}
	if s.source != nil {
		plain := name
		if name == api.ContainerPrefix+api.HostName {
			plain = api.HostName
		}
		if ref := s.ref(plain); s.boxes[ref] != nil {
			return ref, nil
		}
		if s.status.Error != nil { // the list may be incomplete
			return api.Ref{}, s.status.Error
		}
	}
	p := api.NewProblem(api.CodeUnknownSandbox, fmt.Sprintf("there is no container %q", name),
		"GET /api/sandboxes lists them").In(name, 0)
	p.Names = s.names(false)
	return api.Ref{}, p
}

func (s *Sandboxes) defaultRef() (api.Ref, error) {
	if s.Mode() == "host" || s.source == nil {
		return api.Host, nil
	}
	if name := s.defaultName(); name != "" {
		return s.ref(name), nil
	}
	running := s.names(true)
	if len(running) == 0 && s.status.Error != nil { // the list may be incomplete
		return api.Ref{}, s.status.Error
	}
	if len(running) == 1 {
		return s.ref(strings.TrimPrefix(running[0], api.ContainerPrefix)), nil
	}
	detail := "several containers run"
	if len(running) == 0 {
		detail = "no container runs"
	}
	p := api.NewProblem(api.CodeSandboxRequired, detail+" and daemon.container_name does not choose one",
		"name the sandbox, or set daemon.container_name (--container-name, DAEMON_CONTAINER_NAME)")
	p.Names = running
	return api.Ref{}, p
}

// names returns the names of the containers, or of the running ones; mu is held.
func (s *Sandboxes) names(running bool) []string {
	var names []string
	for ref, b := range s.boxes {
		if b.Kind == "container" && !b.container.Infra && (!running || b.Container == api.ContainerRunning) {
			names = append(names, ref.String())
		}
	}
	slices.Sort(names)
	return names
}

// Close ends everything that Run and injections left running. With
// daemon.stop_on_exit the daemons that this program started are stopped first.
func (s *Sandboxes) Close(ctx context.Context) error {
	var errs []error
	if s.o.Config.StopOnExit {
		for _, shown := range s.List() {
			if b := s.box(shown.Ref); b != nil && shown.Daemon.Started && shown.Kind == "container" {
				errs = append(errs, b.stopDaemon(ctx, nil))
			}
		}
	}
	s.mu.Lock() // so that no goroutine joins the group from now on
	s.cancel()
	for _, b := range s.boxes {
		b.place.leave(b.Problem(api.CodeSandboxMissing, "the program no longer follows "+b.String(),
			"send the request again"))
	}
	s.mu.Unlock()
	if s.hostBox.set == s.set {
		s.host.close()
	}
	s.closeBridges()
	s.group.Wait()
	return errors.Join(errs...)
}
