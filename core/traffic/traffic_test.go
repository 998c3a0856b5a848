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

func TestS8BodiesAreBoundedEachAndTogetherOldestGoFirst(t *testing.T) {
	t.Parallel()
	l := New(Options{Bodies: true, BodyBytes: 2 * BodyLimit})
	record := func() uint64 {
		r := l.Begin(api.Exchange{})
		r.ResponseBody(bytes.Repeat([]byte("x"), BodyLimit-1))
		r.ResponseBody([]byte("yz"))
		r.End(End{Status: 200})
		return r.ID()
	}
	first := record()
	d, ok := l.Get(first)
	require.True(t, ok)
	require.Len(t, d.ResponseBody, BodyLimit)
	require.Equal(t, byte('y'), d.ResponseBody[BodyLimit-1])
	second, third := record(), record()
	d, _ = l.Get(first)
	require.Nil(t, d.ResponseBody, "the oldest is given up")
	for _, id := range []uint64{second, third} {
		d, _ = l.Get(id)
		require.Len(t, d.ResponseBody, BodyLimit)
	}
	require.LessOrEqual(t, l.held, 2*BodyLimit)
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
	r.Request(http.Header{
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
	original, ok := l.Original(r.ID())
	require.True(t, ok)
	require.Equal(t, "Bearer hush", original.Get("Authorization"))
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
	r.Request(h)
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
	l := New(Options{Exchanges: 100, Bodies: true, BodyBytes: 4096})
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
	require.Len(t, l.Last(0), 100)
	require.LessOrEqual(t, l.held, 4096)
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
