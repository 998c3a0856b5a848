//go:build linux

package main

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"daemon-proxy/core"
	"daemon-proxy/core/wiretest"
)

// BenchmarkScreen measures a screen on a core that runs, beside a UI that has the
// core in its own process, and what the screen costs that core.
func BenchmarkScreen(b *testing.B) {
	if testing.Short() {
		b.Skip("takes five minutes")
	}
	stages{
		{"names", namesOnScreen}, {"key", keyOnScreen}, {"idle", idleScreen}, {"stream", idleStream}, {"burst", burstScreen}, {"engines", idleEngines},
	}.print(b, "a screen on a core that runs, 120×40", newDesk(b).binary)
}

// headless starts a core, which answers at path with 200.
func headless(b *testing.B, d *desk, path string, env ...string) *painted {
	b.Helper()
	cmd := exec.Command(d.binary, "--no-tui", "--log-level", "WARNING")
	cmd.Dir, cmd.Env = d.dir, append(d.environment(), env...)
	require.NoError(b, cmd.Start())
	b.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	answers(b, d.port, path)
	return &painted{b: b, cmd: cmd}
}

// answers waits until a path is answered with 200.
func answers(b *testing.B, port int, path string) {
	b.Helper()
	require.Eventually(b, func() bool {
		response, err := http.Get("http://127.0.0.1:" + strconv.Itoa(port) + path)
		if err != nil {
			return false
		}
		defer response.Body.Close()
		return response.StatusCode == http.StatusOK
	}, startsWithin, look)
}

// attached is an event stream of a screen, read as it comes.
type attached struct {
	net.Conn
	bytes, parts atomic.Int64 // what has come, and in how many reads
}

func attach(b *testing.B, port int) *attached {
	b.Helper()
	c, err := net.Dial("tcp", "127.0.0.1:"+strconv.Itoa(port))
	require.NoError(b, err)
	_, err = io.WriteString(c, "GET /api/events?screen=bench HTTP/1.1\r\nHost: localhost\r\n\r\n")
	require.NoError(b, err)
	a, began := &attached{Conn: c}, make(chan struct{})
	go func() {
		for p := make([]byte, 64<<10); ; {
			n, err := c.Read(p)
			if err != nil {
				return
			}
			if a.bytes.Add(int64(n)); a.parts.Add(1) == 1 {
				close(began)
			}
		}
	}()
	wiretest.Receive(b, began, "the event stream")
	return a
}

// idleStream is with nothing to say but that the core is there.
func idleStream(b *testing.B, d *desk) []figure {
	const long = time.Minute
	p := headless(b, d, "/health", "DAEMON_MODE=host")
	screen := attach(b, d.port)
	defer screen.Close()
	time.Sleep(5 * time.Second) // the first look at each container
	bytes, parts, cpu := screen.bytes.Load(), screen.parts.Load(), p.cpu()
	time.Sleep(long)
	return []figure{
		{what: "CPU of the idle core of this machine, an event stream open", got: 100 * (p.cpu() - cpu).Seconds() / long.Seconds(), target: 0.1, format: "%.2f %%"},
		{what: "messages a minute then: heartbeats", got: float64(screen.parts.Load() - parts), target: 4, format: "%.0f"},
		{what: "bytes a minute then", got: float64(screen.bytes.Load() - bytes), target: 100, format: "%.0f"},
	}
}

// burstScreen is the CPU time for a request with and without a screen, in turns.
func burstScreen(b *testing.B, d *desk) []figure {
	const perSecond, long, pairs = 5000, 2 * time.Second, 10
	daemon := wiretest.Serve(b, daemonAnswers)
	p := headless(b, d, "/proxy/3000/", "DAEMON_MODE=host", "DAEMON_PORT="+strconv.Itoa(wiretest.Port(b, daemon)))
	load(b, d.port, 0, 0, 2*time.Second) // pools, heaps and the request log fill
	var each, bytes []float64
	run := func(with bool) float64 {
		if with {
			screen := attach(b, d.port)
			defer func() { bytes = append(bytes, float64(screen.bytes.Load())); screen.Close() }()
		}
		before, start := p.cpu(), time.Now()
		answered := load(b, d.port, perSecond, 0, long) * time.Since(start).Seconds()
		return (p.cpu() - before).Seconds() / answered
	}
	for i := range pairs {
		first := i%2 == 0
		one, other := run(first), run(!first)
		if first {
			each = append(each, one/other)
		} else {
			each = append(each, other/one)
		}
	}
	fmt.Printf("  with the screen / without: %s\n", strings.Trim(fmt.Sprintf("%.3f", each), "[]"))
	return []figure{
		{what: fmt.Sprintf("more CPU for a request at %d a second, median of %d pairs", perSecond, pairs), got: 100 * (middle(each) - 1), target: 2, format: "%.1f %%", noisy: true},
		{what: "kB a second to the screen then", got: middle(bytes) / long.Seconds() / 1000, format: "%.0f"},
	}
}

// anotherDesk is a desk whose program finds no core of the first.
func anotherDesk(b *testing.B, d *desk) *desk {
	b.Helper()
	return &desk{dir: b.TempDir(), binary: d.binary, port: wiretest.FreePort(b)}
}

// namesOnScreen is from exec to a frame with the containers' names.
func namesOnScreen(b *testing.B, d *desk) []figure {
	b.Helper()
	world, alone := newCrowded(b, 50), anotherDesk(b, d)
	headless(b, d, "/health", world.environment()...)
	paint := func(d *desk) float64 {
		t := d.paint(b, exec.Command(d.binary), world.environment()...)
		defer t.end()
		return ms(t.shows("worker-000", 0).Sub(t.began))
	}
	var attached, own []float64
	for range 9 {
		attached, own = append(attached, paint(d)), append(own, paint(alone))
	}
	return []figure{
		{what: "first frame with 50 names after exec, median of 9", got: middle(attached), format: "%.0f ms"},
		{what: "ratio to a UI with a core of its own", got: middle(attached) / middle(own), target: 1.3, format: "%.2f"},
	}
}

// keyOnScreen is with 500 containers and 10,000 exchanges, all shown.
func keyOnScreen(b *testing.B, d *desk) []figure {
	b.Helper()
	world, alone := newCrowded(b, 500), anotherDesk(b, d)
	headless(b, d, "/health", world.environment()...)
	keys := func(d *desk) *keyBench {
		t := d.paint(b, exec.Command(d.binary), world.environment()...)
		return newKeyBench(b, t, world, d.port)
	}
	attached, own := keys(d), keys(alone)
	var there, here []float64
	for i := range 40 {
		there, here = append(there, attached.press(i)), append(here, own.press(i))
	}
	return []figure{
		{what: "key to repaint, 500 containers, 10,000 exchanges, median of 40", got: middle(there), format: "%.1f ms"},
		{what: "more than with a core of its own", got: middle(there) - middle(here), target: 1, format: "%.1f ms", noisy: true},
	}
}

// counter counts the bytes that are written to it.
type counter struct{ atomic.Int64 }

func (c *counter) Write(p []byte) (int, error) {
	c.Add(int64(len(p)))
	return len(p), nil
}

// counted is an address that leads to another one, and counts the bytes.
func counted(b *testing.B, to string) (address string, bytes *counter) {
	b.Helper()
	bytes = &counter{}
	relay := wiretest.NewRelay(b, to, func(dst, src net.Conn) { _, _ = io.Copy(dst, io.TeeReader(src, bytes)) })
	return relay.Addr().String(), bytes
}

// idleScreen is 50 containers, each with a daemon whose health is watched.
func idleScreen(b *testing.B, d *desk) []figure {
	b.Helper()
	const long = 30 * time.Second
	world := newCrowded(b, 50)
	c := headless(b, d, "/health", world.environment()...)
	running, ok := core.ReadRunning(filepath.Join(d.dir, "state", "daemon-proxy"))
	require.True(b, ok)
	address, bytes := counted(b, net.JoinHostPort("127.0.0.1", strconv.Itoa(d.port)))
	t := d.paint(b, exec.Command(d.binary), append(world.environment(), serverEnv+"=http://"+address, keyEnv+"="+running.Key)...)
	defer t.end()
	t.shows("v0.190.0", 0)
	time.Sleep(5 * time.Second) // the first look at each
	sent, frames, screen, all := bytes.Load(), t.frames.Load(), t.cpu(), c.cpu()
	time.Sleep(long)
	share := func(d time.Duration) float64 { return 100 * d.Seconds() / long.Seconds() }
	screen, all = t.cpu()-screen, c.cpu()-all
	return []figure{
		{what: "CPU of screen and core, idle, 50 containers, health watched", got: share(screen + all), target: 0.1, format: "%.2f %%", noisy: true},
		{what: "of it the screen", got: share(screen), format: "%.2f %%"},
		{what: "bytes a second between them then", got: float64(bytes.Load()-sent) / long.Seconds(), format: "%.0f"},
		{what: "repaints a second then", got: float64(t.frames.Load()-frames) / long.Seconds(), format: "%.1f"},
	}
}
