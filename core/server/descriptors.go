package server

import (
	"context"
	"errors"
	"net/http"
	"sync/atomic"
	"time"

	"daemon-proxy/core/api"
)

const (
	// hopCost is how many descriptors a forwarded request takes beside its
	// client's: a connection to the daemon, and where that runs within this
	// program its end of it and its connection to the service.
	hopCost, hostHopCost = 1, 3
	// roomWait is how long a request waits for descriptors, as long as a body
	// may be silent; roomLook is how often it looks.
	roomWait = time.Minute
	roomLook = 100 * time.Millisecond
)

// descriptors share out the files that this process may have open, so that
// exchanges which last do not leave it without any: then it could not even
// accept a client. What may last, a request with a body or a WebSocket, has
// to leave an eighth of them to what is answered at once.
type descriptors struct {
	total    int                     // what clients and exchanges may have; 0: not known, no bound
	listener atomic.Pointer[limited] // counts the clients; nil: they are not counted
	hops     atomic.Int64            // held by exchanges
}

// clients is how many connections of clients are open.
func (d *descriptors) clients() int {
	if l := d.listener.Load(); l != nil {
		return len(l.places.taken)
	}
	return 0
}

func newDescriptors(limit int) *descriptors {
	reserve := min(1000, limit/5) // idle connections to daemons, files, the engine
	return &descriptors{total: limit - reserve}
}

// crowded reports whether over half of the descriptors are in use.
func (d *descriptors) crowded() bool {
	return d.total > 0 && d.clients()+int(d.hops.Load()) > d.total/2
}

// take takes descriptors for an exchange, if need be after others have given
// theirs back; the error is that none did in time. give gives them back. A
// client that has more connections than from yields some.
func (d *descriptors) take(ctx context.Context, from string, cost int, lasts bool) (give func(), err error) {
	give = func() { d.hops.Add(int64(-cost)) }
	if d.try(cost, lasts) {
		return give, nil
	}
	d.yield(from)
	deadline := time.NewTimer(roomWait)
	defer deadline.Stop()
	look := time.NewTicker(roomLook)
	defer look.Stop()
	for {
		select {
		case <-look.C:
			if d.try(cost, lasts) {
				return give, nil
			}
			d.yield(from)
		case <-ctx.Done():
			if p, ok := errors.AsType[*api.Problem](context.Cause(ctx)); ok {
				return nil, p
			}
			return nil, api.NewProblem(api.CodeCancelled, "the request was cancelled while it waited", "send it again")
		case <-deadline.C:
			return nil, api.NewProblem(api.CodeTooMany, "no descriptor is free for this request",
				"try again, or raise the limit of open files (ulimit -n)").WithStatus(http.StatusServiceUnavailable)
		}
	}
}

// yield makes room for a client, if another has more connections.
func (d *descriptors) yield(to string) {
	if l := d.listener.Load(); l != nil {
		l.places.yield(shareOf(to))
	}
}

func (d *descriptors) try(cost int, lasts bool) bool {
	if d.total == 0 {
		d.hops.Add(int64(cost))
		return true
	}
	room := d.total - d.clients()
	if lasts {
		room -= d.total / 8
	}
	if int(d.hops.Add(int64(cost))) <= room {
		return true
	}
	d.hops.Add(int64(-cost))
	return false
}

func orDefault(n, fallback int) int {
	if n > 0 {
		return n
	}
	return fallback
}
