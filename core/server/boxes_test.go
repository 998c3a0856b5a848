package server

import (
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"daemon-proxy/core/api"
	"daemon-proxy/core/preview"
	"daemon-proxy/core/traffic"
)

// service is what the routes call: made-up sandboxes, real links and requests.
type service struct {
	*boxes
	*preview.Publisher
	traffic.Requests
}

// boxes are made-up sandboxes, whose daemons are where the test says.
type boxes struct {
	events   func(ctx context.Context) api.Events
	logs     func(ctx context.Context, ref api.Ref, source string, tail int, follow bool) (io.ReadCloser, error)
	mu       sync.Mutex
	known    map[string]*box
	fallback string // the default sandbox; empty: sandbox_required
	gone     error  // what is said of a container once it is stopped; nil: it is still there
	dials    atomic.Int64
	shell    func(ctx context.Context, ref api.Ref, size api.TerminalSize) (api.Terminal, error)
	share    func(ctx context.Context, id string) (api.Share, error)
	engine   api.EngineStatus
	others   []api.EngineStatus
	asked    []string // see note
	screens  []api.ScreenStatus
	attached int // screens so far
}

type box struct {
	api.Sandbox
	up     Upstream
	err    error // what Upstream says
	inject func(progress func(api.Injection)) error
	ports  []api.Port

	stopped, ejected, cancelled bool
}

// add makes a sandbox whose daemon is at an address.
func (b *boxes) add(ref api.Ref, daemon string) *box {
	x := &box{
		Sandbox: api.Sandbox{Ref: ref, Kind: "container", Container: api.ContainerRunning, Daemon: api.Daemon{
			State: api.DaemonHealthy, Kind: "built-in", Version: "1.2.3", URL: "http://" + daemon, LatencyMS: 1.5,
		}},
		ports: []api.Port{{Port: 3000, Address: "0.0.0.0"}, {Port: 2280, Daemon: true}},
		up: Upstream{
			Pool: daemon, Authority: daemon,
			Header: func(h http.Header) { h["X-Daemon-Proxy-Secret"] = []string{daemonSecret} },
		},
	}
	x.up.Dial = func(ctx context.Context) (net.Conn, error) {
		b.dials.Add(1)
		var d net.Dialer
		return d.DialContext(ctx, "tcp", daemon)
	}
	b.known[ref.String()] = x
	return x
}

func (b *boxes) Events(ctx context.Context) (api.Events, error) { return b.events(ctx), nil }

// boxScreen is a screen, of which the boxes know what it shows.
type boxScreen struct {
	api.Events
	boxes *boxes
	id    string
}

func (b *boxes) Attach(ctx context.Context, name string) (api.Screen, error) {
	if name == "" {
		return nil, api.NewProblem(api.CodeBadRequest, "no name", "give one")
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.attached++
	s := boxScreen{b.events(ctx), b, strconv.Itoa(b.attached)}
	b.screens = append(b.screens, api.ScreenStatus{ID: s.id, Name: name, Since: time.Now()})
	context.AfterFunc(ctx, func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.screens = slices.DeleteFunc(b.screens, func(o api.ScreenStatus) bool { return o.ID == s.id })
	})
	return s, nil
}

func (b *boxes) Screens(context.Context) ([]api.ScreenStatus, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.screens), nil
}

func (s boxScreen) ID() string { return s.id }

func (s boxScreen) Watch(_ context.Context, ref api.Ref) error {
	ref, err := s.boxes.Resolve(ref)
	if err != nil {
		return err
	}
	s.boxes.mu.Lock()
	defer s.boxes.mu.Unlock()
	for i := range s.boxes.screens {
		if s.boxes.screens[i].ID == s.id {
			s.boxes.screens[i].Watching = ref
		}
	}
	return nil
}

func (b *boxes) Logs(ctx context.Context, ref api.Ref, source string, tail int, follow bool) (io.ReadCloser, error) {
	return b.logs(ctx, ref, source, tail, follow)
}

func (b *boxes) Settle() {}

func (b *boxes) NameOf(ref api.Ref) string { return ref.String() }

func (b *boxes) Resolve(ref api.Ref) (api.Ref, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	name := ref.String()
	if name == "" {
		if name = b.fallback; name == "" {
			return api.Ref{}, &api.Problem{Title: "Which sandbox?", Status: 409, Code: api.CodeSandboxRequired, Detail: "there are two", Hint: "name one", Names: []string{"other", "web"}}
		}
	}
	if x := b.known[name]; x != nil && (ref.Engine == "" || ref.Engine == x.Engine) {
		return x.Ref, nil
	}
	return api.Ref{}, &api.Problem{Title: "Unknown sandbox", Status: 404, Code: api.CodeUnknownSandbox, Detail: "there is no such sandbox", Hint: "see GET /api/sandboxes"}
}

func (b *boxes) Sandboxes(context.Context) ([]api.Sandbox, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return []api.Sandbox{b.known["web"].Sandbox, b.known["other"].Sandbox}, nil
}

func (b *boxes) Sandbox(_ context.Context, ref api.Ref) (api.Sandbox, error) {
	ref, err := b.Resolve(ref)
	b.mu.Lock()
	defer b.mu.Unlock()
	x := b.known[ref.String()]
	switch {
	case x == nil:
		return api.Sandbox{}, err
	case b.gone != nil && x.Container == api.ContainerExited:
		return api.Sandbox{}, b.gone
	}
	return x.Sandbox, nil
}

func (b *boxes) DaemonStatus(ctx context.Context, ref api.Ref) (api.DaemonStatus, error) {
	box, err := b.Sandbox(ctx, ref)
	return box.Status("docker"), err
}

func (b *boxes) Inject(_ context.Context, ref api.Ref, progress func(api.Injection)) error {
	x := b.known[ref.String()]
	if x.inject == nil {
		return nil
	}
	return x.inject(progress)
}

func (b *boxes) CancelInjection(_ context.Context, ref api.Ref) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.known[ref.String()].cancelled = true
	return nil
}

func (b *boxes) StopDaemon(_ context.Context, ref api.Ref) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.known[ref.String()].stopped = true
	return nil
}

func (b *boxes) Eject(_ context.Context, ref api.Ref) error {
	b.note("eject", ref.String())
	b.mu.Lock()
	defer b.mu.Unlock()
	b.known[ref.String()].ejected = true
	return nil
}

func (b *boxes) Ports(_ context.Context, ref api.Ref) (cards []api.PortCard, _ error) {
	for _, p := range b.known[ref.String()].ports {
		cards = append(cards, api.PortCard{Port: p, Sandbox: ref, Service: "http", Name: "Vite"})
	}
	return cards, nil
}

func (b *boxes) Listeners(_ context.Context, ref api.Ref) ([]api.Port, error) {
	return b.known[ref.String()].ports, nil
}

func (b *boxes) Upstream(ref api.Ref) (Upstream, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	x := b.known[ref.String()]
	if x == nil {
		return Upstream{}, &api.Problem{Title: "No such container", Status: 503, Code: api.CodeSandboxMissing, Detail: "the container is gone", Hint: "create it"}
	}
	return x.up, x.err
}

func (b *boxes) Loopback(ref api.Ref) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	x := b.known[ref.String()]
	return x != nil && x.up.Loopback
}

func (b *boxes) Engine(context.Context) (api.EngineStatus, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.engine, nil
}

func (b *boxes) StartContainer(_ context.Context, ref api.Ref) error {
	b.change(ref.String(), func(x *box) { x.Container = api.ContainerRunning })
	return nil
}

func (b *boxes) StopContainer(_ context.Context, ref api.Ref) error {
	b.change(ref.String(), func(x *box) { x.Container = api.ContainerExited })
	return nil
}

// change changes a sandbox while the front runs.
func (b *boxes) change(name string, change func(*box)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	change(b.known[name])
}

// tell writes down what has changed in the request log.
func (f *front) tell() {
	f.telling.Lock()
	defer f.telling.Unlock()
	changed, seen := f.log.Changed(f.told)
	f.told = seen
	for _, x := range changed {
		_ = json.NewEncoder(f.events).Encode(x)
	}
}

func (b *boxes) Diagnose(ctx context.Context, ref api.Ref, report func(api.Finding)) error {
	b.note("Diagnose " + ref.String())
	report(api.Finding{Hop: "core", State: api.FoundOK, Detail: "it runs", DurationMS: 0.1})
	report(api.Finding{Hop: "port", State: api.FoundLoss, Detail: "kept: methods", Lost: []string{"path bytes"}, Hint: "report it"})
	if err := ctx.Err(); err != nil {
		return err
	}
	report(api.Finding{State: api.FoundLoss, Detail: "there are losses", Finished: true})
	return nil
}
