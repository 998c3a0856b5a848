package news

import (
	"context"
	"fmt"
	"runtime"
	"strconv"
	"strings"
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

// broken follows until it has taken what there is, and ends; the rest is for
// another one.
func broken(t *testing.T, e *Feed, before func()) (position string) {
	t.Helper()
	ctx, end := context.WithCancel(t.Context())
	defer end()
	s := e.Follow(ctx)
	position = s.Position()
	if before != nil {
		before()
		_, err := s.Next(ctx)
		require.NoError(t, err)
		require.NotEqual(t, position, s.Position())
		position = s.Position()
	}
	return position
}

func TestW3AFollowerResumesWhereAnotherOneBroke(t *testing.T) {
	t.Parallel()
	e, log := newFeed()
	e.Publish(linkEvent(1, "before"))
	var live *traffic.Recording
	position := broken(t, e, func() {
		e.Publish(linkEvent(1, "taken"))
		live = log.Begin(api.Exchange{Path: "/ws"})
		log.Begin(api.Exchange{}).End(traffic.End{Status: 200})
	})
	for _, state := range []string{"active", "expired"} {
		e.Publish(linkEvent(2, state))
		e.Publish(linkEvent(3, state))
	}
	for _, step := range []api.InjectionStep{api.StepInspect, api.StepCopy} {
		e.Publish(api.Event{Kind: api.EventInjection, Injection: &api.Injection{Step: step, State: "done"}})
	}
	live.End(traffic.End{Status: 101})

	s := e.Follow(t.Context())
	e.Publish(api.Event{Kind: api.EventInjection, Injection: &api.Injection{Step: api.StepStart, State: "done"}})
	require.True(t, s.Resume(position))
	require.Equal(t, position, s.Position(), "it has taken nothing yet")
	e.Publish(linkEvent(2, "revoked"))
	batch, err := s.Next(t.Context())
	require.NoError(t, err)
	var got []string
	for _, event := range batch {
		switch {
		case event.Link != nil:
			got = append(got, event.Link.ID+" "+event.Link.State)
		case event.Injection != nil:
			got = append(got, string(event.Injection.Step))
		default:
			got = append(got, event.Exchange.Path)
			require.Equal(t, 101, event.Exchange.Status)
		}
	}
	require.Equal(t, []string{"2 revoked", "3 expired", "inspect", "copy", "start", "/ws"}, got)
	require.True(t, e.Follow(t.Context()).Resume(s.Position()))
}

func TestW3AResumedFollowerThatMissedNothingIsNotWoken(t *testing.T) {
	t.Parallel()
	e, _ := newFeed()
	position := broken(t, e, func() { e.Publish(linkEvent(1, "active")) })
	s := e.Follow(t.Context())
	require.True(t, s.Resume(position))
	ctx, cancel := context.WithTimeout(t.Context(), 20*tick)
	defer cancel()
	_, err := s.Next(ctx)
	require.ErrorIs(t, err, context.DeadlineExceeded)
}

// What a position names may be forgotten, or was never this feed's.
func TestW3AFollowerThatCannotResumeIsToldSo(t *testing.T) {
	t.Parallel()
	e, _ := newFeed()
	first := broken(t, e, nil)
	run, _, _ := strings.Cut(first, "-")
	restarted, _ := newFeed()
	for _, position := range []string{
		"", "-", "--", "nonsense", run, run + "-9999-0", run + "-0-1", run + "-0", first + "-0", run + "--1-0", run + "-x-0",
		run + "-0-x", broken(t, restarted, nil), strings.Repeat("9", 100),
	} {
		s := e.Follow(t.Context())
		e.Publish(api.Event{Kind: api.EventEngine, Engine: &api.EngineStatus{Name: position}})
		require.False(t, s.Resume(position), position)
		batch, err := s.Next(t.Context())
		require.NoError(t, err)
		require.Len(t, batch, 1, "it goes on from where it registered")
	}
	for i := range uint64(maxKept) {
		e.Publish(linkEvent(i, "active"))
		e.Publish(linkEvent(i, "expired"))
	}
	require.False(t, e.Follow(t.Context()).Resume(broken(t, restarted, nil)))
	last := broken(t, e, nil)
	for i := range uint64(maxKept) {
		e.Publish(linkEvent(i, "revoked"))
	}
	s := e.Follow(t.Context())
	require.True(t, s.Resume(last), "as many subjects as are kept")
	batch, err := s.Next(t.Context())
	require.NoError(t, err)
	require.Len(t, batch, maxKept)
	e.Publish(linkEvent(maxKept, "active"))
	require.False(t, e.Follow(t.Context()).Resume(last), "and one more")
	require.Equal(t, maxKept, e.history.kept.Len())
	require.Len(t, e.history.latest, maxKept)
}

func TestW3AFollowerDoesNotResumeAfterAnExchangeWhoseEndIsForgotten(t *testing.T) {
	t.Parallel()
	e := &Feed{}
	log := traffic.New(traffic.Options{Exchanges: 3, OnChange: e.LogChanged})
	e.SetLog(log)
	last := broken(t, e, func() { log.Begin(api.Exchange{}).End(traffic.End{}) })
	for range 3 {
		log.Begin(api.Exchange{}).End(traffic.End{})
	}
	require.True(t, e.Follow(t.Context()).Resume(last), "the end of the one that is gone was taken")
	log.Begin(api.Exchange{}).End(traffic.End{})
	require.False(t, e.Follow(t.Context()).Resume(last))
}

// However long a follower takes nothing, it costs little, and learns the last
// state of everything.
func TestW4AFollowerThatTakesNothingCostsLittle(t *testing.T) {
	e, log := newFeed()
	s := e.Follow(t.Context())
	heap := func() int64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc)
	}
	round := func(state string) {
		for i := range uint64(500) {
			e.Publish(api.Event{Kind: api.EventSandbox, Sandbox: &api.Sandbox{
				Ref: api.Ref{Engine: "e", Name: strconv.FormatUint(i, 10)}, Image: state,
			}})
			log.Begin(api.Exchange{Path: "/" + state}).End(traffic.End{Status: 200})
		}
	}
	for range 50 { // the request log is full, too
		round("first")
	}
	before := heap()
	for i := range 200 {
		round(strconv.Itoa(i))
	}
	require.Less(t, heap()-before, int64(4<<20), "bytes after 200,000 events")
	batch, err := s.Next(t.Context())
	require.NoError(t, err)
	require.Len(t, batch, 500+10_000)
	for _, event := range batch {
		switch {
		case event.Sandbox != nil:
			require.Equal(t, "199", event.Sandbox.Image)
		default:
			require.False(t, event.Exchange.Live)
		}
	}
}
