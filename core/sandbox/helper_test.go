package sandbox

import (
	"context"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"daemon-proxy/core/api"
	"daemon-proxy/core/docker/enginetest"
)

// helping are sandboxes whose helpers leave no image behind.
func helping(t *testing.T, changes ...func(*Options)) *desk {
	t.Helper()
	e := enginetest.Require(t)
	t.Cleanup(func() { require.NoError(t, e.RemoveHelperImages(context.WithoutCancel(t.Context()))) })
	return builtIn(t, "", changes...)
}

// webBox runs a container in which a small web server listens on the loopback.
func webBox(t *testing.T, o enginetest.RunOptions) (name, id string) {
	t.Helper()
	o.Cmd = []string{"httpd", "-f", "-p", "127.0.0.1:8080", "-h", "/etc"}
	return shellBox(t, o)
}

// Every row is a container in which something may not be possible.
func TestEachContainerIsReachedOneWayOrSaysWhyNot(t *testing.T) {
	t.Parallel()
	noexec := map[string]string{"type": "tmpfs", "device": "tmpfs", "o": "noexec"}
	for label, c := range map[string]struct {
		o        enginetest.RunOptions
		noexec   bool
		via, why string
	}{
		"plain":      {via: api.ViaDirect},
		"no network": {o: enginetest.RunOptions{Network: "none"}, via: api.ViaExec, why: "it has no network address"},
		"read-only":  {o: enginetest.RunOptions{ReadOnly: true}, via: api.ViaHelper, why: "its root is read-only"},
		"read-only, no network": {o: enginetest.RunOptions{ReadOnly: true, Network: "none"},
			via: api.ViaHelper, why: "its root is read-only"},
		"tmpfs": {o: enginetest.RunOptions{Tmpfs: map[string]string{"/usr": ""}},
			via: api.ViaHelper, why: "/usr is a tmpfs, which the engine cannot copy to"},
		"noexec":             {noexec: true, via: api.ViaHelper, why: "what is copied there cannot be run"},
		"noexec, no network": {noexec: true, o: enginetest.RunOptions{Network: "none"}, via: api.ViaHelper, why: "no bridge starts in it"},
		"USER 65534":         {o: enginetest.RunOptions{User: "65534"}, via: api.ViaDirect},
		"USER 65534, no network": {o: enginetest.RunOptions{User: "65534", Network: "none"},
			via: api.ViaExec, why: "it has no network address"},
		"no capabilities": {o: enginetest.RunOptions{CapDrop: []string{"ALL"}, Network: "none"},
			via: api.ViaExec, why: "it has no network address"},
		"pids 5":             {o: enginetest.RunOptions{PidsLimit: 5}, via: api.ViaHelper},
		"pids 5, no network": {o: enginetest.RunOptions{PidsLimit: 5, Network: "none"}, via: api.ViaHelper},
		"24 MB":              {o: enginetest.RunOptions{Memory: 24 << 20}, via: api.ViaDirect},
		"24 MB, no network":  {o: enginetest.RunOptions{Memory: 24 << 20, Network: "none"}, via: api.ViaExec},
	} {
		t.Run(label, func(t *testing.T) {
			t.Parallel()
			if c.noexec {
				c.o.Binds = []string{enginetest.Volume(t, noexec) + ":/usr/local/bin"}
			}
			name, _ := webBox(t, c.o)
			d := helping(t)
			d.run()
			d.becomes(name, api.DaemonNone)
			box := d.inject(name)
			require.Equal(t, c.via, box.Via, box.ViaReason)
			if c.why != "" {
				require.Equal(t, c.why, box.ViaReason)
			}
			t.Log(box.ViaReason)
			client, err := d.client(d.ref(name))
			require.NoError(t, err)
			require.Eventually(t, func() bool { // the server may be just starting
				answer, err := client.Get(t.Context(), 8080, "/passwd", 1<<10)
				return err == nil && strings.HasPrefix(string(answer.Body), "root:x:0:0")
			}, soon, look)
			ports, err := d.Ports(t.Context(), d.ref(name))
			require.NoError(t, err)
			require.Condition(t, func() bool {
				for _, p := range ports {
					if p.Port == 8080 {
						return p.Address == "127.0.0.1"
					}
				}
				return false
			}, "%v", ports)
		})
	}
}
