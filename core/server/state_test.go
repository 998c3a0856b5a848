package server

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"daemon-proxy/core/api"
)

// note keeps what a route asked of the service.
func (b *boxes) note(words ...string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.asked = append(b.asked, strings.Join(words, " "))
}

// notes are what was asked so far.
func (b *boxes) notes() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	asked := b.asked
	b.asked = nil
	return asked
}

func (b *boxes) Status(context.Context) (api.Status, error) {
	return api.Status{Version: "1.2.3", URL: "http://the-core.example", Mode: "docker"}, nil
}

func (b *boxes) Engines(context.Context) ([]api.EngineChoice, error) {
	return []api.EngineChoice{{Name: "default", Endpoint: "unix:///var/run/docker.sock", Current: true}}, nil
}

func (b *boxes) EngineStates(context.Context) ([]api.EngineStatus, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return append([]api.EngineStatus{b.engine}, b.others...), nil
}

func (b *boxes) OpenEngine(_ context.Context, name string) error {
	b.note("open", name)
	if name == "gone" {
		return api.NewProblem(api.CodeEngineUnreachable, "there is no docker context "+name, "see docker context ls")
	}
	return nil
}

func (b *boxes) CloseEngine(_ context.Context, name string) error {
	b.note("close", name)
	return nil
}

func (b *boxes) SwitchEngine(_ context.Context, name string) error {
	b.note("switch", name)
	if name != "lab" {
		return api.NewProblem(api.CodeEngineUnreachable, "there is no docker context "+name, "see docker context ls")
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.engine = api.EngineStatus{Name: name, State: "connecting"}
	return nil
}

func (b *boxes) RetryEngine(context.Context) error {
	b.note("retry")
	return nil
}

func (b *boxes) Demo(context.Context) (api.Link, error) {
	b.note("demo")
	return api.Link{Token: "the-token-of-the-demo", URL: "http://the-core.example/preview/x", State: "active"}, nil
}

func (b *boxes) LeaveInjection(_ context.Context, ref api.Ref) error {
	b.note("leave", ref.String())
	return nil
}

func (b *boxes) StartDesktop(_ context.Context, ref api.Ref) error {
	b.note("desktop", ref.String())
	return nil
}

func (b *boxes) Shell(ctx context.Context, ref api.Ref, columns, rows int) (api.Terminal, error) {
	return b.shell(ctx, ref, api.TerminalSize{Columns: columns, Rows: rows})
}

func (b *boxes) Share(ctx context.Context, id string) (api.Share, error) {
	if b.share == nil {
		return api.Share{}, api.NewProblem(api.CodeNeedsExpiry, "it lasts", "make another")
	}
	return b.share(ctx, id)
}

func (b *boxes) Curl(context.Context, uint64) (string, error) { panic("the server makes it") }

func (b *boxes) Replay(_ context.Context, id uint64) (api.Exchange, error) {
	b.note("replay", strconv.FormatUint(id, 10))
	return api.Exchange{ID: id + 1, Status: 201, Kind: "preview", Protocol: "http"}, nil
}

func TestTheStateOfTheCoreIsThatOfWhoAsks(t *testing.T) {
	t.Parallel()
	f := newFront(t, "127.0.0.1:1", withRunKey)
	doc := document(t, f.get("/api/status", "Host: my-desk:99"), "version", "mode", "host_links")
	require.Equal(t, "http://my-desk:99", doc["url"], "the address that works there")
	require.Equal(t, "default", document(t, f.get("/api/engines"))["engines"].([]any)[0].(map[string]any)["name"])

	doc = document(t, f.do("POST", "/api/demo", "", "Host: my-desk:99", byRunKey), "token")
	require.Equal(t, "http://my-desk:99/preview/the-token-of-the-demo", doc["url"])
	require.Equal(t, "http://the-token-of-the-demo.localhost:99", doc["host_url"])
	require.Equal(t, []string{"demo"}, f.boxes.notes())
}

func TestEnginesAreOpenedAndClosed(t *testing.T) {
	t.Parallel()
	f := newFront(t, "127.0.0.1:1", withRunKey)
	f.boxes.others = []api.EngineStatus{{Name: "lab", State: "lost"}}
	open := document(t, f.do("PUT", "/api/engines/lab", "", byRunKey), "engines")["engines"].([]any)
	require.Equal(t, "lab", open[1].(map[string]any)["name"])
	document(t, f.do("PUT", "/api/engines/unix%3A%2F%2F%2Frun%2Fx.sock", "", byRunKey), "engines")
	document(t, f.do("DELETE", "/api/engines/lab", "", byRunKey), "engines")
	require.Equal(t, []string{"open lab", "open unix:///run/x.sock", "close lab"}, f.boxes.notes())
	requireProblem(t, f.do("PUT", "/api/engines/gone", "", byRunKey), api.CodeEngineUnreachable)
	require.Equal(t, []any{"lab"}, document(t, f.get("/health"))["lost_engines"])
	require.Len(t, document(t, f.get("/api/sandboxes"), "sandboxes")["engines"], 2)
}

func TestASandboxIsNamedWithItsEngineInTwoSegments(t *testing.T) {
	t.Parallel()
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, r.URL.Path)
	}))
	t.Cleanup(upstream.Close)
	f := newFront(t, strings.TrimPrefix(upstream.URL, "http://"), withRunKey)
	for _, name := range []string{"web", "default/web", "default%2Fweb"} {
		require.Equal(t, "web", document(t, f.do("POST", "/api/sandboxes/"+name+"/stop", ""))["name"], name)
		requireProblem(t, f.do("POST", "/api/sandboxes/"+name+"/nothing", ""), api.CodeUnknownRoute)
	}
	document(t, f.do("POST", "/api/sandboxes/default/web/container/start", ""), "name")
	for _, name := range []string{"web", "default/web"} {
		require.Equal(t, "/proxy/3000/a/b", f.get("/sandboxes/"+name+"/proxy/3000/a/b").Body, name)
		requireProblem(t, f.get("/sandboxes/"+name+"/proxy/x/a"), api.CodeBadPort)
	}
	requireProblem(t, f.get("/sandboxes/lab/web/proxy/3000/"), api.CodeUnknownSandbox)
	requireProblem(t, f.get("/sandboxes/a/b/c/proxy/3000/"), api.CodeUnknownRoute)
}

func TestTheEngineIsSwitchedAndRetried(t *testing.T) {
	t.Parallel()
	f := newFront(t, "127.0.0.1:1", withRunKey)
	put := func(body string) (int, string) {
		got := f.do("PUT", "/api/engine", body, "Content-Type: application/json", byRunKey)
		return got.StatusCode, got.Body
	}
	status, body := put(`{"name":"lab"}`)
	require.Equal(t, 200, status, body)
	var engine api.EngineStatus
	require.NoError(t, json.Unmarshal([]byte(body), &engine))
	require.Equal(t, "lab", engine.Name)
	require.Equal(t, engine.Name, document(t, f.get("/api/engine"))["name"])
	require.Equal(t, []string{"switch lab"}, f.boxes.notes())

	got := f.do("PUT", "/api/engine", `{"name":"nowhere"}`, "Content-Type: application/json", byRunKey)
	require.Equal(t, 503, got.StatusCode)
	requireProblem(t, got, api.CodeEngineUnreachable)
	f.boxes.notes()
	for _, body := range []string{`{}`, `{"name":""}`, `{"name":1}`, `{"nom":"lab"}`, `[]`, `{"name":"lab"} x`} {
		got := f.do("PUT", "/api/engine", body, "Content-Type: application/json", byRunKey)
		require.Equal(t, 400, got.StatusCode, body)
		requireProblem(t, got, api.CodeBadRequest)
	}
	require.Empty(t, f.boxes.notes())

	require.Equal(t, "lab", document(t, f.do("POST", "/api/engine/retry", "", byRunKey))["name"])
	require.Equal(t, []string{"retry"}, f.boxes.notes())
}

func TestASandboxGetsItsDesktopAndKeepsItsInjection(t *testing.T) {
	t.Parallel()
	f := newFront(t, "127.0.0.1:1")
	for _, route := range []string{"desktop", "inject/leave"} {
		require.Equal(t, "web", document(t, f.do("POST", "/api/sandboxes/web/"+route, ""))["name"], route)
		require.Equal(t, 404, f.do("POST", "/api/sandboxes/nobody/"+route, "").StatusCode, route)
		require.Equal(t, 405, f.get("/api/sandboxes/web/"+route).StatusCode, route)
	}
	require.Equal(t, []string{"desktop web", "leave web"}, f.boxes.notes())
}

func TestARequestIsCopiedRepeatedAndSavedOverHTTP(t *testing.T) {
	t.Parallel()
	f, s := newStack(t, func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte(`{"password":"hunter2","ok":"yes"}`))
	}, withRunKey)
	link := f.link(s.port)
	f.do("POST", "/preview/"+link.Token+"/login?token=hush", `{"password":"hunter2"}`, "Content-Type: application/json")
	f.do("GET", "/proxy/"+portText(s.port)+"/plain", "", "Cookie: sid=hush")
	all := requestsOf(t, f, "")
	require.Len(t, all, 2)
	of := func(i int, route string) string { return "/api/requests/" + strconv.FormatUint(all[i].ID, 10) + route }

	var bodies api.Bodies
	require.NoError(t, json.Unmarshal([]byte(f.get(of(1, "/bodies"), byRunKey).Body), &bodies))
	require.JSONEq(t, `{"password":"hunter2"}`, string(bodies.Request), "as they passed")
	require.JSONEq(t, `{"password":"hunter2","ok":"yes"}`, string(bodies.Response))
	require.Equal(t, `{"response":"`, f.get(of(0, "/bodies"), byRunKey).Body[:13], "there was no body")

	curl := f.get(of(1, "/curl"), "Host: my-desk:99", byRunKey)
	require.Equal(t, "text/plain; charset=utf-8", curl.Header.Get("Content-Type"))
	require.Equal(t, "no-store", curl.Header.Get("Cache-Control"))
	require.Contains(t, curl.Body, "http://my-desk:99/preview/"+link.Token+"/login", "where the client finds it")
	require.NotContains(t, curl.Body, "hunter2")
	require.NotContains(t, curl.Body, "hush")
	require.Contains(t, f.get(of(0, "/curl"), byRunKey).Body, "http://"+f.host+"/sandboxes/web/proxy/"+portText(s.port)+"/plain")

	require.InDelta(t, 201, document(t, f.do("POST", of(0, "/replay"), "", byRunKey))["status"], 0)
	require.Equal(t, []string{"replay " + strconv.FormatUint(all[0].ID, 10)}, f.boxes.notes())

	require.NotContains(t, f.get("/api/requests.har").Body, "hush")
	entries := func(query string) int {
		log := document(t, f.get("/api/requests.har"+query))["log"].(map[string]any)
		return len(log["entries"].([]any))
	}
	require.Equal(t, 2, entries(""))
	require.Equal(t, 1, entries("?filter=path:/login"))
	requireProblem(t, f.get("/api/requests.har?filter=nothing:x"), api.CodeBadRequest)

	rates := document(t, f.get("/api/rates"), "per_second", "p50_ns", "p99_ns", "spark")
	require.Len(t, rates["spark"], 60)
	for _, route := range []string{"/bodies", "/curl"} {
		for _, id := range []string{"0", "99999", "x"} {
			got := f.get("/api/requests/"+id+route, byRunKey)
			require.Equal(t, 404, got.StatusCode, id+route)
			requireProblem(t, got, api.CodeUnknownExchange)
		}
	}
}
