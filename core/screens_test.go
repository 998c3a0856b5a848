package core

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"daemon-proxy/core/api"
	"daemon-proxy/core/news"
	"daemon-proxy/core/traffic"
	"daemon-proxy/core/wiretest"
)

// eventStream is an event stream as it comes over HTTP.
type eventStream struct {
	t     *testing.T
	lines *bufio.Scanner
	id    string // the last one
	stop  context.CancelFunc
}

// followHTTP opens the event stream after the event of that id; empty: from now on.
func followHTTP(t *testing.T, c *Core, id string) *eventStream {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, c.URL()+"/api/events", nil)
	require.NoError(t, err)
	if id != "" {
		r.Header.Set("Last-Event-ID", id)
	}
	response, err := wiretest.Client(t).Do(r)
	require.NoError(t, err)
	t.Cleanup(func() { stop(); response.Body.Close() })
	require.Equal(t, 200, response.StatusCode)
	s := &eventStream{t: t, lines: bufio.NewScanner(response.Body), stop: stop}
	s.lines.Buffer(nil, 1<<20)
	return s
}

// next is the next event; one without a kind has only an id.
func (s *eventStream) next() (e api.Event) {
	s.t.Helper()
	known := false
	for s.lines.Scan() {
		field, value, _ := strings.Cut(s.lines.Text(), ": ")
		switch field {
		case "id":
			s.id, known = value, true
		case "data":
			require.NoError(s.t, json.Unmarshal([]byte(value), &e))
			known = true
		case "":
			if known && s.lines.Text() == "" {
				return e
			}
		}
	}
	require.Fail(s.t, "the stream ended", "%v", s.lines.Err())
	return e
}

func TestW3EventsThatAClientMissedAreSentWhenItComesBack(t *testing.T) {
	t.Parallel()
	f := newFront(t, func(http.ResponseWriter, *http.Request) {})
	s := followHTTP(t, f.Core, "")
	require.Empty(t, s.next().Kind, "an id comes before any event")
	first := f.link(f.port)
	for s.next().Link == nil {
	}
	s.stop()

	second := f.link(f.port)
	require.NoError(t, f.RevokeLink(t.Context(), first.Token))
	require.Equal(t, 200, f.get("/preview/"+second.Token+"/"))
	exchange := f.latest()
	links := map[string]string{}
	back := followHTTP(t, f.Core, s.id)
	for seen := false; len(links) < 2 || !seen; {
		e := back.next()
		require.NotEqual(t, api.EventReset, e.Kind)
		if e.Link != nil {
			links[e.Link.ID] = e.Link.State
		}
		seen = seen || e.Exchange != nil && e.Exchange.ID == exchange.ID && !e.Exchange.Live
	}
	require.Equal(t, map[string]string{first.ID: "revoked", second.ID: "active"}, links)
	require.NotEqual(t, s.id, back.id)

	other := newFront(t, func(http.ResponseWriter, *http.Request) {})
	for range 20 { // so that it has events of these numbers, too
		other.link(other.port)
	}
	other.get("/preview/" + other.link(other.port).Token + "/")
	other.latest()
	anew := followHTTP(t, other.Core, back.id)
	require.Equal(t, api.EventReset, anew.next().Kind, "the ids of one core mean nothing to the next")
	require.NotEqual(t, back.id, anew.id)
}

// A client that follows misses no link, however often its connection is cut.
func TestW3AClientThatFollowsMissesNothing(t *testing.T) {
	t.Parallel()
	const links, cutEach = 60, 20
	f := newFront(t, func(http.ResponseWriter, *http.Request) {})
	way := wiretest.NewRelay(t, "127.0.0.1:"+strconv.Itoa(f.options.Config.Server.Port), nil)
	c := clientAt(t, "http://"+way.Addr().String(), f.Key())
	ctx, cancel := context.WithTimeout(t.Context(), soon)
	defer cancel()
	create := func(label string) { _, _ = f.CreateLink(ctx, api.LinkRequest{Port: f.port, Label: label}) } // the end shows it
	begun := 0
	seen := map[string]bool{}
	err := c.Follow(ctx, func(e api.Event) error {
		if e.Link != nil && e.Link.Label != "" {
			seen[e.Link.Label] = true
			if len(seen) == 1 { // from now on it has a position
				go func() {
					for i := 1; i < links; i++ {
						if i%cutEach == 0 {
							way.Cut()
						}
						create(strconv.Itoa(i))
					}
				}()
			}
		}
		if len(seen) == links {
			return io.EOF
		}
		return nil
	}, func() {
		if begun++; begun == 1 {
			create("0")
		}
	})
	require.Equal(t, io.EOF, err, "it has %d of %d", len(seen), links)
	require.Equal(t, 1, begun, "it never had to begin anew")
}

// A client that does not read for a while costs the core little, and then gets
// the latest state of everything.
func TestW4AScreenThatDoesNotReadCostsLittle(t *testing.T) {
	const subjects, rounds = 300, 400
	f := newFront(t, func(http.ResponseWriter, *http.Request) {})
	conn, err := net.Dial("tcp", "127.0.0.1:"+strconv.Itoa(f.options.Config.Server.Port))
	require.NoError(t, err)
	defer conn.Close()
	require.NoError(t, conn.SetDeadline(time.Now().Add(soon)))
	require.NoError(t, conn.(*net.TCPConn).SetReadBuffer(32<<10))
	_, err = io.WriteString(conn, "GET /api/events?screen=slow HTTP/1.1\r\nHost: "+f.host+"\r\n\r\n")
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		list, err := f.Screens(t.Context())
		return err == nil && len(list) == 1
	}, soon, look)

	heap := func() int64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc)
	}
	image := strings.Repeat("x", 2000) // so that the sockets are soon full
	round := func(n int) {
		for i := range subjects {
			box := &api.Sandbox{Ref: api.Ref{Engine: "e", Name: strconv.Itoa(i)}, Image: fmt.Sprint(image, n)}
			f.news.Publish(api.Event{Kind: api.EventSandbox, Sandbox: box})
		}
	}
	round(0)
	before := heap()
	for n := range rounds {
		round(n)
	}
	require.Less(t, heap()-before, int64(8<<20), "bytes for %d MB of events", subjects*rounds*len(image)>>20)

	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	require.NoError(t, err)
	defer func() { conn.Close(); response.Body.Close() }() // the other way round, Close reads on
	s := &eventStream{t: t, lines: bufio.NewScanner(response.Body)}
	s.lines.Buffer(nil, 1<<20)
	latest := map[string]bool{}
	for len(latest) < subjects {
		e := s.next()
		require.NotEqual(t, api.EventReset, e.Kind)
		if e.Sandbox != nil && e.Sandbox.Image == fmt.Sprint(image, rounds-1) {
			latest[e.Sandbox.Name] = true
		}
	}
}

// What is watched is what any screen shows, for as long as it is attached.
func TestW5WhatTheScreensShowIsWatchedUntilTheyGo(t *testing.T) {
	t.Parallel()
	var watched []api.Ref
	s := &screens{
		news: &news.Feed{}, watch: func(refs []api.Ref) { watched = refs },
		resolve: func(ref api.Ref) (api.Ref, error) { return api.Ref{Engine: "e", Name: ref.Name}, nil },
	}
	now := func() []api.Ref {
		s.mu.Lock()
		defer s.mu.Unlock()
		return watched
	}
	attach := func() (api.Screen, context.CancelFunc) {
		ctx, leave := context.WithCancel(t.Context())
		screen, err := s.attach(ctx, "you@desk")
		require.NoError(t, err)
		return screen, leave
	}
	web, db := api.Ref{Engine: "e", Name: "web"}, api.Ref{Engine: "e", Name: "db"}
	first, leaveFirst := attach()
	second, leaveSecond := attach()
	third, leaveThird := attach()
	require.NoError(t, first.Watch(t.Context(), web))
	require.NoError(t, second.Watch(t.Context(), api.ParseRef("web")))
	require.Equal(t, []api.Ref{web}, now())
	require.NoError(t, third.Watch(t.Context(), db))
	require.Equal(t, []api.Ref{web, db}, now())
	require.NoError(t, first.Watch(t.Context(), db))
	require.ElementsMatch(t, []api.Ref{web, db}, now())
	leaveSecond()
	require.Eventually(t, func() bool { return len(now()) == 1 && now()[0] == db }, soon, look)
	leaveThird()
	require.Eventually(t, func() bool { return len(s.list()) == 1 }, soon, look)
	require.Equal(t, []api.Ref{db}, now(), "the first one still shows it")
	leaveFirst()
	require.Eventually(t, func() bool { return len(now()) == 0 }, soon, look)
	requireCode(t, first.Watch(t.Context(), web), api.CodeUnknownScreen)
	require.Empty(t, now())
}

func TestW5AHundredScreensAreAttachedAndNoMore(t *testing.T) {
	t.Parallel()
	c := started(t, func(o *Options) { o.Config.Daemon.Mode = "host" })
	far := far(t, c)
	ctx, leave := context.WithCancel(t.Context())
	defer leave()
	for i := range maxScreens / 2 {
		_, err := c.Attach(ctx, "here "+strconv.Itoa(i))
		require.NoError(t, err)
		_, err = far.Attach(ctx, "there "+strconv.Itoa(i))
		require.NoError(t, err)
	}
	for _, s := range []api.Service{c, far} {
		_, err := s.Attach(t.Context(), "one more")
		problem := requireCode(t, err, api.CodeTooMany)
		require.Contains(t, problem.Hint, "daemon-proxy status")
		list, err := s.Screens(t.Context())
		require.NoError(t, err)
		require.Len(t, list, maxScreens)
	}
	leave()
	require.Eventually(t, func() bool { return len(c.screens.list()) == 0 }, soon, look)
	_, err := far.Attach(t.Context(), "one more")
	require.NoError(t, err)
}

// What one screen does all others see: within 200 ms, unless the machine is busy.
func TestW6TenScreensSeeWhatOneDoes(t *testing.T) {
	t.Parallel()
	f := newFront(t, func(http.ResponseWriter, *http.Request) {})
	services, attached := make([]api.Service, 10), make([]api.Screen, 10)
	for i := range services {
		services[i] = f.Core
		if i%2 == 0 {
			services[i] = far(t, f.Core)
		}
		var err error
		attached[i], err = services[i].Attach(t.Context(), "screen "+strconv.Itoa(i))
		require.NoError(t, err)
	}
	var slowest time.Duration
	for i, doer := range services {
		began := time.Now()
		link, err := doer.CreateLink(t.Context(), api.LinkRequest{Port: f.port, Label: strconv.Itoa(i)})
		require.NoError(t, err)
		for _, screen := range attached {
			for seen := false; !seen; {
				ctx, cancel := context.WithTimeout(t.Context(), soon)
				batch, err := screen.Next(ctx)
				cancel()
				require.NoError(t, err)
				for _, e := range batch {
					seen = seen || e.Link != nil && e.Link.ID == link.ID
				}
			}
		}
		slowest = max(slowest, time.Since(began))
	}
	t.Logf("the slowest of 90 took %v", slowest)
	require.Less(t, slowest, 2*time.Second)
}

func TestRequestsHaveOtherNumbersInEachRun(t *testing.T) {
	t.Parallel()
	var last uint64
	for range 2 {
		c := started(t, func(*Options) {})
		first := c.Log.Begin(api.Exchange{Method: "GET", Path: "/"})
		first.End(traffic.End{})
		list, err := c.Exchanges(t.Context(), "", 1)
		require.NoError(t, err)
		require.Greater(t, list[0].ID, last, "a screen that saw the earlier run would replay another request")
		last = list[0].ID
	}
}
