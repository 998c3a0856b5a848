package sandbox

import (
	"testing"

	"github.com/stretchr/testify/require"

	"daemon-proxy/core/api"
)

func TestB20TheContainerThatHoldsAPodsNetworkIsNotListedButItsDaemonIsUsed(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	infra, member := f.container("0123456789ab-infra"), f.container("member")
	infra.Infra, member.SharesNetworkOf, member.Addresses = true, infra.ID, nil
	f.set(infra, member)
	d := f.desk(t, func(o *Options) { o.Config.ContainerName = "member" })
	d.run()
	box := d.becomes("member", api.DaemonHealthy)
	require.Equal(t, infra.Name, box.SharesNetworkOf)
	require.Equal(t, "v1", box.Daemon.Version, "the daemon at the address of the pod")

	for _, listed := range d.List() {
		require.NotEqual(t, infra.Name, listed.Name)
	}
	only, err := d.Resolve("nobody")
	require.Error(t, err, only)
	require.NotContains(t, api.AsProblem(err).Names, infra.Name)
	f.set()
	require.Eventually(t, func() bool { return d.get("member").Container == api.ContainerMissing }, soon, look)
	require.Empty(t, d.told(func(e api.Event) bool { return e.Sandbox != nil && e.Sandbox.Name == infra.Name }))
}
