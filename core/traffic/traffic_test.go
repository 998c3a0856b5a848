package traffic

import (
	"bytes"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"daemon-proxy/core/api"
)

func ended(l *Log, path string, status int) uint64 {
	r := l.Begin(api.Exchange{Method: "GET", Path: path})
	r.End(End{Status: status, Protocol: "http"})
	return r.ID()
}

func TestS8TheLogIsBounded(t *testing.T) {
	t.Parallel()
	l := New(Options{Exchanges: 5})
	for range 12 {
		ended(l, "/", 200)
	}
	last := l.Last(0)
	require.Len(t, last, 5)
	for i, x := range last {
		require.Equal(t, uint64(12-i), x.ID, "newest first")
	}
	require.Len(t, l.Last(2), 2)
	_, ok := l.Get(7)
	require.False(t, ok)
	_, ok = l.Get(8)
	require.True(t, ok)
}

func TestALiveExchangeStaysAndCountsUp(t *testing.T) {
	t.Parallel()
	now := time.Unix(1000, 0)
	l := New(Options{Exchanges: 2, Now: func() time.Time { return now }})
	live := l.Begin(api.Exchange{Path: "/ws"})
	live.Head(101, "websocket", nil)
	for range 5 {
		ended(l, "/", 200)
	}
	live.ResponseBody(make([]byte, 10))
	live.ResponseBody(make([]byte, 7))
	now = now.Add(3 * time.Second)
	last := l.Last(0)
	require.Len(t, last, 3)
	oldest := last[2]
	require.True(t, oldest.Live)
	require.Equal(t, int64(17), oldest.BytesOut)
	require.Equal(t, 3*time.Second, oldest.Duration)
	require.Equal(t, 101, oldest.Status)

	x := live.End(End{Status: 101, BytesOut: 17})
	require.False(t, x.Live)
	require.Equal(t, "websocket", x.Protocol)
}

func TestS40BodiesAreBoundedEachAndTheOldestGoFirst(t *testing.T) {
	t.Parallel()
	l := New(Options{Bodies: true, Memory: 3 * BodyLimit})
	record := func() uint64 {
		r := l.Begin(api.Exchange{Method: "GET", Path: "/"})
		r.Request(Sent{Target: "/"}, http.Header{"Accept": {"*/*"}})
		r.ResponseBody(bytes.Repeat([]byte("x"), BodyLimit-1))
		r.ResponseBody([]byte("yz"))
		r.End(End{Status: 200, BytesOut: BodyLimit + 1})
		return r.ID()
	}
	first := record()
	d, ok := l.Get(first)
	require.True(t, ok)
	require.Len(t, d.ResponseBody, BodyLimit)
	require.Equal(t, byte('y'), d.ResponseBody[BodyLimit-1])
	require.False(t, d.Discarded)
	second, third := record(), record()
	d, ok = l.Get(first)
	require.True(t, ok, "its line stays")
	require.Nil(t, d.ResponseBody, "the oldest is discarded")
	require.Empty(t, d.RequestHeader)
	require.True(t, d.Discarded, "it says so")
	for _, id := range []uint64{second, third} {
		d, _ = l.Get(id)
		require.Len(t, d.ResponseBody, BodyLimit)
		require.False(t, d.Discarded)
	}
}

func TestS40WhenLinesAloneFillTheMemoryTheOldestGo(t *testing.T) {
	t.Parallel()
	l := New(Options{Memory: 64 << 10})
	live := l.Begin(api.Exchange{Method: "GET", Path: "/live"})
	for range 1000 {
		ended(l, "/", 200)
	}
	last := l.Last(0)
	require.Less(t, len(last), 200)
	require.Greater(t, len(last), 20)
	for i, x := range last[:len(last)-1] {
		require.Equal(t, 1001-i, int(x.ID), "the newest are kept")
	}
	require.Equal(t, live.ID(), last[len(last)-1].ID, "what is under way is listed")
	_, ok := l.Get(500)
	require.False(t, ok)
}

// A body of which something was discarded has no beginning any more.
func TestS40NothingIsCapturedBehindAGap(t *testing.T) {
	t.Parallel()
	l := New(Options{Bodies: true, Memory: 4 * BodyLimit})
	slow := l.Begin(api.Exchange{Method: "POST", Path: "/slow"})
	slow.RequestBody([]byte("the beginning"))
	for range 10 {
		r := l.Begin(api.Exchange{})
		r.ResponseBody(make([]byte, BodyLimit))
		r.End(End{Status: 200})
	}
	slow.RequestBody([]byte("the end"))
	slow.Head(200, "http", http.Header{"A": {"b"}})
	slow.End(End{Status: 200, BytesIn: 20})
	d, _ := l.Get(slow.ID())
	require.True(t, d.Discarded)
	require.Nil(t, d.RequestBody)
	require.Equal(t, int64(20), d.BytesIn)
	o, ok := l.OriginalRequest(slow.ID())
	require.True(t, ok)
	require.False(t, o.Whole)
	require.False(t, o.HeadWhole)
	require.Contains(t, o.Curl("http://localhost"), "# the request had more in its head: its headers were discarded")
}

// Taps may be late. What they bring to an exchange that has ended is not kept,
// however little room there is.
func TestS40NothingIsCapturedAfterTheEnd(t *testing.T) {
	t.Parallel()
	l := New(Options{Bodies: true, Memory: 32 << 10})
	var all []*Recording
	for range 20 {
		r := l.Begin(api.Exchange{Method: "POST", Path: "/"})
		r.End(End{Status: 200})
		all = append(all, r)
		for _, r := range all {
			r.RequestBody(make([]byte, 8<<10))
			r.Note("late")
		}
	}
	require.Len(t, l.Last(0), 20)
	for _, x := range l.Last(0) {
		d, _ := l.Get(x.ID)
		require.Nil(t, d.RequestBody)
	}
}

// An exchange that needs room takes it from others, not from itself.
func TestS40ABodyDoesNotPushItsOwnBeginningOut(t *testing.T) {
	t.Parallel()
	l := New(Options{Bodies: true, Memory: BodyLimit / 2})
	r := l.Begin(api.Exchange{})
	for range 64 {
		r.ResponseBody(bytes.Repeat([]byte("x"), 1<<10))
	}
	d, _ := l.Get(r.ID())
	require.False(t, d.Discarded)
	require.Greater(t, len(d.ResponseBody), 4<<10)
	require.Less(t, len(d.ResponseBody), BodyLimit/2)
}

func TestS40WhatIsCutSaysSo(t *testing.T) {
	const token = "aabcdefghijklmnopqrstuvwxyz23456"
	t.Parallel()
	l := New(Options{})
	record := func(target string, h, answer http.Header) api.ExchangeDetail {
		x := api.Exchange{Method: "GET", Sandbox: "web", Port: 3000}
		x.Path, x.PathSize = ShownPath(target)
		r := l.Begin(x)
		r.Request(Sent{Target: target, Length: 0}, h)
		r.Head(200, "http", answer)
		r.End(End{Status: 200})
		d, _ := l.Get(r.ID())
		return d
	}
	d := record("/short", http.Header{"A": {"b"}}, http.Header{"C": {"d"}})
	require.Zero(t, d.PathSize)
	require.Zero(t, d.RequestHeaderSize)
	require.Zero(t, d.ResponseHeaderSize)

	long := "/" + strings.Repeat("abc/", 50_000)
	many := http.Header{"Accept": {"*/*"}, "Z": {"last"}, "Cookie": {"a=" + strings.Repeat("hush", 50_000)}}
	d = record(long, http.Header{"A": {"b"}}, many)
	require.Equal(t, int64(len(long)), d.PathSize)
	require.Equal(t, long[:PathLimit], strings.TrimSuffix(d.Path, "…")+"abc"[:PathLimit-len(strings.TrimSuffix(d.Path, "…"))])
	require.True(t, strings.HasSuffix(d.Path, "…"))
	require.Greater(t, d.RequestHeaderSize, int64(len(long)))
	require.Equal(t, []string{"b"}, d.RequestHeader["A"])
	require.Greater(t, d.ResponseHeaderSize, int64(200_000))
	require.Equal(t, []string{"*/*"}, d.ResponseHeader["Accept"], "one long value does not push the others out")
	require.Equal(t, []string{"last"}, d.ResponseHeader["Z"])
	require.NotContains(t, d.ResponseHeader.Get("Cookie"), "hush", "the part is masked too")
	o, _ := l.OriginalRequest(d.ID)
	require.False(t, o.HeadWhole)
	require.Contains(t, o.Curl("http://localhost"), "# the request had more in its head: the path of 200001 bytes was cut")
	archive, err := l.HAR(Filter{}, "test")
	require.NoError(t, err)
	require.Contains(t, string(archive), "the path of 200001 bytes was cut; the request's header of")

	for before := PathLimit - 40; before <= PathLimit; before++ { // a token at each place of the cut
		d = record(strings.Repeat("/", before%2)+strings.Repeat("x/", before/2)+token+"/"+strings.Repeat("y", 100), nil, nil)
		require.NotContains(t, d.Path, token[:8])
	}
}

func TestBodiesOffCapturesNothingAndStillCounts(t *testing.T) {
	t.Parallel()
	l := New(Options{})
	r := l.Begin(api.Exchange{})
	r.RequestBody([]byte("secret"))
	require.Equal(t, int64(6), l.Last(1)[0].BytesIn)
	d, _ := l.Get(r.ID())
	require.Nil(t, d.RequestBody)
	r.End(End{})
}

func TestS11HeadersAreMaskedAndOriginalsStay(t *testing.T) {
	const token = "aabcdefghijklmnopqrstuvwxyz23456"
	t.Parallel()
	l := New(Options{})
	r := l.Begin(api.Exchange{})
	r.Request(Sent{}, http.Header{
		"Authorization": {"Bearer hush"}, "Cookie": {"a=hush; b=hush"}, "X-Api-Key": {"hush"}, "Accept": {"text/html"},
		"Referer": {"http://localhost/preview/" + token + "/x?code=hush&a=b"}, "Origin": {"http://" + token + ".localhost"},
	})
	r.Head(200, "http", http.Header{"Set-Cookie": {"sid=hush; Path=/preview/" + token + "/; HttpOnly"}, "Location": {"/preview/" + token + "/?key=hush"}})
	r.End(End{Status: 200})
	d, _ := l.Get(r.ID())
	require.Equal(t, http.Header{
		"Authorization": {"Bearer ••••"}, "Cookie": {"a=••••; b=••••"}, "X-Api-Key": {"••••"}, "Accept": {"text/html"},
		"Referer": {"http://localhost/preview/aab…/x?code=***&a=b"}, "Origin": {"http://aab….localhost"},
	}, d.RequestHeader)
	require.Equal(t, http.Header{"Set-Cookie": {"sid=••••; Path=/preview/aab…/; HttpOnly"}, "Location": {"/preview/aab…/?key=***"}}, d.ResponseHeader)
	original, ok := l.OriginalRequest(r.ID())
	require.True(t, ok)
	require.Equal(t, "Bearer hush", original.Header.Get("Authorization"))
}

func TestS11HeadersThatCarrySecretsByCustomAreMasked(t *testing.T) {
	t.Parallel()
	secret := []string{"X-Auth-Token", "X-Access-Token", "X-Token", "X-Csrf-Token", "X-Xsrf-Token", "X-Csrftoken", "X-Amz-Security-Token", "Private-Token", "Token",
		"Api-Key", "Apikey", "X-Goog-Api-Key", "X-Client-Secret", "X-Password", "X-Hub-Signature-256", "X-Daemon-Proxy-Secret", "X-Daytona-Preview-Token", "x-lower-token"}
	plain := []string{"Accept", "X-Request-Id", "Sec-Websocket-Key", "X-Max-Tokens", "X-Ratelimit-Tokens-Remaining", "Idempotency-Key", "Secretary", "X-Tokenizer"}
	h := http.Header{}
	for _, name := range append(secret, plain...) {
		h[name] = []string{"hush", "hush"}
	}
	l := New(Options{})
	r := l.Begin(api.Exchange{Method: "GET", Path: "/", Sandbox: "web"})
	r.Request(Sent{}, h)
	r.Head(200, "http", h)
	r.End(End{Status: 200})
	d, _ := l.Get(r.ID())
	for _, name := range secret {
		require.Equal(t, []string{"••••", "••••"}, d.RequestHeader[name], name)
		require.Equal(t, []string{"••••", "••••"}, d.ResponseHeader[name], name)
	}
	for _, name := range plain {
		require.Equal(t, []string{"hush", "hush"}, d.RequestHeader[name], name)
	}
	archive, err := l.HAR(Filter{}, "test")
	require.NoError(t, err)
	require.Equal(t, 2*2*len(plain), strings.Count(string(archive), "hush"), "request and response, two of each")
	o, _ := l.OriginalRequest(r.ID())
	require.Equal(t, "hush", o.Header.Get("X-Auth-Token"))
}

func TestRatesOfTheLastMinute(t *testing.T) {
	t.Parallel()
	now := time.Unix(1_000_000, 0)
	l := New(Options{Now: func() time.Time { return now }})
	for i := range 100 {
		r := l.Begin(api.Exchange{Start: now.Add(-time.Duration(i+1) * time.Millisecond)})
		r.End(End{Status: 200})
	}
	rates := l.Rates()
	require.InDelta(t, 10, rates.PerSecond, 0.001)
	require.InEpsilon(t, float64(50*time.Millisecond), float64(rates.P50), 0.08)
	require.InEpsilon(t, float64(99*time.Millisecond), float64(rates.P99), 0.08)
	require.Equal(t, 100, rates.Spark[window-1])
	now = now.Add(window * time.Second)
	require.Zero(t, l.Rates())
}

func TestEveryChangeIsTold(t *testing.T) {
	t.Parallel()
	var told []api.Exchange
	var l *Log
	var seen uint64
	l = New(Options{OnChange: func() {
		var changed []api.Exchange
		changed, seen = l.Changed(seen)
		told = append(told, changed...)
	}})
	r := l.Begin(api.Exchange{Path: "/ws"})
	r.Head(101, "websocket", nil)
	r.End(End{Status: 101})
	require.Len(t, told, 3)
	require.True(t, told[0].Live)
	require.Equal(t, 101, told[1].Status)
	require.False(t, told[2].Live)
}

func TestWhatHasChangedIsToldOnceInTheOrderOfItsBeginning(t *testing.T) {
	t.Parallel()
	l := New(Options{Exchanges: 5})
	ids := func(since uint64) (ids []uint64, last uint64) {
		changed, last := l.Changed(since)
		for _, x := range changed {
			ids = append(ids, x.ID)
		}
		return ids, last
	}
	_, none := ids(0)
	var all []*Recording
	for range 10 {
		all = append(all, l.Begin(api.Exchange{}))
	}
	begun, since := ids(none)
	require.Equal(t, []uint64{1, 2, 3, 4, 5, 6, 7, 8, 9, 10}, begun)
	for _, i := range []int{9, 2, 4} {
		all[i].End(End{Status: 200})
	}
	ended, since := ids(since)
	require.Equal(t, []uint64{3, 5, 10}, ended)
	for _, i := range []int{0, 1, 3, 5, 6, 7} {
		all[i].End(End{Status: 200})
	}
	ended, since = ids(since)
	require.Equal(t, []uint64{2, 4, 6, 7, 8}, ended, "of the ended ones the log holds five")
	nothing, _ := ids(since)
	require.Empty(t, nothing)
}

func TestManyWritersAndReaders(t *testing.T) {
	t.Parallel()
	l := New(Options{Exchanges: 100, Bodies: true, Memory: 64 << 10})
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range 500 {
				r := l.Begin(api.Exchange{Path: "/"})
				r.RequestBody(make([]byte, 100))
				r.ResponseBody(make([]byte, 300))
				r.Note("a")
				r.End(End{Status: 200, BytesIn: 100, BytesOut: 300})
			}
		})
		all.Go(func() {
			for range 50 {
				for _, x := range l.Last(10) {
					l.Get(x.ID)
				}
				l.Rates()
			}
		})
	}
	all.Wait()
	require.NotEmpty(t, l.Last(0))
}

func TestFilter(t *testing.T) {
	t.Parallel()
	x := api.Exchange{Method: "POST", Path: "/api/users?page=2", Status: 502, Port: 3000, Sandbox: "web", Kind: "preview", Protocol: "http", Note: "needs host mode"}
	for text, want := range map[string]bool{
		"": true, "users": true, "USERS": true, "nothing": false,
		"status:5xx": true, "status:502": true, "status:4xx": false, "status:500": false,
		"method:post": true, "method:get": false, "port:3000": true, "port:300": false,
		"path:/api": true, "path:/apx": false, "sandbox:web": true, "kind:preview": true, "live:true": false,
		"status:5xx method:post port:3000 path:/api": true, "status:5xx method:get": false,
		"!status:5xx": false, "!status:4xx users": true, `"host mode"`: true, `!"host mode"`: false, `"a:b"`: false,
	} {
		f, err := ParseFilter(text)
		require.NoError(t, err, text)
		require.Equal(t, want, f.Match(x), text)
	}
	for _, bad := range []string{"status:abc", "port:x", "colour:red", `"open`} {
		_, err := ParseFilter(bad)
		require.ErrorContains(t, err, bad[:4], bad)
	}
	_, err := ParseFilter(strings.Repeat("a ", 1000)) // each is looked for in all that is kept
	require.ErrorContains(t, err, "at most 50 words")
}

func FuzzParseFilter(f *testing.F) {
	f.Add(`status:5xx !method:get "a b"`)
	f.Fuzz(func(_ *testing.T, text string) {
		if filter, err := ParseFilter(text); err == nil {
			filter.Match(api.Exchange{Path: text})
		}
	})
}

func BenchmarkRecord(b *testing.B) {
	l := New(Options{Bodies: true})
	piece := make([]byte, 128)
	b.ReportAllocs()
	for b.Loop() {
		r := l.Begin(api.Exchange{Method: "GET", Path: "/app.js"})
		r.ResponseBody(piece)
		r.End(End{Status: 200, BytesOut: 128})
	}
}
