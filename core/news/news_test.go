package news

import (
	"context"
	"fmt"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"daemon-proxy/core/api"
	"daemon-proxy/core/traffic"
)

const (
	waitFor = 10 * time.Second
	tick    = time.Millisecond
)

func linkEvent(id uint64, state string) api.Event {
	return api.Event{Kind: api.EventLink, Link: &api.Link{ID: strconv.FormatUint(id, 10), State: state}}
}

func newFeed() (*Feed, *traffic.Log) {
	e := &Feed{}
	log := traffic.New(traffic.Options{OnChange: e.LogChanged})
	e.SetLog(log)
	return e, log
}

func TestASlowSubscriberLearnsTheLastStateOfEverything(t *testing.T) {
	t.Parallel()
	e, log := newFeed()
	log.Begin(api.Exchange{}).End(traffic.End{Status: 404}) // before: it is in the snapshots
	s := e.Follow(t.Context())
	var begun []*traffic.Recording
	for i := range uint64(100) {
		e.Publish(linkEvent(i, "active"))
		begun = append(begun, log.Begin(api.Exchange{}))
	}
	for i := range uint64(100) {
		e.Publish(linkEvent(i, "revoked"))
		begun[99-i].End(traffic.End{Status: 200})
	}
	batch, err := s.Next(t.Context())
	require.NoError(t, err)
	require.Len(t, batch, 200)
	for i, event := range batch[:100] {
		require.Equal(t, linkEvent(uint64(i), "revoked"), event)
	}
	for i, event := range batch[100:] {
		require.Equal(t, uint64(i+2), event.Exchange.ID, "in their order")
		require.Equal(t, 200, event.Exchange.Status)
		require.False(t, event.Exchange.Live)
	}
}

func TestAnExchangeIsToldToEachFollowerWhenItTakesIt(t *testing.T) {
	t.Parallel()
	e, log := newFeed()
	first, second := e.Follow(t.Context()), e.Follow(t.Context())
	take := func(s *Follower) api.Exchange {
		t.Helper()
		batch, err := s.Next(t.Context())
		require.NoError(t, err)
		require.Len(t, batch, 1)
		return *batch[0].Exchange
	}
	r := log.Begin(api.Exchange{Path: "/ws"})
	require.True(t, take(first).Live)
	r.Head(101, "websocket", nil)
	require.Equal(t, 101, take(first).Status)
	require.Equal(t, "websocket", take(second).Protocol)
	r.End(traffic.End{Status: 101})
	require.False(t, take(first).Live)
	require.False(t, take(second).Live)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	_, err := first.Next(ctx)
	require.ErrorIs(t, err, context.DeadlineExceeded, "there is nothing more")
}

func TestNoExchangeIsMissedWhileOthersAreTaken(t *testing.T) {
	t.Parallel()
	const all = 5000
	e, log := newFeed()
	s := e.Follow(t.Context())
	go func() {
		for range all {
			log.Begin(api.Exchange{}).End(traffic.End{Status: 200})
		}
	}()
	ended := map[uint64]bool{}
	for len(ended) < all {
		ctx, cancel := context.WithTimeout(t.Context(), waitFor)
		batch, err := s.Next(ctx)
		cancel()
		require.NoError(t, err, "%d of %d were told", len(ended), all)
		for _, event := range batch {
			if !event.Exchange.Live {
				ended[event.Exchange.ID] = true
			}
		}
	}
}

func TestInjectionStepsAreNotMerged(t *testing.T) {
	t.Parallel()
	e, _ := newFeed()
	s := e.Follow(t.Context())
	for _, step := range []api.InjectionStep{api.StepInspect, api.StepCopy, api.StepStart} {
		e.Publish(api.Event{Kind: api.EventInjection, Injection: &api.Injection{Step: step, State: "done"}})
	}
	batch, err := s.Next(t.Context())
	require.NoError(t, err)
	require.Len(t, batch, 3)
}

func TestASubscriptionToWhichTooMuchIsOwedEnds(t *testing.T) {
	t.Parallel()
	e, _ := newFeed()
	s := e.Follow(t.Context())
	for i := range uint64(maxPending + 1) {
		e.Publish(linkEvent(i, "active"))
	}
	_, err := s.Next(t.Context())
	require.ErrorIs(t, err, ErrBehind)
	require.Empty(t, e.all(), "it is owed ever more")
}

func TestASubscriptionEndsWithItsContext(t *testing.T) {
	t.Parallel()
	e, _ := newFeed()
	ctx, cancel := context.WithCancel(t.Context())
	s := e.Follow(ctx)
	cancel()
	require.Eventually(t, func() bool {
		return len(e.all()) == 0
	}, waitFor, tick)
	e.Publish(linkEvent(1, "active"))
	_, err := s.Next(ctx)
	require.ErrorIs(t, err, context.Canceled)
}

func TestSubjectsOfDifferentThingsDiffer(t *testing.T) {
	t.Parallel()
	seen := map[subject]bool{}
	for i, e := range []api.Event{
		{Kind: api.EventSandbox, Sandbox: &api.Sandbox{Ref: api.Ref{Engine: "a", Name: "x"}}},
		{Kind: api.EventSandbox, Sandbox: &api.Sandbox{Ref: api.Ref{Engine: "b", Name: "x"}}},
		linkEvent(1, "active"), linkEvent(2, "active"),
		{Kind: api.EventExchange, Exchange: &api.Exchange{ID: 1}}, {Kind: api.EventExchange, Exchange: &api.Exchange{ID: 2}},
		{Kind: api.EventEngine, Engine: &api.EngineStatus{Name: "default"}},
	} {
		key := subjectOf(e)
		require.False(t, seen[key], fmt.Sprint(i, " ", key))
		seen[key] = true
	}
}
