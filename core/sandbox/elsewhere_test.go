//go:build linux

package sandbox

import (
	"context"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"daemon-proxy/core/api"
	"daemon-proxy/core/docker/enginetest"
	"daemon-proxy/core/sandbox/source"
	"daemon-proxy/core/wiretest"
)

// recorder answers on port 2280 as an older built-in daemon would, and writes
// down whatever it is sent.
const recorder = `package main

import (
	"fmt"
	"net/http"
)

func main() {
	fmt.Println(http.ListenAndServe(":2280", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Println(r.Method, r.URL, r.Header)
		w.Header().Set("Server", "daemon-proxy-toolbox")
		if r.URL.Path != "/version" {
			w.WriteHeader(401)
		}
		fmt.Fprint(w, "{\"version\":\"v1\"}")
	})))
}`

// The second engine's container has the address of a container of this machine:
// what answers there is the wrong one, whatever it is.
func TestS50AContainerElsewhereIsNotTakenForTheOneAtItsAddressHere(t *testing.T) {
	t.Parallel()
	second := enginetest.StartSecond(t)
	for kind, local := range map[string]func(t *testing.T) (id, state string){
		"daytona": func(t *testing.T) (string, string) {
			name, id := shellBox(t, enginetest.RunOptions{})
			daytona(t, name, "", nil).inject(name)
			return id, t.TempDir()
		},
		"built-in": func(t *testing.T) (string, string) {
			name, id := shellBox(t, enginetest.RunOptions{})
			d := builtIn(t, name)
			d.inject(name)
			return id, d.o.StateDir
		},
		"recorder": func(t *testing.T) (string, string) {
			image := enginetest.Import(t, map[string]enginetest.File{"/r": {Path: enginetest.StaticGoSource(t, recorder)}}, []string{`CMD ["/r"]`})
			return enginetest.Run(t, image, enginetest.RunOptions{}), t.TempDir()
		},
		"nothing": func(t *testing.T) (string, string) {
			_, id := shellBox(t, enginetest.RunOptions{})
			return id, t.TempDir()
		},
	} {
		t.Run(kind, func(t *testing.T) {
			id, state := local(t)
			here, err := enginetest.Require(t).Inspect(t.Context(), id)
			require.NoError(t, err)
			if kind != "nothing" {
				listens(t, here.Addresses[0]+":2280")
			}
			far := enginetest.Name(t)
			farID := second.Run(t, far, here.Addresses[0])
			d := opened(t, func(o *Options) {
				o.Source, o.StateDir, o.Reach = second.Engine, state, "direct"
			})
			d.run()
			isElsewhere(t, d, far, kind)
			bridged := builtIn(t, "", func(o *Options) { o.Source, o.StateDir = second.Engine, state })
			bridged.run()
			bridged.becomes(far, api.DaemonNone)
			box := bridged.inject(far)
			require.Equal(t, api.ViaExec, box.Via)
			require.Contains(t, box.ViaReason, here.Addresses[0]+" belongs to something else here")
			require.Contains(t, bridged.asks(far, "/port"), "2280")
			again := builtIn(t, "", func(o *Options) { o.Source, o.StateDir = second.Engine, state })
			again.run() // another run of the program finds it
			require.Equal(t, api.ViaExec, again.becomes(far, api.DaemonHealthy).Via)
			if kind == "recorder" {
				sent, err := enginetest.Require(t).Logs(t.Context(), id, -1, false)
				require.NoError(t, err)
				text, err := io.ReadAll(sent)
				require.NoError(t, err)
				require.Contains(t, string(text), "GET /version")
				for _, id := range []string{farID, id} { // other tests' desks may send theirs
					require.NotContains(t, string(text), d.keys.secret(id), "the secret went to a stranger")
				}
			}
		})
	}
}

// isElsewhere expects that nothing is sent to what answers, and that it is said why.
func isElsewhere(t *testing.T, d *desk, far, kind string) {
	t.Helper()
	unreachable := &api.Problem{Code: api.CodeUnreachable}
	if kind != "nothing" {
		last := d.becomes(far, api.DaemonFailed).Daemon.LastError // nothing asked for it
		require.ErrorIs(t, last, unreachable)
		require.Contains(t, last.Detail, "is not in "+far)
		require.NotEmpty(t, last.Hint)
		_, err := d.Upstream(d.ref(far))
		require.ErrorIs(t, err, unreachable)
		require.ErrorIs(t, d.fails(far, api.CodeUnreachable), unreachable)
	} else {
		d.becomes(far, api.DaemonNone)
	}
	_, err := d.Upstream(d.ref(far))
	require.Error(t, err)
	_, err = d.Ports(t.Context(), d.ref(far))
	require.Error(t, err)
}

// A helper leads to the host's network of another machine, and a port of this one
// is none of it.
func TestS50TheHostNetworkOfAnotherMachineIsReachedByAHelper(t *testing.T) {
	t.Parallel()
	second := enginetest.StartSecond(t)
	t.Cleanup(func() { require.NoError(t, second.RemoveHelperImages(context.WithoutCancel(t.Context()))) })
	here := wiretest.Port(t, wiretest.Serve(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "this machine") }))
	there, folder := wiretest.FreePort(t), t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(folder, "index.html"), []byte("that machine"), 0o644))
	service := exec.Command("nsenter", "--net=/run/netns/"+second.Space, wiretest.Program(t, "busybox"),
		"httpd", "-f", "-p", "127.0.0.1:"+strconv.Itoa(there), "-h", folder)
	require.NoError(t, service.Start())
	t.Cleanup(func() { _ = service.Process.Kill(); _ = service.Wait() })

	name := enginetest.Name(t)
	second.RunOnHost(t, name)
	d := builtIn(t, "", func(o *Options) { o.Source = second.Engine })
	d.run()
	d.becomes(name, api.DaemonNone)
	box := d.inject(name)
	require.Equal(t, api.ViaHelper, box.Via)
	require.Equal(t, "it uses the network of another machine", box.ViaReason)
	require.Empty(t, box.SharesNetworkOf)
	require.False(t, d.Loopback(d.ref(name)))
	client, err := d.client(d.ref(name))
	require.NoError(t, err)
	require.Eventually(t, func() bool { // the server may be just starting
		answer, err := client.Get(t.Context(), there, "/", 1<<10)
		return err == nil && string(answer.Body) == "that machine"
	}, soon, look)
	answer, err := client.Get(t.Context(), here, "/", 1<<10)
	require.NotContains(t, string(answer.Body), "this machine", "%v", err)
	ports, err := d.Ports(t.Context(), d.ref(name))
	require.NoError(t, err)
	var found []int
	for _, p := range ports {
		found = append(found, p.Port)
	}
	require.Contains(t, found, there)
	require.NotContains(t, found, here)
	require.NoError(t, d.Eject(t.Context(), d.ref(name)))
	d.becomes(name, api.DaemonNone)

	// Where helpers are not allowed, it is said why it cannot be reached.
	without := builtIn(t, "", func(o *Options) { o.Source, o.Helper = second.Engine, helperNever })
	without.run()
	require.Contains(t, without.becomes(name, api.DaemonFailed).Daemon.LastError.Detail, "uses the network of the engine's machine")
	require.ErrorIs(t, without.fails(name, api.CodeUnreachable), &api.Problem{Code: api.CodeUnreachable})
}

// The host's network of another machine is not this machine's.
func TestS50TheNetworkOfAnotherMachineIsNotThisMachines(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	guest := f.container("guest")
	guest.HostNetwork, guest.Addresses = true, nil
	f.list = []source.Container{guest}
	f.sockets = "  sl  local_address rem_address\n   0: 0100007F:0016 00000000:0000 0A\n"
	d := f.desk(t, func(o *Options) { o.Config.ContainerName = "" })
	d.run()
	unreachable := &api.Problem{Code: api.CodeUnreachable}
	require.ErrorIs(t, d.becomes("guest", api.DaemonFailed).Daemon.LastError, unreachable)
	_, err := d.Upstream(d.ref("guest"))
	require.ErrorIs(t, err, unreachable)
	require.False(t, d.Loopback(d.ref("guest")))
}
