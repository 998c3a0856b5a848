package sandbox

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"daemon-proxy/core/api"
	"daemon-proxy/core/daemon"
	"daemon-proxy/core/docker/enginetest"
	"daemon-proxy/core/sandbox/inject"
	"daemon-proxy/core/sandbox/source/sourcetest"
	"daemon-proxy/core/toolbox"
	"daemon-proxy/core/wiretest"
)

// hostDaytona is a desk whose host is served by the fake daytona on a port of its own.
func hostDaytona(t *testing.T, port int, stop bool) *desk {
	return opened(t, func(o *Options) {
		o.Source = newFake(t)
		o.Config.Mode, o.Config.Port, o.Config.StopOnExit = "host", port, stop
		o.Config.Path = enginetest.StaticGo(t, "./testdata/daytona")
		o.Config.Env = map[string]string{"FAKE_PORT": strconv.Itoa(port)}
	})
}

func TestTheHostKeepsTheContractOfASource(t *testing.T) {
	t.Parallel()
	list := sourcetest.Listed(t, &host{})
	require.Len(t, list, 1)
	this := list[0]
	require.Equal(t, api.Host, api.Ref{Engine: (&host{}).Name(), Name: this.Name})
	require.Equal(t, api.ContainerRunning, this.State)
	require.Equal(t, inject.HostPlatform(), this.Platform)
	require.True(t, this.HostNetwork)
	for _, address := range this.Addresses {
		require.True(t, net.ParseIP(address).IsLoopback())
	}
}

func TestTheHostsDaytonaEndsWithTheProgramOnlyIfItIsTo(t *testing.T) {
	t.Parallel()
	for _, stop := range []bool{true, false} {
		t.Run(strconv.FormatBool(stop), func(t *testing.T) {
			t.Parallel()
			port := wiretest.FreePort(t)
			d := hostDaytona(t, port, stop)
			require.NoError(t, d.Inject(t.Context(), api.Host, nil))
			process := d.host.command.Process
			t.Cleanup(func() { _ = process.Kill() }) // it may have ended
			log, err := os.ReadFile(filepath.Join(d.o.StateDir, hostLog))
			require.NoError(t, err)
			require.Contains(t, string(log), "Starting toolbox server")
			ctx, cancel := context.WithTimeout(context.Background(), soon)
			defer cancel()
			require.NoError(t, d.Close(ctx))
			_, err = d.host.client(port, "").Version(t.Context())
			require.Equal(t, stop, err != nil, "it runs without the program: %v", err)
			if !stop {
				later := hostDaytona(t, port, false)
				require.NoError(t, later.Inject(t.Context(), api.Host, nil))
				box, _ := later.Get(api.Host)
				require.Equal(t, daemon.KindDaytona, box.Daemon.Kind, "the next run finds it")
				require.False(t, box.Daemon.Started)
			}
		})
	}
}

// The host's own daemon answers too late to be found, as it may under load. What
// goes through it is not cut, and no other takes its place.
func TestP18TheHostsBuiltInDaemonIsNotReplacedWhileItRuns(t *testing.T) {
	t.Parallel()
	var late atomic.Bool
	arrived, proceed := make(chan struct{}, 1), make(chan struct{})
	d := opened(t, func(o *Options) {
		o.Source = newFake(t)
		o.Config.Port = wiretest.FreePort(t)
		o.HostDaemon = func(secret string) (http.Handler, error) {
			daemon, err := toolbox.New(toolbox.Options{Secret: secret, Version: "test"})
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				switch {
				case r.URL.Path == "/held":
					arrived <- struct{}{}
					<-proceed
				case late.Load():
					<-r.Context().Done()
				default:
					daemon.ServeHTTP(w, r)
				}
			}), err
		}
	})
	require.NoError(t, d.Inject(t.Context(), api.Host, nil))
	up, err := d.Upstream(api.Host)
	require.NoError(t, err)
	held, err := up.Dial(t.Context())
	require.NoError(t, err)
	defer held.Close()
	_, err = io.WriteString(held, "GET /held HTTP/1.1\r\nHost: x\r\n\r\n")
	require.NoError(t, err)
	<-arrived

	late.Store(true)
	require.Error(t, d.Inject(t.Context(), api.Host, nil), "it is not found")
	late.Store(false)
	close(proceed)
	require.NoError(t, held.SetReadDeadline(time.Now().Add(soon)))
	response, err := http.ReadResponse(bufio.NewReader(held), nil)
	require.NoError(t, err, "the request goes through")
	response.Body.Close()
	require.NoError(t, d.Inject(t.Context(), api.Host, nil))
	now, err := d.Upstream(api.Host)
	require.NoError(t, err)
	require.Equal(t, up.Authority, now.Authority, "the daemon is the same")
}

func TestADamagedKeySaysWhatToDo(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := filepath.Join(dir, "daemon.key")
	require.NoError(t, os.WriteFile(file, []byte("short"), 0o600))
	_, err := New(Options{StateDir: dir})
	p, ok := err.(*api.Problem) //nolint:errorlint // the promise is that it is one
	require.True(t, ok)
	require.Contains(t, p.Detail, file+" is damaged")
	require.Contains(t, p.Hint, "remove it")
	require.NoError(t, os.Remove(file))
	s, err := New(Options{StateDir: dir})
	require.NoError(t, err, "the hint helps")
	require.NoError(t, s.Close(t.Context()))
}
