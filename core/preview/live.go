package preview

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"daemon-proxy/core/api"
)

// The states of a link, as api.Link.State has them.
const (
	stateActive  = "active"
	stateExpired = "expired"
	stateRevoked = "revoked"
)

// Live is a link as the path of a request uses it. Its exported fields never
// change, its methods may be called from any goroutine.
type Live struct {
	Token     string
	ID        string
	Sandbox   api.Ref
	Port      int
	Label     string
	CreatedAt time.Time
	// ExpiresAt is zero for a link that lives until it is revoked.
	ExpiresAt time.Time
	// AllowDaemonPort reports that Port may be one of the daemon's own.
	AllowDaemonPort bool
	// NoFence and KeepPrefix are those of the Request.
	NoFence, KeepPrefix bool

	ctx    context.Context
	cancel context.CancelCauseFunc
	end    atomic.Pointer[ending] // nil while the link lives

	requests, bytesIn, bytesOut atomic.Int64
	lastUsed                    atomic.Int64 // Unix nanoseconds; 0: never
	dirty                       atomic.Bool  // differs from what is stored
	cookies                     *jar
	store                       chan<- struct{} // holds one element while something should be stored soon
	now                         func() time.Time
}

// ending is how and when a link ended.
type ending struct {
	at      time.Time
	state   string
	problem *api.Problem // the answer to its users
}

// newLive returns the link of a stored record.
func (all *Links) newLive(r record) *Live {
	l := &Live{
		Token: r.Token, ID: PublicID(r.Token), Port: r.Port,
		Sandbox: api.Ref{Engine: api.EngineID(r.Engine), Name: r.Sandbox}, // an older version stored the address
		Label:   r.Label, CreatedAt: r.Created, ExpiresAt: r.Expires, AllowDaemonPort: r.AllowDaemonPort,
		NoFence: r.NoFence, KeepPrefix: r.KeepPrefix, cookies: readJar(r.Cookies), store: all.soon,
		now: all.options.Now,
	}
	l.requests.Store(r.Requests)
	l.bytesIn.Store(r.BytesIn)
	l.bytesOut.Store(r.BytesOut)
	if !r.LastUsed.IsZero() {
		l.lastUsed.Store(r.LastUsed.UnixNano())
	}
	l.ctx, l.cancel = context.WithCancelCause(context.Background())
	if !r.Revoked.IsZero() {
		l.finish(stateRevoked, r.Revoked)
		l.cancel(l.end.Load().problem)
	}
	return l
}

// record is the link as it is to be stored.
func (l *Live) record() record {
	r := record{
		Token: l.Token, Engine: l.Sandbox.Engine, Sandbox: l.Sandbox.Name, Port: l.Port, Label: l.Label,
		Created: l.CreatedAt, Expires: l.ExpiresAt, AllowDaemonPort: l.AllowDaemonPort,
		NoFence: l.NoFence, KeepPrefix: l.KeepPrefix, Cookies: l.cookies.bytes(),
		Requests: l.requests.Load(), BytesIn: l.bytesIn.Load(), BytesOut: l.bytesOut.Load(),
	}
	if n := l.lastUsed.Load(); n != 0 {
		r.LastUsed = time.Unix(0, n).UTC()
	}
	if end := l.end.Load(); end != nil && end.state == stateRevoked {
		r.Revoked = end.at
	}
	return r
}

// Context is cancelled when the link is revoked or expires, with the problem
// that its users get as the cause, and when Links is closed.
func (l *Live) Context() context.Context { return l.ctx }

// Count adds one request and the bytes of its bodies: in from the browser to
// the service, out the other way.
func (l *Live) Count(bytesIn, bytesOut int64) {
	l.requests.Add(1)
	l.AddBytes(bytesIn, bytesOut)
}

// AddBytes adds bytes of a request that Count has counted, or will: what goes
// through a long-lived stream would otherwise show only at its end.
func (l *Live) AddBytes(bytesIn, bytesOut int64) {
	l.bytesIn.Add(bytesIn)
	l.bytesOut.Add(bytesOut)
	l.lastUsed.Store(l.now().UnixNano())
	if !l.dirty.Load() {
		l.dirty.Store(true)
	}
}

// Link is the link as the API shows it, without its URLs.
func (l *Live) Link(now time.Time) api.Link {
	link := api.Link{
		Token: l.Token, ID: l.ID, Port: l.Port, Sandbox: l.Sandbox, SandboxName: l.Sandbox.String(), Label: l.Label,
		CreatedAt: l.CreatedAt, AllowDaemonPort: l.AllowDaemonPort, State: stateActive,
		Fence: !l.NoFence, StripPrefix: !l.KeepPrefix,
		Requests: l.requests.Load(), BytesIn: l.bytesIn.Load(), BytesOut: l.bytesOut.Load(),
	}
	if expires := l.ExpiresAt; !expires.IsZero() {
		link.ExpiresAt = &expires
	}
	if n := l.lastUsed.Load(); n != 0 {
		used := time.Unix(0, n).UTC()
		link.LastUsedAt = &used
	}
	if end := l.end.Load(); end != nil {
		link.State = end.state
		if at := end.at; end.state == stateRevoked {
			link.RevokedAt = &at
		}
	} else if l.due(now) {
		link.State = stateExpired
	}
	return link
}

// due reports whether the link's time is over.
func (l *Live) due(now time.Time) bool { return !l.ExpiresAt.IsZero() && !now.Before(l.ExpiresAt) }

// hasEnded reports whether the link was revoked or has expired.
func (l *Live) hasEnded() bool { return l.end.Load() != nil }

// forgotten reports whether the link ended so long ago that it is as unknown.
func (l *Live) forgotten(now time.Time) bool {
	end := l.end.Load()
	return end != nil && now.Sub(end.at) >= Remember
}

// expireIfDue ends the link if its time is over.
func (l *Live) expireIfDue(now time.Time) bool {
	if !l.due(now) {
		return false
	}
	l.finish(stateExpired, l.ExpiresAt)
	return true
}

// revoke ends the link now.
func (l *Live) revoke(now time.Time) bool {
	l.finish(stateRevoked, now.Round(0).UTC())
	l.dirty.Store(true)
	return true
}

func (l *Live) finish(state string, at time.Time) {
	code, verb := api.CodeLinkRevoked, "was revoked"
	if state == stateExpired {
		code, verb = api.CodeLinkExpired, "expired"
	}
	problem := api.NewProblem(code, fmt.Sprintf("the preview link to port %d of %s is no longer valid: it %s at %s",
		l.Port, l.Sandbox, verb, at.UTC().Format(time.RFC3339)), "ask for a new link").In(l.Sandbox.String(), l.Port)
	l.end.Store(&ending{at: at, state: state, problem: problem})
}
