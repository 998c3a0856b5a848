//go:build linux

package sandbox

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"daemon-proxy/core/api"
	"daemon-proxy/core/daemon"
	"daemon-proxy/core/sandbox/inject"
	"daemon-proxy/core/sandbox/source"
	"daemon-proxy/core/toolbox"
	"daemon-proxy/core/wiretest"
)

// noSockets is the table of a network in which nothing is connected.
const noSockets = "  sl  local_address rem_address\n"

// stranger is an address of this machine that no container here has.
const stranger = "127.0.0.2"

func TestTheHostsNetworkStaysProvedWhenTheEngineListsAgain(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	guest, other := f.container("guest"), f.container("other")
	guest.HostNetwork, guest.Addresses, other.State = true, nil, api.ContainerExited
	f.list = []source.Container{guest}
	d := f.desk(t, func(o *Options) { o.Config.ContainerName = "" })
	d.run()
	require.NoError(t, d.Inject(t.Context(), api.Host, nil))
	d.keep(d.ref("guest"))
	d.becomes("guest", api.DaemonHealthy)
	require.True(t, d.Loopback(d.ref("guest")))
	f.set(guest, other)
	d.becomes("other", api.DaemonStopped)
	require.True(t, d.Loopback(d.ref("guest")))
	_, err := d.Upstream(d.ref("guest"))
	require.NoError(t, err)
}

// A daemon that answers while its container is replaced says nothing of the next one.
func TestAnAnswerFromAContainerThatWasReplacedProvesNothing(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	var asked atomic.Int64
	var builtIn http.Handler // the built-in one of the old container
	first, second := make(chan struct{}), make(chan struct{})
	t.Cleanup(func() { close(second) })
	f.serve = func(w http.ResponseWriter, r *http.Request) bool {
		if strings.HasPrefix(r.URL.Path, daemon.ChallengePath) {
			wait := second
			if asked.Add(1) == 1 {
				wait = first
			}
			select {
			case <-wait:
			case <-r.Context().Done():
			}
		}
		builtIn.ServeHTTP(w, r)
		return true
	}
	old, next := f.container("box"), f.container("box")
	next.ID = strings.Repeat("f", 64)
	f.list = []source.Container{old}
	d := f.desk(t, func(o *Options) { o.Config.ContainerName = "" })
	var err error
	builtIn, err = toolbox.New(toolbox.Options{Secret: d.keys.secret(old.ID), Version: "v1"})
	require.NoError(t, err)
	d.run()
	require.Eventually(t, func() bool { return asked.Load() == 1 }, soon, look)
	f.set(next)
	require.Eventually(t, func() bool { return d.get("box").ID == next.ID }, soon, look)
	close(first)
	require.Eventually(t, func() bool { return asked.Load() == 2 }, soon, look)
	_, err = d.Upstream(d.ref("box"))
	require.Error(t, err)
	require.NotEqual(t, api.DaemonHealthy, d.get("box").Daemon.State)
}

func TestNothingIsSentToAPlaceThatHasEnded(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	f.list = []source.Container{f.container("box")}
	d := f.desk(t, func(*Options) {})
	d.run()
	d.becomes("box", api.DaemonHealthy)
	up, err := d.Upstream(d.ref("box"))
	require.NoError(t, err)
	stopped := f.container("box")
	stopped.State = api.ContainerExited
	f.set(stopped)
	d.becomes("box", api.DaemonStopped)
	_, err = up.Dial(t.Context())
	require.ErrorIs(t, err, &api.Problem{Code: api.CodeSandboxStopped})
}

// Of two addresses one may be a stranger's here.
func TestAPortIsLookedAtOnlyWhereTheDaemonWasProved(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	var met atomic.Bool
	l, err := net.Listen("tcp", stranger+":0")
	require.NoError(t, err)
	t.Cleanup(func() { l.Close() })
	go func() {
		for c, err := l.Accept(); err == nil; c, err = l.Accept() {
			met.Store(true)
			_, _ = io.WriteString(c, "RFB 003.008\n")
			c.Close()
		}
	}()
	port := wiretest.Port(t, l.Addr())
	f.serve = func(w http.ResponseWriter, r *http.Request) bool {
		switch {
		case r.URL.Path == "/port":
			fmt.Fprintf(w, `{"ports":[%d]}`, port)
		case strings.HasPrefix(r.URL.Path, "/proxy/"):
			w.WriteHeader(http.StatusBadGateway)
		default:
			return false
		}
		return true
	}
	box := f.container("box")
	box.Addresses = []string{stranger, "127.0.0.1"}
	f.list = []source.Container{box}
	d := f.desk(t, func(*Options) {})
	d.run()
	d.becomes("box", api.DaemonHealthy)
	cards, err := d.Cards(t.Context(), d.ref("box"))
	require.NoError(t, err)
	require.Len(t, cards, 1)
	require.NotEqual(t, "rfb", cards[0].Service)
	require.False(t, met.Load())
}

// The daemon is yet to be started at the other address.
func TestAStrangerAtOneAddressLeavesTheOther(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		addresses []string
		want      error
	}{
		{[]string{"127.0.0.1"}, inject.ErrElsewhere},
		{[]string{"127.0.0.1", stranger}, daemon.ErrRefused},
	} {
		f := newFake(t)
		f.sockets = noSockets
		box := f.container("box")
		box.Addresses = c.addresses
		f.list = []source.Container{box}
		d := f.desk(t, func(o *Options) { o.Config.ContainerName = "" })
		_, err := route{d.boxFor(d.ref("box")), box}.meet(t.Context())
		require.ErrorIs(t, err, c.want)
		require.Equal(t, c.want == inject.ErrElsewhere, errors.Is(err, inject.ErrElsewhere)) //nolint:errorlint // the table's own value
	}
}

// Its connections are gone from the table of the container that it is in.
func TestAServiceThatEndsWhileItIsAskedIsNoStranger(t *testing.T) {
	t.Parallel()
	for _, resets := range []int64{1, 1 << 30} {
		f := newFake(t)
		var asked atomic.Int64
		f.serve = func(w http.ResponseWriter, _ *http.Request) bool {
			if asked.Add(1) > resets {
				return false
			}
			conn, _, err := w.(http.Hijacker).Hijack()
			if err == nil {
				_ = conn.(*net.TCPConn).SetLinger(0)
				_ = conn.Close()
			}
			return true
		}
		box := f.container("box")
		f.list = []source.Container{box}
		d := f.desk(t, func(o *Options) { o.Config.ContainerName = "" })
		_, err := route{d.boxFor(d.ref("box")), box}.meet(t.Context())
		if resets == 1 {
			require.NoError(t, err)
			continue
		}
		require.ErrorIs(t, err, daemon.ErrNotDaemon)
		require.NotErrorIs(t, err, inject.ErrElsewhere)
	}
}

// Another route may lead to another container with the same address.
func TestAProofThroughTheEngineHoldsForItsRouteOnly(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	box := f.container("box")
	f.list = []source.Container{box}
	d := f.desk(t, func(*Options) {})
	var known proof
	for _, step := range []struct {
		from    string
		sockets string
		want    error
	}{
		{"127.0.0.1", "", nil},
		{"127.0.0.1", noSockets, nil}, // it is not asked again
		{"127.0.0.3", noSockets, inject.ErrElsewhere},
	} {
		f.sockets = step.sockets
		dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(step.from)}}
		conn, dialErr := dialer.DialContext(t.Context(), "tcp", "127.0.0.1:"+strconv.Itoa(f.port))
		require.NoError(t, dialErr)
		t.Cleanup(func() { _ = conn.Close() })
		got, err := d.prover.locate(t.Context(), box, conn, known)
		require.ErrorIs(t, err, step.want)
		known = got
	}
}

// An engine that is away tells of no container that ends.
func TestDaemonsAreAskedAtOnceWhenTheEngineIsLost(t *testing.T) {
	t.Parallel()
	f := newFake(t)
	f.list = []source.Container{f.container("idle")}
	d := f.desk(t, func(o *Options) { o.Config.ContainerName = "" })
	d.pace = pace{often: 2 * time.Millisecond, seldom: time.Hour, firstRetry: look, maxRetry: look}
	d.run()
	d.becomes("idle", api.DaemonHealthy)
	nobody := ""
	f.version.Store(&nobody)
	require.Equal(t, api.DaemonHealthy, d.get("idle").Daemon.State)
	f.breaks(errors.New("pipe burst"))
	require.Eventually(t, func() bool { return d.get("idle").Daemon.State != api.DaemonHealthy }, soon, look)
}
