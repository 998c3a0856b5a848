package server

import (
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"daemon-proxy/core/api"
)

const upgradeHeaders = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"

func TestS1OnlyOurOwnNamesAreServed(t *testing.T) {
	t.Parallel()
	f, s := newStack(t, nil, func(s *settings) {
		s.config.Server.AllowedHosts = []string{"desk.example"}
		s.config.Server.PublicURL = "https://public.example:444"
	})
	token := f.link(s.port).Token
	_, port, _ := strings.Cut(f.host, ":")
	for host, ok := range map[string]bool{
		"localhost": true, "localhost:1": true, "LOCALHOST:" + port: true, "localhost.": true, "127.0.0.1": true, "127.9.9.9:1": true,
		"[::1]": true, "[::1]:" + port: true, "192.168.1.7:" + port: true, "[fe80::1]": true, "my-desk": true, "MY-DESK:1": true,
		"desk.example:99": true, "public.example": true,
		"evil.example": false, "localhost.evil.example": false, token + ".localhost.evil.example": false, "a." + token + ".localhost": false,
		".localhost": false, "evil.example:" + port: false, "127.0.0.1.evil.example": false,
		"127.0.0.1:x": false, "notlocalhost": false, "your-desk": false, "2130706433": false, "127.1": false, token + ".127.0.0.1": false,
	} {
		for _, target := range []string{"/health", "/api/preview", "/preview/" + token + "/", "/proxy/" + strconv.Itoa(s.port) + "/", "/nothing"} {
			for _, headers := range []string{"", upgradeHeaders} {
				got := f.raw(request("GET", target, host, headers))
				if ok {
					require.NotEqual(t, 421, got.StatusCode, "%s %s", host, target)
					continue
				}
				require.Equal(t, 421, got.StatusCode, "%s %s", host, target)
				requireProblem(t, got, api.CodeWrongHost)
			}
		}
		seen := s.requests()
		require.Equal(t, ok, len(seen) > 0, host)
	}
	c := f.dial()
	c.Send("GET /preview/" + token + "/ HTTP/1.0\r\n\r\n")
	require.Equal(t, 421, c.Answer("GET").StatusCode)
}

// forPrograms are addresses that pages may not use.
func forPrograms(port int) []string {
	p := strconv.Itoa(port)
	return []string{
		"/api/preview", "/api/preview/create", "/api/preview/stats", "/api/sandboxes", "/api/sandboxes/web/inject", "/api/sandboxes/web/ports", "/api/nothing", "/api", "/metrics",
		"/daemon/status", "/daemon/nothing", "/proxy/" + p + "/", "/proxy/" + p, "/proxy/080/", "/proxy/", "/proxy", "/sandboxes/web/proxy/" + p + "/x",
		"/sandboxes/web/nothing", "/sandboxes/nobody/proxy/" + p + "/", "/proxy/" + p + "/../x", "/proxy/2280/",
	}
}

func TestS2PagesOfOtherOriginsChangeNothing(t *testing.T) {
	t.Parallel()
	f, s := newStack(t, nil)
	for _, target := range forPrograms(s.port) {
		for _, method := range []string{"POST", "PUT", "PATCH", "DELETE", "BREW"} {
			for _, headers := range [][]string{
				{"Origin: https://evil.example"}, {"Sec-Fetch-Site: cross-site"}, {"Sec-Fetch-Site: same-site"}, {"Origin: null"},
				{"Origin: http://" + f.host + ".evil.example"}, {"Origin: http://token." + f.host},
			} {
				got := f.do(method, target, "", headers...)
				require.Equal(t, 403, got.StatusCode, "%s %s %s", method, target, headers)
				requireProblem(t, got, api.CodeCrossOrigin)
			}
		}
	}
	require.Empty(t, s.requests())
	require.Zero(t, f.boxes.dials.Load())
}

func TestS2TheAPIHasNoCORSHeaders(t *testing.T) {
	t.Parallel()
	f, _ := newStack(t, nil)
	for _, target := range []string{"/api/preview", "/api/preview/create", "/health", "/daemon/status", "/api/sandboxes"} {
		for _, method := range []string{"GET", "OPTIONS", "POST"} {
			got := f.do(method, target, "", "Access-Control-Request-Method: POST", "Access-Control-Request-Headers: content-type")
			for name := range got.Header {
				require.False(t, strings.HasPrefix(name, "Access-Control-"), "%s %s: %s", method, target, name)
			}
		}
	}
}

func TestS2OnlyJSONIsTaken(t *testing.T) {
	t.Parallel()
	f, s := newStack(t, nil)
	port := strconv.Itoa(s.port)
	for _, kind := range []string{"", "application/x-www-form-urlencoded", "text/plain", "multipart/form-data; boundary=x", "application/jsonp", "json"} {
		for _, target := range []string{"/api/preview/create", "/api/sandboxes/web/stop", "/daemon/status"} {
			var headers []string
			if kind != "" {
				headers = []string{"Content-Type: " + kind}
			}
			got := f.do("POST", target, `{"port":`+port+`}`, headers...)
			require.Equal(t, 415, got.StatusCode, "%s %s", target, kind)
			requireProblem(t, got, api.CodeNotJSON)
		}
		// What is forwarded is the service's.
		got := f.do("POST", "/proxy/"+port+"/", "a=b", "Content-Type: "+kind)
		require.Equal(t, 200, got.StatusCode, kind)
	}
	require.Empty(t, f.links.List())
	for _, kind := range []string{"application/json", "application/json; charset=utf-8", "APPLICATION/JSON", "application/vnd.x+json"} {
		require.Equal(t, 200, f.do("POST", "/api/preview/create", `{"port":`+port+`}`, "Content-Type: "+kind).StatusCode, kind)
	}
	// No body is none that is not JSON, however it is not there.
	require.Equal(t, 200, f.do("POST", "/api/sandboxes/web/stop", "").StatusCode)
	require.Equal(t, 200, f.raw("POST /api/sandboxes/web/stop HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n").StatusCode)
	require.Equal(t, 415, f.raw("POST /api/sandboxes/web/stop HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n").StatusCode)
}

// pages are what tells a page's request from a program's.
var pages = [][]string{
	{"Sec-Fetch-Site: same-origin"}, {"Sec-Fetch-Site: cross-site"}, {"Sec-Fetch-Site: same-site"}, {"Referer: http://localhost/preview/x/"},
	{"User-Agent: Mozilla/5.0 (X11; Linux x86_64)"}, {"Sec-Fetch-Site: same-origin", "Sec-Fetch-Mode: navigate"},
	{"User-Agent: curl/8", "Accept-Language: en"}, {"User-Agent: curl/8", "Accept-Language: "}, // Firefox and Safari let pages choose the first
}

func TestS3NodesFetchIsAProgram(t *testing.T) {
	t.Parallel()
	f := newFront(t, "127.0.0.1:1")
	require.Equal(t, 200, f.get("/api/preview", "User-Agent: node", "Accept-Language: *", "Sec-Fetch-Mode: cors").StatusCode)
}

func TestS3PagesMayNotUseTheAPI(t *testing.T) {
	t.Parallel()
	f, s := newStack(t, nil)
	for _, target := range forPrograms(s.port) {
		for _, method := range []string{"GET", "HEAD", "OPTIONS", "POST"} {
			for _, headers := range append(pages, []string{"Origin: http://" + f.host}) {
				got := f.do(method, target, "", headers...)
				require.Equal(t, 403, got.StatusCode, "%s %s %s", method, target, headers)
			}
		}
		got := f.raw(request("GET", target, f.host, upgradeHeaders+"Origin: http://"+f.host+"\r\n"))
		require.Equal(t, 403, got.StatusCode, target)
	}
	require.Empty(t, s.requests())
	require.Zero(t, f.boxes.dials.Load())
}

func TestS3TheExamplesKeyIsNoneWithSecurityOff(t *testing.T) {
	t.Parallel()
	f, s := newStack(t, nil, func(s *settings) { s.config.Security.APIKey = "your-secret-key" })
	for _, target := range []string{"/api/preview", "/proxy/" + strconv.Itoa(s.port) + "/"} {
		got := f.get(target, "Sec-Fetch-Site: same-origin", "X-API-Key: your-secret-key")
		require.Equal(t, 403, got.StatusCode, "the example's key is no secret")
		require.Equal(t, 403, f.get(target, "Sec-Fetch-Site: same-origin", "X-API-Key: ").StatusCode)
	}
}

func TestS3AKeyOpensTheAPIToPages(t *testing.T) {
	t.Parallel()
	f, s := newStack(t, nil, withKey)
	for _, headers := range pages {
		for _, key := range []string{"X-API-Key: " + apiKey, "Authorization: bearer " + apiKey} {
			require.Equal(t, 200, f.get("/api/preview", append([]string{key}, headers...)...).StatusCode)
			require.Equal(t, 200, f.get("/proxy/"+strconv.Itoa(s.port)+"/", append([]string{key}, headers...)...).StatusCode)
		}
	}
}

func TestS3ATypedAddressLeadsToAPreview(t *testing.T) {
	t.Parallel()
	f, s := newStack(t, nil)
	typed := []string{"Sec-Fetch-Site: none", "Sec-Fetch-Mode: navigate", "Sec-Fetch-Dest: document", "User-Agent: Mozilla/5.0", "Accept: text/html"}
	port := strconv.Itoa(s.port)
	first := f.get("/proxy/"+port+"/a%2Fb?c=d", typed...)
	require.Equal(t, 307, first.StatusCode)
	require.Equal(t, "no-store", first.Header.Get("Cache-Control"))
	links := f.links.List()
	require.Len(t, links, 1)
	require.Equal(t, web, links[0].Sandbox)
	require.Equal(t, s.port, links[0].Port)
	require.Equal(t, "/preview/"+links[0].Token+"/a%2Fb?c=d", first.Header.Get("Location"))
	for from, to := range map[string]string{"/proxy/" + port: "/", "/proxy/" + port + "?x": "/?x", "/sandboxes/web/proxy/" + port + "/y": "/y"} {
		require.Equal(t, "/preview/"+links[0].Token+to, f.get(from, typed...).Header.Get("Location"), "the link is used again")
	}
	require.Len(t, f.links.List(), 1)
	require.Equal(t, 307, f.get("/sandboxes/other/proxy/"+port+"/", typed...).StatusCode)
	require.Len(t, f.links.List(), 2, "another sandbox, another link")
	require.Equal(t, 403, f.get("/proxy/2280/", typed...).StatusCode)
	require.Equal(t, 404, f.get("/sandboxes/nobody/proxy/"+port+"/", typed...).StatusCode)
	require.Empty(t, s.requests())
	require.Equal(t, 200, f.get("/api/preview", typed...).StatusCode, "a person may look")
	require.NotEqual(t, 307, f.do("POST", "/proxy/"+port+"/", "", typed...).StatusCode)
}

func TestS3PreviewHostsHaveNoManagement(t *testing.T) {
	t.Parallel()
	f, s := newStack(t, nil)
	m := f.modes(f.link(s.port))[1]
	for _, target := range []string{"/api/preview", "/health", "/daemon/status", "/proxy/" + strconv.Itoa(s.port) + "/", "/api/preview/create", "/sandboxes/web/proxy/1/", "/preview/x/"} {
		got := f.get(target, "Host: "+m.host)
		require.Equal(t, "hello", got.Body, target)
		require.Equal(t, target, s.one(t).RequestURI)
	}
}

func TestS4WithoutTheKeyAllLooksTheSame(t *testing.T) {
	t.Parallel()
	f, s := newStack(t, nil, withKey)
	link := f.link(s.port)
	want := f.get("/api/preview")
	require.Equal(t, 401, want.StatusCode)
	require.Equal(t, `Bearer realm="daemon-proxy"`, want.Header.Get("WWW-Authenticate"))
	requireProblem(t, want, api.CodeUnauthorized)
	wrong := []string{
		"", "X-API-Key: \r\n", "X-API-Key: wrong\r\n", "X-API-Key: " + apiKey + "x\r\n", "X-API-Key: " + apiKey[1:] + "\r\n", "Authorization: Bearer wrong\r\n",
		"Authorization: Basic " + apiKey + "\r\n", "Authorization: " + apiKey + "\r\n", "Cookie: api_key=" + apiKey + "\r\n",
		"Origin: https://evil.example\r\n", "Sec-Fetch-Site: same-origin\r\n", "Content-Type: text/plain\r\n", upgradeHeaders,
	}
	for _, target := range append(forPrograms(s.port), "/api/preview?api_key="+apiKey, "/api/preview/"+link.Token) {
		for _, method := range []string{"GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND", "BREW"} {
			for _, headers := range wrong {
				got := f.raw(request(method, target, f.host, headers))
				require.Equal(t, 401, got.StatusCode, "%s %s %s", method, target, headers)
				require.Equal(t, want.Body, got.Body, "%s %s %s", method, target, headers)
				require.Equal(t, want.Header.Get("WWW-Authenticate"), got.Header.Get("WWW-Authenticate"))
			}
		}
	}
	require.Empty(t, s.requests())
	require.Zero(t, f.boxes.dials.Load())
	require.Equal(t, 401, f.do("HEAD", "/api/preview", "").StatusCode)
	require.Equal(t, "active", f.links.List()[0].State)

	for _, m := range f.modes(link) {
		require.Equal(t, 200, f.get(m.prefix+"/", "Host: "+m.host).StatusCode, "a preview needs only its token")
	}
	for _, key := range []string{"X-API-Key: " + apiKey, "Authorization: Bearer " + apiKey, "Authorization: bearer " + apiKey} {
		require.Equal(t, 200, f.get("/api/preview", key).StatusCode)
		require.Equal(t, http.StatusOK, f.get("/proxy/"+strconv.Itoa(s.port)+"/", key).StatusCode)
	}
}

func TestS4HealthSaysOnlyStatusToStrangers(t *testing.T) {
	t.Parallel()
	f, _ := newStack(t, nil, withKey)
	require.JSONEq(t, `{"status":"healthy"}`, f.get("/health").Body)
	require.JSONEq(t, `{"status":"healthy"}`, f.get("/health", "X-API-Key: wrong").Body)
	require.Contains(t, f.get("/health", "X-API-Key: "+apiKey).Body, `"version"`)
	f.boxes.change("web", func(b *box) { b.Daemon.State = api.DaemonDown })
	require.JSONEq(t, `{"status":"degraded"}`, f.get("/health").Body)
}

func TestS3HealthTellsAPageTheStatusOnly(t *testing.T) {
	t.Parallel()
	f, _ := newStack(t, nil)
	document(t, f.get("/health"), "status", "version", "sandbox")
	for _, header := range []string{"Sec-Fetch-Site: same-origin", "Referer: http://localhost/", "User-Agent: Mozilla/5.0"} {
		require.JSONEq(t, `{"status":"healthy"}`, f.do("GET", "/health", "", header).Body, header)
	}
}
