package server

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net/http"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"daemon-proxy/core/api"
	"daemon-proxy/core/preview"
	"daemon-proxy/core/wiretest"
)

// document is the body of an API answer, and its fields are all that are named.
func document(t testing.TB, got wiretest.Answer, fields ...string) map[string]any {
	t.Helper()
	require.Equal(t, 200, got.StatusCode, got.Body)
	require.Equal(t, "application/json", got.Header.Get("Content-Type"))
	require.Equal(t, "no-store", got.Header.Get("Cache-Control"))
	require.Equal(t, "nosniff", got.Header.Get("X-Content-Type-Options"))
	var doc map[string]any
	require.NoError(t, json.Unmarshal([]byte(got.Body), &doc), got.Body)
	for _, field := range fields {
		require.Contains(t, doc, field)
	}
	return doc
}

func TestCreateALink(t *testing.T) {
	t.Parallel()
	f := newFront(t, "127.0.0.1:1")
	create := func(body string, headers ...string) wiretest.Answer {
		return f.do("POST", "/api/preview/create", body, append(headers, "Content-Type: application/json")...)
	}
	doc := document(t, create(`{"port": 6080}`), "token", "url", "host_url", "port", "sandbox", "label", "created_at", "expires_at")
	token, _ := doc["token"].(string)
	require.Equal(t, "http://"+f.host+"/preview/"+token, doc["url"])
	require.Equal(t, "http://"+token+"."+f.host, doc["host_url"])
	require.InDelta(t, 6080, doc["port"], 0)
	require.Equal(t, "web", doc["sandbox"])
	require.Empty(t, doc["label"])
	require.Nil(t, doc["expires_at"])

	doc = document(t, create(`{"port":3000,"sandbox":"other","label":"<b>&\"","ttl_seconds":60}`))
	require.Equal(t, "other", doc["sandbox"])
	require.Equal(t, `<b>&"`, doc["label"])
	expires, err := time.Parse(time.RFC3339, doc["expires_at"].(string))
	require.NoError(t, err)
	require.WithinDuration(t, time.Now().Add(time.Minute), expires, 30*time.Second)

	doc = document(t, create(`{"port":3000,"ttl_seconds":0}`))
	require.Nil(t, doc["expires_at"])

	for body, want := range map[string]struct {
		status int
		code   string
	}{
		``:                               {400, api.CodeBadRequest},
		` `:                              {400, api.CodeBadRequest},
		`{`:                              {400, api.CodeBadRequest},
		`[]`:                             {400, api.CodeBadRequest},
		`{}`:                             {400, api.CodeBadPort},
		`{"port":3000} x`:                {400, api.CodeBadRequest},
		`{"port":3000}{}`:                {400, api.CodeBadRequest},
		`{"port":3000,"prot":1}`:         {400, api.CodeBadRequest},
		`{"port":3000,"ttl_seconds":-1}`: {400, api.CodeBadRequest},
		`{"port":3000,"ttl_seconds":9223372036854775807}`: {400, api.CodeBadRequest},
		`{"port":3000,"sandbox":"nobody"}`:                {404, api.CodeUnknownSandbox},
		`{"port":2280}`:                                   {403, api.CodeDaemonPort},
	} {
		got := create(body)
		require.Equal(t, want.status, got.StatusCode, body)
		requireProblem(t, got, want.code)
	}
	require.Len(t, f.links.List(), 3)

	f.boxes.mu.Lock()
	f.boxes.fallback = ""
	f.boxes.mu.Unlock()
	got := create(`{"port":3000}`)
	require.Equal(t, 409, got.StatusCode)
	require.Equal(t, []string{"other", "web"}, requireProblem(t, got, api.CodeSandboxRequired).Names)
	require.Equal(t, 409, f.get("/proxy/3000/").StatusCode)
}

func TestURLsAreThoseOfWhoAsks(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		change    func(*settings)
		headers   []string
		url, host string
	}{
		"an address":             {nil, []string{"Host: 127.0.0.1:99"}, "http://127.0.0.1:99", "localhost:99"},
		"the desk's name":        {nil, []string{"Host: my-desk:99"}, "http://my-desk:99", "localhost:99"},
		"no port":                {nil, []string{"Host: localhost"}, "http://localhost", "localhost"},
		"the address of all":     {nil, []string{"Host: 0.0.0.0:99"}, "http://localhost:99", "localhost:99"},
		"a public URL":           {func(s *settings) { s.config.Server.PublicURL = "https://p.example:444" }, nil, "https://p.example:444", "localhost:444"},
		"a domain":               {func(s *settings) { s.config.Server.PreviewDomain = "p.example" }, []string{"Host: localhost:99"}, "http://localhost:99", "p.example:99"},
		"a trusted proxy":        {func(s *settings) { s.config.Server.TrustedProxies = []string{"127.0.0.1"} }, []string{"Host: localhost", "X-Forwarded-Proto: https"}, "https://localhost", "localhost"},
		"a proxy nobody trusts":  {nil, []string{"Host: localhost", "X-Forwarded-Proto: https", "X-Forwarded-Host: evil.example"}, "http://localhost", "localhost"},
		"an address of family 6": {nil, []string{"Host: [::1]:99"}, "http://[::1]:99", "localhost:99"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var changes []func(*settings)
			if test.change != nil {
				changes = append(changes, test.change)
			}
			f := newFront(t, "127.0.0.1:1", changes...)
			f.urls.FindHostLinks(t.Context(), (&lookups{known: map[string]string{"probe.p.example": "127.0.0.1"}}).look)
			doc := document(t, f.do("POST", "/api/preview/create", `{"port":80}`, append(test.headers, "Content-Type: application/json")...))
			token, _ := doc["token"].(string)
			require.Equal(t, test.url+"/preview/"+token, doc["url"])
			scheme, _, _ := strings.Cut(test.url, "://")
			require.Equal(t, scheme+"://"+token+"."+test.host, doc["host_url"])
		})
	}
}

func TestS32TheListOfLinksHasFewThatHaveEnded(t *testing.T) {
	t.Parallel()
	f := newFront(t, "127.0.0.1:1", func(s *settings) { s.links.MaxEnded = 5 })
	kept := f.link(3000)
	for range 20 {
		require.Equal(t, 200, f.do("DELETE", "/api/preview/"+f.link(3000).Token, "").StatusCode)
	}
	links := func() []any { return document(t, f.get("/api/preview"), "links")["links"].([]any) }
	require.Eventually(t, func() bool { return len(links()) == 6 }, wiretest.Patience, 10*time.Millisecond)
	require.Contains(t, fmt.Sprint(links()), kept.Token)
}

func TestListStatsAndRevoke(t *testing.T) {
	t.Parallel()
	f, s := newStack(t, nil)
	used, idle := f.link(s.port), f.link(4000)
	short := time.Millisecond
	f.linkOf(preview.Request{Sandbox: web, Port: 5000, TTL: &short})
	require.Equal(t, 200, f.get("/preview/"+used.Token+"/").StatusCode)
	require.Equal(t, 200, f.do("POST", "/preview/"+used.Token+"/", "12345678").StatusCode)
	require.Eventually(t, func() bool { return f.links.Stats().Requests == 2 && f.links.Stats().Expired == 1 }, wiretest.Patience, time.Millisecond)

	for _, token := range []string{idle.Token, idle.ID} { // the second time changes nothing
		require.JSONEq(t, `{"token":"`+idle.Token+`","revoked":true}`, f.do("DELETE", "/api/preview/"+token, "").Body)
	}
	stats := document(t, f.get("/api/preview/stats"), "total", "active", "expired", "revoked", "requests", "links")
	for field, want := range map[string]int{"total": 3, "active": 1, "expired": 1, "revoked": 1, "requests": 2} {
		require.InDelta(t, want, stats[field], 0, field)
	}
	list := document(t, f.get("/api/preview"), "links")
	for _, links := range []any{stats["links"], list["links"]} {
		require.Len(t, links, 3)
		for _, l := range links.([]any) {
			link := l.(map[string]any)
			for _, field := range []string{"token", "id", "url", "host_url", "port", "sandbox", "label", "created_at", "expires_at", "requests", "bytes_in", "bytes_out", "last_used_at", "state"} {
				require.Contains(t, link, field)
			}
			require.Equal(t, "http://"+f.host+"/preview/"+link["token"].(string), link["url"])
			if link["token"] == used.Token {
				require.InDelta(t, 2, link["requests"], 0)
				require.InDelta(t, 8, link["bytes_in"], 0)
				require.InDelta(t, 10, link["bytes_out"], 0)
				require.NotNil(t, link["last_used_at"])
				require.Equal(t, "active", link["state"])
			}
		}
	}
	for path, code := range map[string]string{
		strings.Repeat("a", 32): api.CodeUnknownLink, used.Token + "x": api.CodeUnknownLink, used.Token + "%2F": api.CodeUnknownLink,
		used.Token + "/": api.CodeUnknownRoute, used.Token + "/x": api.CodeUnknownRoute, "": api.CodeUnknownRoute,
		strings.ToUpper(used.Token): api.CodeUnknownLink, "..": api.CodeUnknownLink,
	} {
		got := f.raw(request("DELETE", "/api/preview/"+path, f.host, ""))
		require.Equal(t, 404, got.StatusCode, path)
		requireProblem(t, got, code)
	}
	require.Equal(t, 200, f.do("DELETE", "/api/preview/"+used.Token+"?x=y", "").StatusCode, "a query is no part of the token")
}

func TestOtherMethodsAreNamed(t *testing.T) {
	t.Parallel()
	f := newFront(t, "127.0.0.1:1")
	for target, allow := range map[string]string{
		"/health": "GET, HEAD", "/daemon/status": "GET, HEAD", "/api/preview": "GET, HEAD", "/api/preview/stats": "GET, HEAD", "/api/sandboxes": "GET, HEAD",
		"/api/sandboxes/web/ports": "GET, HEAD", "/api/preview/create": "POST", "/api/sandboxes/web/inject": "POST, DELETE", "/api/sandboxes/web/stop": "POST", "/api/sandboxes/web/eject": "POST",
		"/api/preview/" + strings.Repeat("a", 32): "DELETE",
	} {
		for _, method := range []string{"GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "BREW"} {
			if strings.Contains(allow, method) {
				continue
			}
			got := f.do(method, target, "")
			require.Equal(t, 405, got.StatusCode, "%s %s", method, target)
			require.Equal(t, allow, got.Header.Get("Allow"), target)
			requireProblem(t, got, api.CodeMethodNotAllowed)
		}
		if strings.HasPrefix(allow, "GET") {
			get, head := f.get(target), f.do("HEAD", target, "")
			require.Equal(t, 200, get.StatusCode, target)
			require.Equal(t, 200, head.StatusCode, target)
			require.Empty(t, head.Body)
			require.Equal(t, get.Header.Get("Content-Type"), head.Header.Get("Content-Type"))
			require.Positive(t, head.ContentLength, target)
		}
	}
	for _, target := range []string{"/", "/api/", "/api/nothing", "/daemon/", "/api/sandboxes/web", "/api/sandboxes/web/fly", "/preview", "/preview/", "/sandboxes/", "/favicon.ico"} {
		got := f.get(target)
		require.Equal(t, 404, got.StatusCode, target)
		requireProblem(t, got, api.CodeUnknownRoute)
		require.Empty(t, got.Header.Get("Retry-After"))
	}
}

func TestHealthAndStatus(t *testing.T) {
	t.Parallel()
	f := newFront(t, "127.0.0.1:1")
	doc := document(t, f.get("/health"), "status", "version", "uptime_seconds", "sandbox", "daemon")
	require.Equal(t, "healthy", doc["status"])
	require.Equal(t, "1.2.3", doc["version"])
	require.NotContains(t, doc, "warning")
	doc = document(t, f.get("/daemon/status"), "mode", "sandbox", "container_state", "state", "running", "kind", "version", "url", "latency_ms", "since", "last_error")
	require.Equal(t, true, doc["running"])
	require.Equal(t, "docker", doc["mode"])
	require.Nil(t, doc["last_error"])
	require.Equal(t, "other", document(t, f.get("/daemon/status?sandbox=other"))["sandbox"])
	require.Equal(t, 404, f.get("/daemon/status?sandbox=nobody").StatusCode)

	f.boxes.change("web", func(b *box) {
		b.Daemon.State = api.DaemonFailed
		b.Daemon.LastError = &api.Problem{Title: "x", Code: api.CodeArchMismatch, Detail: "amd64 is not arm64"}
	})
	doc = document(t, f.get("/health"), "reason")
	require.Equal(t, "degraded", doc["status"])
	require.Equal(t, api.CodeArchMismatch, doc["reason"].(map[string]any)["code"])
	doc = document(t, f.get("/daemon/status"))
	require.Equal(t, false, doc["running"])
	require.Equal(t, api.CodeArchMismatch, doc["last_error"].(map[string]any)["code"])

	f.boxes.change("web", func(b *box) { b.Daemon = api.Daemon{State: api.DaemonNone} })
	doc = document(t, f.get("/health"), "reason")
	require.Equal(t, api.CodeNoDaemon, doc["reason"].(map[string]any)["code"])

	f.boxes.mu.Lock()
	f.boxes.fallback, f.boxes.engine = "", api.EngineStatus{State: "lost", Error: &api.Problem{Code: api.CodeEngineUnreachable}}
	f.boxes.mu.Unlock()
	require.Equal(t, "degraded", document(t, f.get("/health"))["status"])
	exposed := newFront(t, "127.0.0.1:1", func(s *settings) { s.config.Server.Host = "0.0.0.0" })
	document(t, exposed.get("/health"), "warning")
}

func TestSandboxes(t *testing.T) {
	t.Parallel()
	f := newFront(t, "127.0.0.1:1", withRunKey)
	doc := document(t, f.get("/api/sandboxes"), "engine", "sandboxes")
	require.Len(t, doc["sandboxes"], 2)
	first := doc["sandboxes"].([]any)[0].(map[string]any)
	for _, field := range []string{"name", "engine", "kind", "container_state", "daemon", "default"} {
		require.Contains(t, first, field)
	}
	doc = document(t, f.get("/api/sandboxes/web/ports"), "sandbox", "ports")
	require.Equal(t, "web", doc["sandbox"])
	require.Equal(t, []any{map[string]any{"port": 3000., "address": "0.0.0.0"}, map[string]any{"port": 2280., "daemon": true}}, doc["ports"])
	doc = document(t, f.get("/api/sandboxes/web/ports?identify=true"), "sandbox", "ports")
	require.Equal(t, map[string]any{"port": 3000., "address": "0.0.0.0", "service": "http", "name": "Vite"}, doc["ports"].([]any)[0])
	require.Equal(t, "web", document(t, f.do("POST", "/api/sandboxes/web/stop", ""))["name"])
	require.True(t, f.boxes.known["web"].stopped)
	require.False(t, f.boxes.known["other"].stopped)
	require.Equal(t, "web", document(t, f.do("POST", "/api/sandboxes/web/eject", "", byRunKey))["name"])
	require.True(t, f.boxes.known["web"].ejected)
	require.False(t, f.boxes.known["other"].ejected)
	require.Equal(t, "web", document(t, f.do("DELETE", "/api/sandboxes/web/inject", ""))["name"])
	require.True(t, f.boxes.known["web"].cancelled)
	require.False(t, f.boxes.known["other"].cancelled)
	require.Equal(t, 404, f.do("POST", "/api/sandboxes/nobody/stop", "").StatusCode)
	f.boxes.known["container:host"] = f.boxes.known["other"]
	for _, name := range []string{"container:host", "container%3Ahost"} {
		require.Equal(t, 200, f.get("/api/sandboxes/"+name+"/ports").StatusCode)
	}
}

func TestInject(t *testing.T) {
	t.Parallel()
	f := newFront(t, "127.0.0.1:1")
	next := make(chan struct{})
	mismatch := &api.Problem{Title: "Wrong platform", Status: 422, Code: api.CodeArchMismatch, Detail: "amd64 is not arm64", Hint: "take another"}
	f.boxes.known["web"].inject = func(progress func(api.Injection)) error {
		if progress != nil {
			progress(api.Injection{Sandbox: web, Step: api.StepInspect, State: "done"})
			<-next
			progress(api.Injection{Sandbox: web, Step: api.StepWait, State: "done", Finished: true, Daemon: &api.Daemon{State: api.DaemonHealthy}})
		}
		return nil
	}
	f.boxes.known["other"].inject = func(func(api.Injection)) error { return mismatch }

	require.Equal(t, "web", document(t, f.do("POST", "/api/sandboxes/web/inject", ""))["name"])
	got := f.do("POST", "/api/sandboxes/other/inject", "")
	require.Equal(t, 422, got.StatusCode)
	requireProblem(t, got, api.CodeArchMismatch)

	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+f.addr+"/api/sandboxes/web/inject", nil)
	require.NoError(t, err)
	r.Header.Set("Accept", "application/x-ndjson")
	resp, err := wiretest.Client(f.t).Do(r)
	require.NoError(t, err)
	defer resp.Body.Close()
	require.Equal(t, "application/x-ndjson", resp.Header.Get("Content-Type"))
	steps := bufio.NewScanner(resp.Body)
	require.True(t, steps.Scan(), "the first step comes while the second is awaited")
	require.Contains(t, steps.Text(), `"step":"inspect"`)
	close(next)
	require.True(t, steps.Scan())
	require.Contains(t, steps.Text(), `"finished":true`)
	require.False(t, steps.Scan())

	got = f.do("POST", "/api/sandboxes/other/inject", "", "Accept: application/x-ndjson")
	require.Equal(t, 200, got.StatusCode)
	var last api.Injection
	require.NoError(t, json.Unmarshal([]byte(got.Body), &last), got.Body)
	require.True(t, last.Finished)
	require.Equal(t, "failed", last.State)
	require.Equal(t, api.CodeArchMismatch, last.Error.Code)
}

// TestThePythonReadmesCurls runs the commands of the Python service's README as
// they stand there, but for the port of the front and that of the service.
func TestThePythonReadmesCurls(t *testing.T) {
	t.Parallel()
	wiretest.Program(t, "curl")
	f, s := newStack(t, nil)
	link := f.link(s.port)
	for _, test := range []struct{ command, want string }{
		{`curl http://localhost:8080/proxy/8080/`, `^hello$`},
		{`curl http://localhost:8080/proxy/8080/api/data`, `^hello$`},
		{`curl http://localhost:8080/proxy/8080/search?q=test`, `^hello$`},
		{`curl -X POST http://localhost:8080/proxy/8080/api/users -H "Content-Type: application/json" -d '{"name": "test"}'`, `^hello$`},
		{`curl -X POST http://localhost:8080/proxy/8080/form -d 'name=test'`, `^hello$`},
		{`curl -X POST http://localhost:8080/api/preview/create -H "Content-Type: application/json" -d '{"port": 6080}'`, `"port":6080`},
		{`curl http://localhost:8080/preview/{token}/`, `^hello$`},
		{`curl http://localhost:8080/api/preview/stats`, `"total":2`},
		{`curl -X DELETE http://localhost:8080/api/preview/{token}`, `"revoked":true`},
		{`curl http://localhost:8080/preview/{token}/`, `"link_revoked"`},
		{`curl http://localhost:8080/health`, `"status":"healthy"`},
		{`curl http://localhost:8080/daemon/status`, `"running":true`},
	} {
		command := strings.NewReplacer("localhost:8080", f.addr, "/proxy/8080/", "/proxy/"+portText(s.port)+"/", "{token}", link.Token).Replace(test.command)
		out, err := exec.CommandContext(t.Context(), "sh", "-c", command+" -s").Output()
		require.NoError(t, err, command)
		require.Regexp(t, test.want, string(out), command)
	}
}
