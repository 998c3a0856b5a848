package server

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"daemon-proxy/core/logging/lineartest"
)

// TestS43WorkOnRequestsThatAreRefusedIsLinear gives foreign text to all that
// reads a request before it is known where it goes.
func TestS43WorkOnRequestsThatAreRefusedIsLinear(t *testing.T) {
	t.Parallel()
	f := newFront(t, "127.0.0.1:1", func(s *settings) { s.config.Server.TrustedProxies = []string{"127.0.0.1"} })
	send := func(target string, header ...string) {
		r := httptest.NewRequest(http.MethodPost, "/x", strings.NewReader("{}"))
		r.RequestURI, r.Host, r.RemoteAddr = target, f.host, "127.0.0.1:1"
		for i := 0; i < len(header); i += 2 {
			r.Header.Set(header[i], header[i+1])
		}
		f.ServeHTTP(httptest.NewRecorder(), r)
	}
	page := []string{"User-Agent", "Mozilla/5.0", "Accept", "text/html"}
	for name, work := range map[string]func(string){
		"target":  func(s string) { send("/" + s) },
		"page":    func(s string) { send("/preview/"+s+"/", page...) },
		"sandbox": func(s string) { send("/sandboxes/" + s + "/proxy/80/") },
		"query":   func(s string) { send("/api/requests?filter=" + s) },
		"host": func(s string) {
			r := httptest.NewRequest(http.MethodGet, "/x", nil)
			r.Host = s + "." + f.host
			f.ServeHTTP(httptest.NewRecorder(), r)
		},
		"method": func(s string) {
			r := httptest.NewRequest(http.MethodGet, "/x", nil)
			r.Method = s
			f.ServeHTTP(httptest.NewRecorder(), r)
		},
		"headers": func(s string) {
			send("/api/preview/create", "Content-Type", s, "X-Forwarded-For", s, "Cdn-Loop", s, "Cookie", s, "Authorization", s, "X-Forwarded-Proto", s)
		},
		"rescue": func(s string) {
			send("/x", append(page, "Referer", "http://"+f.host+"/preview/"+s, "Cookie", s, "Sec-Fetch-Site", "same-origin")...)
		},
		"WebSocket": func(s string) {
			send("/x", append(page, "Upgrade", "websocket", "Origin", "http://"+f.host, "Cookie", s)...)
		},
	} {
		t.Run(name, func(t *testing.T) {
			for _, unit := range []string{
				"a", "a.", "a/", "/", ".", "../", "%2e/", "%61", "aabcdefghijklmnopqrstuvwxyz23456/", "127.0.0.1,", ",", "a=b;", `a*0="b";`, `"`, "<", "&filter=", "?",
			} {
				lineartest.Run(t, "", unit, "", work)
			}
		})
	}
}
