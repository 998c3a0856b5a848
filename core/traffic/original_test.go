package traffic

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"daemon-proxy/core/api"
	"daemon-proxy/core/wiretest"
)

// recorded is an exchange with a body.
func recorded(l *Log, x api.Exchange, h http.Header, target string, body []byte) *Recording {
	r := l.Begin(x)
	r.Request(Sent{Scheme: "http", Host: "localhost", Target: target, Length: int64(len(body))}, h)
	if len(body) > 0 {
		r.RequestBody(body)
	}
	return r
}

func TestAnOriginalIsWholeOnlyIfAllOfItWasCaptured(t *testing.T) {
	t.Parallel()
	l := New(Options{Bodies: true})
	x := api.Exchange{Method: "POST", Path: "/", Sandbox: "web", Port: 3000}
	whole := func(r *Recording) bool {
		o, ok := l.OriginalRequest(r.ID())
		require.True(t, ok)
		return o.Whole
	}
	require.True(t, whole(recorded(l, x, nil, "/", []byte("all"))))
	require.True(t, whole(recorded(l, x, nil, "/", nil)), "nothing is whole")
	require.False(t, whole(recorded(l, x, nil, "/", make([]byte, BodyLimit+1))))
	cut := recorded(l, x, nil, "/", nil)
	cut.Request(Sent{Length: 5}, nil)
	require.False(t, whole(cut), "the body was refused before it was read")
	chunked := recorded(l, x, nil, "/", []byte("part"))
	chunked.Request(Sent{Length: -1}, nil)
	require.False(t, whole(chunked), "more may come")
	chunked.End(End{Status: 200, BytesIn: 4})
	require.True(t, whole(chunked))
	off := New(Options{})
	r := recorded(off, x, nil, "/", []byte("body"))
	o, _ := off.OriginalRequest(r.ID())
	require.False(t, o.Whole, "nothing is captured")
	_, ok := l.OriginalRequest(4711)
	require.False(t, ok)
}

func TestCurlSendsTheSameRequestAndHoldsNoSecret(t *testing.T) {
	t.Parallel()
	wiretest.Program(t, "curl")
	type seen struct {
		method, target, body string
		header               http.Header
	}
	got := make(chan seen, 1)
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		got <- seen{r.Method, r.RequestURI, string(body), r.Header}
	}))
	t.Cleanup(server.Close)
	for name, test := range map[string]struct {
		method, target, body string
		header               http.Header
	}{
		"plain": {method: "GET", target: "/a/../b//c?x=1&y=%20"},
		"quotes": {method: "PUT", target: "/it's", body: "it's $HOME `id` \"x\"\n@file\r\n",
			header: http.Header{"Content-Type": {"text/plain"}, "X-Odd": {`a'b"c $HOME \`}, "X-Empty": {""}}},
		"at sign":        {method: "POST", target: "/", body: "@/etc/passwd", header: http.Header{"Content-Type": {"text/plain"}}},
		"binary":         {method: "POST", target: "/", body: "\x00\xff\r\n", header: http.Header{"Content-Type": {"application/octet-stream"}}},
		"end of a paste": {method: "POST", target: "/", body: "a\x1b[201~\x03id\n", header: http.Header{"Content-Type": {"text/plain"}}},
		"no type":        {method: "POST", target: "/", body: "x"},
		"get body":       {method: "GET", target: "/", body: "{}", header: http.Header{"Content-Type": {"application/json"}}},
		"odd name":       {method: "PURGE", target: "/[x]{y}"},
		"secrets": {method: "GET", target: "/?token=s3cret&a=b", header: http.Header{
			"Authorization": {"Bearer s3cret"}, "Cookie": {"sid=s3cret; b=s3cret"}, "X-Api-Key": {"s3cret"}}},
		"secret in JSON": {method: "POST", target: "/login", body: `{"user":"it's","password":"s3cret","pin":"s3cret"}`, header: http.Header{"Content-Type": {"application/json"}}},
		"secret in form": {method: "POST", target: "/login", body: `user=anna&password=s3cret&b=%27`, header: http.Header{"Content-Type": {"application/x-www-form-urlencoded"}}},
		"secret in parts": {method: "POST", target: "/login", body: "--x\r\nContent-Disposition: form-data; name=\"password\"\r\n\r\ns3cret\r\n--x--\r\n",
			header: http.Header{"Content-Type": {"multipart/form-data; boundary=x"}}},
		"by custom": {method: "GET", target: "/", header: http.Header{"X-Auth-Token": {"s3cret"}, "X-`id`$home-Token": {"s3cret"}}},
	} {
		t.Run(name, func(t *testing.T) {
			l := New(Options{Bodies: true})
			r := recorded(l, api.Exchange{Method: test.method, Path: "/", Sandbox: "web", Port: 3000}, test.header, test.target, []byte(test.body))
			r.End(End{Status: 200, BytesIn: int64(len(test.body))})
			o, _ := l.OriginalRequest(r.ID())
			command := o.Curl(server.URL)
			require.NotContains(t, command, "s3cret")
			require.False(t, strings.ContainsAny(command, "\x1b\x03"), "it would act on the terminal that it is pasted into")
			run := exec.CommandContext(t.Context(), "/bin/sh", "-c", command+" -sS")
			run.Env = append(run.Environ(), "COOKIE=sid=new", "AUTH=Bearer new", "SECRET=new", "HOME=/tmp")
			output, err := run.CombinedOutput()
			require.NoError(t, err, "%s\n%s", command, output)
			sent := <-got
			require.Equal(t, test.method, sent.method)
			require.Equal(t, strings.ReplaceAll(test.target, "s3cret", "new"), sent.target)
			require.Equal(t, strings.ReplaceAll(test.body, "s3cret", "new"), sent.body)
			for header, values := range test.header {
				switch header {
				case "X-Api-Key":
					require.Empty(t, sent.header[header])
				case "Authorization":
					require.Equal(t, "Bearer new", sent.header.Get(header))
				case "Cookie":
					require.Equal(t, "sid=new", sent.header.Get(header))
				case "X-Auth-Token", "X-`id`$home-Token":
					require.Equal(t, "new", sent.header.Get(header))
				default:
					require.Equal(t, values, sent.header[header])
				}
			}
			if test.header.Get("Content-Type") == "" {
				require.Empty(t, sent.header.Get("Content-Type"))
			}
		})
	}
}

func TestCurlSaysThatTheBodyIsMissing(t *testing.T) {
	t.Parallel()
	l := New(Options{Bodies: true})
	r := recorded(l, api.Exchange{Method: "POST", Path: "/"}, nil, "/", make([]byte, BodyLimit+1))
	o, _ := l.OriginalRequest(r.ID())
	command := o.Curl("http://localhost:8080/preview/x")
	require.Contains(t, command, "# the body, of 65537 bytes, was not captured whole")
	require.NotContains(t, strings.Split(command, "\n#")[0], "--data")
}

func TestHARIsAnArchiveWithoutSecrets(t *testing.T) {
	t.Parallel()
	l := New(Options{Bodies: true})
	r := recorded(l, api.Exchange{Method: "POST", Path: "/api?token=***&q=a%20b", Sandbox: "container:host", Port: 3000, Kind: "preview"},
		http.Header{"Authorization": {"Bearer s3cret"}, "Cookie": {"sid=s3cret"}, "Content-Type": {"application/json"}}, "/api?token=s3cret", []byte(`{"a":1}`))
	r.Head(200, "http", http.Header{"Set-Cookie": {"sid=s3cret; Path=/"}, "Content-Type": {"image/png"}, "Location": {"/next"}})
	r.ResponseBody([]byte("\x89PNG"))
	r.End(End{Status: 200, BytesIn: 7, BytesOut: 4})
	other := newSocket(l)
	other.TunnelIn()(frame(0x81, []byte("hi"), []byte{1, 2, 3, 4}))
	other.End(End{Status: 101, Protocol: "websocket"})

	raw, err := l.HAR(Filter{}, "1.2.3")
	require.NoError(t, err)
	require.NotContains(t, string(raw), "s3cret")
	var har struct {
		Log struct {
			Version string
			Creator map[string]string
			Entries []map[string]any
		}
	}
	require.NoError(t, json.Unmarshal(raw, &har))
	require.Equal(t, "1.2", har.Log.Version)
	require.Equal(t, map[string]string{"name": "daemon-proxy", "version": "1.2.3"}, har.Log.Creator)
	require.Len(t, har.Log.Entries, 2)
	entry := har.Log.Entries[0]
	for _, key := range []string{"startedDateTime", "time", "request", "response", "cache", "timings"} {
		require.Contains(t, entry, key)
	}
	request := entry["request"].(map[string]any)
	for _, key := range []string{"method", "url", "httpVersion", "cookies", "headers", "queryString", "headersSize", "bodySize"} {
		require.Contains(t, request, key)
	}
	require.Equal(t, "http://container.host:3000/api?token=***&q=a%20b", request["url"])
	require.Equal(t, []any{map[string]any{"name": "token", "value": "***"}, map[string]any{"name": "q", "value": "a b"}}, request["queryString"])
	require.Equal(t, `{"a":1}`, request["postData"].(map[string]any)["text"])
	response := entry["response"].(map[string]any)
	for _, key := range []string{"status", "statusText", "httpVersion", "cookies", "headers", "content", "redirectURL", "headersSize", "bodySize"} {
		require.Contains(t, response, key)
	}
	content := response["content"].(map[string]any)
	require.Equal(t, "base64", content["encoding"])
	require.Equal(t, "iVBORw==", content["text"])
	require.NotContains(t, har.Log.Entries[1]["request"], "postData")
	frames := har.Log.Entries[1]["_webSocketMessages"].([]any)
	require.Equal(t, "hi", frames[0].(map[string]any)["data"])

	filter, err := ParseFilter("protocol:websocket")
	require.NoError(t, err)
	raw, err = l.HAR(filter, "")
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(raw, &har))
	require.Len(t, har.Log.Entries, 1)
}
