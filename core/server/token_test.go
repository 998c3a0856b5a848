package server

import (
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"daemon-proxy/core/traffic"
)

// TestS11S44ATokenInAnOddPlaceIsMasked sends the token of a link where none is
// expected, in each form that comes through.
func TestS11S44ATokenInAnOddPlaceIsMasked(t *testing.T) {
	t.Parallel()
	for _, format := range []string{"text", "json", "%(levelname)s %(message)s"} {
		t.Run(format, func(t *testing.T) {
			t.Parallel()
			f, s := newStack(t, nil, func(set *settings) { set.log.Format = format })
			link := f.link(s.port)
			forms := map[string]string{"plain": link.Token, "capitals": strings.ToUpper(link.Token)}
			for name, token := range map[string]string{"escaped": link.Token, "escaped capitals": forms["capitals"]} {
				for _, c := range []byte(token) {
					forms[name] += fmt.Sprintf("%%%02X", c)
				}
			}
			forms["escaped twice"] = url.QueryEscape(forms["escaped"])
			for _, token := range forms {
				for _, target := range []string{
					"/sandboxes/" + token + "/proxy/80/", "/sandboxes/" + token, "/daemon/status?sandbox=" + token, "/api/sandboxes/" + token + "/ports",
					"/api/requests?filter=" + token, "/api/requests?filter=x%3A" + token, "/api/requests/" + token, "/proxy/" + token + "/", "/x/" + token + "?x=" + token,
					"/proxy/" + portText(s.port) + "/" + token + "?x=" + token, "/sandboxes/web/proxy/" + portText(s.port) + "/x?next=/preview/" + token,
					"/preview/" + link.Token + "/" + token, "/preview/" + link.Token + "?x=" + token,
				} {
					f.get(target, "Host: "+f.addr)
					f.get(target, "Host: "+f.addr, "Referer: http://"+f.host+"/x/"+token, "X-Other: "+token, "Cookie: a="+token)
				}
				f.do("POST", "/api/preview/create", `{"port":80,"sandbox":"`+token+`"}`, "Content-Type: application/json", "Host: "+f.addr)
			}
			for _, method := range []string{link.Token, forms["capitals"]} {
				for _, target := range []string{"/health", "/nothing", "/proxy/" + portText(s.port) + "/", "/preview/" + link.Token + "/"} {
					f.raw(request(method, target, f.host, ""))
				}
			}
			for _, host := range []string{forms["capitals"], link.Token + ".evil", link.Token + ".x.localhost"} {
				f.get("/", "Host: "+host+"."+f.host)
			}

			list := f.get("/api/requests")
			require.Equal(t, 200, list.StatusCode)
			har, err := f.log.HAR(traffic.Filter{}, "1")
			require.NoError(t, err)
			shown := map[string]string{"log": f.logged.String(), "events": f.events.String(), "GET /api/requests": list.Body, "HAR": string(har)}
			for _, x := range f.log.Last(0) {
				detail := f.get(fmt.Sprintf("/api/requests/%d", x.ID))
				require.Equal(t, 200, detail.StatusCode)
				shown["GET /api/requests/{id}"] += detail.Body
				o, ok := f.log.OriginalRequest(x.ID)
				require.True(t, ok)
				line, _, _ := strings.Cut(o.Curl("http://base"), "http://base") // the target is needed to send it
				shown["curl"] += line
			}
			for where, text := range shown {
				require.NotEmpty(t, text, where)
				for form, token := range forms {
					if i := strings.Index(strings.ToLower(text), strings.ToLower(token)); i >= 0 {
						require.Failf(t, "a token is shown", "%s in the %s: %s", form, where, text[max(0, i-300):min(len(text), i+100)])
					}
				}
			}
			require.Contains(t, shown["log"], link.Token[:3]+"…")
			var decoded struct{ Requests []json.RawMessage }
			require.NoError(t, json.Unmarshal([]byte(list.Body), &decoded))
			require.NotEmpty(t, decoded.Requests)
		})
	}
}
