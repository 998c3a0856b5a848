package server

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"time"

	"daemon-proxy/core/api"
)

const (
	// heartbeat is the longest silence of an event stream.
	heartbeat = 15 * time.Second
	// newsApart is the shortest time between two batches of an event stream: each
	// batch costs the request log, however little of it is new.
	newsApart = 100 * time.Millisecond
	// longestWrite is how long the reader of an event stream may take to read
	// what is sent; after that it is cut, and may connect again.
	longestWrite = 30 * time.Second
	// lastWrite is how long it may take once the server shuts down.
	lastWrite = time.Second
)

func (m management) listRequests(v *visit, _ values) error {
	query, limit := v.r.URL.Query(), 0
	if text := query.Get("limit"); text != "" {
		var err error
		if limit, err = strconv.Atoi(text); err != nil || limit < 1 {
			return api.NewProblem(api.CodeBadRequest, "limit must be a positive integer",
				"omit it to get all that are kept")
		}
	}
	list, err := m.o.Service.Exchanges(v.r.Context(), query.Get("filter"), limit)
	if err != nil {
		return err
	}
	reply(v.w, api.ExchangeList{Requests: list})
	return nil
}

func (m management) rates(v *visit, _ values) error {
	rates, err := m.o.Service.Rates(v.r.Context())
	if err != nil {
		return err
	}
	reply(v.w, rates)
	return nil
}

// archive answers with what the filter matches as an HTTP archive.
func (m management) archive(v *visit, _ values) error {
	archive, err := m.o.Service.HAR(v.r.Context(), v.r.URL.Query().Get("filter"))
	if err != nil {
		return err
	}
	setOwn(v.w.Header())
	v.w.Header().Set("Content-Type", "application/json")
	_, _ = v.w.Write(archive) // a client that has gone needs none
	return nil
}

// requestID is the {id} of a path; 0, which no request has, if it is no number.
func requestID(path values) uint64 {
	id, err := strconv.ParseUint(path["id"], 10, 64)
	if err != nil {
		return 0
	}
	return id
}

func (m management) oneRequest(v *visit, path values) error {
	detail, err := m.o.Service.Exchange(v.r.Context(), requestID(path))
	if err != nil {
		return err
	}
	reply(v.w, detail)
	return nil
}

func (m management) bodies(v *visit, path values) error {
	request, response, err := m.o.Service.Bodies(v.r.Context(), requestID(path))
	if err != nil {
		return err
	}
	reply(v.w, api.Bodies{Request: request, Response: response})
	return nil
}

// curl answers with the command for the address under which the client reaches
// the server.
func (m management) curl(v *visit, path values) error {
	command, err := m.Curl(requestID(path), m.base(v))
	if err != nil {
		return err
	}
	setOwn(v.w.Header())
	v.w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, _ = io.WriteString(v.w, command) // a client that has gone needs none
	return nil
}

func (m management) replay(v *visit, path values) error {
	recorded, err := m.o.Service.Replay(v.r.Context(), requestID(path))
	if err != nil {
		return err
	}
	reply(v.w, recorded)
	return nil
}

// events sends the event stream (HTML, "Server-sent events") until the client
// goes or the server ends. A slow reader skips states in
// between; one that does not read at all is cut.
func (m management) events(v *visit, _ values) error {
	ctx, cancel := context.WithCancelCause(v.r.Context())
	defer cancel(nil)
	m.streams.add(&cancel)
	defer m.streams.remove(&cancel)
	news, err := m.o.Service.Events(ctx)
	if err != nil {
		return err
	}
	control := http.NewResponseController(v.w)
	defer context.AfterFunc(ctx, func() { _ = control.SetWriteDeadline(time.Now().Add(lastWrite)) })()

	h := v.w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	if v.r.Method == http.MethodHead {
		return nil
	}
	out := eventWriter{w: v.w, control: control}
	for out.comment("the events of daemon-proxy"); out.err == nil; {
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
			out.events(batch)
			select {
			case <-time.After(newsApart):
			case <-ctx.Done():
				return nil
			}
		}
	}
	return nil
}

// eventWriter writes an event stream; after an error it does nothing more.
type eventWriter struct {
	w       io.Writer
	control *http.ResponseController
	err     error
}

func (o *eventWriter) comment(text string) { o.write(func() { fmt.Fprintf(o.w, ": %s\n\n", text) }) }

func (o *eventWriter) events(batch []api.Event) {
	o.write(func() {
		for _, e := range batch {
			fmt.Fprintf(o.w, "event: %s\ndata: ", e.Kind)
			writeJSON(o.w, e)
			fmt.Fprint(o.w, "\n")
		}
	})
}

func (o *eventWriter) write(put func()) {
	if o.err = o.control.SetWriteDeadline(time.Now().Add(longestWrite)); o.err != nil {
		return
	}
	put()
	o.err = o.control.Flush() // says what went wrong before it too
}
