//go:build linux

package main

import (
	"bufio"
	"context"
	"fmt"
	"log"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"daemon-proxy/core/api"
	"daemon-proxy/core/client"
	"daemon-proxy/core/wiretest"
)

// screenEnv makes the test binary a screen on the core at the address before the
// space, which shows the sandbox behind it.
const screenEnv = "DAEMON_PROXY_TEST_SCREEN"

func playScreen(order string) {
	url, sandbox, _ := strings.Cut(order, " ")
	c, err := client.New(url)
	if err != nil {
		log.Fatal(err)
	}
	screen, err := c.Attach(context.Background(), "you@elsewhere")
	if err == nil {
		err = screen.Watch(context.Background(), api.ParseRef(sandbox))
	}
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("attached")
	for err == nil {
		_, err = screen.Next(context.Background())
	}
	log.Fatal(err)
}

// runScreen runs such a screen, under another program if one is given.
func runScreen(t *testing.T, url, sandbox string, under ...string) *exec.Cmd {
	t.Helper()
	under = append(under, os.Args[0])
	cmd := exec.Command(under[0], under[1:]...)
	cmd.Env = append(os.Environ(), screenEnv+"="+url+" "+sandbox)
	cmd.Stderr = wiretest.Log{T: t}
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	line, err := bufio.NewReader(out).ReadString('\n')
	require.NoError(t, err)
	require.Equal(t, "attached\n", line)
	return cmd
}

// However a screen goes, what it showed is then watched no more: after SIGKILL at
// once, and soon after its machine has vanished from the network.
func TestW5W7AScreenThatVanishesWatchesNothing(t *testing.T) {
	t.Parallel()
	var asked atomic.Int64 // for its ports: every 2 s while it is watched
	daemon := wiretest.Serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/port" {
			asked.Add(1)
		}
		daemonAnswers(w, r)
	})
	d := newDesk(t)
	p := d.serving(t, []string{"DAEMON_PROXY_HOST=0.0.0.0", "DAEMON_MODE=host", fmt.Sprint("DAEMON_PORT=", wiretest.Port(t, daemon))})
	p.healthy()
	watched := func() {
		t.Helper()
		from := asked.Load()
		p.eventually("it is watched", func() bool { return asked.Load() >= from+3 })
	}
	unwatched := func() {
		t.Helper()
		from, long := asked.Load(), time.NewTimer(7*time.Second)
		<-long.C
		require.LessOrEqual(t, asked.Load(), from+1, "it is still watched")
	}
	gone := func() bool { return len(d.screens(t)) == 0 }
	status := func() string { return d.done(t, "status") }
	unwatched()

	killed := runScreen(t, p.url, api.HostName)
	watched()
	require.Regexp(t, `(?m)^screen +you@elsewhere +since 20\d\d-\d\d-\d\d \d\d:\d\d:\d\d +host$`, status())
	require.Regexp(t, `"name": "you@elsewhere"`, d.done(t, "status", "--json"))
	require.NotContains(t, d.done(t, "status", api.HostName), "screen")
	start := time.Now()
	require.NoError(t, killed.Process.Kill())
	p.eventually("the lease of a killed screen ends", gone)
	require.Less(t, time.Since(start), 5*time.Second)
	require.NotContains(t, status(), "screen")
	unwatched()

	space, near := otherMachine(t)
	vanishing := runScreen(t, fmt.Sprintf("http://%s:%d", near, d.port), api.HostName, "nsenter", "--net=/run/netns/"+space)
	watched()
	ip(t, "-n", space, "addr", "flush", "dev", "far") // it answers nothing any more, not even that it is gone
	require.NoError(t, vanishing.Process.Kill())
	start = time.Now()
	require.False(t, gone(), "nothing can have said so")
	require.Eventually(t, gone, 2*startsWithin, look)
	t.Logf("the screen was given up after %v", time.Since(start))
	unwatched()
}

func ip(t *testing.T, args ...string) {
	t.Helper()
	out, err := exec.Command("ip", args...).CombinedOutput()
	require.NoError(t, err, "ip %v: %s", args, out)
}

// otherMachine is a network namespace that reaches this machine at an address.
func otherMachine(t *testing.T) (space, near string) {
	t.Helper()
	for _, program := range []string{"ip", "nsenter"} {
		if _, err := exec.LookPath(program); err != nil || os.Geteuid() != 0 {
			wiretest.Skip(t, "another machine on the network needs root, ip (Debian: iproute2) and nsenter (util-linux)")
		}
	}
	dir, err := os.MkdirTemp("", "dp-vanish-")
	require.NoError(t, err)
	space = filepath.Base(dir)
	link := "dp" + space[len(space)-8:] // at most 15 letters
	ip(t, "netns", "add", space)
	t.Cleanup(func() {
		ip(t, "netns", "del", space) // and the pair with it
		require.NoError(t, os.RemoveAll(dir))
	})
	ip(t, "link", "add", link, "type", "veth", "peer", "name", "far", "netns", space)
	net := rand.IntN(1 << 14) // of those for tests (RFC 2544), one that no other run has
	near = fmt.Sprintf("198.18.%d.%d", net>>6, net&63*4+1)
	far := fmt.Sprintf("198.18.%d.%d", net>>6, net&63*4+2)
	ip(t, "addr", "add", near+"/30", "dev", link)
	ip(t, "link", "set", link, "up")
	ip(t, "-n", space, "addr", "add", far+"/30", "dev", "far")
	ip(t, "-n", space, "link", "set", "far", "up")
	return space, near
}
