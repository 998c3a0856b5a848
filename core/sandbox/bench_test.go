package sandbox

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"daemon-proxy/core/api"
	"daemon-proxy/core/config"
	"daemon-proxy/core/docker/enginetest"
	"daemon-proxy/core/reach"
)

// sink is a service that sends and takes bytes.
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
	log.Fatal(http.ListenAndServe(":8080", nil))
}`

// BenchmarkReach compares the ways to one container: how long it takes until the
// first byte of the first connection, the median of small answers on one
// connection, and the throughput in both directions.
func BenchmarkReach(b *testing.B) {
	e := enginetest.Require(b)
	image := enginetest.Import(b, map[string]enginetest.File{"/app": {Path: enginetest.StaticGoSource(b, sink)}},
		[]string{`CMD ["/app"]`})
	name := enginetest.Name(b)
	enginetest.Run(b, image, enginetest.RunOptions{Name: name})
	state := b.TempDir()
	for _, way := range []string{reachDirect, reachBridge} {
		b.Run(way, func(b *testing.B) {
			s, err := New(Options{
				Source: e, Reach: way, StateDir: state, CacheDir: b.TempDir(), Config: config.Defaults().Daemon,
				Executable: enginetest.StaticGo(b, "daemon-proxy/cmd/toolbox"), Logger: slog.New(slog.DiscardHandler),
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
			to := func() reach.Reach {
				s.mu.Lock()
				defer s.mu.Unlock()
				return s.boxes[ref].reach()
			}
			var setUps []time.Duration
			for range 10 {
				if way == reachBridge {
					s.box(ref).update((*box).endBridge)
				}
				begun := time.Now()
				_, err := route{s.box(ref), s.box(ref).container}.meet(ctx)
				require.NoError(b, err)
				setUps = append(setUps, time.Since(begun))
			}
			shown, _ := s.Get(ref)
			require.Equal(b, map[string]string{reachDirect: api.ViaDirect, reachBridge: api.ViaExec}[way], shown.Via)
			client := &http.Client{Transport: &http.Transport{
				DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) { return to().Dial(ctx, 8080) },
			}}
			defer client.CloseIdleConnections()
			const size = 256 << 20
			rate := func(method, path string, body io.Reader) float64 {
				r, err := http.NewRequest(method, "http://box"+path, body)
				require.NoError(b, err)
				begun := time.Now()
				response, err := client.Do(r)
				require.NoError(b, err)
				_, err = io.Copy(io.Discard, response.Body)
				require.NoError(b, err)
				response.Body.Close()
				return size / time.Since(begun).Seconds() / 1e6
			}
			down := rate(http.MethodGet, fmt.Sprint("/", size), nil)
			up := rate(http.MethodPut, "/", io.LimitReader(rand.NewChaCha8([32]byte{}), size))
			var small []time.Duration
			for b.Loop() {
				begun := time.Now()
				rate(http.MethodGet, "/1", nil)
				small = append(small, time.Since(begun))
			}
			middle := func(all []time.Duration) float64 {
				slices.Sort(all)
				return float64(all[len(all)/2].Microseconds())
			}
			b.ReportMetric(middle(setUps)/1000, "ms/set-up")
			b.ReportMetric(middle(small), "µs/p50")
			b.ReportMetric(down, "MB/s-down")
			b.ReportMetric(up, "MB/s-up")
			b.ReportMetric(0, "ns/op")
		})
	}
}
