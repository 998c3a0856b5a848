// Package preview keeps the preview links and knows how requests are
// addressed to them.
//
// A link lets whoever has its token look at one port of one sandbox. Links
// are created, resolved, revoked, they expire, and what goes through them is
// counted. They belong to a sandbox's name, so they outlive the container,
// the daemon, the engine and this program: a create or a revocation is on the
// disk before the call returns, counters are at most ten seconds behind it.
// A link that has ended is remembered for thirty days (so that people are
// answered "gone" instead of "unknown"), then forgotten. Of those that
// have ended the newest 10,000 are remembered at most; the file of the links
// is compacted when much of it is free.
//
// The other half of the package is pure functions on bytes, with no I/O:
//
//   - SplitPath, SplitHost and ParsePort say what a request addresses;
//   - View rewrites the headers between what the browser sees (a prefix or a
//     host name of its own) and what the service believes (http://localhost:PORT).
//
// The package forwards nothing, serves nothing and does not decide who may
// ask. It knows sandboxes by name only.
package preview

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"daemon-proxy/core/api"
	"daemon-proxy/core/daemon"
)

// Remember is how long an ended link is distinguished from one that never existed.
const Remember = 30 * 24 * time.Hour

// maxEnded is Options.MaxEnded if that is 0.
const maxEnded = 10_000

// The store may take so many times what its records need before it is
// compacted: at the start, and while links are forgotten.
const (
	slackAtStart = 2
	slackRunning = 4
)

// flushEvery bounds how far the stored counters are behind the real ones.
const flushEvery = 10 * time.Second

// storeWithin is how soon a new cookie is stored. A service that sets a new
// one with every answer does not make the disk busy.
const storeWithin = time.Second

// Options configure Open.
type Options struct {
	// StateFile is the file that holds the links. It is created with mode 0600,
	// a missing folder with 0700.
	StateFile string
	// DefaultTTL is the life of a link whose Request has none; 0: until revoked.
	DefaultTTL time.Duration
	// MaxLinks bounds the live links; 0: 1000.
	MaxLinks int
	// MaxEnded bounds the ended links that are remembered; 0: 10,000.
	MaxEnded int
	// DaemonPort is the configured port of the daemon; it counts as one of the
	// daemon's own. 0: none beside those that daemon.IsPort knows.
	DaemonPort int
	// Now is the clock; nil: time.Now.
	Now func() time.Time
	// Logger gets warnings about the links file; nil: none.
	Logger *slog.Logger
	// OnChange is called after a link was created, was revoked or has expired,
	// one call at a time, the last one for a link with its final state. It may
	// ask Links anything but must not create or revoke. May be nil.
	OnChange func(api.Link)
}

// Links is the set of all preview links. Its methods may be called from any
// goroutine.
type Links struct {
	options Options
	store   store

	// live holds the links that may be used, by token. The map is never
	// changed, only replaced, so that Resolve needs no lock.
	live atomic.Pointer[map[string]*Live]

	mu    sync.Mutex       // guards what follows, the replacing of live and the ending of links
	ended map[string]*Live // revoked and expired links that are still remembered, by token
	byID  map[string]*Live // all links of live and ended

	writing   sync.Mutex // held from taking a link's state until it is stored
	notifying sync.Mutex // held from taking a link's state until OnChange has it

	wake   chan struct{} // the next expiry may have changed
	soon   chan struct{} // something should be stored before the next flush
	cancel context.CancelFunc
	done   chan struct{} // closed when run has returned
}

// Open reads the links file, or begins one. A file that is damaged is set
// aside as NAME.damaged-TIMESTAMP with a warning in the log, and what can be
// read of it beyond doubt goes on in a new one. The error is an *api.Problem:
// CodeStateLocked if another program has the file open, CodeStateUnusable if
// it cannot be used otherwise. ctx bounds the opening only; Close ends what it
// starts.
func Open(ctx context.Context, options Options) (*Links, error) {
	if options.MaxLinks == 0 {
		options.MaxLinks = 1000
	}
	if options.MaxEnded == 0 {
		options.MaxEnded = maxEnded
	}
	if options.Now == nil {
		options.Now = time.Now
	}
	if options.Logger == nil {
		options.Logger = slog.New(slog.DiscardHandler)
	}
	store, err := openBolt(ctx, options.StateFile, options.Now, options.Logger)
	if err != nil {
		return nil, err
	}
	return open(options, store)
}

// open starts Links on a store, which it owns from then on.
func open(options Options, store store) (*Links, error) {
	records, err := store.Load()
	if err != nil {
		_ = store.Close()
		return nil, err
	}
	l := &Links{
		options: options, store: store,
		ended: map[string]*Live{}, byID: map[string]*Live{},
		wake: make(chan struct{}, 1), soon: make(chan struct{}, 1), done: make(chan struct{}),
	}
	live := map[string]*Live{}
	for _, r := range records {
		link := l.newLive(r)
		l.byID[link.ID] = link
		if link.hasEnded() || link.expireIfDue(options.Now()) {
			l.ended[link.Token] = link
			link.dirty.Store(link.cookies.clear())
		} else {
			live[link.Token] = link
		}
	}
	l.live.Store(&live)
	l.forget(slackAtStart)
	ctx, cancel := context.WithCancel(context.Background())
	l.cancel = cancel
	go l.run(ctx)
	return l, nil
}

// Close ends the contexts of all links (no link is revoked by it), stores the
// counters and closes the file.
func (l *Links) Close() error {
	l.cancel()
	<-l.done
	for _, link := range *l.live.Load() {
		link.cancel(context.Canceled)
	}
	err := l.flush()
	l.writing.Lock()
	defer l.writing.Unlock()
	return errors.Join(err, l.store.Close())
}

// Resolve finds the live link of a token. It takes no lock and allocates
// nothing for a live link. Problems: CodeUnknownLink, the same for all that
// were never made; CodeLinkRevoked and CodeLinkExpired for thirty days;
// CodeDaemonPort if the port became the daemon's own by configuration since.
func (l *Links) Resolve(token string) (*Live, error) {
	if link, ok := (*l.live.Load())[token]; ok {
		if link.ExpiresAt.IsZero() || l.options.Now().Before(link.ExpiresAt) {
			if !link.AllowDaemonPort && daemon.IsPort(link.Port, l.options.DaemonPort) {
				return nil, DaemonPort(link.Port, "make a link with allow_daemon_port if that is what you want")
			}
			return link, nil
		}
		l.expire() // the timer is late: the machine slept, or the clock was set
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	link, ok := l.ended[token]
	if !ok || link.forgotten(l.options.Now()) {
		return nil, unknownLink()
	}
	problem := *link.end.Load().problem // the caller may add to its copy
	return nil, &problem
}

// Get finds a link by its token or its public id, ended ones included.
func (l *Links) Get(tokenOrID string) (api.Link, bool) {
	link, ok := l.lookup(tokenOrID)
	if !ok {
		return api.Link{}, false
	}
	return link.Link(l.options.Now()), true
}

// List returns all links that are remembered, the newest first.
func (l *Links) List() []api.Link {
	now := l.options.Now()
	l.mu.Lock()
	all := slices.Collect(maps.Values(l.byID))
	l.mu.Unlock()
	links := make([]api.Link, 0, len(all))
	for _, link := range all {
		if !link.forgotten(now) {
			links = append(links, link.Link(now))
		}
	}
	slices.SortFunc(links, func(a, b api.Link) int {
		if c := b.CreatedAt.Compare(a.CreatedAt); c != 0 {
			return c
		}
		return strings.Compare(a.ID, b.ID)
	})
	return links
}

// Stats counts the links by their state.
func (l *Links) Stats() api.LinkStats {
	s := api.LinkStats{Links: l.List()}
	s.Total = len(s.Links)
	for _, link := range s.Links {
		s.Requests += link.Requests
		switch link.State {
		case stateActive:
			s.Active++
		case stateExpired:
			s.Expired++
		case stateRevoked:
			s.Revoked++
		}
	}
	return s
}

// Find returns the newest live link to a port of a sandbox.
func (l *Links) Find(sandbox api.Ref, port int) (api.Link, bool) {
	now := l.options.Now()
	var newest *Live
	for _, link := range *l.live.Load() {
		if link.Port == port && link.Sandbox == sandbox && !link.due(now) &&
			(newest == nil || link.CreatedAt.After(newest.CreatedAt)) {
			newest = link
		}
	}
	if newest == nil {
		return api.Link{}, false
	}
	return newest.Link(now), true
}

// lookup finds a link by token or id.
func (l *Links) lookup(tokenOrID string) (*Live, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	link, ok := (*l.live.Load())[tokenOrID]
	if !ok {
		link, ok = l.ended[tokenOrID]
	}
	if !ok {
		link, ok = l.byID[tokenOrID]
	}
	if !ok || link.forgotten(l.options.Now()) {
		return nil, false
	}
	return link, true
}

func unknownLink() *api.Problem {
	return api.NewProblem(api.CodeUnknownLink,
		"there is no such preview link", "check the address, or ask for a new link")
}
