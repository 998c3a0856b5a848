package core

import (
	"context"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"daemon-proxy/core/api"
)

func exchangeEvent(id uint64, status int) api.Event {
	return api.Event{Kind: api.EventExchange, Exchange: &api.Exchange{ID: id, Status: status}}
}

func TestASlowSubscriberLearnsTheLastStateOfEverything(t *testing.T) {
	t.Parallel()
	var e events
	s := e.subscribe(t.Context())
	for i := range uint64(100) {
		e.publish(exchangeEvent(i, 0))
	}
	for i := range uint64(100) {
		e.publish(exchangeEvent(i, 200))
	}
	batch, err := s.Next(t.Context())
	require.NoError(t, err)
	require.Len(t, batch, 100)
	for i, event := range batch {
		require.Equal(t, uint64(i), event.Exchange.ID)
		require.Equal(t, 200, event.Exchange.Status)
	}
	require.Zero(t, s.Dropped())
}

func TestInjectionStepsAreNotMerged(t *testing.T) {
	t.Parallel()
	var e events
	s := e.subscribe(t.Context())
	for _, step := range []api.InjectionStep{api.StepInspect, api.StepCopy, api.StepStart} {
		e.publish(api.Event{Kind: api.EventInjection, Injection: &api.Injection{Step: step, State: "done"}})
	}
	batch, err := s.Next(t.Context())
	require.NoError(t, err)
	require.Len(t, batch, 3)
}

func TestWhatIsPendingIsBoundedAndCounted(t *testing.T) {
	t.Parallel()
	var e events
	s := e.subscribe(t.Context())
	for i := range uint64(maxPending + 7) {
		e.publish(exchangeEvent(i, 200))
	}
	batch, err := s.Next(t.Context())
	require.NoError(t, err)
	require.Len(t, batch, maxPending)
	require.Equal(t, uint64(7), s.Dropped())
}

func TestASubscriptionEndsWithItsContext(t *testing.T) {
	t.Parallel()
	var e events
	ctx, cancel := context.WithCancel(t.Context())
	s := e.subscribe(ctx)
	cancel()
	require.Eventually(t, func() bool {
		e.mu.Lock()
		defer e.mu.Unlock()
		return len(e.subs) == 0
	}, waitFor, tick)
	e.publish(exchangeEvent(1, 200))
	_, err := s.Next(ctx)
	require.ErrorIs(t, err, context.Canceled)
}

func TestSubjectsOfDifferentThingsDiffer(t *testing.T) {
	t.Parallel()
	seen := map[subject]bool{}
	for i, e := range []api.Event{
		exchangeEvent(1, 200), exchangeEvent(2, 200),
		{Kind: api.EventSandbox, Sandbox: &api.Sandbox{Ref: api.Ref{Engine: "a", Name: "x"}}},
		{Kind: api.EventSandbox, Sandbox: &api.Sandbox{Ref: api.Ref{Engine: "b", Name: "x"}}},
		{Kind: api.EventLink, Link: &api.Link{ID: "1"}},
		{Kind: api.EventEngine, Engine: &api.EngineStatus{Name: "default"}},
	} {
		key := subjectOf(e)
		require.False(t, seen[key], fmt.Sprint(i, " ", key))
		seen[key] = true
	}
}
