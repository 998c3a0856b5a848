package core

import (
	"context"
	"crypto/rand"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"daemon-proxy/core/api"
	"daemon-proxy/core/logging"
	"daemon-proxy/core/news"
)

const (
	// maxScreens bounds the screens: each learns of each change of all.
	maxScreens = 100
	// maxScreenName bounds the name of a screen, in characters.
	maxScreenName = 64
)

// screens are the fronts with a display that are attached.
type screens struct {
	news    *news.Feed
	resolve func(api.Ref) (api.Ref, error)
	watch   func([]api.Ref) // sets what is watched

	mu  sync.Mutex // held while watch is called
	all []*screen  // the oldest first
}

// screen is one of them.
type screen struct {
	*news.Follower
	screens *screens
	status  api.ScreenStatus // Watching changes, under screens.mu
}

// attach follows the event stream until ctx ends, for a screen of that name.
func (s *screens) attach(ctx context.Context, name string) (api.Screen, error) {
	name = strings.TrimSpace(logging.Printable(name))
	if letters := []rune(name); len(letters) > maxScreenName {
		name = string(letters[:maxScreenName-1]) + "…"
	}
	if name == "" {
		return nil, api.NewProblem(api.CodeBadRequest, "the screen has no name", "give it one, such as you@desk")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.all) >= maxScreens {
		return nil, api.NewProblem(api.CodeTooMany, fmt.Sprintf("%d screens are attached, and no more may be", maxScreens),
			"close one of them; daemon-proxy status lists them")
	}
	o := &screen{screens: s, status: api.ScreenStatus{
		ID: strings.ToLower(rand.Text()[:10]), Name: name, Since: time.Now(),
	}}
	s.all = append(s.all, o)
	o.Follower = s.news.Follow(ctx)
	s.publish()
	context.AfterFunc(ctx, func() { s.remove(o) })
	return o, nil
}

func (s *screens) remove(o *screen) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.all = slices.DeleteFunc(s.all, func(other *screen) bool { return other == o })
	s.apply()
	s.publish()
}

// list is what they show, the oldest screen first.
func (s *screens) list() []api.ScreenStatus {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.snapshot()
}

func (s *screens) snapshot() []api.ScreenStatus {
	list := make([]api.ScreenStatus, len(s.all))
	for i, o := range s.all {
		list[i] = o.status
	}
	return list
}

// rewatch watches what the screens show on an engine that was switched to.
func (s *screens) rewatch() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.apply()
}

// apply watches the union of what the screens show; mu is held.
func (s *screens) apply() {
	var union []api.Ref
	for _, o := range s.all {
		if ref := o.status.Watching; ref != (api.Ref{}) && !slices.Contains(union, ref) {
			union = append(union, ref)
		}
	}
	s.watch(union)
}

// publish notifies all screens of a change; mu is held.
func (s *screens) publish() {
	s.news.Publish(api.Event{Kind: api.EventScreens, Time: time.Now(), Screens: s.snapshot()})
}

// ID names the screen among those of Screens.
func (o *screen) ID() string { return o.status.ID }

// Watch names the sandbox that the screen shows.
func (o *screen) Watch(_ context.Context, ref api.Ref) error {
	s := o.screens
	if ref.Engine == "" && ref.Name != "" {
		var err error
		if ref, err = s.resolve(ref); err != nil {
			return err
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if o.status.Watching == ref {
		return nil
	}
	o.status.Watching = ref
	if !slices.Contains(s.all, o) {
		return api.NewProblem(api.CodeUnknownScreen, "the screen is not attached any more", "attach it again")
	}
	s.apply()
	s.publish()
	return nil
}
