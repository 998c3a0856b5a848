package tui

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"daemon-proxy/core/api"
	"daemon-proxy/core/backendtest"
)

// fake is a core in memory: what it answers can be set, what it was asked is kept.
type fake struct {
	mu        sync.Mutex
	status    api.Status
	engine    api.EngineStatus
	others    []api.EngineStatus // that are open, too
	engines   []api.EngineChoice
	sandboxes []api.Sandbox
	ports     map[api.Ref][]api.PortCard
	links     []api.Link
	exchanges []api.Exchange // newest first
	har       []byte         // what HAR gives; nil: an empty document
	details   map[uint64]api.ExchangeDetail
	rates     api.Rates
	logs      string
	logsOf    map[string]string // by source, where they differ
	logsEnd   bool              // after what logs holds
	log       *io.PipeWriter    // into the log that was opened last
	asked     []string
	attached  int              // screens so far
	cut       chan error       // ends the event stream with that error
	hold      chan struct{}    // what Attach waits for; nil: nothing
	fail      map[string]error // by the name of the method
	requests  []api.LinkRequest
	sharing   context.Context // of the last Share
	shared    string          // the URL that Share gives

	// working is what Diagnose before its end, and Demo, SwitchEngine, StartContainer, StopContainer and Replay wait for; nil: nothing.
	working func(ctx context.Context)
	// looking is what Ports waits for; nil: nothing.
	looking func(ctx context.Context)

	panics bool // RetryEngine does

	findings []api.Finding // of Diagnose; nil: all is well

	// injecting is what Inject does; nil: it is done at once.
	injecting func(ctx context.Context, ref api.Ref) error
	cancel    context.CancelFunc // what CancelInjection calls; nil: nothing
	// undoing is what UndoInjections waits for; nil: nothing.
	undoing func(ctx context.Context)
	pending []api.Event
	ready   chan struct{}
}

// clock is when all screens in tests are drawn.
var clock = time.Date(2026, 5, 4, 14, 2, 30, 0, time.UTC)

func ago0(d time.Duration) *time.Time { t := clock.Add(-d); return &t }

// newFake is a desk with some containers, links and requests.
func newFake() *fake {
	web, box := api.Ref{Engine: "default", Name: "web"}, api.Ref{Engine: "default", Name: "my-sandbox"}
	history := []float64{1, 1.2, 1.1, 2, 1.3, 1, 1.1, 1.5, 1.1}
	f := &fake{
		ready: make(chan struct{}, 1), cut: make(chan error), fail: map[string]error{},
		shared: "http://192.168.1.7:8081/preview/k3v9aaaabbbbccccddddeeeeffffgggg/",
		status: api.Status{Version: "v0.1.0", URL: "http://localhost:8080", Mode: "docker", HostLinks: true},
		engine: api.EngineStatus{Name: "default", Endpoint: "unix:///var/run/docker.sock", State: "connected",
			Primary: true, Version: "28.5", Since: clock.Add(-time.Hour)},
		engines: []api.EngineChoice{{Name: "default", Endpoint: "unix:///var/run/docker.sock", Open: true, Current: true},
			{Name: "lab", Endpoint: "ssh://lab"}},
		sandboxes: []api.Sandbox{
			{Ref: api.Host, Kind: "host", Container: "running",
				Daemon: api.Daemon{State: api.DaemonHealthy, Kind: "built-in", LatencyMS: 0.2,
					Since: clock.Add(-time.Minute), StartedAt: clock.Add(-time.Minute)}},
			{Ref: box, Kind: "container", Container: "running", Image: "kit/vnc:1", Platform: "linux/amd64",
				Address: "172.17.0.2", Default: true,
				Daemon: api.Daemon{State: api.DaemonHealthy, Kind: "daytona", Version: "0.190.0", LatencyMS: 1.1,
					LatencyHistory: history, Since: clock.Add(-time.Minute), StartedAt: clock.Add(-192 * time.Second),
					Started: true}},
			{Ref: web, Kind: "container", Container: "running", Image: "node:22", Platform: "linux/amd64",
				Address: "172.17.0.3", Daemon: api.Daemon{State: api.DaemonNone}},
			{Ref: api.Ref{Engine: "default", Name: "shop-db"}, Kind: "container", Container: "running",
				Project: "shop", Image: "postgres", Daemon: api.Daemon{State: api.DaemonNone}},
			{Ref: api.Ref{Engine: "default", Name: "shop-api"}, Kind: "container", Container: "running",
				Project: "shop", Image: "shop",
				Daemon: api.Daemon{State: api.DaemonDown, Since: clock.Add(-time.Minute),
					LastError: &api.Problem{Detail: "the daemon does not answer on 172.17.0.5:2280",
						Hint: "i injects it again"}}},
			{Ref: api.Ref{Engine: "default", Name: "old"}, Kind: "container", Container: "exited", ExitCode: new(137),
				Image: "alpine"},
		},
		ports: map[api.Ref][]api.PortCard{
			box: {
				{Port: api.Port{Port: 2280, Daemon: true}, Service: "daemon"},
				{Port: api.Port{Port: 3000, Address: "0.0.0.0"}, Service: "http", Name: "Vite + React",
					Remarks: []string{"websocket"}},
				{Port: api.Port{Port: 6080, Address: "0.0.0.0"}, Service: "vnc", Name: "noVNC"},
				{Port: api.Port{Port: 9090, Address: "::1"}, Service: "other",
					Warning: "bound to ::1 only, may not answer"},
			},
			api.Host: {{Port: api.Port{Port: 5173, Address: "127.0.0.1"}, Service: "http", Name: "Vite + React"},
				{Port: api.Port{Port: 8888, Address: "127.0.0.1"}, Service: "http", Name: "Jupyter Server"}},
		},
		links: []api.Link{
			{Token: "k3v9aaaabbbb", ID: "k3v", URL: "http://localhost:8080/preview/k3v9aaaabbbb",
				HostURL: "http://k3v9aaaabbbb.localhost:8080", Port: 6080, Sandbox: box, SandboxName: "my-sandbox",
				Label: "desktop", State: "active", Requests: 42, LastUsedAt: ago0(2 * time.Second),
				CreatedAt: clock.Add(-time.Hour)},
			{Token: "9qfdccccdddd", ID: "9qf", URL: "http://localhost:8080/preview/9qfdccccdddd",
				HostURL: "http://9qfdccccdddd.localhost:8080", Port: 3000, Sandbox: box, SandboxName: "my-sandbox",
				State: "active", Requests: 7, LastUsedAt: ago0(time.Minute),
				ExpiresAt: func() *time.Time { t := clock.Add(59*time.Minute + 20*time.Second); return &t }(),
				CreatedAt: clock.Add(-2 * time.Hour)},
		},
		logs:  "listening on 3000\n\x1b[32mready\x1b[0m in 120 ms\n\x1b]0;owned\x07bell\n",
		rates: api.Rates{PerSecond: 12.2, P50: 1200 * time.Microsecond, P99: 8 * time.Millisecond},
	}
	for i := range f.rates.Spark {
		f.rates.Spark[i] = i % 9
	}
	for i := range 12 {
		f.exchanges = append(f.exchanges,
			api.Exchange{ID: uint64(100 - i), Start: clock.Add(-time.Duration(i) * 3 * time.Second),
				Method: []string{"GET", "POST"}[i%2], Path: fmt.Sprintf("/app/%d.js", i),
				Status: []int{200, 304, 404, 502}[i%4], Sandbox: "my-sandbox", Ref: box, Port: 3000, LinkID: "9qf",
				Kind:     "preview",
				Protocol: "http", Duration: 3100 * time.Microsecond, BytesOut: 12_400})
	}
	return f
}

// ask notes a call and gives the error that is set for it.
func (f *fake) ask(method string, args ...any) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.asked = append(f.asked, strings.TrimSpace(method+" "+fmt.Sprintln(args...)))
	return spoken(f.fail[method])
}

// spoken is an error as a core has it that is asked over HTTP: one with a code.
func spoken(err error) error {
	if p, ok := errors.AsType[*api.Problem](err); ok && p.Code != "" || !*overHTTP || err == nil {
		return err
	} else if ok {
		return api.NewProblem(api.CodeBadRequest, p.Detail, p.Hint)
	} else if errors.Is(err, context.Canceled) {
		return api.NewProblem(api.CodeCancelled, "cancelled", "")
	}
	return api.NewProblem(api.CodeBadRequest, err.Error(), "")
}

// calls are what was asked of the method, with its arguments.
func (f *fake) wait(ctx context.Context) {
	if f.working != nil {
		f.working(ctx)
	}
}

// askOf is ask for what is done to a sandbox, which must be one.
func (f *fake) askOf(method string, ref api.Ref) error {
	err := f.ask(method, ref)
	if err == nil {
		_, err = f.Sandbox(context.Background(), ref)
	}
	return err
}

func (f *fake) calls(method string) []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	var out []string
	for _, s := range f.asked {
		if s == method || strings.HasPrefix(s, method+" ") {
			out = append(out, s)
		}
	}
	return out
}

// push sends events.
func (f *fake) push(events ...api.Event) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.pending = append(f.pending, events...)
	select {
	case f.ready <- struct{}{}:
	default:
	}
}

func (f *fake) Status(context.Context) (api.Status, error) {
	err := f.ask("Status")
	f.mu.Lock()
	defer f.mu.Unlock()
	status := f.status
	status.Screens = slices.Clone(status.Screens) // Watch changes them in place
	return status, err
}

func (f *fake) Events(context.Context) (api.Events, error) { return f, f.ask("Events") }

// fakeScreen is a screen of the fake; all take from one stream.
type fakeScreen struct {
	*fake
	id   string
	life context.Context // of the screen
}

// Next waits for events until the screen ends.
func (s fakeScreen) Next(ctx context.Context) ([]api.Event, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(s.life, cancel)()
	return s.fake.Next(ctx)
}

func (f *fake) Attach(ctx context.Context, name string) (api.Screen, error) {
	err := f.ask("Attach", name)
	f.mu.Lock()
	hold := f.hold
	f.mu.Unlock()
	if hold != nil {
		<-hold
	}
	if name == "" {
		err = api.NewProblem(api.CodeBadRequest, "the screen has no name", "give it one")
	}
	if err != nil {
		return nil, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.attached++
	s := fakeScreen{f, fmt.Sprint(f.attached), ctx}
	f.status.Screens = append(f.status.Screens, api.ScreenStatus{ID: s.id, Name: name, Since: clock})
	context.AfterFunc(ctx, func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.status.Screens = slices.DeleteFunc(f.status.Screens, func(o api.ScreenStatus) bool { return o.ID == s.id })
	})
	return s, nil
}

func (f *fake) Screens(context.Context) ([]api.ScreenStatus, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.status.Screens), nil
}

func (s fakeScreen) ID() string { return s.id }

func (s fakeScreen) Watch(ctx context.Context, ref api.Ref) error {
	if err := s.ask("Watch", ref); err != nil {
		return err
	}
	if ref.Name != "" {
		box, err := s.Sandbox(ctx, ref)
		if err != nil {
			return err
		}
		ref = box.Ref
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range s.status.Screens {
		if s.status.Screens[i].ID == s.id {
			s.status.Screens[i].Watching = ref
		}
	}
	return nil
}

func (f *fake) Next(ctx context.Context) ([]api.Event, error) {
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	case err := <-f.cut:
		return nil, err
	case <-f.ready:
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	batch := f.pending
	f.pending = nil
	return batch, nil
}

func (f *fake) Engine(context.Context) (api.EngineStatus, error) { return f.engine, f.ask("Engine") }

func (f *fake) Engines(context.Context) ([]api.EngineChoice, error) {
	return f.engines, f.ask("Engines")
}

func (f *fake) EngineStates(context.Context) ([]api.EngineStatus, error) {
	return append([]api.EngineStatus{f.engine}, f.others...), f.ask("EngineStates")
}

func (f *fake) OpenEngine(_ context.Context, name string) error {
	if err := f.ask("OpenEngine", name); err != nil {
		return err
	}
	if !slices.ContainsFunc(f.engines, func(e api.EngineChoice) bool { return e.Name == name }) {
		return api.NewProblem(api.CodeEngineUnreachable, "there is no engine "+name, "choose another")
	}
	return nil
}

func (f *fake) CloseEngine(_ context.Context, name string) error {
	if err := f.ask("CloseEngine", name); err != nil {
		return err
	}
	if name == f.engine.Name && len(f.others) == 0 {
		return api.NewProblem(api.CodeBadRequest, "it is the only engine that is open", "open another").WithStatus(409)
	}
	return nil
}

func (f *fake) SwitchEngine(ctx context.Context, name string) error {
	f.wait(ctx)
	if err := f.ask("SwitchEngine", name); err != nil {
		return err
	}
	if !slices.ContainsFunc(f.engines, func(e api.EngineChoice) bool { return e.Name == name }) {
		return api.NewProblem(api.CodeEngineUnreachable, "there is no engine "+name, "choose another")
	}
	return nil
}

func (f *fake) RetryEngine(context.Context) error {
	if f.panics {
		panic("the core is broken")
	}
	return f.ask("RetryEngine")
}

func (f *fake) Demo(ctx context.Context) (api.Link, error) {
	f.wait(ctx)
	return f.links[0], f.ask("Demo")
}

func (f *fake) Logs(ctx context.Context, ref api.Ref, source string, tail int, follow bool) (io.ReadCloser, error) {
	r, w := io.Pipe()
	context.AfterFunc(ctx, func() { w.Close() })
	f.mu.Lock()
	f.log = w
	f.mu.Unlock()
	go func() {
		log, own := f.logsOf[source]
		if !own {
			log = f.logs
		}
		_, _ = io.WriteString(w, log)
		if f.logsEnd || !follow {
			w.Close()
		}
	}()
	return r, f.ask("Logs", ref, source, tail, follow)
}

// writeLog writes to the log that was opened last.
func (f *fake) writeLog(s string) {
	f.mu.Lock()
	w := f.log
	f.mu.Unlock()
	_, _ = io.WriteString(w, s)
}

func (f *fake) Sandboxes(context.Context) ([]api.Sandbox, error) {
	err := f.ask("Sandboxes")
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.sandboxes), err
}

func (f *fake) Sandbox(_ context.Context, ref api.Ref) (api.Sandbox, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, s := range f.sandboxes {
		if ref.Means(s.Ref) || ref == (api.Ref{}) && s.Default {
			return s, nil
		}
	}
	return api.Sandbox{}, api.NewProblem(api.CodeUnknownSandbox, "there is no container "+ref.String(),
		"choose another")
}

func (f *fake) DaemonStatus(ctx context.Context, ref api.Ref) (api.DaemonStatus, error) {
	s, err := f.Sandbox(ctx, ref)
	return s.Status(f.status.Mode), err
}

func (f *fake) Inject(ctx context.Context, ref api.Ref, progress func(api.Injection)) (err error) {
	if progress != nil {
		defer func() { progress(api.Injection{Sandbox: ref, Finished: err == nil, Error: api.AsProblem(err)}) }()
	}
	if err := f.ask("Inject", ref); err != nil {
		return err
	}
	if f.injecting != nil {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		f.mu.Lock()
		f.cancel = cancel
		f.mu.Unlock()
		return spoken(f.injecting(ctx, ref))
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for i := range f.sandboxes {
		if f.sandboxes[i].Ref == ref {
			f.sandboxes[i].Daemon = api.Daemon{State: api.DaemonHealthy, Kind: "built-in", Started: true}
		}
	}
	return nil
}

func (f *fake) Diagnose(ctx context.Context, ref api.Ref, report func(api.Finding)) error {
	if err := f.askOf("Diagnose", ref); err != nil {
		return err
	}
	findings := f.findings
	if findings == nil {
		findings = []api.Finding{{Hop: "core", State: api.FoundOK, Detail: "daemon-proxy v0.1.0, protocol 1.0", DurationMS: 0.02},
			{State: api.FoundOK, Detail: "all is well", Finished: true}}
	}
	for i, found := range findings {
		if f.working != nil && i == len(findings)-1 {
			f.working(ctx)
		}
		if err := spoken(ctx.Err()); err != nil {
			return err
		}
		if report != nil {
			report(found)
		}
	}
	return nil
}

func (f *fake) LeaveInjection(_ context.Context, ref api.Ref) error {
	if err := f.askOf("LeaveInjection", ref); err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.cancel == nil {
		return api.NewProblem(api.CodeBadRequest, "no injection into "+ref.String()+" is in progress", "inject a daemon")
	}
	return nil
}

func (f *fake) CancelInjection(_ context.Context, ref api.Ref) error {
	f.mu.Lock()
	if f.cancel != nil {
		f.cancel()
	}
	f.mu.Unlock()
	return f.askOf("CancelInjection", ref)
}

func (f *fake) UndoInjections(ctx context.Context) error {
	if f.undoing != nil {
		f.undoing(ctx)
	}
	return f.ask("UndoInjections")
}

func (f *fake) StopDaemon(_ context.Context, ref api.Ref) error { return f.askOf("StopDaemon", ref) }
func (f *fake) Eject(_ context.Context, ref api.Ref) error      { return f.askOf("Eject", ref) }
func (f *fake) StartContainer(ctx context.Context, ref api.Ref) error {
	f.wait(ctx)
	return f.askOf("StartContainer", ref)
}
func (f *fake) StopContainer(ctx context.Context, ref api.Ref) error {
	f.wait(ctx)
	return f.askOf("StopContainer", ref)
}

func (f *fake) Ports(ctx context.Context, ref api.Ref) ([]api.PortCard, error) {
	err := f.ask("Ports", ref)
	if f.looking != nil {
		f.looking(ctx)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]api.PortCard{}, f.ports[ref]...), err
}

func (f *fake) Listeners(_ context.Context, ref api.Ref) (ports []api.Port, _ error) {
	for _, card := range f.ports[ref] {
		ports = append(ports, card.Port)
	}
	return ports, nil
}

func (f *fake) StartDesktop(_ context.Context, ref api.Ref) error {
	return f.askOf("StartDesktop", ref)
}

func (f *fake) Shell(_ context.Context, ref api.Ref, columns, rows int) (api.Terminal, error) {
	if err := f.ask("Shell", ref, columns, rows); err != nil {
		return nil, err
	}
	if _, err := f.Sandbox(context.Background(), ref); err != nil {
		return nil, err
	}
	r, w := io.Pipe()
	s := &fakeShell{PipeReader: r, said: w}
	return s, s.Resize(context.Background(), columns, rows)
}

// fakeShell says what it is told, until that is exit, or exit with a code.
type fakeShell struct {
	*io.PipeReader
	said  *io.PipeWriter
	typed string
	code  int
}

func (s *fakeShell) say(format string, args ...any) { go fmt.Fprintf(s.said, format+"\r\n", args...) }

func (s *fakeShell) Write(b []byte) (int, error) {
	s.typed += string(b)
	for {
		line, rest, entered := strings.Cut(s.typed, "\r")
		switch {
		case !entered:
			return len(b), nil
		case line == "exit" || strings.HasPrefix(line, "exit "):
			_, _ = fmt.Sscanf(line, "exit %d", &s.code)
			s.said.Close()
		default:
			s.say("told %q", line)
		}
		s.typed = rest
	}
}

func (s *fakeShell) Wait(context.Context) (int, error) { return s.code, nil }

func (s *fakeShell) Resize(_ context.Context, columns, rows int) error {
	s.say("size %dx%d", columns, rows)
	return nil
}

func (f *fake) Links(context.Context) ([]api.Link, error) {
	err := f.ask("Links")
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.links), err
}

func (f *fake) LinkStats(ctx context.Context) (api.LinkStats, error) {
	links, err := f.Links(ctx)
	stats := api.LinkStats{Total: len(links), Links: links}
	for _, l := range links {
		if l.State == "active" {
			stats.Active++
		}
	}
	return stats, err
}

func (f *fake) CreateLink(ctx context.Context, r api.LinkRequest) (api.Link, error) {
	if err := f.ask("CreateLink", r.Port, r.Sandbox, r.Label); err != nil {
		return api.Link{}, err
	}
	box, err := f.Sandbox(ctx, api.ParseRef(r.Sandbox))
	if err != nil {
		return api.Link{}, err
	}
	l := api.Link{Token: "newtoken", ID: "new", URL: "http://localhost:8080/preview/newtoken",
		HostURL: "http://newtoken.localhost:8080",
		Port:    r.Port, Sandbox: box.Ref, SandboxName: box.String(), Label: r.Label, State: "active", CreatedAt: clock, Fence: true,
		StripPrefix: true}
	if r.TTLSeconds != nil && *r.TTLSeconds > 0 {
		at := clock.Add(time.Duration(*r.TTLSeconds) * time.Second)
		l.ExpiresAt = &at
	}
	f.mu.Lock()
	f.requests = append(f.requests, r)
	defer f.mu.Unlock()
	if n := len(f.requests); n > 1 {
		l.ID, l.Token = fmt.Sprint(l.ID, n), fmt.Sprint(l.Token, n)
		l.URL = "http://localhost:8080/preview/" + l.Token
	}
	f.links = append(f.links, l)
	return l, nil
}

func (f *fake) RevokeLink(_ context.Context, id string) error {
	if err := f.ask("RevokeLink", id); err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for i := range f.links {
		if f.links[i].ID == id {
			f.links[i].State = "revoked"
			return nil
		}
	}
	return api.NewProblem(api.CodeUnknownLink, "there is no such preview link", "choose another")
}

func (f *fake) Share(ctx context.Context, id string) (api.Share, error) {
	err := f.ask("Share", id)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.sharing = ctx
	if err != nil {
		return api.Share{}, err
	}
	i := slices.IndexFunc(f.links, func(l api.Link) bool { return l.ID == id || l.Token == id })
	if i < 0 {
		return api.Share{}, api.NewProblem(api.CodeUnknownLink, "there is no such preview link", "choose another")
	}
	if f.links[i].ExpiresAt == nil {
		return api.Share{}, api.NewProblem(api.CodeNeedsExpiry, "it is valid until it is revoked", "make another")
	}
	return api.Share{URL: f.shared, Expires: clock.Add(time.Hour)}, nil
}

func (f *fake) Exchanges(_ context.Context, filter string, n int) ([]api.Exchange, error) {
	if err := f.ask("Exchanges", filter, n); err != nil {
		return nil, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	taken := []api.Exchange{}
	for _, x := range f.exchanges {
		ok, err := fakeMatch(filter, x)
		if err != nil {
			return nil, err
		}
		if ok && (n == 0 || len(taken) < n) {
			if x.Ref == (api.Ref{}) && x.Sandbox != "" {
				x.Ref = api.Ref{Engine: "default", Name: x.Sandbox}
			}
			taken = append(taken, x)
		}
	}
	return taken, nil
}

// fakeMatch knows as much of the language of filters as the tests speak.
func fakeMatch(filter string, x api.Exchange) (bool, error) {
	for _, word := range strings.Fields(filter) {
		key, value, found := strings.Cut(word, ":")
		has := map[string]bool{
			"sandbox": x.Sandbox == api.ParseRef(value).Name, "method": strings.EqualFold(x.Method, value),
			"status": strings.HasPrefix(fmt.Sprint(x.Status), strings.TrimSuffix(value, "xx")),
			"path":   strings.Contains(x.Path, value), "live": fmt.Sprint(x.Live) == value,
		}
		ok, known := has[key]
		switch {
		case !found:
			ok = strings.Contains(x.Path, word)
		case !known || value == "":
			return false, api.NewProblem(api.CodeBadRequest, fmt.Sprintf("%q: there is no %q", word, key),
				"for example: status:5xx")
		}
		if !ok {
			return false, nil
		}
	}
	return true, nil
}

// add puts an exchange into the log and says so.
func (f *fake) add(exchanges ...api.Exchange) {
	for _, x := range exchanges {
		f.mu.Lock()
		if i := slices.IndexFunc(f.exchanges, func(o api.Exchange) bool { return o.ID == x.ID }); i >= 0 {
			f.exchanges[i] = x
		} else {
			f.exchanges = slices.Insert(f.exchanges, 0, x)
		}
		f.mu.Unlock()
		f.push(api.Event{Kind: api.EventExchange, Exchange: &x})
	}
}

func (f *fake) Exchange(_ context.Context, id uint64) (api.ExchangeDetail, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if d, ok := f.details[id]; ok {
		d.FrameCount = d.Exchange.Frames
		d.RequestCaptured, d.ResponseCaptured = int64(len(d.RequestBody)), int64(len(d.ResponseBody))
		return d, nil
	}
	x, err := f.find(id)
	if err != nil {
		return api.ExchangeDetail{}, err
	}
	return api.ExchangeDetail{Exchange: x, RequestHeader: http.Header{"Accept": {"*/*"}}}, nil
}

// find is an exchange of the log; f.mu is held.
func (f *fake) find(id uint64) (api.Exchange, error) {
	if d, ok := f.details[id]; ok {
		return d.Exchange, nil
	}
	for _, x := range f.exchanges {
		if x.ID == id {
			return x, nil
		}
	}
	return api.Exchange{}, api.NewProblem(api.CodeUnknownExchange,
		fmt.Sprintf("the request log does not hold request %d (any more)", id), "see the latest ones")
}

func (f *fake) Bodies(_ context.Context, id uint64) (request, response []byte, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if _, err := f.find(id); err != nil {
		return nil, nil, err
	}
	raw := func(body []byte) []byte { return []byte(strings.ReplaceAll(string(body), "••••", "hunter2")) }
	return raw(f.details[id].RequestBody), raw(f.details[id].ResponseBody), nil
}

func (f *fake) Rates(context.Context) (api.Rates, error) {
	err := f.ask("Rates")
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.rates, err
}

func (f *fake) Curl(_ context.Context, id uint64) (string, error) {
	if err := f.ask("Curl", id); err != nil {
		return "", err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	_, err := f.find(id)
	return "curl http://localhost:8080/", err
}

func (f *fake) Replay(ctx context.Context, id uint64) (api.Exchange, error) {
	f.wait(ctx)
	if err := f.ask("Replay", id); err != nil {
		return api.Exchange{}, err
	}
	f.mu.Lock()
	original, err := f.find(id)
	f.mu.Unlock()
	if err != nil {
		return api.Exchange{}, err
	}
	x := api.Exchange{ID: 999, Start: clock, Method: original.Method, Path: "/again", Status: 201, Sandbox: "my-sandbox",
		Port: 3000, Kind: "preview", Protocol: "http", Duration: time.Millisecond}
	f.add(x)
	return x, nil
}

func (f *fake) HAR(ctx context.Context, filter string) ([]byte, error) {
	if err := f.ask("HAR", filter); err != nil || f.har != nil {
		return f.har, err
	}
	entries, err := f.Exchanges(ctx, filter, 0)
	if err != nil {
		return nil, err
	}
	return json.Marshal(map[string]any{"log": map[string]any{"entries": entries}})
}

// What the fake answers of the service is what a core answers.
func TestTheFakeIsAService(t *testing.T) {
	t.Parallel()
	backendtest.Run(t, newFake(), "events", "screen news", "logs")
	t.Run("shell", func(t *testing.T) { backendtest.Shell(t, newFake(), api.ParseRef("my-sandbox")) })
}
