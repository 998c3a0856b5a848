package main

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"daemon-proxy/core/wiretest"
)

const (
	// restingMiB is what the whole program may occupy restsWithin after a load.
	restingMiB  = 64
	restsWithin = 30 * time.Second
	hugeHead    = 900 << 10
)

// pressure is a number of requests from so many connections at once.
type pressure struct {
	name            string
	requests, conns int
	change          func(i int, r *http.Request)
}

func pressures() []pressure {
	head, path := strings.Repeat("h", hugeHead), strings.Repeat("/path", hugeHead/5)
	return []pressure{
		{"answers of 100 KiB", 4_000, 64, func(_ int, r *http.Request) { r.URL.Path = "/large" }},
		{"requests with a head of 900 KiB", 200, 8, func(_ int, r *http.Request) { r.Header.Set("X-Huge", head) }},
		{"answers with a head of 900 KiB", 200, 8, func(_ int, r *http.Request) { r.URL.Path = "/head" }},
		{"paths of 900 KiB", 100, 8, func(i int, r *http.Request) { r.URL.Path = "/" + strconv.Itoa(i) + path }},
		{"methods of 900 KiB", 60, 8, func(_ int, r *http.Request) { r.Method = strings.ToUpper(head) }},
		{"requests of browsers", 12_000, 32, func(i int, r *http.Request) {
			r.URL.Path, r.URL.RawQuery = fmt.Sprintf("/static/chunks/app-%d.js", i%100), "v="+strconv.Itoa(i)
			for name, value := range map[string]string{
				"User-Agent":      "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/143.0.0.0 Safari/537.36",
				"Accept":          "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,image/apng,*/*;q=0.8",
				"Accept-Language": "en-GB,en;q=0.9,de;q=0.8", "Sec-Fetch-Dest": "script", "Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Site": "same-origin",
				"Cookie":    "session=" + strings.Repeat("0123456789abcdef", 16) + "; theme=dark; seen=" + strconv.Itoa(i),
				"Referer":   "http://" + r.Host + "/dashboard/projects/" + strconv.Itoa(i),
				"Sec-Ch-Ua": `"Chromium";v="143", "Not A(Brand";v="24"`, "Sec-Ch-Ua-Mobile": "?0", "Sec-Ch-Ua-Platform": `"Linux"`,
				"Cache-Control": "no-cache", "Pragma": "no-cache", "Dnt": "1", "Priority": "u=1", "If-None-Match": `W/"` + strconv.Itoa(i) + `"`,
			} {
				r.Header.Set(name, value)
			}
		}},
	}
}

// The program is measured from outside, by its resident memory: whatever went
// through, it is small again afterwards, and what went through is still listed.
func TestS41TheProgramIsSmallAfterAnyLoad(t *testing.T) {
	if testing.Short() {
		t.Skip("18,000 requests: not with -short")
	}
	if _, err := os.Stat("/proc/self/status"); err != nil {
		wiretest.Skip(t, "no /proc: resident memory cannot be read")
	}
	large, head := make([]byte, 100<<10), strings.Repeat("h", hugeHead)
	service := wiretest.Serve(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/large":
			_, _ = w.Write(large)
		case "/head":
			w.Header().Set("X-Huge", head)
		default:
			w.Header().Set("Content-Type", "text/javascript")
			w.Header().Set("Cache-Control", "public, max-age=31536000, immutable")
			_, _ = io.WriteString(w, "export const answer = 42;\n")
		}
	})
	p := newDesk(t).serving(t, []string{"DAEMON_PORT=" + strconv.Itoa(wiretest.FreePort(t))}, "--daemon-mode", "host", "--log-level", "WARNING")
	p.healthy()
	_, port, err := net.SplitHostPort(service)
	require.NoError(t, err)
	_, _, link := p.link(`{"port":` + port + `}`)
	host := strings.TrimPrefix(link, "http://")
	idle, err := resident(p.cmd.Process.Pid)
	require.NoError(t, err)
	t.Logf("idle: %.1f MiB", idle)

	for _, l := range pressures() {
		t.Run(l.name, func(t *testing.T) {
			started := time.Now()
			highest := l.run(t, p, host)
			ended := time.Now()
			var now float64
			small := func() bool {
				var err error
				now, err = resident(p.cmd.Process.Pid)
				return err == nil && now < restingMiB
			}
			for !small() && time.Since(ended) < restsWithin {
				time.Sleep(look)
			}
			t.Logf("%.1f MiB at most during %.1f s; %.1f MiB %.1f s after", highest, ended.Sub(started).Seconds(), now, time.Since(ended).Seconds())
			require.Less(t, now, float64(restingMiB), "MiB")
		})
	}
	requests, _ := p.json("GET", "/api/requests", "")["requests"].([]any)
	require.Greater(t, len(requests), 5_000, "the log keeps the latest requests")
}

// What was still in use when nothing happened any more that would collect it
// is returned too.
func TestS41WhatIsReleasedAfterTheLastCollectionIsReturned(t *testing.T) {
	if _, err := resident(os.Getpid()); err != nil {
		t.Skip("no /proc: resident memory cannot be read")
	}
	defer debug.SetMemoryLimit(debug.SetMemoryLimit(-1))
	defer keepSmall(0)()
	load := make([]byte, 64<<20)
	for i := range load {
		load[i] = 1
	}
	runtime.GC()
	time.Sleep(quietAfter + time.Second) // until it has looked once and found everything in use
	full, err := resident(os.Getpid())
	require.NoError(t, err)
	runtime.KeepAlive(load)
	require.Eventually(t, func() bool {
		now, err := resident(os.Getpid())
		return err == nil && now < full-32
	}, restsWithin, look)
}

// run sends the requests and returns the largest resident memory meanwhile.
func (l pressure) run(t *testing.T, p *program, host string) (highest float64) {
	t.Helper()
	transport := &http.Transport{MaxIdleConnsPerHost: l.conns, MaxResponseHeaderBytes: 2 << 20}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport}
	done := make(chan struct{})
	var sampler, workers sync.WaitGroup
	sampler.Go(func() {
		for {
			select {
			case <-done:
				return
			case <-time.After(20 * time.Millisecond):
				if now, err := resident(p.cmd.Process.Pid); err == nil {
					highest = max(highest, now)
				}
			}
		}
	})
	var next, failed atomic.Int64
	var first sync.Once
	for range l.conns {
		workers.Go(func() {
			for i := next.Add(1); i <= int64(l.requests); i = next.Add(1) {
				request, err := http.NewRequest(http.MethodGet, strings.Replace(p.url, "localhost", "127.0.0.1", 1)+"/", nil)
				if err != nil {
					panic(err)
				}
				request.Host = host
				l.change(int(i), request)
				answer, err := client.Do(request)
				if err != nil {
					failed.Add(1)
					first.Do(func() { t.Errorf("%s: %.200s", l.name, err.Error()) })
					continue
				}
				_, _ = io.Copy(io.Discard, answer.Body)
				answer.Body.Close()
				if answer.StatusCode != http.StatusOK {
					failed.Add(1)
					first.Do(func() { t.Errorf("%s: %s", l.name, answer.Status) })
				}
			}
		})
	}
	workers.Wait()
	close(done)
	sampler.Wait()
	require.Zero(t, failed.Load(), l.name)
	return highest
}

// resident is a process's VmRSS in MiB.
func resident(pid int) (float64, error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	_, rest, _ := strings.Cut(string(status), "VmRSS:")
	var kib float64
	_, err = fmt.Sscanf(rest, "%f kB", &kib)
	return kib / 1024, err
}
