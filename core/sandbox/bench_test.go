package sandbox

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"daemon-proxy/core/api"
	"daemon-proxy/core/config"
	"daemon-proxy/core/docker/enginetest"
	"daemon-proxy/core/reach"
	"daemon-proxy/core/toolbox"
)

// sink is a service that sends and takes bytes, and sends back what comes after an
// upgrade.
const sink = `package main

import (
	"io"
	"log"
	"net/http"
	"strconv"
)

func main() {
	http.HandleFunc("GET /{size}", func(w http.ResponseWriter, r *http.Request) {
		size, _ := strconv.Atoi(r.PathValue("size"))
		for piece := make([]byte, 64<<10); size > 0; size -= len(piece) {
			if _, err := w.Write(piece[:min(size, len(piece))]); err != nil {
				return
			}
		}
	})
	http.HandleFunc("PUT /", func(w http.ResponseWriter, r *http.Request) { _, _ = io.Copy(io.Discard, r.Body) })
	http.HandleFunc("GET /socket", func(w http.ResponseWriter, r *http.Request) {
		c, buf, err := w.(http.Hijacker).Hijack()
		if err != nil {
			return
		}
		defer c.Close()
		io.WriteString(c, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
		io.Copy(c, buf)
	})
	log.Fatal(http.ListenAndServe(":8080", nil))
}`

// BenchmarkReach compares the ways to one container:
//   - how long it takes until the first byte of the first connection,
//   - the median of small answers on one connection, with those through a daemon,
//   - the median on 63 connections at a time, also while another one takes no data,
//   - the throughput in both directions,
//   - how long 1,000 WebSockets take to open and to echo, and the memory in the
//     container for each hundred of them while they are idle.
func BenchmarkReach(b *testing.B) {
	e := enginetest.Require(b)
	image := enginetest.Import(b, map[string]enginetest.File{"/app": {Path: enginetest.StaticGoSource(b, sink)}},
		[]string{`CMD ["/app"]`})
	name := enginetest.Name(b)
	id := enginetest.Run(b, image, enginetest.RunOptions{Name: name})
	b.Cleanup(func() { require.NoError(b, e.RemoveHelperImages(context.WithoutCancel(b.Context()))) })
	state := b.TempDir()
	ways := map[string]string{reachDirect: api.ViaDirect, reachBridge: api.ViaExec, reachHelper: api.ViaHelper}
	for _, way := range []string{reachDirect, reachBridge, reachHelper} {
		b.Run(way, func(b *testing.B) {
			s, err := New(Options{
				Source: e, Reach: way, StateDir: state, CacheDir: b.TempDir(), Config: config.Defaults().Daemon,
				Executable: enginetest.StaticGo(b, "daemon-proxy/cmd/toolbox"), Logger: slog.New(slog.DiscardHandler),
				BoxDaemon: func(secret, workDir string, inside Inside) (BoxDaemon, error) {
					return toolbox.New(toolbox.Options{Secret: secret, Version: "bench", WorkDir: workDir, Inside: inside})
				},
			})
			require.NoError(b, err)
			defer func() { require.NoError(b, s.Close(context.Background())) }()
			ctx, cancel := context.WithCancel(context.Background())
			ended := make(chan struct{})
			go func() { defer close(ended); s.Run(ctx) }()
			defer func() { cancel(); <-ended }()
			ref := s.ref(name)
			require.Eventually(b, func() bool { return s.box(ref) != nil }, soon, look)
			require.NoError(b, s.Inject(ctx, ref, nil))
			shown, _ := s.Get(ref)
			require.Equal(b, ways[way], shown.Via)
			to := func() reach.Reach {
				s.mu.Lock()
				defer s.mu.Unlock()
				return s.boxes[ref].reach()
			}
			var setUps []time.Duration
			for range 10 {
				if way != reachDirect {
					s.box(ref).update((*box).endBridge)
				}
				begun := time.Now()
				_, err := route{s.box(ref), s.box(ref).container}.meet(ctx)
				require.NoError(b, err)
				setUps = append(setUps, time.Since(begun))
			}
			figures := map[string]float64{"ms/set-up": middle(setUps) / 1000} // the loop resets what was reported before

			m := &measured{b, &http.Client{Transport: &http.Transport{
				DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) { return to().Dial(ctx, 8080) },
			}}}
			defer m.client.CloseIdleConnections()
			figures["MB/s-down"] = m.rate(http.MethodGet, fmt.Sprint("/", bulk), nil, nil)
			figures["MB/s-up"] = m.rate(http.MethodPut, "/", io.LimitReader(rand.NewChaCha8([32]byte{}), bulk), nil)
			client, up, err := s.upstream(ref)
			require.NoError(b, err)
			through := &measured{b, &http.Client{Transport: &http.Transport{
				DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) { return up.Dial(ctx) },
			}}}
			defer through.client.CloseIdleConnections()
			figures["µs/p50-daemon"] = middle(through.answers(200, "/proxy/8080/1", client.Authorize))
			figures["µs/p50-of-63"] = m.together(63)
			figures["µs/p50-of-63-beside-a-slow-one"] = m.besideASlowOne(to())
			before := residentOfBridge(b, id)
			figures["ms/1000-sockets"] = m.sockets(1000, to(), func() {
				if after := residentOfBridge(b, id); after > 0 {
					figures["KiB/100-idle"] = (after - before) / 10 / 1024
				}
			})
			var small []time.Duration
			for b.Loop() {
				small = append(small, m.answers(1, "/1", nil)...)
			}
			b.ReportMetric(middle(small), "µs/p50")
			for unit, figure := range figures {
				b.ReportMetric(figure, unit)
			}
			b.ReportMetric(0, "ns/op")
		})
	}
}

// bulk is how many bytes are sent to measure the throughput.
const bulk = 256 << 20

// middle is the median in microseconds.
func middle(all []time.Duration) float64 {
	slices.Sort(all)
	return float64(all[len(all)/2].Microseconds())
}

// measured is a client of the service.
type measured struct {
	b      *testing.B
	client *http.Client
}

// rate makes a request and returns the bytes of bulk a second, in MB.
func (m *measured) rate(method, path string, body io.Reader, header func(http.Header)) float64 {
	r, err := http.NewRequest(method, "http://box"+path, body)
	require.NoError(m.b, err)
	if header != nil {
		header(r.Header)
	}
	begun := time.Now()
	response, err := m.client.Do(r)
	require.NoError(m.b, err)
	_, err = io.Copy(io.Discard, response.Body)
	require.NoError(m.b, err)
	response.Body.Close()
	return bulk / time.Since(begun).Seconds() / 1e6
}

// answers are the times of n requests, one after the other.
func (m *measured) answers(n int, path string, header func(http.Header)) (all []time.Duration) {
	for range n {
		begun := time.Now()
		m.rate(http.MethodGet, path, nil, header)
		all = append(all, time.Since(begun))
	}
	return all
}

// besideASlowOne is together(63) while another connection is not read.
func (m *measured) besideASlowOne(way reach.Reach) float64 {
	slow, err := way.Dial(context.Background(), 8080)
	require.NoError(m.b, err)
	defer slow.Close()
	_, err = fmt.Fprintf(slow, "GET /%d HTTP/1.1\r\nHost: box\r\n\r\n", 1<<30)
	require.NoError(m.b, err)
	return m.together(63)
}

// together is the median of small answers on n connections at a time.
func (m *measured) together(n int) float64 {
	var all []time.Duration
	var mu sync.Mutex
	var group sync.WaitGroup
	for range n {
		group.Go(func() {
			some := m.answers(20, "/1", nil)
			mu.Lock()
			defer mu.Unlock()
			all = append(all, some...)
		})
	}
	group.Wait()
	return middle(all)
}

// sockets opens n WebSockets that echo a message each, calls idle while all of them
// are open, and returns the milliseconds that it took.
func (m *measured) sockets(n int, way reach.Reach, idle func()) float64 {
	begun := time.Now()
	conns := make([]net.Conn, n)
	var group sync.WaitGroup
	for i := range conns {
		group.Go(func() {
			c, err := way.Dial(context.Background(), 8080)
			if err != nil {
				return
			}
			_, _ = io.WriteString(c, "GET /socket HTTP/1.1\r\nHost: box\r\n\r\necho") // an error shows in the answer
			var got []byte
			for buf := make([]byte, 512); err == nil && !bytes.HasSuffix(got, []byte("echo")); {
				var k int
				k, err = c.Read(buf)
				got = append(got, buf[:k]...)
			}
			if err == nil {
				conns[i] = c
			}
		})
	}
	group.Wait()
	took := time.Since(begun)
	idle()
	for i, c := range conns {
		require.NotNil(m.b, c, "socket %d", i)
		c.Close()
	}
	return float64(took.Milliseconds())
}

// residentOfBridge is how many bytes the bridge of a container, or its helper, has
// in memory, if this machine is the engine's; else 0.
func residentOfBridge(b *testing.B, id string) float64 {
	files, err := filepath.Glob("/proc/[0-9]*/cmdline")
	require.NoError(b, err)
	for _, file := range files {
		if raw, err := os.ReadFile(file); err != nil || !bytes.HasSuffix(raw, []byte("\x00toolbox\x00bridge\x00")) {
			continue
		}
		group, err := os.ReadFile(filepath.Join(filepath.Dir(file), "cgroup"))
		of := func(id string) bool { return err == nil && strings.Contains(string(group), id) }
		if !of(id) && !slices.ContainsFunc(enginetest.Helpers(b, id), of) {
			continue
		}
		status, err := os.ReadFile(filepath.Join(filepath.Dir(file), "status"))
		require.NoError(b, err)
		_, rest, _ := strings.Cut(string(status), "VmRSS:")
		var kib float64
		_, err = fmt.Sscan(rest, &kib)
		require.NoError(b, err)
		return kib * 1024
	}
	return 0
}
