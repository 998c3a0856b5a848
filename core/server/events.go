package server

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"sync"
	"time"

	"daemon-proxy/core/api"
	"daemon-proxy/core/proxy"
)

const (
	// heartbeat is the longest silence of an event stream.
	heartbeat = 15 * time.Second
	// newsApart is the shortest time between two batches of an event stream: each
	// batch costs the request log, however little of it is new.
	newsApart = 100 * time.Millisecond
	// longestWrite is how long the reader of an event stream may take to read
	// what is sent, and its system to acknowledge it; after that it is cut, and may
	// connect again.
	longestWrite = 30 * time.Second
	// writtenAtOnce is about how many bytes a reader must take in that time.
	writtenAtOnce = 32 << 10
	// lastWrite is how long it may take once the server shuts down.
	lastWrite = time.Second
)

// resumable is an event stream that can continue where another one broke, as
// that of a core can.
type resumable interface {
	// Position names what Next has returned so far.
	Position() string
	// Resume makes Next return what has happened since a position; false if that
	// is not known any more, and nothing is changed.
	Resume(position string) bool
}

// screens are the event streams that belong to a screen, by its id. The zero
// value has none.
type screens struct {
	mu   sync.Mutex
	open map[string]api.Screen
}

func (s *screens) add(screen api.Screen) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.open == nil {
		s.open = map[string]api.Screen{}
	}
	s.open[screen.ID()] = screen
}

func (s *screens) get(id string) (api.Screen, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	screen, ok := s.open[id]
	return screen, ok
}

// remove removes a screen; nil is none.
func (s *screens) remove(o *api.ScreenStatus) {
	if o == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.open, o.ID)
}

// listScreens lists all screens, those in the core's process too.
func (m management) listScreens(v *visit, _ values) error {
	list, err := m.o.Service.Screens(v.r.Context())
	if err != nil {
		return err
	}
	reply(v.w, api.ScreenList{Screens: append([]api.ScreenStatus{}, list...)})
	return nil
}

// watchFrom takes what a screen shows, of those that are attached over HTTP.
func (m management) watchFrom(v *visit, path values) error {
	var body api.ScreenWatch
	if err := decode(v, &body, `send {"sandbox": "web"}`); err != nil {
		return err
	}
	screen, ok := m.screens.get(path["screen"])
	if !ok {
		return api.NewProblem(api.CodeUnknownScreen, "there is no such screen, or its event stream has ended",
			"attach it with GET /api/events?screen=NAME")
	}
	if err := screen.Watch(v.r.Context(), api.ParseRef(body.Sandbox)); err != nil {
		return err
	}
	status, err := m.screenOf(v.r.Context(), screen)
	if err != nil {
		return err
	}
	reply(v.w, status)
	return nil
}

// screenOf describes a screen as all are listed.
func (m management) screenOf(ctx context.Context, screen api.Screen) (*api.ScreenStatus, error) {
	list, err := m.o.Service.Screens(ctx)
	if err != nil {
		return nil, err
	}
	for _, status := range list {
		if status.ID == screen.ID() {
			return &status, nil
		}
	}
	return nil, api.NewProblem(api.CodeUnknownScreen, "the screen has gone", "attach it again")
}

// follow registers for the events, as a screen if the query names one, which
// until ctx ends is among the screens.
func (m management) follow(ctx context.Context, query url.Values) (api.Events, *api.ScreenStatus, error) {
	if !query.Has("screen") {
		events, err := m.o.Service.Events(ctx)
		return events, nil, err
	}
	screen, err := m.o.Service.Attach(ctx, query.Get("screen"))
	if err != nil {
		return nil, nil, err
	}
	status, err := m.screenOf(ctx, screen)
	if err == nil {
		m.screens.add(screen)
	}
	return screen, status, err
}

// events sends the event stream (HTML, "Server-sent events") until the client
// goes or the server ends. A slow reader skips states in between; one that does
// not read at all is cut. The client is a screen if it gives that a name. One
// that comes back with the id of its last event gets what it missed, or a reset.
func (m management) events(v *visit, _ values) error {
	ctx, cancel := context.WithCancelCause(v.r.Context())
	defer cancel(nil)
	m.streams.add(&cancel)
	defer m.streams.remove(&cancel)
	h := v.w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	if v.r.Method == http.MethodHead {
		return nil
	}
	news, attached, err := m.follow(ctx, v.r.URL.Query())
	if err != nil {
		return err
	}
	defer m.screens.remove(attached)
	control := http.NewResponseController(v.w)
	proxy.EndUnheard(v.r, longestWrite)
	defer proxy.EndUnheard(v.r, 0) // the connection may go on
	defer endWrites(ctx, control)()

	out := eventWriter{w: v.w, control: control}
	out.comment("the events of daemon-proxy")
	position := func() string { return "" }
	stream, ok := news.(resumable)
	if ok {
		position = stream.Position
	}
	var first []api.Event
	if attached != nil {
		first = append(first, api.Event{Kind: api.EventAttached, Time: time.Now(), Attached: attached})
	}
	last := v.r.Header.Get("Last-Event-ID")
	if resumed := ok && stream.Resume(last); last != "" && !resumed {
		first = append(first, api.Event{Kind: api.EventReset, Time: time.Now()})
	}
	out.events(first, position())
	for out.err == nil {
		waiting, stop := context.WithTimeout(ctx, heartbeat)
		batch, err := news.Next(waiting)
		silent := waiting.Err() != nil
		stop()
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil && silent:
			out.comment("still here")
		case err != nil:
			return nil // the client connects again, and begins with the lists
		default:
			out.events(batch, position())
			select {
			case <-time.After(newsApart):
			case <-ctx.Done():
				return nil
			}
		}
	}
	return nil
}

// endWrites limits writing to lastWrite once ctx ends. The handler must call stop
// before it returns: nobody may use a response later, and HTTP/2 panics if one does.
func endWrites(ctx context.Context, control *http.ResponseController) (stop func()) {
	done := make(chan struct{})
	unstarted := context.AfterFunc(ctx, func() {
		defer close(done)
		_ = control.SetWriteDeadline(time.Now().Add(lastWrite))
	})
	return func() {
		if !unstarted() {
			<-done
		}
	}
}

// eventWriter writes an event stream; after an error it does nothing more.
type eventWriter struct {
	w       io.Writer
	control *http.ResponseController
	buffer  bytes.Buffer // what is to be written next
	err     error
}

func (o *eventWriter) comment(text string) {
	fmt.Fprintf(&o.buffer, ": %s\n\n", text)
	o.flush()
}

// events writes a batch; the id comes with the last event, so that a client
// which has only a part of the batch resumes before it.
func (o *eventWriter) events(batch []api.Event, id string) {
	encoder := json.NewEncoder(&o.buffer)
	encoder.SetEscapeHTML(false)
	for i := range batch {
		if i == len(batch)-1 {
			o.id(id)
		}
		o.buffer.WriteString("event: ")
		o.buffer.WriteString(string(batch[i].Kind))
		o.buffer.WriteString("\ndata: ")
		_ = encoder.Encode(&batch[i]) // plain values into memory; it ends with a line break
		o.buffer.WriteByte('\n')
		if o.buffer.Len() >= writtenAtOnce && !o.write() {
			return
		}
	}
	if len(batch) == 0 && id != "" {
		o.id(id)
		o.buffer.WriteByte('\n')
	}
	o.flush()
}

func (o *eventWriter) id(id string) {
	if id != "" {
		fmt.Fprintf(&o.buffer, "id: %s\n", id)
	}
}

// flush sends what is in the buffer.
func (o *eventWriter) flush() {
	if o.write() {
		o.err = o.control.Flush() // says what went wrong before it too
	}
}

// write gives the reader its time for what is in the buffer, and passes it on.
func (o *eventWriter) write() bool {
	if o.err = o.control.SetWriteDeadline(time.Now().Add(longestWrite)); o.err == nil {
		_, o.err = o.w.Write(o.buffer.Bytes())
	}
	o.buffer.Reset()
	return o.err == nil
}
