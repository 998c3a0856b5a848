package server

import (
	"encoding/json"
	"io"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"daemon-proxy/core/api"
	"daemon-proxy/core/wiretest"
)

const (
	local       = "localhost:18099" // of the machine at the near end of a bridge
	forCalls    = api.BridgeHeader + ": " + api.BridgeCalls + " " + runKey
	forPreviews = api.BridgeHeader + ": " + api.BridgePreviews + " " + runKey
)

// withAddresses gives the server addresses that mean nothing on another machine.
func withAddresses(s *settings) {
	s.config.Server.PublicURL, s.config.Server.PreviewDomain = "https://box.example", "previews.example"
	s.config.Server.AllowedHosts = []string{"api.localhost"}
	s.config.Preview.RedirectToHost = true
}

// over asks through a bridge, where the server speaks TLS.
func over(t *testing.T, tr *http.Transport, f *front, host, target string, headers ...string) wiretest.Answer {
	t.Helper()
	return fetch(t, tr, "GET", "https://"+f.host+target, append(headers, "Host: "+host)...)
}

func TestS80TheAddressesOfLinksAreThoseOfTheMachineAtTheOtherEndOfABridge(t *testing.T) {
	t.Parallel()
	service := func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Location", "http://"+r.Host+"/next")
		w.Header().Set("Set-Cookie", "a=b; Secure")
		w.WriteHeader(http.StatusFound)
	}
	f, s, tr := newTLS(t, service, withRunKey, withAddresses)
	token := f.link(s.port).Token
	var links api.Links
	answer := over(t, tr, f, local, "/api/preview", forCalls, byRunKey)
	require.Equal(t, 200, answer.StatusCode, answer.Body)
	require.NoError(t, json.Unmarshal([]byte(answer.Body), &links))
	require.Equal(t, "http://"+local+"/preview/"+token, links.Links[0].URL)
	require.Equal(t, "http://"+token+"."+local, links.Links[0].HostURL)
	var status api.Status
	require.NoError(t, json.Unmarshal([]byte(over(t, tr, f, local, "/api/status", forCalls, byRunKey).Body), &status))
	require.Equal(t, "http://"+local, status.URL)
	require.True(t, status.HostLinks)

	// The host form works, with redirects to where the browser is.
	answer = over(t, tr, f, token+"."+local, "/", forPreviews)
	require.Equal(t, "http://"+token+"."+local+"/next", answer.Header.Get("Location"))
	require.Contains(t, answer.Header.Get("Content-Security-Policy"), local[len("localhost"):])
	require.NotContains(t, answer.Header.Get("Content-Security-Policy"), "previews.example")
	seen := s.one(t)
	require.Equal(t, "http://"+token+"."+local, seen.Header.Get("X-Preview-Origin"))
	require.Empty(t, seen.Header[api.BridgeHeader])
	// So does the path form, and a browser is sent from it to the host form.
	require.Equal(t, "/preview/"+token+"/next", over(t, tr, f, local, "/preview/"+token+"/", forPreviews).Header.Get("Location"))
	require.Equal(t, "http://"+token+"."+local+"/x",
		over(t, tr, f, local, "/preview/"+token+"/x", forPreviews, "Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: document").Header.Get("Location"))

	// Without the key the header is nothing.
	for _, header := range []string{api.BridgeHeader + ": calls wrong", api.BridgeHeader + ": other " + runKey, api.BridgeHeader + ": " + runKey} {
		require.NoError(t, json.Unmarshal([]byte(over(t, tr, f, local, "/api/preview", header, byRunKey).Body), &links))
		require.Equal(t, "https://box.example/preview/"+token, links.Links[0].URL, header)
		require.Equal(t, 421, over(t, tr, f, token+"."+local, "/", header).StatusCode)
	}
	require.NotContains(t, f.logged.String(), runKey)
}

func TestS80WhatABridgeCarriesForBrowsersReachesPreviewsOnly(t *testing.T) {
	t.Parallel()
	f, s, tr := newTLS(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "the service") },
		withRunKey, withAddresses)
	token := f.link(s.port).Token
	for _, target := range []string{"/api/preview", "/api/sandboxes", "/health", "/proxy/" + portText(s.port) + "/", "/", "/openapi.json",
		"/sandboxes/web/proxy/" + portText(s.port) + "/", "/daemon/status"} {
		for _, header := range []string{"Accept: */*", byRunKey, "Referer: http://" + local + "/preview/nosuch/"} {
			answer := over(t, tr, f, local, target, forPreviews, header)
			require.Equal(t, 404, answer.StatusCode, "%s %s", target, header)
		}
	}
	// A name that the server has allowed is not its own here, but a preview's.
	require.Equal(t, 200, over(t, tr, f, "api.localhost", "/api/preview", byRunKey).StatusCode)
	require.Equal(t, 404, over(t, tr, f, "api.localhost", "/api/preview", forPreviews, byRunKey).StatusCode)
	// What a page lost is sent back to it.
	answer := over(t, tr, f, local, "/api/x", forPreviews, "Referer: http://"+local+"/preview/"+token+"/")
	require.Equal(t, "/preview/"+token+"/api/x", answer.Header.Get("Location"))
	require.Empty(t, s.requests())
	require.Equal(t, "the service", over(t, tr, f, token+"."+local, "/api/preview", forPreviews).Body)
}
