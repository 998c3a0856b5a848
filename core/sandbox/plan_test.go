package sandbox

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestPlanOfADaemon(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		from   plan
		events []event
		want   plan
	}{
		{"asked for", plan{}, []event{asked}, plan{goal: wanted}},
		{"asked again, does not retry", plan{goal: noRetry}, []event{asked}, plan{goal: noRetry}},
		{"renounced", plan{goal: noRetry}, []event{renounced}, plan{}},
		{"another container is tried", plan{goal: noRetry}, []event{containerChanged}, plan{goal: wanted}},
		{"another container is not injected unasked", plan{}, []event{containerChanged}, plan{}},
		{"injecting", plan{}, []event{injectBegan}, plan{wanted, injecting, unwanted}},
		{"injected", plan{}, []event{injectBegan, injectDone}, plan{goal: wanted}},
		{"a failure of what nobody asked for before", plan{}, []event{injectBegan, injectFailed}, plan{}},
		{"a failure is retried", plan{goal: wanted}, []event{injectBegan, injectFailed}, plan{goal: wanted}},
		{"a permanent one is not", plan{goal: wanted}, []event{injectBegan, injectFailedPermanently}, plan{goal: noRetry}},
		{"nor is it remembered", plan{}, []event{injectBegan, injectFailedPermanently}, plan{}},
		{"an inject request retries", plan{goal: noRetry}, []event{injectBegan, injectFailed}, plan{goal: wanted}},
		{"dropped", plan{goal: wanted}, []event{injectBegan, injectDropped}, plan{}},
		{"stopping", plan{goal: wanted}, []event{stopBegan}, plan{unwanted, stopping, wanted}},
		{"stopped", plan{goal: wanted}, []event{stopBegan, stopDone}, plan{}},
		{"asked for while it stops", plan{goal: wanted}, []event{stopBegan, asked, stopDone}, plan{goal: wanted}},
		{"it would not stop", plan{goal: noRetry}, []event{stopBegan, stopFailed}, plan{goal: noRetry}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			got := c.from
			for _, e := range c.events {
				got = got.next(e)
			}
			require.Equal(t, c.want, got)
		})
	}
}
