package toolbox

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"daemon-proxy/core/daemon"

	"github.com/stretchr/testify/require"
)

const (
	benchRounds  = 3
	benchSecret  = "bench-secret"
	benchMessage = 64 // bytes of a WebSocket round trip
)

// workload is what one benchmark asks of every front.
type workload struct {
	name        string
	path        string
	body        int // bytes of the answer
	connections int
	each        time.Duration // of one front in one round
	direct      bool          // the daemon without a front as well
}

var workloads = []workload{
	{name: "small", path: "/small", body: 128, connections: 64, each: time.Second, direct: true},
	{name: "latency", path: "/small", body: 128, connections: 1, each: 500 * time.Millisecond, direct: true},
	{name: "large", path: "/large", body: 100 << 10, connections: 16, each: 700 * time.Millisecond},
	{name: "websocket", path: "/ws", body: benchMessage, connections: 16, each: 700 * time.Millisecond},
}

// measured is what one front did in all rounds.
type measured struct {
	requests int64
	cpu      time.Duration // of the front's processes
	rates    []float64     // requests a second, by round
	p50      []time.Duration
}

func (m *measured) perRequest() float64 {
	return float64(m.cpu.Nanoseconds()) / 1e3 / float64(max(m.requests, 1))
}
func (m *measured) rate() float64          { return median(m.rates) }
func (m *measured) latency() time.Duration { return median(m.p50) }

func median[T float64 | time.Duration](s []T) T {
	s = slices.Sorted(slices.Values(s))
	return s[len(s)/2]
}

// BenchmarkForward compares what it costs to forward to the built-in daemon
// with nginx and the standard library's proxy doing the same. Service, daemon
// and fronts are processes of their own, so that a front's CPU time can be
// read; they take turns, round by round, because machines drift. Only the
// ratios mean something, and a gap under 20 % means nothing.
func BenchmarkForward(b *testing.B) {
	if testing.Short() {
		b.Skip("takes a minute")
	}
	stage := newStage(b)
	for _, w := range workloads {
		var done map[string]*measured
		b.Run(w.name, func(b *testing.B) {
			if done == nil { // a higher b.N brings no more: a run is as long as it is
				done = stage.measure(b, w)
				stage.table(w, done)
			}
			ours := done["daemon-proxy"]
			b.ReportMetric(0, "ns/op")
			b.ReportMetric(ours.perRequest(), "µs-cpu/req")
			b.ReportMetric(ours.rate(), "req/s")
			for _, other := range []string{"nginx", "ReverseProxy"} {
				if m := done[other]; m != nil {
					b.ReportMetric(ours.perRequest()/m.perRequest(), "cpu/"+other)
					b.ReportMetric(ours.rate()/m.rate(), "rate/"+other)
				}
			}
		})
	}
}

// stage is the processes of a run.
type stage struct {
	fronts []front
}

type front struct {
	name string
	addr string
	// prefix goes before the path; a front's is empty.
	prefix string
	pids   func() []int
}

func newStage(b *testing.B) *stage {
	b.Helper()
	service, _ := startRole(b, "service")
	_, port, err := net.SplitHostPort(service)
	require.NoError(b, err)
	daemon, daemonPID := startRole(b, "daemon")
	target := daemon + "/proxy/" + port
	s := &stage{fronts: []front{{name: "no front", addr: daemon, prefix: "/proxy/" + port, pids: func() []int { return []int{daemonPID} }}}}
	if addr, pids, err := startNginx(b, daemon, "/proxy/"+port); err != nil {
		fmt.Println("without nginx:", err)
	} else {
		s.fronts = append(s.fronts, front{name: "nginx", addr: addr, pids: pids})
	}
	for role, name := range map[string]string{"ours": "daemon-proxy", "reverseproxy": "ReverseProxy"} {
		addr, pid := startRole(b, role, target)
		s.fronts = append(s.fronts, front{name: name, addr: addr, pids: func() []int { return []int{pid} }})
	}
	slices.SortFunc(s.fronts[1:], func(a, b front) int { return strings.Compare(strings.ToLower(a.name), strings.ToLower(b.name)) })
	return s
}

// measure lets the fronts take turns.
func (s *stage) measure(b *testing.B, w workload) map[string]*measured {
	b.Helper()
	all := map[string]*measured{}
	for round := -1; round < benchRounds; round++ {
		for _, f := range s.fronts {
			if f.prefix != "" && !w.direct {
				continue
			}
			m := all[f.name]
			if m == nil {
				m = &measured{}
				all[f.name] = m
			}
			if round < 0 { // pools and heaps fill
				_, _, err := load(f, w, w.each/4)
				require.NoError(b, err, f.name)
				continue
			}
			before := cpuTime(f.pids())
			start := time.Now()
			n, p50, err := load(f, w, w.each)
			require.NoError(b, err, f.name)
			m.rates = append(m.rates, float64(n)/time.Since(start).Seconds())
			m.cpu += cpuTime(f.pids()) - before
			m.requests += n
			m.p50 = append(m.p50, p50)
		}
	}
	return all
}

// table prints the fronts side by side.
func (s *stage) table(w workload, done map[string]*measured) {
	fmt.Printf("\n%s: %d bytes, %d connections, %d rounds\n%-14s %9s %11s %9s %9s %9s\n",
		w.name, w.body, w.connections, benchRounds, "front", "µs CPU", "requests/s", "p50", "cpu/nginx", "cpu/RP")
	ratio := func(m *measured, other string) string {
		o := done[other]
		if o == nil || o.cpu == 0 {
			return "–"
		}
		return fmt.Sprintf("%.2f", m.perRequest()/o.perRequest())
	}
	for _, f := range s.fronts {
		m := done[f.name]
		if m == nil {
			continue
		}
		if f.prefix != "" { // its CPU time is the daemon's
			fmt.Printf("%-14s %9s %11.0f %9s\n", f.name, "–", m.rate(), m.latency().Round(time.Microsecond))
			continue
		}
		fmt.Printf("%-14s %9.1f %11.0f %9s %9s %9s\n", f.name, m.perRequest(), m.rate(), m.latency().Round(time.Microsecond),
			ratio(m, "nginx"), ratio(m, "ReverseProxy"))
	}
}

// load asks f as fast as it answers, for that long, and returns the number of
// answers and the median time for one.
func load(f front, w workload, long time.Duration) (int64, time.Duration, error) {
	var total atomic.Int64
	var mu sync.Mutex
	var times []time.Duration
	var failed error
	var wg sync.WaitGroup
	deadline := time.Now().Add(long)
	for range w.connections {
		wg.Go(func() {
			took, err := client(f, w, deadline)
			total.Add(int64(len(took)))
			mu.Lock()
			defer mu.Unlock()
			times = append(times, took...)
			if err != nil {
				failed = err
			}
		})
	}
	wg.Wait()
	if failed != nil || len(times) == 0 {
		return 0, 0, fmt.Errorf("no answers: %w", failed)
	}
	slices.Sort(times)
	return total.Load(), times[len(times)/2], nil
}

// client asks on one connection until the deadline, and returns how long each
// answer took.
func client(f front, w workload, deadline time.Time) ([]time.Duration, error) {
	c, err := net.Dial("tcp", f.addr)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	if err := c.SetDeadline(deadline.Add(10 * time.Second)); err != nil {
		return nil, err
	}
	br := bufio.NewReaderSize(c, 64<<10)
	request := []byte("GET " + f.prefix + w.path + " HTTP/1.1\r\nHost: localhost\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64)\r\n" +
		"Accept: text/html,*/*;q=0.8\r\nAccept-Language: en\r\nAccept-Encoding: gzip, br\r\nCookie: session=0123456789abcdef\r\n")
	if f.prefix != "" {
		request = append(request, daemon.SecretHeader+": "+benchSecret+"\r\n"...)
	}
	answered := func() error { return readAnswer(br, 200, w.body) }
	if w.path == "/ws" {
		request = append(request, "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"...)
		if _, err := c.Write(request); err != nil {
			return nil, err
		}
		if err := readAnswer(br, 101, 0); err != nil {
			return nil, err
		}
		request = append([]byte{0x82, benchMessage - 2}, make([]byte, benchMessage-2)...)
		answered = func() error { _, err := br.Discard(benchMessage); return err }
	} else {
		request = append(request, "\r\n"...)
	}
	times := make([]time.Duration, 0, 1<<14)
	for start := time.Now(); start.Before(deadline); {
		if _, err := c.Write(request); err != nil {
			return nil, err
		}
		if err := answered(); err != nil {
			return nil, err
		}
		now := time.Now()
		times = append(times, now.Sub(start))
		start = now
	}
	return times, nil
}

// readAnswer reads one answer with that status and that many bytes of body.
func readAnswer(br *bufio.Reader, status, body int) error {
	for first := true; ; first = false {
		line, err := br.ReadSlice('\n')
		if err != nil {
			return err
		}
		if first && !bytes.HasPrefix(line, fmt.Appendf(nil, "HTTP/1.1 %d ", status)) {
			return fmt.Errorf("the answer begins with %q", line)
		}
		if len(line) == 2 {
			break
		}
	}
	_, err := io.CopyN(io.Discard, br, int64(body))
	return err
}

// cpuTime is the CPU time that these processes have used; 0 where there is no /proc.
func cpuTime(pids []int) (sum time.Duration) {
	const tick = 10 * time.Millisecond // USER_HZ is 100 on every architecture that Go knows
	for _, pid := range pids {
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if err != nil {
			continue
		}
		_, rest, _ := bytes.Cut(stat, []byte(") ")) // the name may hold spaces
		fields := strings.Fields(string(rest))
		var user, system int64
		if len(fields) > 12 {
			_, _ = fmt.Sscan(fields[11], &user)
			_, _ = fmt.Sscan(fields[12], &system)
		}
		sum += time.Duration(user+system) * tick
	}
	return sum
}
