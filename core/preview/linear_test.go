package preview

import (
	"net/http"
	"testing"

	"daemon-proxy/core/logging/lineartest"
)

func TestS43WorkOnForeignHeadersIsLinear(t *testing.T) {
	t.Parallel()
	view := View{Scheme: "http", Host: "localhost:8080", Prefix: "/preview/token", Port: 3000}
	answer := func(name string) func(string) {
		return func(value string) { view.RewriteResponse(200, http.Header{name: {value}}) }
	}
	request := func(name string) func(string) {
		return func(value string) { view.RewriteRequest(http.Header{name: {value}}) }
	}
	for name, work := range map[string]func(string){
		"Link": answer("Link"), "Location": answer("Location"), "Refresh": answer("Refresh"), "Set-Cookie": answer("Set-Cookie"),
		"Content-Security-Policy": answer("Content-Security-Policy"), "Cookie": request("Cookie"), "Referer": request("Referer"),
		"Origin": request("Origin"), "path": func(s string) { _, _ = SplitPath("/preview/token/" + s) }, "host": func(s string) { SplitHost(s, "localhost") },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, unit := range []string{"<,", "<>,", "</x>,", `<"`, `"`, "a=1;", "a;", ";", "/", "//", "http://localhost:3000/,", "Path=/;", "Path=", "url=", " ", "%2e%2e/", ".", ":", "="} {
				lineartest.Run(t, "", unit, "", work)
			}
		})
	}
}
