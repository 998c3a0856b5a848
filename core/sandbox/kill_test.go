package sandbox

import (
	"net"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"daemon-proxy/core/api"
	"daemon-proxy/core/daemon"
	"daemon-proxy/core/docker/enginetest"
	"daemon-proxy/core/sandbox/source"
)

func TestADaemonOfAnEarlierRunIsOurs(t *testing.T) {
	t.Parallel()
	for kind, make := range map[string]func(name string, change func(*Options)) *desk{
		"daemon-proxy": func(name string, change func(*Options)) *desk { return builtIn(t, name, change) },
		"daytona":      func(name string, change func(*Options)) *desk { return daytona(t, name, "", nil, change) },
	} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			name, id := shellBox(t, enginetest.RunOptions{})
			first := make(name, func(*Options) {})
			asked := time.Now()
			began := first.inject(name).Daemon.StartedAt
			require.WithinDuration(t, time.Now(), began, soon)
			require.NoError(t, first.Close(t.Context()))
			before := processes(t, id, kind)
			require.Len(t, before, 1)

			later := func(o *Options) { o.StateDir = first.o.StateDir }
			injects := make(name, later)
			require.True(t, injects.inject(name).Daemon.Started)
			sees := make(name, later)
			sees.run()
			box := sees.becomes(name, api.DaemonHealthy)
			require.True(t, box.Daemon.Started)
			const whole = 2 * time.Second // the process's age is in whole seconds
			require.WithinRange(t, box.Daemon.StartedAt, asked.Add(-whole), began.Add(whole))
			require.Equal(t, before, processes(t, id, kind))
			require.NoError(t, sees.StopDaemon(t.Context(), sees.ref(name)))
			require.Eventually(t, func() bool { return len(processes(t, id, kind)) == 0 }, soon, look)
		})
	}
}

// listens waits until an address takes connections.
func listens(t *testing.T, address string) {
	t.Helper()
	require.Eventually(t, func() bool {
		c, err := net.Dial("tcp", address)
		if err == nil {
			c.Close()
		}
		return err == nil
	}, soon, look, address)
}

// The image's own daytona is the same file at the same place.
func TestADaytonaThatSomebodyElseStartedFromTheSameFileIsNotOurs(t *testing.T) {
	t.Parallel()
	name, id := shellBox(t, enginetest.RunOptions{})
	d := daytona(t, name, "", nil)
	d.inject(name)
	require.NoError(t, d.StopDaemon(t.Context(), d.ref(name)))
	_, err := enginetest.Require(t).Start(t.Context(), id, source.ExecSpec{Cmd: []string{"/usr/local/bin/daytona"}, Env: []string{"DAYTONA_SANDBOX_ID=x", "HOME=/root"}})
	require.NoError(t, err)
	listens(t, net.JoinHostPort(d.get(name).Address, "2280")) // an injection that came first would start its own
	require.Equal(t, daemon.KindDaytona, d.inject(name).Daemon.Kind)
	require.False(t, d.get(name).Daemon.Started)
	before := processes(t, id, "daytona")
	require.ErrorContains(t, d.StopDaemon(t.Context(), d.ref(name)), "not started by this program")
	require.Equal(t, before, processes(t, id, "daytona"))
	job := d.job(d.ref(name), source.Container{ID: id})
	require.Error(t, job.KillOurs(t.Context()), "there is none of ours to end")
	require.Equal(t, before, processes(t, id, "daytona"))
}

func TestADaemonsTimeCountsFromItsStart(t *testing.T) {
	t.Parallel()
	for age, known := range map[string]bool{"192": true, "": false, "-3": false, "no number": false} {
		t.Run(age, func(t *testing.T) {
			t.Parallel()
			f := newFake(t)
			f.age = age
			f.list = []source.Container{f.container("box")}
			d := f.desk(t, func(*Options) {})
			d.run()
			box := d.becomes("box", api.DaemonHealthy)
			require.Equal(t, age != "", box.Daemon.Started)
			if known {
				require.WithinDuration(t, time.Now().Add(-192*time.Second), box.Daemon.StartedAt, soon)
			} else {
				require.Zero(t, box.Daemon.StartedAt)
			}
		})
	}
}
