package server

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"daemon-proxy/core/api"
	"daemon-proxy/core/wiretest"
)

func requestsOf(t testing.TB, f *front, query string) []api.Exchange {
	t.Helper()
	got := f.get("/api/requests" + query)
	document(t, got, "requests")
	var list api.ExchangeList
	require.NoError(t, json.Unmarshal([]byte(got.Body), &list))
	return list.Requests
}

func TestRequestsAreListedNewestFirstAndFiltered(t *testing.T) {
	t.Parallel()
	f, s := newStack(t, func(w http.ResponseWriter, r *http.Request) {
		status, _ := strconv.Atoi(strings.TrimPrefix(r.URL.Path, "/"))
		w.WriteHeader(status)
		_, _ = io.WriteString(w, "the answer")
	})
	require.Empty(t, requestsOf(t, f, ""))
	link := f.link(s.port)
	for _, status := range []string{"200", "404", "500"} {
		f.get("/preview/" + link.Token + "/" + status + "?token=hush")
	}
	f.do("POST", "/proxy/"+portText(s.port)+"/201", "sent")
	all := requestsOf(t, f, "")
	require.Len(t, all, 4)
	for i, want := range []int{201, 500, 404, 200} {
		require.Equal(t, want, all[i].Status)
	}
	require.Equal(t, all[:2], requestsOf(t, f, "?limit=2"))
	require.Equal(t, all[1:2], requestsOf(t, f, "?filter=status:5xx"))
	require.Equal(t, all[2:], requestsOf(t, f, "?filter="+url.QueryEscape("kind:preview !status:5xx")))
	require.Equal(t, all[2:3], requestsOf(t, f, "?limit=1&filter="+url.QueryEscape("kind:preview !status:5xx")))
	require.NotContains(t, f.get("/api/requests").Body, "hush")
	require.NotContains(t, f.get("/api/requests").Body, link.Token)

	got := f.get("/api/requests/" + strconv.FormatUint(all[0].ID, 10))
	document(t, got, "request_header", "response_header")
	var detail api.ExchangeDetail
	require.NoError(t, json.Unmarshal([]byte(got.Body), &detail))
	require.Equal(t, all[0], detail.Exchange)
	require.Equal(t, "sent", string(detail.RequestBody))
	require.Equal(t, "the answer", string(detail.ResponseBody))

	for _, query := range []string{"?limit=0", "?limit=-1", "?limit=x", "?filter=nothing:x", `?filter="`} {
		got := f.raw(request("GET", "/api/requests"+query, f.host, ""))
		require.Equal(t, 400, got.StatusCode, query)
		requireProblem(t, got, api.CodeBadRequest)
	}
	for _, id := range []string{"0", "99999", "x", "-1", "1%20", "18446744073709551616"} {
		got := f.get("/api/requests/" + id)
		require.Equal(t, 404, got.StatusCode, id)
		requireProblem(t, got, api.CodeUnknownExchange)
	}
}

// news is what a test tells through the event stream.
type news chan []api.Event

func (n news) Next(ctx context.Context) ([]api.Event, error) {
	select {
	case batch := <-n:
		return batch, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func withNews(n news) func(*settings) {
	return func(s *settings) { s.boxes.events = func(context.Context) api.Events { return n } }
}

// follow opens the event stream.
func follow(t *testing.T, f *front) (*http.Response, *bufio.Scanner) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+f.addr+"/api/events", nil)
	require.NoError(t, err)
	response, err := wiretest.Client(f.t).Do(r)
	require.NoError(t, err)
	t.Cleanup(func() { response.Body.Close() })
	require.Equal(t, 200, response.StatusCode)
	require.Equal(t, "text/event-stream", response.Header.Get("Content-Type"))
	require.Equal(t, "no-store", response.Header.Get("Cache-Control"))
	return response, bufio.NewScanner(response.Body)
}

func TestEventsComeAsTheyHappen(t *testing.T) {
	t.Parallel()
	told := make(news)
	f := newFront(t, "127.0.0.1:1", withNews(told))
	_, lines := follow(t, f)
	require.True(t, lines.Scan(), "the head and a comment come before any event")
	require.True(t, strings.HasPrefix(lines.Text(), ":"))
	lines.Scan()
	for _, name := range []string{"web", "a\nb"} {
		told <- []api.Event{{Kind: api.EventSandbox, Sandbox: &api.Sandbox{Ref: api.Ref{Name: name}}}}
		require.True(t, lines.Scan())
		require.Equal(t, "event: sandbox", lines.Text())
		require.True(t, lines.Scan())
		data, ok := strings.CutPrefix(lines.Text(), "data: ")
		require.True(t, ok)
		var e api.Event
		require.NoError(t, json.Unmarshal([]byte(data), &e))
		require.Equal(t, name, e.Sandbox.Name)
		require.True(t, lines.Scan())
		require.Empty(t, lines.Text())
	}
	require.Empty(t, f.do("HEAD", "/api/events", "").Body)
}

func TestTheEventStreamEndsWithTheServer(t *testing.T) {
	t.Parallel()
	f := newFront(t, "127.0.0.1:1", withNews(make(news)))
	_, lines := follow(t, f)
	require.True(t, lines.Scan())
	ctx, cancel := context.WithTimeout(t.Context(), wiretest.Patience)
	defer cancel()
	start := time.Now()
	require.NoError(t, f.Shutdown(ctx))
	require.Less(t, time.Since(start), wiretest.Patience/2)
	for lines.Scan() {
		require.Empty(t, lines.Text())
	}
	require.NoError(t, lines.Err(), "a proper end, no cut")
}

func TestAClientThatLeavesEndsItsEventStream(t *testing.T) {
	t.Parallel()
	ended := make(chan struct{})
	f := newFront(t, "127.0.0.1:1", func(s *settings) {
		s.boxes.events = func(ctx context.Context) api.Events {
			context.AfterFunc(ctx, func() { close(ended) })
			return make(news)
		}
	})
	response, lines := follow(t, f)
	require.True(t, lines.Scan())
	response.Body.Close()
	select {
	case <-ended:
	case <-time.After(wiretest.Patience):
		require.Fail(t, "it goes on")
	}
}

func TestTheEventStreamIsNeverSilentForLongAndCutsWhoDoesNotRead(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		s, lines := streamIn(t, make(news))
		for range 4 {
			require.True(t, lines.Scan())
		}
		require.Equal(t, heartbeat, time.Since(start), "the second comment is the first heartbeat")
		time.Sleep(heartbeat + longestWrite + time.Second) // of the bubble's time
		synctest.Wait()
		s.streams.mu.Lock()
		defer s.streams.mu.Unlock()
		require.Empty(t, s.streams.open, "a reader that does not read is still served")
	})
}

func TestTheEventStreamTakesNewsAtOnceAndThenAtItsPace(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		more := make(news)
		_, lines := streamIn(t, more)
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		go func() { // there are news at any time
			for {
				select {
				case more <- []api.Event{{Kind: api.EventLink, Link: &api.Link{}}}:
				case <-ctx.Done():
					return
				}
			}
		}()
		for i := range 5 {
			for lines.Scan() && !strings.HasPrefix(lines.Text(), "event: ") {
			}
			require.Equal(t, time.Duration(i)*newsApart, time.Since(start))
		}
	})
}

// streamIn is the event stream of such a server within a bubble.
func streamIn(t *testing.T, from news) (*Server, *bufio.Scanner) {
	t.Helper()
	near, far := net.Pipe()
	s := &Server{o: Options{Service: service{boxes: &boxes{events: func(context.Context) api.Events { return from }}}}}
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_ = management{Server: s}.events(&visit{w: w, r: r}, nil)
	}), ReadHeaderTimeout: time.Minute}
	listener := &onePipe{conn: far, closed: make(chan struct{})}
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(func() {
		server.Close()
		near.Close()
	})
	_, err := io.WriteString(near, "GET /api/events HTTP/1.1\r\nHost: x\r\n\r\n")
	require.NoError(t, err)
	response, err := http.ReadResponse(bufio.NewReader(near), nil)
	require.NoError(t, err)
	return s, bufio.NewScanner(response.Body)
}

// onePipe is a listener with one connection.
type onePipe struct {
	conn   net.Conn
	closed chan struct{}
}

func (l *onePipe) Accept() (net.Conn, error) {
	if c := l.conn; c != nil {
		l.conn = nil
		return c, nil
	}
	<-l.closed
	return nil, net.ErrClosed
}
func (l *onePipe) Close() error   { close(l.closed); return nil }
func (l *onePipe) Addr() net.Addr { return &net.TCPAddr{} }

// A reader that takes one event after another, each late, gets all of a batch.
func TestALongBatchMayTakeLong(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		more := make(news)
		_, lines := streamIn(t, more)
		const inOneWrite = writtenAtOnce / 300 // at most, each has a label of 300 bytes
		batch := make([]api.Event, 10*inOneWrite)
		for i := range batch {
			batch[i] = api.Event{Kind: api.EventLink, Link: &api.Link{ID: strconv.Itoa(i), Label: strings.Repeat("x", 300)}}
		}
		start := time.Now()
		go func() { more <- batch }()
		for i := 0; i < len(batch); {
			require.True(t, lines.Scan(), "it was cut after %d events, %v", i, lines.Err())
			if strings.HasPrefix(lines.Text(), "data: ") {
				i++
				time.Sleep(longestWrite / inOneWrite / 2) // of the bubble's time
			}
		}
		require.Greater(t, time.Since(start), 4*longestWrite)
	})
}
