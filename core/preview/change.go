package preview

import (
	"fmt"
	"maps"
	"time"

	"daemon-proxy/core/api"
	"daemon-proxy/core/daemon"
)

// Request describes a link to create.
type Request struct {
	Sandbox api.Ref
	Port    int
	// Label is for people.
	Label string
	// TTL is how long the link lives: nil: Options.DefaultTTL, 0: until revoked.
	TTL *time.Duration
	// AllowDaemonPort permits one of the daemon's own ports.
	AllowDaemonPort bool
	// NoFence omits the Fence.
	NoFence bool
	// KeepPrefix is for a service that knows its prefix (base_url, --base):
	// in path mode it gets the whole path.
	KeepPrefix bool
}

// Create creates a link and stores it. URL and HostURL stay empty: they
// depend on the caller. Problems: CodeBadPort, CodeDaemonPort, CodeBadRequest
// for a negative TTL, CodeTooMany, CodeStateUnusable.
func (l *Links) Create(request Request) (api.Link, error) {
	now := l.options.Now()
	r, err := l.admit(request, now)
	if err != nil {
		return api.Link{}, err
	}

	l.writing.Lock()
	link, err := l.add(r)
	l.writing.Unlock()
	if err != nil {
		return api.Link{}, err
	}
	l.reschedule()
	l.notify(link)
	return link.Link(now), nil
}

// admit turns a request into the record of a link, or says why not.
func (l *Links) admit(request Request, now time.Time) (record, error) {
	if request.Port < 1 || request.Port > 65535 {
		return record{}, badPort(fmt.Sprint(request.Port))
	}
	if !request.AllowDaemonPort && daemon.IsPort(request.Port, l.options.DaemonPort) {
		return record{}, api.NewProblem(api.CodeDaemonPort,
			fmt.Sprintf("port %d is the daemon's own: a link to it would give away control of the sandbox",
				request.Port),
			`send "allow_daemon_port": true if that is what you want`).In("", request.Port)
	}
	ttl := l.options.DefaultTTL
	if request.TTL != nil {
		ttl = *request.TTL
	}
	if ttl < 0 {
		return record{}, api.NewProblem(api.CodeBadRequest,
			fmt.Sprintf("a link cannot have a time to live of %s", ttl),
			"use a time to live of 0 (until revoked) or more")
	}
	r := record{
		Token: newToken(), Engine: request.Sandbox.Engine, Sandbox: request.Sandbox.Name, Port: request.Port,
		Label: request.Label, Created: now.Round(0).UTC(), AllowDaemonPort: request.AllowDaemonPort,
		NoFence: request.NoFence, KeepPrefix: request.KeepPrefix,
	}
	if ttl > 0 {
		r.Expires = r.Created.Add(ttl)
	}
	return r, nil
}

// add stores and publishes a new link. l.writing is held.
func (l *Links) add(r record) (*Live, error) {
	link := l.newLive(r)
	l.mu.Lock()
	count := len(*l.live.Load())
	_, taken := l.byID[link.ID]
	l.mu.Unlock()
	if count >= l.options.MaxLinks {
		return nil, api.NewProblem(api.CodeTooMany, fmt.Sprintf("there are already %d live preview links", count),
			"revoke some, give them a time to live, or raise preview.max_links")
	}
	if taken { // two of 2^50 ids; ids must be unique
		r.Token = newToken()
		return l.add(r)
	}
	if err := l.store.Put(link.record()); err != nil {
		return nil, unstored("create the preview link", err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	live := maps.Clone(*l.live.Load())
	live[link.Token] = link
	l.live.Store(&live)
	l.byID[link.ID] = link
	return link, nil
}

// Revoke ends a link at once: its context is cancelled and Resolve refuses it
// before the revocation is stored, which it is when Revoke returns. To revoke
// a link that has ended changes nothing and is not an error. Problems:
// CodeUnknownLink; CodeStateUnusable if the link is cut but the revocation
// could not be stored, so that it would live again after a restart.
func (l *Links) Revoke(tokenOrID string) (api.Link, error) {
	now := l.options.Now()
	link, ok := l.lookup(tokenOrID)
	if !ok {
		return api.Link{}, unknownLink()
	}
	ended := l.finish(link, func() bool { return link.expireIfDue(now) || link.revoke(now) })

	l.writing.Lock()
	err := l.save(link)
	l.writing.Unlock()
	if ended {
		l.notify(link)
	}
	if err != nil {
		return api.Link{}, unstored("store that the preview link is revoked", err)
	}
	return link.Link(now), nil
}

// finish runs end under the lock and, if it ended the link, moves it from the
// live ones to the ended ones and cuts what goes through it.
func (l *Links) finish(link *Live, end func() bool) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if link.hasEnded() || !end() {
		return false
	}
	live := maps.Clone(*l.live.Load())
	delete(live, link.Token)
	l.live.Store(&live)
	l.ended[link.Token] = link
	link.cancel(link.end.Load().problem)
	if link.cookies.clear() {
		link.dirty.Store(true)
	}
	if len(l.ended) > l.options.MaxEnded {
		link.storeSoon() // which forgets the surplus
	}
	return true
}

// notify calls OnChange with the current state of a link.
func (l *Links) notify(link *Live) {
	if l.options.OnChange == nil {
		return
	}
	l.notifying.Lock()
	defer l.notifying.Unlock()
	l.options.OnChange(link.Link(l.options.Now()))
}

// unstored is the problem of a change that did not reach the links file.
func unstored(doing string, err error) *api.Problem {
	return api.NewProblem(api.CodeStateUnusable, fmt.Sprintf("cannot %s: %v", doing, err),
		"check that the disk is not full and the links file (preview.state_file) is writable, then restart").
		Because(err)
}
