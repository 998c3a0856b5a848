package sandbox

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"daemon-proxy/core/api"
	"daemon-proxy/core/sandbox/inject"
	"daemon-proxy/core/sandbox/ports"
	"daemon-proxy/core/sandbox/source"
)

// set is all sandboxes of one engine, and the host, with what they share.
type set struct {
	control
	o      Options
	log    *slog.Logger
	keys   keyring
	prover prover
	helped helped
	host   *host
	// hostBox is the sandbox of this machine, perhaps of another set.
	hostBox *box
	ports   *ports.Ports

	ctx    context.Context // of everything that outlives a call; ended by Close
	cancel context.CancelFunc
	group  sync.WaitGroup // joined under mu while ctx lives, or by a member
	pace   pace
	// monitor monitors a sandbox after a wait. It is a field because it injects,
	// and an injection begins it.
	monitor func(*box, time.Duration)

	mode    atomic.Value // string: what mode "auto" currently means; nothing until decided
	follows atomic.Bool  // see Options.Follows
	eventMu sync.Mutex   // held during a change and its event, so that events are in the order of changes
	mu      sync.Mutex
	boxes   map[api.Ref]*box
	status  api.EngineStatus
	ending  bool // no injection may begin any more
}

// pace is how often a sandbox's daemon is checked.
type pace struct {
	often, seldom        time.Duration // if it is in use or the engine is lost; otherwise
	firstRetry, maxRetry time.Duration // if its daemon is gone; doubled each time
}

var usual = pace{often: 2 * time.Second, seldom: 15 * time.Second, firstRetry: time.Second, maxRetry: time.Minute}

// box is one sandbox; set.mu guards it.
type box struct {
	api.Sandbox
	set       *set
	container source.Container
	state     state   // Daemon.State follows from it
	starts    int     // how many starts of the container were seen
	stops     int     // how often the daemon was stopped on request
	proof     proof   // where its daemon is
	away      string  // the container's id, if its host network is that of another machine
	place     place   // the destination of its requests
	bridge    *bridge // nil: none was needed
	// looked is true once a daemon was looked for inside because the address refused
	// connections.
	looked bool
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

// newBox makes a box of that kind; what is known of its daemon is found.
func (s *set) newBox(ref api.Ref, kind string, found api.DaemonState) *box {
	return &box{set: s, kick: make(chan struct{}, 1), state: state{found: found}, Sandbox: api.Sandbox{
		Ref: ref, Kind: kind, Daemon: api.Daemon{State: found, Since: time.Now()},
	}}
}

// addHost adds what the host lists: this machine.
func (s *set) addHost(host source.Facts) error {
	list, err := host.List(s.ctx)
	for _, c := range list {
		b := s.newBox(api.Ref{Engine: host.Name(), Name: c.Name}, "host", api.DaemonNone)
		b.container, b.Container, b.Address, b.Platform = c, c.State, c.Addresses[0], c.Platform
		b.Default = s.o.Config.Mode == "host"
		s.boxes[b.Ref], s.hostBox = b, b
	}
	return err
}

// ref returns the Ref of the container with that name.
func (s *set) ref(name string) api.Ref { return api.Ref{Engine: s.source.Name(), Name: name} }

// boxFor returns the box of a container, which it makes if needed; mu is held,
// except in New.
func (s *set) boxFor(ref api.Ref) *box {
	b := s.boxes[ref]
	if b == nil {
		b = s.newBox(ref, "container", api.DaemonUnknown)
		if s.Mode() == "docker" && ref.Name == s.defaultName() {
			b.Default, b.state = true, b.state.next(asked)
		}
		s.boxes[ref] = b
	}
	return b
}

// box returns the box of ref, or nil.
func (s *set) box(ref api.Ref) *box {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.boxes[ref]
}

// where returns the boxes that fit.
func (s *set) where(fits func(*box) bool) (list []*box) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, b := range s.boxes {
		if fits(b) {
			list = append(list, b)
		}
	}
	return list
}

// shown returns a copy of what is shown of b.
func (b *box) shown() api.Sandbox {
	b.set.mu.Lock()
	defer b.set.mu.Unlock()
	return b.snapshot()
}

// snapshot returns a copy for callers outside the lock; mu is held.
func (b *box) snapshot() api.Sandbox {
	out := b.Sandbox
	out.Daemon.LatencyHistory = slices.Clone(b.Daemon.LatencyHistory)
	return out
}

// defaultName returns the name of the default sandbox, if it is configured and
// among these.
func (s *set) defaultName() string {
	if s.follows.Load() {
		return ""
	}
	return s.o.Config.ContainerName
}

// Mode returns "docker" or "host"; "auto" until the engine has answered or timed
// out. "host" becomes "docker" when an engine answers later.
func (s *set) Mode() string {
	if s.follows.Load() && s.source != nil && s.o.Config.Mode == "auto" {
		return "docker"
	}
	if mode, ok := s.mode.Load().(string); ok {
		return mode
	}
	return s.o.Config.Mode
}

// emit reports an event.
func (s *set) emit(e api.Event) {
	if s.o.OnEvent != nil {
		e.Time = time.Now()
		s.o.OnEvent(e)
	}
}

// job returns a Job for the container c of ref.
func (s *set) job(ref api.Ref, c source.Container) *inject.Job {
	return &inject.Job{
		Ref: ref, Container: c, Source: s.source, Config: s.o.Config,
		Executable: s.o.Executable, CacheDir: s.o.CacheDir,
		Secret: s.keys.secret(c.ID), Mark: s.keys.mark(c.ID), Log: s.log, Life: s.ctx, Group: &s.group,
		Refused: func(doing, verb string, err error) *api.Problem { return s.why.refused(ref, doing, verb, err) },
	}
}
