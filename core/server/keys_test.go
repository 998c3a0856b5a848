package server

import (
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"daemon-proxy/core/api"
	"daemon-proxy/core/daemon"
	"daemon-proxy/core/preview"
)

const (
	runKey   = "THEKEYOFTHISRUN"
	byRunKey = "X-API-Key: " + runKey
)

// withRunKey gives the server a key of its run.
func withRunKey(s *settings) { s.runKey = runKey }

// withReadOnly makes the server refuse what changes something.
func withReadOnly(s *settings) { s.config.Server.ReadOnly = true }

// ask sends what a row of the table is about, to web, link and request.
func (f *front) ask(row route, link api.Link, id uint64, headers ...string) (status int, code string) {
	f.t.Helper()
	target := strings.NewReplacer("{token}", link.ID, "{name}", "web", "{id}", strconv.FormatUint(id, 10)).Replace(row.path)
	body := ""
	if row.body != nil {
		body, headers = `{"port":3000}`, append(headers, "Content-Type: application/json")
	}
	if row.path == "/api/engine" && body != "" {
		body = `{"name":"lab"}`
	}
	got := f.do(row.method, target, body, headers...)
	var p api.Problem
	_ = json.Unmarshal([]byte(got.Body), &p) // a page for a person has none
	return got.StatusCode, p.Code
}

func TestS70WhatGoesDeepNeedsAKeyEvenWithSecurityOff(t *testing.T) {
	t.Parallel()
	f, s := newStack(t, nil, withRunKey, withNews(make(news)))
	link := f.link(s.port)
	require.Equal(t, 200, f.get("/preview/"+link.Token+"/").StatusCode)
	id := requestsOf(t, f, "")[0].ID
	needs := map[string]bool{}
	for _, row := range routes() {
		if !row.keyed {
			continue
		}
		needs[row.method+" "+row.path] = true
		for _, key := range []string{"", "X-API-Key: wrong", "X-API-Key: ", "Authorization: Bearer x", "Authorization: Basic " + runKey} {
			status, code := f.ask(row, link, id, slices.DeleteFunc([]string{key}, func(s string) bool { return s == "" })...)
			require.Equal(t, 401, status, "%s %s %q", row.method, row.path, key)
			require.Equal(t, api.CodeUnauthorized, code)
		}
		require.Empty(t, f.boxes.notes(), row.path)
		for _, key := range []string{byRunKey, "Authorization: Bearer " + runKey} {
			status, code := f.ask(row, link, id, key)
			require.NotEqual(t, 401, status, "%s %s %s", row.method, row.path, code)
		}
		f.boxes.notes()
	}
	for _, row := range []string{"POST /api/sandboxes/{name}/eject", "PUT /api/engine", "POST /api/engine/retry", "POST /api/demo",
		"GET /api/requests/{id}/bodies", "GET /api/requests/{id}/curl", "POST /api/requests/{id}/replay"} {
		require.True(t, needs[row], row)
	}
	require.Equal(t, 401, f.do("HEAD", "/api/requests/"+strconv.FormatUint(id, 10)+"/bodies", "").StatusCode)
	require.NotContains(t, f.logged.String(), runKey)
	require.NotContains(t, f.get("/api/requests").Body, runKey)
}

func TestS70TheKeyOfTheRunIsAKeyWhereverOneIs(t *testing.T) {
	t.Parallel()
	f, s := newStack(t, nil, withKey, withRunKey)
	for _, key := range []string{apiKey, runKey} {
		require.Equal(t, 200, f.get("/api/preview", "X-API-Key: "+key).StatusCode)
		require.Equal(t, 200, f.do("POST", "/api/demo", "", "X-API-Key: "+key).StatusCode)
		require.Equal(t, 200, f.get("/proxy/"+portText(s.port)+"/", "X-API-Key: "+key).StatusCode)
		require.Empty(t, s.one(t).Header["X-Api-Key"], "no service learns it")
	}
	require.Equal(t, 401, f.get("/api/preview").StatusCode)

	f, _ = newStack(t, nil) // a server without either
	for _, key := range []string{"X-API-Key: ", "Authorization: Bearer ", "X-API-Key: x"} {
		require.Equal(t, 401, f.do("POST", "/api/demo", "", key).StatusCode, "%s: nothing is no key", key)
	}
}

func TestS70AKeyOfOnesOwnCountsWithSecurityOffAndTheExamplesNever(t *testing.T) {
	t.Parallel()
	for key, status := range map[string]int{"your-secret-key": 401, "a-key-of-ones-own": 200} {
		f, _ := newStack(t, nil, withRunKey, func(s *settings) { s.config.Security.APIKey = key })
		require.Equal(t, status, f.do("POST", "/api/demo", "", "X-API-Key: "+key).StatusCode, key)
		require.Equal(t, 200, f.get("/api/preview").StatusCode, "%s: the rest needs none", key)
	}
}

func TestS70NoPageUsesWhatNeedsAKey(t *testing.T) {
	t.Parallel()
	f, s := newStack(t, nil, withRunKey)
	link := f.link(s.port)
	for _, row := range routes() {
		for _, headers := range pages {
			if row.keyed {
				status, _ := f.ask(row, link, 1, headers...)
				require.Equal(t, 403, status, "%s %s %s", row.method, row.path, headers)
			}
		}
	}
	require.Empty(t, f.boxes.notes())
}

func TestS71AReadOnlyServerChangesNothing(t *testing.T) {
	t.Parallel()
	f, s := newStack(t, nil, withReadOnly, withRunKey, withNews(make(news)))
	link := f.link(s.port)
	require.Equal(t, 200, f.get("/preview/"+link.Token+"/").StatusCode, "previews go on")
	id := requestsOf(t, f, "")[0].ID
	key := byRunKey
	reads := []string{"POST /api/engine/retry", "PUT /api/screens/{screen}"} // which only look, or say where
	refused := 0
	for _, row := range routes() {
		name := row.method + " " + row.path
		switch {
		case row.serve == nil || slices.Contains(reads, name):
			require.False(t, row.changes, name)
			continue
		case row.method != http.MethodGet:
			require.True(t, row.changes, name)
		case !row.changes:
			continue
		}
		refused++
		status, code := f.ask(row, link, id, key)
		require.Equal(t, 403, status, name)
		require.Equal(t, api.CodeReadOnly, code, name)
		status, code = f.ask(row, link, id)
		require.Equal(t, row.keyed, status == 401, "%s: a stranger learns that first", name)
		require.Equal(t, !row.keyed, code == api.CodeReadOnly, name)
	}
	require.GreaterOrEqual(t, refused, 13)
	require.Empty(t, f.boxes.notes())
	web := f.boxes.known["web"]
	require.False(t, web.stopped || web.ejected || web.cancelled)
	require.Equal(t, "active", f.links.List()[0].State)
	require.Len(t, f.links.List(), 1)

	for _, target := range []string{"/api/preview", "/api/sandboxes", "/api/status", "/api/engines", "/api/requests", "/api/rates", "/health"} {
		require.Equal(t, 200, f.get(target).StatusCode, target)
	}
	require.Equal(t, 200, f.do("POST", "/api/engine/retry", "", key).StatusCode)
	require.Equal(t, 200, f.get("/api/requests/"+strconv.FormatUint(id, 10)+"/curl", key).StatusCode)
	require.Equal(t, 200, f.get("/proxy/"+portText(s.port)+"/").StatusCode)
}

func TestS71AReadOnlyServerMakesNoLinkAndLeadsToNoDaemon(t *testing.T) {
	t.Parallel()
	f, s := newStack(t, nil, withReadOnly)
	typed := []string{"Sec-Fetch-Site: none", "Sec-Fetch-Mode: navigate", "User-Agent: Mozilla/5.0", "Accept: text/html"}
	target := "/proxy/" + portText(s.port) + "/"
	require.Equal(t, 403, f.get(target, typed...).StatusCode)
	require.Empty(t, f.links.List())
	link := f.linkOf(preview.Request{Sandbox: web, Port: s.port})
	got := f.get(target, typed...)
	require.Equal(t, 307, got.StatusCode, "one that is there is used")
	require.Equal(t, "/preview/"+link.Token+"/", got.Header.Get("Location"))

	require.True(t, daemon.IsPort(2280, 2280))
	for _, target := range []string{"/proxy/2280/version", "/sandboxes/web/proxy/2280/version"} {
		got := f.get(target, "X-Allow-Daemon-Port: true")
		require.Equal(t, 403, got.StatusCode, target)
		requireProblem(t, got, api.CodeReadOnly)
	}
	require.Zero(t, f.boxes.dials.Load())
}
