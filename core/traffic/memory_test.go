package traffic

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"daemon-proxy/core/api"
)

// inUse is the memory that is reachable. Tests that measure it do not run beside others.
func inUse() int {
	runtime.GC()
	runtime.GC() // what pools hold goes with the second
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int(m.HeapAlloc)
}

// kept is the memory that a log of this budget holds after what fill did.
func kept(t *testing.T, options Options, fill func(*Log)) int {
	t.Helper()
	before := inUse()
	l := New(options)
	fill(l)
	grown := inUse() - before
	runtime.KeepAlive(l)
	t.Logf("%.2f MiB", float64(grown)/(1<<20))
	return grown
}

// fixedCost is what a log occupies beside its budget: the rates of a minute above all.
const fixedCost = 256 << 10

// browserHeader is what a browser sends, texts of its own each time.
func browserHeader(i int) http.Header {
	h := http.Header{}
	for _, line := range strings.Split(strings.ReplaceAll(`User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/143.0.0.0 Safari/537.36 N
Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8
Accept-Language: en-GB,en;q=0.9,de;q=0.8
Cookie: session=0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdefN; theme=dark
Referer: http://localhost:3000/dashboard/projects/N
Sec-Ch-Ua: "Chromium";v="143", "Not A(Brand";v="24"
Sec-Fetch-Dest: script
Sec-Fetch-Mode: no-cors
If-None-Match: W/"N"`, "N", strconv.Itoa(i)), "\n") {
		name, value, _ := strings.Cut(line, ": ")
		h.Add(strings.Clone(name), strings.Clone(value))
	}
	return h
}

// exchanges records n exchanges, each filled by fill.
func exchanges(l *Log, n int, fill func(i int, r *Recording)) {
	for i := range n {
		r := l.Begin(api.Exchange{Method: "GET", Path: fmt.Sprintf("/static/chunks/app-%d.js?v=%d", i%100, i), Sandbox: "web", Port: 3000})
		fill(i, r)
		r.End(End{Status: 200, Protocol: "http"})
	}
}

// pieces gives data to a tap as it comes from a connection.
func pieces(tap func([]byte), data []byte) {
	for len(data) > 0 {
		n := min(len(data), 32<<10)
		tap(data[:n])
		data = data[n:]
	}
}

//nolint:paralleltest // it measures the heap of the process
func TestS40TheLogStaysWithinItsMemory(t *testing.T) {
	const budget = 4 << 20
	huge := strings.Repeat("h", 900<<10)
	body := bytes.Repeat([]byte("b"), 100<<10)
	data := frame(0x82, bytes.Repeat([]byte("f"), 4<<10), nil)
	for name, fill := range map[string]func(*Log){
		"large bodies": func(l *Log) {
			exchanges(l, 300, func(_ int, r *Recording) { pieces(r.RequestBody, body); pieces(r.ResponseBody, body) })
		},
		"small bodies": func(l *Log) {
			exchanges(l, 20_000, func(_ int, r *Recording) { r.ResponseBody(body[:300]) })
		},
		"bodies byte by byte": func(l *Log) {
			exchanges(l, 400, func(_ int, r *Recording) {
				for range 10_000 {
					r.ResponseBody(body[:1])
				}
			})
		},
		"nothing but lines": func(l *Log) { exchanges(l, 20_000, func(int, *Recording) {}) },
		"heads of browsers": func(l *Log) {
			exchanges(l, 10_000, func(i int, r *Recording) {
				r.Request(Sent{Host: "localhost", Target: "/" + strconv.Itoa(i)}, browserHeader(i))
				r.Head(200, "http", browserHeader(i))
			})
		},
		"huge heads": func(l *Log) {
			exchanges(l, 50, func(_ int, r *Recording) {
				r.Request(Sent{Target: "/"}, http.Header{"X-Huge": {strings.Clone(huge)}})
				r.Head(200, "http", http.Header{"X-Huge": {strings.Clone(huge)}})
			})
		},
		"many headers": func(l *Log) {
			exchanges(l, 70, func(_ int, r *Recording) {
				h := http.Header{}
				for i := range 6_000 {
					h["X-"+strconv.Itoa(i)] = []string{"v"}
				}
				r.Request(Sent{Target: "/"}, h)
			})
		},
		"huge paths, methods, remarks": func(l *Log) {
			for range 20 {
				line := strings.Clone(huge) + "/x"
				r := l.Begin(api.Exchange{Method: line[:900<<10], Path: line, Remote: line})
				r.Request(Sent{Target: line, Host: line, Prefix: line}, nil)
				r.Note(line)
				r.End(End{Status: 200})
				short := l.Begin(api.Exchange{Method: "GET", Path: line[len(line)-2:]}) // of a large text too
				short.Request(Sent{Target: line[len(line)-2:]}, nil)
				short.End(End{Status: 200})
			}
		},
		"frames": func(l *Log) {
			exchanges(l, 100, func(_ int, r *Recording) {
				tap := r.TunnelOut()
				for range 2 * keepFrames {
					tap(data)
				}
			})
		},
		"frames of live WebSockets": func(l *Log) {
			for range 100 {
				tap := l.Begin(api.Exchange{Method: "GET", Path: "/"}).TunnelOut()
				for range 2 * keepFrames {
					tap(data)
				}
			}
		},
		"a long note of a short request": func(l *Log) {
			exchanges(l, 10_000, func(_ int, r *Recording) { r.Note(strings.Clone(huge[:1000])) })
		},
		"everything": func(l *Log) {
			exchanges(l, 3_000, func(i int, r *Recording) {
				r.Request(Sent{Target: "/"}, browserHeader(i))
				r.RequestBody(body[:i%2000])
				pieces(r.ResponseBody, body[:i*17%len(body)])
				r.Head(200, "http", browserHeader(i))
				if i%10 == 0 {
					r.TunnelIn()(data)
				}
			})
		},
	} {
		t.Run(name, func(t *testing.T) {
			got := kept(t, Options{Bodies: true, Memory: budget}, fill)
			require.Less(t, got, budget+fixedCost, "it holds more than its budget")
			if name != "huge heads" && name != "many headers" && name != "huge paths, methods, remarks" {
				require.Greater(t, got, budget/2, "it does not use its budget")
			}
		})
	}
}

// What was discarded is gone at once, without a look at it.
//
//nolint:paralleltest // it measures the heap of the process
func TestS40AnExchangeThatLeavesTheLogLeavesNothing(t *testing.T) {
	body := bytes.Repeat([]byte("b"), BodyLimit)
	got := kept(t, Options{Bodies: true, Exchanges: 5}, func(l *Log) {
		exchanges(l, 100, func(i int, r *Recording) {
			r.Request(Sent{Target: "/"}, browserHeader(i))
			pieces(r.ResponseBody, body)
			r.TunnelOut()(frame(0x82, body[:FrameLimit], nil))
		})
		exchanges(l, 5, func(int, *Recording) {})
	})
	require.Less(t, got, fixedCost)
}

// A body that unpacks to a thousand times its size is not unpacked whole.
//
//nolint:paralleltest // it measures the heap of the process
func TestS40ABombIsNotUnpacked(t *testing.T) {
	var bomb bytes.Buffer
	w := gzip.NewWriter(&bomb)
	_, err := io.CopyN(w, zeros{}, 60<<20)
	require.NoError(t, err)
	require.NoError(t, w.Close())
	require.Less(t, bomb.Len(), BodyLimit)
	l := New(Options{Bodies: true})
	r := l.Begin(api.Exchange{})
	r.Head(200, "http", http.Header{"Content-Encoding": {"gzip"}, "Content-Type": {"text/plain"}})
	r.ResponseBody(bomb.Bytes())
	r.End(End{Status: 200})
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	d, _ := l.Get(r.ID())
	runtime.ReadMemStats(&after)
	require.Len(t, d.ResponseBody, 256<<10, "the beginning is shown")
	require.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(8<<20), "allocated to show it")
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

func TestS40AnArchiveOfPackedBodiesIsBounded(t *testing.T) {
	t.Parallel()
	l := New(Options{Bodies: true})
	var packed bytes.Buffer
	w := gzip.NewWriter(&packed)
	_, err := w.Write(bytes.Repeat([]byte("<"), unpackedLimit)) // six bytes of JSON each
	require.NoError(t, err)
	require.NoError(t, w.Close())
	const exchanges = 300
	for i := range exchanges {
		r := recorded(l, api.Exchange{Method: "GET", Path: "/" + strconv.Itoa(i)}, nil, "/", nil)
		r.Head(200, "http", http.Header{"Content-Encoding": {"gzip"}})
		r.ResponseBody(packed.Bytes())
		r.End(End{Status: 200, BytesOut: int64(packed.Len())})
	}
	archive, err := l.HAR(Filter{}, "test")
	require.NoError(t, err)
	require.Less(t, len(archive), 40<<20, "all of it would be 450 MiB")
	var read struct{ Log struct{ Entries []harEntry } }
	require.NoError(t, json.Unmarshal(archive, &read))
	require.Len(t, read.Log.Entries, exchanges)
	oldest, newest := read.Log.Entries[0].Response.Content, read.Log.Entries[exchanges-1].Response.Content
	require.Empty(t, oldest.Text)
	require.Contains(t, oldest.Comment, "omitted")
	require.Len(t, newest.Text, unpackedLimit)
}
