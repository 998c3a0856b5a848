//go:build linux

package main

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os/exec"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"daemon-proxy/core/wiretest"
)

// BenchmarkScreen measures what a screen that is attached over HTTP costs a
// headless core, and prints what comes of it beside the targets.
func BenchmarkScreen(b *testing.B) {
	if testing.Short() {
		b.Skip("takes three minutes")
	}
	binary := newDesk(b).binary
	fmt.Printf("\n%-64s %10s %10s\n", "a screen attached to a headless core", "measured", "target")
	for _, stage := range []struct {
		name    string
		measure func(*testing.B, *desk) []figure
	}{{"idle", idleScreen}, {"burst", burstScreen}} {
		measured := false
		b.Run(stage.name, func(b *testing.B) {
			b.ReportMetric(0, "ns/op")
			if measured { // a higher b.N brings no more: a run is as long as it is
				return
			}
			measured = true
			for _, f := range stage.measure(b, &desk{dir: b.TempDir(), binary: binary, port: wiretest.FreePort(b)}) {
				target := "–"
				if f.target > 0 {
					target = fmt.Sprintf("≤ "+f.format, f.target)
				}
				fmt.Printf("%-64s %10s %10s\n", f.what, fmt.Sprintf(f.format, f.got), target)
				if f.target > 0 && !f.noisy {
					require.Less(b, f.got, 10*f.target, f.what)
				}
			}
		})
	}
}

// headless starts a core, which answers at path with 200.
func headless(b *testing.B, d *desk, path string, env ...string) *painted {
	b.Helper()
	cmd := exec.Command(d.binary, "--no-tui", "--log-level", "WARNING")
	cmd.Dir, cmd.Env = d.dir, append(d.environment(), env...)
	require.NoError(b, cmd.Start())
	b.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	require.Eventually(b, func() bool {
		response, err := http.Get("http://127.0.0.1:" + strconv.Itoa(d.port) + path)
		if err != nil {
			return false
		}
		defer response.Body.Close()
		return response.StatusCode == http.StatusOK
	}, startsWithin, look)
	return &painted{b: b, cmd: cmd}
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

// idleScreen is with nothing to say but that the core is there.
func idleScreen(b *testing.B, d *desk) []figure {
	const long = time.Minute
	world := newCrowded(b, 50)
	p := headless(b, d, "/health", world.environment()...)
	screen := attach(b, d.port)
	defer screen.Close()
	time.Sleep(5 * time.Second) // the first look at each container
	bytes, parts, cpu := screen.bytes.Load(), screen.parts.Load(), p.cpu()
	time.Sleep(long)
	return []figure{
		{what: "CPU of the idle core, 50 containers, a screen attached", got: 100 * (p.cpu() - cpu).Seconds() / long.Seconds(), target: 0.1, format: "%.2f %%"},
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
