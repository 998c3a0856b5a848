package sandbox

import (
	"testing"

	"github.com/stretchr/testify/require"

	"daemon-proxy/core/api"
)

func TestStateOfASandbox(t *testing.T) {
	t.Parallel()
	const unknown, none, healthy, failed = api.DaemonUnknown, api.DaemonNone, api.DaemonHealthy, api.DaemonFailed
	for _, c := range []struct {
		name   string
		goal   goal // at first; the daemon is unknown then, and the container runs
		events []event
		want   state
		shown  api.DaemonState
	}{
		{"asked for", unwanted, []event{asked}, state{goal: wanted, found: unknown}, unknown},
		{"asked again, does not retry", noRetry, []event{asked}, state{goal: noRetry, found: unknown}, unknown},
		{"renounced", noRetry, []event{renounced}, state{found: unknown}, unknown},
		{"another container is tried", noRetry, []event{containerStarted}, state{goal: wanted, found: unknown}, unknown},
		{"another container is not injected unasked", unwanted, []event{containerStarted}, state{found: unknown}, unknown},

		{"stopped", wanted, []event{answered, containerStopped},
			state{goal: wanted, stopped: true, found: unknown}, api.DaemonStopped},
		{"started again", wanted, []event{answered, containerStopped, containerStarted},
			state{goal: wanted, found: unknown}, unknown},
		{"perhaps started again", unwanted, []event{containerStopped, containerUnseen}, state{found: unknown}, unknown},
		{"stopped while it is injected", unwanted, []event{injectBegan, containerStopped},
			state{wanted, injecting, unwanted, true, unknown}, api.DaemonStopped},

		{"healthy", unwanted, []event{answered}, state{found: healthy}, healthy},
		{"elsewhere", unwanted, []event{answered, moved}, state{found: unknown}, unknown},
		{"none", unwanted, []event{nobody}, state{found: none}, none},
		{"down", wanted, []event{answered, silent}, state{goal: wanted, found: api.DaemonDown}, api.DaemonDown},
		{"another answers", wanted, []event{distrusted}, state{goal: wanted, found: failed}, failed},
		{"another program's is left", wanted, []event{answered, taken}, state{found: failed}, failed},

		{"injecting", unwanted, []event{nobody, injectBegan},
			state{goal: wanted, work: injecting, found: none}, api.DaemonInjecting},
		{"injected", unwanted, []event{injectBegan, injectDone, answered}, state{goal: wanted, found: healthy}, healthy},
		{"a failure of what nobody asked for before", unwanted, []event{injectBegan, injectFailed},
			state{found: failed}, failed},
		{"a failure is retried", wanted, []event{injectBegan, injectFailed}, state{goal: wanted, found: failed}, failed},
		{"a permanent one is not", wanted, []event{injectBegan, injectFailedPermanently},
			state{goal: noRetry, found: failed}, failed},
		{"nor is it remembered", unwanted, []event{injectBegan, injectFailedPermanently}, state{found: failed}, failed},
		{"an inject request retries", noRetry, []event{injectBegan, injectFailed},
			state{goal: wanted, found: failed}, failed},
		{"cancelled", wanted, []event{injectBegan, injectCancelled}, state{goal: wanted, found: none}, none},
		{"dropped", wanted, []event{injectBegan, injectDropped}, state{found: none}, none},

		{"stopping", wanted, []event{answered, stopBegan}, state{unwanted, stopping, wanted, false, healthy}, healthy},
		{"daemon stopped", wanted, []event{answered, stopBegan, stopDone}, state{found: none}, none},
		{"asked for while it stops", wanted, []event{stopBegan, asked, stopDone}, state{goal: wanted, found: none}, none},
		{"it would not stop", noRetry, []event{answered, stopBegan, stopFailed},
			state{goal: noRetry, found: healthy}, healthy},
		{"ejecting", wanted, []event{answered, stopBegan, ejectBegan},
			state{unwanted, ejecting, wanted, false, healthy}, api.DaemonEjecting},
		{"ejected", wanted, []event{answered, stopBegan, ejectBegan, stopDone}, state{found: none}, none},
		{"its neighbour's daemon stopped", unwanted, []event{injectBegan, stopDone},
			state{goal: wanted, work: injecting, found: none}, api.DaemonInjecting},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			got := state{goal: c.goal, found: unknown}
			for _, e := range c.events {
				got = got.next(e)
			}
			if got.work == idle {
				got.before = unwanted // it counts during work only
			}
			require.Equal(t, c.want, got)
			require.Equal(t, c.shown, got.daemon())
		})
	}
}
