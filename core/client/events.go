package client

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"daemon-proxy/core/api"
	"daemon-proxy/core/news"
)

const (
	maxEvent  = 4 << 20 // bytes of one event
	firstBack = 200 * time.Millisecond
	lastBack  = 5 * time.Second
	// longestSilence is three of the server's heartbeats: a stream that is
	// silent for longer hangs on a connection that is no longer served.
	longestSilence = 45 * time.Second
)

// stream is the event stream of one connection.
type stream struct {
	*news.Follower
	client *Client
	ended  context.Context // the cause of its end is why
	id     string          // of the screen
}

// Next waits for news and returns all of it.
func (s *stream) Next(ctx context.Context) ([]api.Event, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(s.ended, cancel)()
	batch, err := s.Follower.Next(ctx)
	if err != nil && s.ended.Err() != nil {
		return nil, context.Cause(s.ended)
	}
	return batch, err
}

// Events follows the event stream until ctx ends. It is registered on return.
// A stream that breaks is not opened again: Next returns the reason.
func (c *Client) Events(ctx context.Context) (api.Events, error) {
	s, err := c.attach(ctx, "")
	if err != nil {
		return nil, err
	}
	return s, nil
}

// Attach is Events for a front with a display, which is listed with that name
// until ctx ends.
func (c *Client) Attach(ctx context.Context, name string) (api.Screen, error) {
	if name == "" {
		return nil, api.NewProblem(api.CodeBadRequest, "the screen has no name", "give it one, such as you@desk")
	}
	s, err := c.attach(ctx, name)
	if err != nil {
		return nil, err
	}
	return s, nil
}

// Screens are the fronts that are attached, the oldest first.
func (c *Client) Screens(ctx context.Context) ([]api.ScreenStatus, error) {
	list, err := get[api.ScreenList](ctx, c, "/api/screens")
	return list.Screens, err
}

// attach opens an event stream, of a screen if it has a name.
func (c *Client) attach(ctx context.Context, name string) (*stream, error) {
	var feed news.Feed
	ended, end := context.WithCancelCause(ctx)
	s := &stream{Follower: feed.Follow(ended), client: c, ended: ended}
	path, last, began := "/api/events", "", make(chan struct{})
	if name != "" {
		path += "?screen=" + url.QueryEscape(name)
	}
	go func() {
		end(c.follow(ctx, path, &last, func() {
			if name == "" {
				close(began)
			}
		}, func(e api.Event) error {
			if e.Kind == api.EventAttached && s.id == "" {
				s.id = e.Attached.ID
				close(began)
				return nil
			}
			feed.Publish(e)
			return nil
		}))
	}()
	select {
	case <-began:
		return s, nil
	case <-ended.Done():
		return nil, context.Cause(ended)
	}
}

// ID names the screen among those of Screens.
func (s *stream) ID() string { return s.id }

// Watch names the sandbox that the screen shows; the zero Ref: none.
func (s *stream) Watch(ctx context.Context, ref api.Ref) error {
	_, err := call[api.ScreenStatus](ctx, s.client, http.MethodPut, "/api/screens/"+url.PathEscape(s.id),
		api.ScreenWatch{Sandbox: ref.Long()})
	return err
}

// Follow reads the event stream and calls event for each, one at a time,
// until ctx ends or event returns an error, which Follow returns. A stream
// that breaks is opened again, and continues where it broke. began, if not nil,
// is called when a stream has begun and whenever one cannot be continued: what
// the lists say from then on, with the events that follow, misses nothing. The
// error is a *api.Problem if the server refuses, or if the first attempt finds
// no server.
func (c *Client) Follow(ctx context.Context, event func(api.Event) error, began func()) error {
	if began == nil {
		began = func() {}
	}
	back, reached, last := firstBack, false, ""
	for {
		err := c.follow(ctx, "/api/events", &last, func() {
			reached = true
			if last == "" {
				began()
			}
		}, func(e api.Event) error {
			back = firstBack
			if e.Kind == api.EventReset {
				began()
				return nil
			}
			return event(e)
		})
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if stop, ok := errors.AsType[stopError](err); ok {
			return stop.error
		}
		if !reached || refused(err) {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(back):
			back = min(2*back, lastBack)
		}
	}
}

// stopError is what the caller's function returned.
type stopError struct{ error }

// refused reports whether the server refused, and would again. A 5xx may come
// from something in front of a server that restarts.
func refused(err error) bool {
	p, ok := errors.AsType[*api.Problem](err)
	return ok && p.Status < http.StatusInternalServerError
}

// follow reads one event stream (HTML, "Server-sent events"). last is the id of
// the last event that was handled; the stream begins after it, if it is not empty.
func (c *Client) follow(
	ctx context.Context, path string, last *string, began func(), event func(api.Event) error,
) error {
	reading, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	silence := time.AfterFunc(c.silence, func() {
		cancel(fmt.Errorf("nothing came for %v, not even a heartbeat", c.silence))
	})
	defer silence.Stop()
	response, err := c.ask(reading, question{
		method: http.MethodGet, path: path, accept: "text/event-stream", lastEvent: *last,
	})
	if err == nil {
		defer response.Body.Close()
		began()
		err = readEvents(response.Body, last, func() { silence.Reset(c.silence) }, event)
	}
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case reading.Err() != nil: // it was silent
		return c.lost(ctx, context.Cause(reading))
	case errors.Is(err, io.EOF):
		return c.lost(ctx, err)
	}
	return err
}

// readEvents reads an event stream up to its end, which is an error. alive is
// called for each line.
func readEvents(from io.Reader, last *string, alive func(), event func(api.Event) error) error {
	lines := bufio.NewScanner(from)
	lines.Buffer(nil, maxEvent)
	var data strings.Builder
	id := *last
	for lines.Scan() {
		alive()
		field, value, _ := strings.Cut(lines.Text(), ":")
		value = strings.TrimPrefix(value, " ")
		switch {
		case field == "data":
			data.WriteString(value)
		case field == "id":
			id = value
		case lines.Text() != "": // a comment, or the kind of the event, which is in the data too
		default:
			if data.Len() > 0 {
				var e api.Event
				if err := json.Unmarshal([]byte(data.String()), &e); err != nil {
					return fmt.Errorf("the event stream: %w", err)
				}
				data.Reset()
				if err := event(e); err != nil {
					return stopError{err}
				}
			}
			*last = id
		}
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("the event stream broke: %w", err)
	}
	return fmt.Errorf("the event stream ended: %w", io.EOF)
}
