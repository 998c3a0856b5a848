package docker

import (
	"context"
	"slices"
	"time"

	"github.com/docker/docker/api/types/events"
	"github.com/docker/docker/api/types/filters"

	"daemon-proxy/core/sandbox/source"
)

// headersWithin is how long Events waits for the engine's answer. Podman 5.1
// and 5.2 send its headers together with the first event.
const headersWithin = time.Second

// actions of containers that are reported, and of their networks: an address
// may have been given to another container.
var actions = []events.Action{
	events.ActionCreate, events.ActionStart, events.ActionRestart, events.ActionDie, events.ActionStop, events.ActionOOM,
	events.ActionPause, events.ActionUnPause, events.ActionRename, events.ActionUpdate, events.ActionDestroy,
	events.ActionConnect, events.ActionDisconnect,
}

// Events implements source.Source; execs cause no events. It returns once the
// engine has answered, so that no later event is missed, or after headersWithin;
// then the first event is the empty one.
func (e *Engine) Events(ctx context.Context) (<-chan source.Event, <-chan error) {
	out, errs := make(chan source.Event), make(chan error, 1)
	if err := e.ready(ctx); err != nil {
		errs <- err
		close(out)
		close(errs)
		return out, errs
	}
	answered := make(chan struct{})
	go func() {
		defer close(errs)
		defer close(out)
		errs <- e.followEvents(ctx, out, answered)
	}()
	late := time.NewTimer(headersWithin)
	defer late.Stop()
	select {
	case <-answered:
	case <-late.C:
	}
	return out, errs
}

// followEvents sends events to out until the stream ends. It closes answered once
// the engine has answered.
func (e *Engine) followEvents(ctx context.Context, out chan<- source.Event, answered chan<- struct{}) error {
	ctx, cancel := context.WithCancel(ctx)
	began := time.Now()
	messages, failures := e.cli.Events(ctx, events.ListOptions{Filters: e.eventFilter()}) // waits for the headers
	close(answered)
	defer func() {
		cancel()
		for range failures { // closed once the client's own goroutine has ended
		}
	}()
	if time.Since(began) >= headersWithin && !send(ctx, out, source.Event{}) {
		return ctx.Err()
	}
	for {
		select {
		case m := <-messages:
			if event, ok := eventOf(m); ok && !send(ctx, out, event) {
				return ctx.Err()
			}
		case err := <-failures:
			if ctx.Err() != nil {
				return ctx.Err()
			}
			return e.unreachable(err)
		}
	}
}

// eventFilter selects the events. Podman's actions differ by version, so it is
// asked for all events of containers.
func (e *Engine) eventFilter() filters.Args {
	filter := filters.NewArgs(filters.Arg("type", string(events.ContainerEventType)))
	if !e.libpod.Load() {
		filter.Add("type", string(events.NetworkEventType))
		for _, action := range actions {
			filter.Add("event", string(action))
		}
	}
	return filter
}

// send reports whether event was received before ctx ended.
func send(ctx context.Context, out chan<- source.Event, event source.Event) bool {
	select {
	case out <- event:
		return true
	case <-ctx.Done():
		return false
	}
}

// eventOf translates the engine's event; ok is false if it is not reported.
func eventOf(m events.Message) (event source.Event, ok bool) {
	action := m.Action
	if known, ok := libpodActions[action]; ok {
		action = known
	}
	id := m.Actor.ID
	if m.Type == events.NetworkEventType {
		id = m.Actor.Attributes["container"]
	}
	// The creation of a network, for one, is not a container's event.
	return source.Event{ID: id, Died: action == events.ActionDie}, id != "" && slices.Contains(actions, action)
}
