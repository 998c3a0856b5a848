package main

import (
	"crypto/rand"
	"encoding/json"
	"net"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"

	"daemon-proxy/core/docker/enginetest"
	"daemon-proxy/core/wiretest"
)

// anywhere are the ways to send a request that need no file of the page's own.
var anywhere = []string{"fetch", "guess", "noCors", "xhr", "beacon", "form", "image", "script", "style", "iframe", "sandboxed", "blobWorker", "events", "socket"}

// try is what a page tried and what it got for it.
type try struct{ way, method, url, got string }

// attack tries targets [method, url, body] from the page that is open.
func attack(b *browser, targets [][]string, ways []string, quiet bool) []try {
	b.t.Helper()
	source, err := os.ReadFile("testdata/hostile/attack.js")
	require.NoError(b.t, err)
	arguments, err := json.Marshal([]any{targets, ways, quiet})
	require.NoError(b.t, err)
	eval[any](b, string(source)+";null")
	var tries []try
	for _, line := range eval[[][]string](b, "attack(..."+string(arguments)+")") {
		tries = append(tries, try{line[0], line[1], line[2], line[3]})
	}
	return tries
}

// scene is a front with a hostile sandbox and a victim, whose links are known.
type scene struct {
	*program
	port                        string
	hostile, victim             string // the containers' names
	hostileToken, hostileHost   string
	victimToken, victimHostLink string
}

// newScene starts it all. The fence is down: what it keeps from being sent
// must be refused too.
func newScene(t *testing.T, env ...string) *scene {
	t.Helper()
	enginetest.Require(t)
	hostile, victim := boxed(t, "./testdata/hostile", "hostile"), boxed(t, "./testdata/hostile", "victim")
	d := newDesk(t)
	s := &scene{port: strconv.Itoa(d.port), hostile: hostile, victim: victim}
	s.program = d.serving(t, append([]string{"PREVIEW_FENCE=false", "PREVIEW_REDIRECT_TO_HOST=false"}, env...), "--daemon-mode", "docker", "--container-name", victim)
	s.healthy()
	s.expect(200, "", "POST", "/api/sandboxes/"+hostile+"/inject", "")
	s.hostileToken, _, s.hostileHost = s.link(`{"port": 3000, "sandbox": "` + hostile + `"}`)
	s.victimToken, _, s.victimHostLink = s.link(`{"port": 8080}`)
	return s
}

// management are requests that only programs may make, under an origin.
func (s *scene) management(origin string) [][]string {
	return [][]string{
		{"GET", origin + "/api/preview"},
		{"GET", origin + "/api/preview/stats"},
		{"GET", origin + "/api/sandboxes"},
		{"GET", origin + "/api/sandboxes/" + s.victim + "/ports"},
		{"GET", origin + "/api/requests"},
		{"GET", origin + "/api/events"},
		{"GET", origin + "/daemon/status"},
		{"GET", origin + "/proxy/8080/read-{way}"},
		{"GET", origin + "/proxy/2280/version"},
		{"GET", origin + "/sandboxes/" + s.victim + "/proxy/8080/read-{way}"},
		{"GET", origin + "//proxy/8080/read-{way}"},
		{"GET", origin + "/health"},
		{"POST", origin + "/api/preview/create", `{"port":8080,"sandbox":"` + s.victim + `"}`},
		{"POST", origin + "/api/sandboxes/" + s.victim + "/stop", `{}`},
		{"POST", origin + "/proxy/8080/changed-{way}", `{}`},
		{"POST", origin + "/sandboxes/" + s.victim + "/proxy/8080/changed-{way}", `{}`},
		{"DELETE", origin + "/api/preview/" + s.victimToken},
		{"PUT", origin + "/proxy/8080/changed-{way}", `{}`},
	}
}

// nothingHappened judges tries: no secret was seen, nothing reached the victim
// and nothing was changed.
func (s *scene) nothingHappened(tries []try) {
	s.t.Helper()
	require.NotEmpty(s.t, tries)
	secrets := []string{"the-victims-secret", s.victimToken, s.victim, "uptime_seconds", `"version"`, "registered"}
	var leaks []try
	for _, try := range tries {
		if strings.HasPrefix(try.got, "failed: ") { // the browser's own words
			continue
		}
		if slices.ContainsFunc(secrets, func(secret string) bool { return strings.Contains(try.got, secret) }) {
			leaks = append(leaks, try)
		}
	}
	require.Empty(s.t, leaks)
	s.expect(200, "null", "GET", "/proxy/8080/asked", "")
	s.expect(200, `"total":2`, "GET", "/api/preview/stats", "")
	s.expect(200, "the-victims-secret", "GET", "/preview/"+s.victimToken+"/private", "")
	require.Equal(s.t, "healthy", s.json("GET", "/daemon/status", "")["state"])
}

// control shows that each way works from the page that is open: the page's
// own server, of which seen tells, got the requests. What Chromium drops by
// itself (networkChanged) is tried again.
func control(b *browser, ways []string, quiet bool, seen func() string) {
	b.t.Helper()
	name := "control-" + rand.Text() + "-" // of this call: seen tells of earlier ones too
	own := eval[string](b, `new URL(".", location.href).href`) + name + "{way}"
	var tries []try
	for missing := slices.Clone(ways); len(missing) > 0; {
		require.Less(b.t, len(tries), 4*2*len(ways), "%v cannot send: %v", missing, tries)
		tries = append(tries, attack(b, [][]string{{"GET", own}, {"POST", own, `{}`}}, missing, quiet)...)
		arrived := seen()
		missing = slices.DeleteFunc(missing, func(way string) bool { return strings.Contains(arrived, "/"+name+way) })
	}
}

// seen is what the hostile sandbox was asked for.
func (s *scene) seen() string {
	return s.expect(200, "", "GET", "/preview/"+s.hostileToken+"/asked", "")
}

// navigations opens each target as the page would by a link.
func (s *scene) navigations(b *browser, page string, targets [][]string) (tries []try) {
	s.t.Helper()
	for _, target := range targets {
		if target[0] != http.MethodGet {
			continue
		}
		b.open(page)
		eval[any](b, `void (window.before = true, location.href = "`+target[1]+`")`)
		b.until("the next page", `!window.before && document.readyState === "complete"`)
		tries = append(tries, try{"navigation", "GET", target[1], eval[string](b, "document.documentElement.outerHTML")})
	}
	return tries
}

// otherAddress is an address of this machine that is not loopback.
func otherAddress(t *testing.T) string {
	t.Helper()
	all, err := net.InterfaceAddrs()
	require.NoError(t, err)
	for _, addr := range all {
		if ip, ok := addr.(*net.IPNet); ok && ip.IP.To4() != nil && !ip.IP.IsLoopback() {
			return ip.IP.String()
		}
	}
	wiretest.Skip(t, "this machine has no address but loopback")
	return ""
}

// A hostile page in path mode has the origin of the API. Over plain HTTP to an
// address that is not loopback browsers do not say who asks.
func TestS3AHostilePageInPathModeReachesNothing(t *testing.T) {
	b := newBrowser(t)
	s := newScene(t, "DAEMON_PROXY_HOST=0.0.0.0")
	ways := append([]string{"worker", "sharedWorker"}, anywhere...)
	for _, host := range []string{"localhost", "127.0.0.1", otherAddress(t)} {
		origin := "http://" + net.JoinHostPort(host, s.port)
		page := origin + "/preview/" + s.hostileToken + "/"
		for _, quiet := range []bool{true, false} {
			here := ways
			if host != otherAddress(t) { // others are no secure context
				here = append([]string{"serviceWorker", "takeover"}, ways...)
			}
			b.open(page)
			require.Equal(t, page, eval[string](b, "location.href"))
			control(b, here, quiet, s.seen)
			s.nothingHappened(attack(b, s.management(origin), here, quiet))
		}
		s.nothingHappened(s.navigations(b, page, s.management(origin)))
		require.Contains(t, []string{"", "failed"}, eval[string](b, `navigator.serviceWorker ? navigator.serviceWorker.register("`+page+`worker.js", {scope: "/"}).then(() => "took all", () => "failed") : ""`))
	}
}

// In host mode a page's own origin holds nothing of the front, and the front
// refuses what comes from it.
func TestS3B2AHostilePageInHostModeReachesNothing(t *testing.T) {
	b := newBrowser(t)
	s := newScene(t, "DAEMON_PROXY_HOST=0.0.0.0")
	ways := append([]string{"worker", "sharedWorker", "serviceWorker"}, anywhere...)
	targets := s.victims()
	for _, host := range []string{"localhost", "127.0.0.1", otherAddress(t)} {
		targets = append(targets, s.management("http://"+net.JoinHostPort(host, s.port))...)
	}
	for _, quiet := range []bool{true, false} {
		b.open(s.hostileHost + "/")
		control(b, ways, quiet, s.seen)
		s.nothingHappened(attack(b, targets, ways, quiet))
	}
	s.nothingHappened(s.navigations(b, s.hostileHost+"/", s.management("http://localhost:"+s.port)))
	b.open(s.hostileHost + "/")
	s.nothingHappened(attack(b, s.management(s.hostileHost), ways, false))
	require.Contains(t, s.seen(), `"DELETE /api/preview/`+s.victimToken, "the path belongs to the service")
}

// victims are requests to previews of the victim whose tokens became known:
// what is not for other origins cannot be read, and no socket opens.
func (s *scene) victims() [][]string {
	var targets [][]string
	for _, link := range []string{s.victimHostLink, "http://localhost:" + s.port + "/preview/" + s.victimToken} {
		targets = append(targets, []string{"GET", link + "/private"}, []string{"GET", strings.Replace(link, "http", "ws", 1) + "/socket"})
	}
	return targets
}

// attacker is a server of this machine whose pages are nobody's preview.
func attacker(t *testing.T) (port string, seen func() string) {
	t.Helper()
	var mu sync.Mutex
	var asked []string
	server := wiretest.Serve(t, func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		if r.URL.Path != "/" {
			asked = append(asked, r.Method+" "+r.URL.Path)
		}
		w.Header().Set("Access-Control-Allow-Origin", "*")
		w.Header().Set("Access-Control-Allow-Headers", "*")
		w.Header().Set("Content-Type", "text/html")
		_, _ = w.Write([]byte("<!doctype html><title>attacker</title><body>"))
	})
	_, port, err := net.SplitHostPort(server)
	require.NoError(t, err)
	return port, func() string {
		mu.Lock()
		defer mu.Unlock()
		return strings.Join(asked, "\n")
	}
}

// Pages of other sites, and of other ports of this machine, which count as the
// same site.
func TestS2B2PagesOfOtherOriginsReachNothing(t *testing.T) {
	b := newBrowser(t)
	s := newScene(t)
	port, seen := attacker(t)
	targets := append(s.victims(), s.management("http://localhost:"+s.port)...)
	for _, name := range []string{"evil.example", "localhost", "evil.localhost"} {
		page := "http://" + name + ":" + port + "/"
		b.open(page)
		control(b, anywhere, false, seen)
		s.nothingHappened(attack(b, targets, anywhere, false))
		s.nothingHappened(s.navigations(b, page, s.management("http://localhost:" + s.port)[:4]))
	}
}

// After a rebinding the page's own origin is the front, under the page's name.
func TestS1ARebindingPageReachesNothing(t *testing.T) {
	b := newBrowser(t)
	s := newScene(t)
	// A document of that origin is at hand: the refusal. Its policy would stop
	// what the attacker's own document could do.
	_, err := chromedp.Call(b.ctx, page.SetBypassCSP, page.SetBypassCSPParams{Enabled: true})
	require.NoError(t, err)
	origin := "http://rebound.example:" + s.port
	b.open(origin + "/")
	require.Equal(t, origin, eval[string](b, "location.origin"))
	targets := append(s.management(origin), []string{"GET", origin + "/preview/" + s.victimToken + "/private"},
		[]string{"GET", origin + "/preview/" + s.victimToken + "/read-{way}"})
	tries := attack(b, targets, anywhere, false)
	s.nothingHappened(tries)
	refused := 0
	for _, try := range tries {
		if strings.HasPrefix(try.got, "421 ") {
			refused++
		}
	}
	require.Greater(t, refused, len(targets), "the page's requests must have come through")
}

// The neighbour is any service on the viewer's own machine that trusts whoever
// reaches it.
func TestB5AFencedPageCannotReachOtherServicesOfTheViewer(t *testing.T) {
	b := newBrowser(t)
	s := newScene(t, "PREVIEW_FENCE=true")
	ways := append([]string{"worker", "sharedWorker", "serviceWorker"}, anywhere...)
	token, url, hostURL := s.link(`{"port": 3000, "sandbox": "` + s.hostile + `", "fence": false}`)
	defer s.expect(200, "", "DELETE", "/api/preview/"+token, "")
	port, seen := attacker(t)
	targets := func(from string) (all [][]string) {
		for _, host := range []string{"localhost", "127.0.0.1"} {
			at := "http://" + host + ":" + port + "/" + from + "-" + host + "-{way}"
			all = append(all, []string{"GET", at}, []string{"POST", at, "{}"})
		}
		return all
	}
	fenced := map[string]string{"host": s.hostileHost, "path": s.url + "/preview/" + s.hostileToken}
	for mode, open := range map[string]string{"host": hostURL, "path": url} {
		b.open(open + "/")
		attack(b, targets("open-"+mode), ways, false)
		for _, way := range ways {
			require.Contains(t, seen(), "/open-"+mode+"-localhost-"+way, "without a fence %s gets out", way)
		}
		b.open(fenced[mode] + "/")
		control(b, ways, false, s.seen)
		attack(b, targets("fenced-"+mode), ways, false)
		b.open(fenced[mode] + "/drawing?as=image")
		require.Contains(t, eval[string](b, `fetch("http://localhost:`+port+`/fenced-svg").then(() => "sent", error => String(error))`), "TypeError")
	}
	require.NotContains(t, seen(), "fenced")
}
