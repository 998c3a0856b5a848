package sandbox

import (
	"context"
	"crypto/rand"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"daemon-proxy/core/api"
	"daemon-proxy/core/sandbox/inject"
	"daemon-proxy/core/sandbox/source"
	"daemon-proxy/core/sandbox/source/sourcetest"
)

// fake is an engine whose containers are what a test says, with one daemon on
// loopback, for what depends on time or on an engine that fails. Whatever is
// not overridden panics: no test here needs it.
type fake struct {
	source.Source
	port int

	asked   atomic.Int64 // GET /version
	silent  atomic.Bool  // no answer, though it listens
	version atomic.Pointer[string]

	// age is for how many seconds the daemon runs that an earlier run started;
	// empty: it was not us. Set it before the desk.
	age string

	// sockets are what the containers see of their network; empty: the truth,
	// which is this machine's. Set it before the desk.
	sockets string

	// serve may answer a request itself; nil: nothing special. Set it before the desk.
	serve func(http.ResponseWriter, *http.Request) bool

	mu     sync.Mutex
	list   []source.Container
	broken error
	stream chan source.Event // buffers more events than a test sends, so that a late follower gets them too
	times  []time.Time
}

func newFake(t *testing.T) *fake {
	t.Helper()
	f := &fake{stream: make(chan source.Event, 100)}
	first := "v1"
	f.version.Store(&first)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if f.serve != nil && f.serve(w, r) {
			return
		}
		f.asked.Add(1)
		f.mu.Lock()
		f.times = append(f.times, time.Now())
		f.mu.Unlock()
		if f.silent.Load() {
			<-r.Context().Done()
			return
		}
		_, _ = io.WriteString(w, `{"version":"`+*f.version.Load()+`"}`)
	}))
	t.Cleanup(server.Close)
	_, port, err := net.SplitHostPort(strings.TrimPrefix(server.URL, "http://"))
	require.NoError(t, err)
	f.port, err = strconv.Atoi(port)
	require.NoError(t, err)
	return f
}

func (f *fake) desk(t *testing.T, change func(*Options)) *desk {
	t.Helper()
	return opened(t, func(o *Options) {
		o.Source, o.Config.Port, o.Config.ContainerName = f, f.port, "box"
		change(o)
	})
}

// container runs at the address of the daemon.
func (f *fake) container(name string) source.Container {
	return source.Container{ID: name + strings.Repeat("0", 64-len(name)), Name: name, State: api.ContainerRunning, Addresses: []string{"127.0.0.1"}, Platform: inject.HostPlatform()}
}

// set changes the containers and tells of it.
func (f *fake) set(list ...source.Container) {
	f.mu.Lock()
	f.list = list
	stream := f.stream
	f.mu.Unlock()
	stream <- source.Event{}
}

// breaks makes every call fail, and the event stream; nil repairs it.
func (f *fake) breaks(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err != nil {
		close(f.stream)
		f.stream = make(chan source.Event, 100)
	}
	f.broken = err
}

func (f *fake) Name() string     { return "fake" }
func (f *fake) Endpoint() string { return "unix:///fake" }

func (f *fake) Hint(verb, container string) string { return "fake " + verb + " " + container }

func (f *fake) failure() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.broken
}

// Run answers what is run: who started the daemon, and, since the containers
// are on loopback, which sockets are there?
func (f *fake) Run(_ context.Context, _ string, spec source.ExecSpec) ([]byte, int, error) {
	if spec.Cmd[0] == "cat" {
		sockets := []byte(f.sockets)
		if f.sockets != "" {
			return sockets, 0, f.failure()
		}
		for _, table := range spec.Cmd[1:] {
			if text, err := os.ReadFile(table); err == nil {
				sockets = append(sockets, text...)
			}
		}
		return sockets, 0, f.failure()
	}
	if f.age == "" {
		return nil, 3, f.failure()
	}
	return []byte(f.age + "\n"), 0, f.failure()
}

func (f *fake) Ping(context.Context) (string, error) { return "99", f.failure() }

func (f *fake) List(context.Context) ([]source.Container, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.list, f.broken
}

func (f *fake) Inspect(_ context.Context, name string) (source.Container, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, c := range f.list {
		if (c.Name == name || len(name) >= 12 && strings.HasPrefix(c.ID, name)) && f.broken == nil {
			return c, nil
		}
	}
	if f.broken != nil {
		return source.Container{}, f.broken
	}
	return source.Container{}, &api.Problem{Code: api.CodeSandboxMissing, Title: "gone", Hint: "none"}
}

func (f *fake) Events(ctx context.Context) (<-chan source.Event, <-chan error) {
	f.mu.Lock()
	stream := f.stream
	f.mu.Unlock()
	events, ended := make(chan source.Event), make(chan error, 1)
	go func() {
		defer close(ended)
		defer close(events)
		for {
			select {
			case e, open := <-stream:
				if !open {
					return
				}
				select {
				case events <- e:
				case <-ctx.Done():
				}
			case <-ctx.Done():
				ended <- ctx.Err()
				return
			}
		}
	}()
	return events, ended
}

// become puts the container of that ID into a state and reports it; "" removes it.
func (f *fake) become(id, state string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	c := f.container("")
	f.list = slices.DeleteFunc(slices.Clone(f.list), func(old source.Container) bool {
		if old.ID == id {
			c.ID, c.Name, c.State = id, old.Name, state
		}
		return old.ID == id
	})
	died := state == api.ContainerExited
	if died {
		c.Addresses, c.ExitCode = nil, new(int)
	}
	if state != "" {
		f.list = append(f.list, c)
		slices.SortFunc(f.list, func(a, b source.Container) int { return strings.Compare(a.Name, b.Name) })
	}
	f.stream <- source.Event{ID: id, Died: died}
}

func (f *fake) StartContainer(_ context.Context, id string) error {
	f.become(id, api.ContainerRunning)
	return nil
}

func (f *fake) StopContainer(_ context.Context, id string, _ time.Duration) error {
	f.become(id, api.ContainerExited)
	return nil
}

func TestTheFakeKeepsTheContractOfASource(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	becomes := func(state string) func(testing.TB, string) {
		return func(_ testing.TB, id string) { f.become(id, state) }
	}
	sourcetest.Facts(t, sourcetest.World{
		Source: f,
		Start: func(*testing.T, ...string) string {
			c := f.container(strings.ToLower(rand.Text()))
			f.mu.Lock()
			f.list = append(slices.Clone(f.list), c)
			f.mu.Unlock()
			f.become(c.ID, api.ContainerRunning)
			return c.ID
		},
		Pause: becomes(api.ContainerPaused), Unpause: becomes(api.ContainerRunning), Remove: becomes(""),
	})
}

// sandboxEvents are those about one sandbox.
func (d *desk) sandboxEvents(name string) []api.Event {
	return d.told(func(e api.Event) bool { return e.Kind == api.EventSandbox && e.Sandbox.Name == name })
}
