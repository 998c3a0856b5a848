package engine

import (
	"context"
	"strings"
	"time"

	"github.com/docker/docker/api/types/events"
	"github.com/docker/docker/api/types/filters"
)

// Event is one change in the life of a container.
type Event struct {
	// Action is "create", "start", "restart", "die", "stop", "oom", "pause",
	// "unpause", "rename", "update" or "destroy".
	Action string
	// ID is the container's; Name is without a slash, after a rename the new one.
	ID, Name string
	// OldName is set by a rename.
	OldName string
	Time    time.Time
}

// Events follows what happens to containers from now on: an event of after
// the return is not missed. The events of execs are left out by the engine
// itself. The stream ends with ctx or with the connection: then the first
// channel is closed, and the second gives the one error and is closed. To
// connect again, and to list anew after that, is the caller's job.
//
// Read until the first channel is closed, or end ctx: events are not dropped,
// so a reader that stands still holds the stream up.
func (e *Engine) Events(ctx context.Context) (<-chan Event, <-chan error) {
	out, errs := make(chan Event), make(chan error, 1)
	if err := e.ready(ctx); err != nil {
		errs <- err
		close(out)
		close(errs)
		return out, errs
	}
	filter := filters.NewArgs(filters.Arg("type", string(events.ContainerEventType)))
	for _, action := range []events.Action{
		events.ActionCreate, events.ActionStart, events.ActionRestart, events.ActionDie, events.ActionStop, events.ActionOOM,
		events.ActionPause, events.ActionUnPause, events.ActionRename, events.ActionUpdate, events.ActionDestroy,
	} {
		filter.Add("event", string(action))
	}
	ctx, cancel := context.WithCancel(ctx)
	messages, failures := e.cli.Events(ctx, events.ListOptions{Filters: filter})
	go func() {
		defer close(errs)
		defer close(out)
		defer func() {
			cancel()
			for range failures { // closed once the client's own goroutine has ended
			}
		}()
		for {
			select {
			case m := <-messages:
				select {
				case out <- eventOf(m):
				case <-ctx.Done():
					errs <- ctx.Err()
					return
				}
			case err := <-failures:
				if ctx.Err() != nil {
					errs <- ctx.Err()
				} else {
					errs <- e.unreachable(err)
				}
				return
			}
		}
	}()
	return out, errs
}

func eventOf(m events.Message) Event {
	at := time.Unix(m.Time, 0)
	if m.TimeNano != 0 {
		at = time.Unix(0, m.TimeNano)
	}
	return Event{
		Action: string(m.Action), ID: m.Actor.ID, Name: nameOf(m.Actor.ID, []string{m.Actor.Attributes["name"]}),
		OldName: strings.TrimPrefix(m.Actor.Attributes["oldName"], "/"), Time: at,
	}
}
