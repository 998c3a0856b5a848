package world

import (
	"testing"

	"github.com/stretchr/testify/require"

	"daemon-proxy/core/api"
)

func TestASnapshotEndsTheAccountOfTheEventsBeforeIt(t *testing.T) {
	t.Parallel()
	w := New()
	w.Apply([]api.Event{{Kind: api.EventSandbox, Sandbox: &api.Sandbox{Ref: api.Host}}}, 1)
	w.ApplyList(nil, 0)
	require.Len(t, w.Sandboxes, 1, "the event is newer than the snapshot")
	w.ApplyList(nil, 1)
	require.Empty(t, w.Sandboxes)
	require.Empty(t, w.lastBatch)
}
