package daemon

import (
	"testing"

	"github.com/stretchr/testify/require"

	"daemon-proxy/core/logging/lineartest"
)

func TestS5DaemonPorts(t *testing.T) {
	t.Parallel()
	for _, port := range []int{2280, 22220, 22222, 33333} {
		require.True(t, IsPort(port))
	}
	require.False(t, IsPort(2290))
	require.True(t, IsPort(2290, 1, 2290))
	require.False(t, IsPort(80, 0))
}

func TestS43TheReasonOfARefusalIsReadInLinearTime(t *testing.T) {
	t.Parallel()
	for _, unit := range []string{"a", "{", `"`, `{"message":`} {
		lineartest.Run(t, "", unit, "", func(s string) { reason([]byte(s)) })
	}
}
