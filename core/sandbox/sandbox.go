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
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"daemon-proxy/core/api"
	"daemon-proxy/core/config"
	"daemon-proxy/core/sandbox/inject"
	"daemon-proxy/core/sandbox/ports"
	"daemon-proxy/core/sandbox/source"
)

// Options configure New.
type Options struct {
	// Source has the containers; nil: there is only the host.
	Source source.Source
	// Config is the section "daemon". Mode "auto" is like "docker" once the engine
	// has answered, and like "host" until then: see Settled.
	Config config.Daemon
	// HostDaemon returns the built-in daemon for the host, which this program
	// serves itself, given its secret.
	HostDaemon func(secret string) (http.Handler, error)
	// Executable is this program's own file, the built-in daemon of containers.
	Executable string
	// StateDir holds the key from which secrets are derived; CacheDir holds staged
	// binaries.
	StateDir, CacheDir string
	Logger             *slog.Logger
	// OwnPort is the port on which this program listens; it gets no card.
	OwnPort int
	// OnEvent, unless it is nil, is called with every change, in order. It must not
	// block or call methods that change a sandbox.
	OnEvent func(api.Event)
	// OnGone, unless it is nil, is called in its own goroutine when the destination
	// that an Upstream's Pool identifies is gone.
	OnGone func(pool string)
}

// Sandboxes are all sandboxes of one engine, and the host. Their states are
// updated only while Run runs.
type Sandboxes struct {
	containers
	o      Options
	keys   keyring
	log    *slog.Logger
	host   *host
	engine *engine
	prover prover

	ctx    context.Context // of everything that outlives a call; ended by Close
	cancel context.CancelFunc
	group  sync.WaitGroup // joined under mu while ctx lives, or by a member
	pace   pace

	eventMu sync.Mutex // held during a change and its event, so that events are in the order of changes
	mu      sync.Mutex
	boxes   map[api.Ref]*box
	ending  bool // no injection may begin any more

	ports *ports.Ports
}

// box is the state of one sandbox; Sandboxes.mu guards it.
type box struct {
	api.Sandbox
	set       *Sandboxes
	container source.Container
	starts    int   // how many starts of the container were seen
	stops     int   // how often the daemon was stopped on request
	proof     proof // where its daemon is
	place     place // the destination of its requests
	state     state // Daemon.State follows from it
	// monitored is true while a goroutine checks its daemon.
	monitored bool
	ended     string          // how its daemon ended on request: "was stopped"; empty otherwise
	announced bool            // an event has been sent for it
	misses    int             // consecutive calls that the daemon did not answer in time
	kick      chan struct{}   // makes that goroutine check the daemon now
	used      time.Time       // when a request last went there
	injected  *injection      // in progress, or nil
	process   *inject.Process // the last one started
}

// New makes the set; Run fills it and Close ends it.
func New(o Options) (*Sandboxes, error) {
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
	s := &Sandboxes{o: o, keys: key, log: o.Logger, boxes: map[api.Ref]*box{}, pace: usual}
	s.containers = containers{o.Source, problems{o.Source, o.Config.Port}}
	s.prover = prover{source: o.Source, port: o.Config.Port, keys: key}
	s.engine = &engine{set: s}
	s.engine.decision.settled, s.engine.decision.retry = make(chan struct{}), make(chan struct{}, 1)
	s.ports = ports.New(s.portsOptions())
	s.ctx, s.cancel = context.WithCancel(context.Background())
	s.host = &host{s: s}
	s.boxes[api.Host] = &box{set: s, kick: make(chan struct{}, 1), Sandbox: api.Sandbox{
		Ref: api.Host, Kind: "host", Container: api.ContainerRunning, Address: "127.0.0.1",
		Platform: inject.HostPlatform(), Default: o.Config.Mode == "host",
		Daemon: api.Daemon{State: api.DaemonNone, Since: time.Now()},
	}, state: state{found: api.DaemonNone}}
	if o.Source != nil {
		s.engine.status = api.EngineStatus{Name: o.Source.Name(), Endpoint: o.Source.Endpoint(), State: "connecting", Since: time.Now()}
		if name := o.Config.ContainerName; name != "" && o.Config.Mode == "docker" {
			s.boxFor(s.ref(name)).Container = api.ContainerMissing
		}
	}
	return s, nil
}

// ref returns the Ref of the container with that name.
func (s *Sandboxes) ref(name string) api.Ref {
	return api.Ref{Engine: s.o.Source.Name(), Name: name}
}

// boxFor returns the box of ref, which it makes if needed; mu is held, except in New.
func (s *Sandboxes) boxFor(ref api.Ref) *box {
	b := s.boxes[ref]
	if b == nil {
		b = &box{set: s, kick: make(chan struct{}, 1), Sandbox: api.Sandbox{
			Ref: ref, Kind: "container", Daemon: api.Daemon{State: api.DaemonUnknown, Since: time.Now()},
			Default: s.Mode() == "docker" && ref.Name == s.o.Config.ContainerName,
		}, state: state{found: api.DaemonUnknown}}
		if b.Default {
			b.state = b.state.next(asked)
		}
		s.boxes[ref] = b
	}
	return b
}

// box returns the box of ref, or nil.
func (s *Sandboxes) box(ref api.Ref) *box {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.boxes[ref]
}

// snapshot returns a copy for callers outside the lock; mu is held.
func (b *box) snapshot() api.Sandbox {
	out := b.Sandbox
	out.Daemon.LatencyHistory = slices.Clone(b.Daemon.LatencyHistory)
	return out
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
		if a.IsHost() != b.IsHost() {
			return map[bool]int{true: -1, false: 1}[a.IsHost()]
		}
		return strings.Compare(a.Name, b.Name)
	})
	return list
}

// Get returns one sandbox; false if it is unknown.
func (s *Sandboxes) Get(ref api.Ref) (api.Sandbox, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	b := s.boxes[ref]
	if b == nil {
		return api.Sandbox{}, false
	}
	return b.snapshot(), true
}

// Engine returns the state of the engine; zero if there is none.
func (s *Sandboxes) Engine() api.EngineStatus {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.engine.status
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
	if s.o.Source != nil {
		plain := name
		if name == api.ContainerPrefix+api.HostName {
			plain = api.HostName
		}
		if ref := s.ref(plain); s.boxes[ref] != nil {
			return ref, nil
		}
		if s.engine.status.Error != nil { // the list may be incomplete
			return api.Ref{}, s.engine.status.Error
		}
	}
	p := api.NewProblem(api.CodeUnknownSandbox, fmt.Sprintf("there is no container %q", name),
		"GET /api/sandboxes lists them").In(name, 0)
	p.Names = s.names(false)
	return api.Ref{}, p
}

func (s *Sandboxes) defaultRef() (api.Ref, error) {
	if s.Mode() == "host" || s.o.Source == nil {
		return api.Host, nil
	}
	if name := s.o.Config.ContainerName; name != "" {
		return s.ref(name), nil
	}
	running := s.names(true)
	if len(running) == 0 && s.engine.status.Error != nil { // the list may be incomplete
		return api.Ref{}, s.engine.status.Error
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
		if !ref.IsHost() && !b.container.Infra && (!running || b.Container == api.ContainerRunning) {
			names = append(names, ref.String())
		}
	}
	slices.Sort(names)
	return names
}

// emit reports an event.
func (s *Sandboxes) emit(e api.Event) {
	if s.o.OnEvent != nil {
		e.Time = time.Now()
		s.o.OnEvent(e)
	}
}

// update changes a box and reports an event if a visible part of it changed. No
// event is sent for a box that is no longer listed.
func (b *box) update(change func(*box)) {
	b.set.eventMu.Lock()
	defer b.set.eventMu.Unlock()
	b.set.mu.Lock()
	before := b.Sandbox
	change(b)
	b.Daemon.State = b.state.daemon()
	b.updatePlace()
	if before.Daemon.State != b.Daemon.State {
		b.Daemon.Since, b.Daemon.RetryAt = time.Now(), nil
	}
	changed := b.set.boxes[b.Ref] == b && !b.container.Infra && (!b.announced || !sameShown(before, b.Sandbox) || !sameLatency(before.Daemon.LatencyMS, b.Daemon.LatencyMS, b.set.ports.Watched(b.Ref)))
	b.announced = b.announced || changed
	after := b.snapshot()
	b.set.mu.Unlock()
	if changed {
		b.set.emit(api.Event{Kind: api.EventSandbox, Sandbox: &after})
	}
}

// become changes the state and the last error; it is called within update.
func (b *box) become(e event, lastError *api.Problem) {
	b.state, b.Daemon.LastError = b.state.next(e), lastError
}

// sameLatency reports whether two latencies look the same: in whole milliseconds,
// or closely, below 10 ms, in tenths.
func sameLatency(a, b float64, closely bool) bool {
	if closely && min(a, b) < 10 {
		a, b = 10*a, 10*b
	}
	return math.Round(a) == math.Round(b)
}

// sameShown reports whether two states look the same, except for the latency.
func sameShown(a, b api.Sandbox) bool {
	return a.Container == b.Container && sameExit(a.ExitCode, b.ExitCode) && a.ID == b.ID && a.Image == b.Image && a.Address == b.Address && a.SharesNetworkOf == b.SharesNetworkOf &&
		a.Daemon.State == b.Daemon.State && a.Daemon.Version == b.Daemon.Version && a.Daemon.Kind == b.Daemon.Kind &&
		sameProblem(a.Daemon.LastError, b.Daemon.LastError) && sameTime(a.Daemon.RetryAt, b.Daemon.RetryAt)
}

func sameExit(a, b *int) bool { return a == b || a != nil && b != nil && *a == *b }

func sameTime(a, b *time.Time) bool { return a == b || a != nil && b != nil && a.Equal(*b) }

func sameProblem(a, b *api.Problem) bool {
	return a == b || a != nil && b != nil && a.Code == b.Code && a.Detail == b.Detail
}

// Close ends everything that Run and injections left running. With
// daemon.stop_on_exit the daemons that this program started are stopped first.
func (s *Sandboxes) Close(ctx context.Context) error {
	var errs []error
	if s.o.Config.StopOnExit {
		for _, box := range s.List() {
			if box.Daemon.Started && !box.IsHost() {
				errs = append(errs, s.StopDaemon(ctx, box.Ref))
			}
		}
	}
	s.mu.Lock() // so that no goroutine joins the group from now on
	s.cancel()
	for _, b := range s.boxes {
		b.leave(problem(b.Ref, api.CodeSandboxMissing, "the program no longer follows "+b.String(),
			"send the request again"))
	}
	s.mu.Unlock()
	s.host.close()
	s.group.Wait()
	return errors.Join(errs...)
}

// Upstream is how the daemon of a sandbox is reached.
type Upstream struct {
	// Dial connects to the daemon within a second, or fails.
	Dial func(ctx context.Context) (net.Conn, error)
	// Pool identifies the destination of Dial: connections of different pools must
	// not be mixed.
	Pool string
	// Authority is the Host header for the daemon.
	Authority string
	// Header adds the headers that the daemon requires: the built-in one's secret.
	Header func(http.Header)
	// Loopback is true if the sandbox's localhost is this machine's.
	Loopback bool
	// Until ends when the daemon is known to be gone; its cause is an
	// *api.Problem. nil: only the connections themselves show it.
	Until context.Context
}
