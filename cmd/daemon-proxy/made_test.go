package main

import (
	"net/http"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"daemon-proxy/core/wiretest"
)

// TestB5ADocumentThatAServiceWorkerMakesHasNoFence shows a limit that the
// security document tells of: such a document has only the headers that the
// worker gave it. When this fails, a browser has closed the gap, and the
// document can be corrected.
func TestB5ADocumentThatAServiceWorkerMakesHasNoFence(t *testing.T) {
	b := newBrowser(t)
	outside, seen := attacker(t)
	try := func(name string) string {
		return `fetch("http://localhost:` + outside + `/` + name + `", {mode: "no-cors"}).then(() => document.title = "sent", () => document.title = "refused")`
	}
	service := wiretest.Serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/sw.js" {
			w.Header().Set("Content-Type", "text/html")
			_, _ = w.Write([]byte(`<title>waits</title><script>` + try("served") + `</script>`))
			return
		}
		w.Header().Set("Content-Type", "text/javascript")
		_, _ = w.Write([]byte(`addEventListener("install", () => skipWaiting()); addEventListener("activate", e => e.waitUntil(clients.claim()))
			addEventListener("fetch", e => { if (e.request.mode === "navigate") e.respondWith(new Response(` +
			strconv.Quote(`<title>waits</title><script>`+try("made")+`</script>`) + `, {headers: {"Content-Type": "text/html"}})) })`))
	})

	p := newDesk(t).serving(t, nil, "--daemon-mode", "host")
	p.healthy()
	_, _, host := p.link(`{"port": ` + strconv.Itoa(wiretest.Port(t, service)) + `}`)
	b.open(host + "/")
	b.until("a page that the service sends is fenced", `document.title === "refused"`)
	require.True(t, eval[bool](b, `navigator.serviceWorker.register("/sw.js").then(() => navigator.serviceWorker.ready).then(() => true)`))
	b.until("the worker has the page", `navigator.serviceWorker.controller !== null`)
	b.open(host + "/made")
	b.until("a page that the worker makes is not", `document.title === "sent"`)
	require.Contains(t, seen(), "/made")
	require.NotContains(t, seen(), "/served")
}
