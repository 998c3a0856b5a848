package traffic

import (
	"bytes"
	"compress/gzip"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"daemon-proxy/core/api"
)

func packed(t *testing.T, s string) string {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, err := w.Write([]byte(s))
	require.NoError(t, err)
	require.NoError(t, w.Close())
	return b.String()
}

func TestS11BodiesAreMaskedAndOriginalsStay(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ media, encoding, body, shown string }{
		"json":             {"application/json; charset=utf-8", "", `{"user":"anna","token":"hush"}`, `{"user":"anna","token":"••••"}`},
		"json, no type":    {"", "", `{"token":"hush"}`, `{"token":"••••"}`},
		"form":             {"application/x-www-form-urlencoded", "", "user=anna&password=hush", "user=anna&password=••••"},
		"gzip":             {"application/json", "gzip", packed(t, `{"token":"hush"}`), `{"token":"••••"}`},
		"gzip, no secret":  {"text/plain", "gzip", packed(t, "hello"), "hello"},
		"gzip, but is not": {"application/json", "gzip", `{"token":"hush"}`, ""},
		"br":               {"application/json", "br", "who knows", ""},
		"image":            {"image/png", "", "\x89PNG\x00", "\x89PNG\x00"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := http.Header{"Content-Type": {test.media}}
			if test.encoding != "" {
				h.Set("Content-Encoding", test.encoding)
			}
			l := New(Options{Bodies: true})
			size := int64(len(test.body))
			r := recorded(l, api.Exchange{Method: "POST", Sandbox: "web"}, h, "/", []byte(test.body))
			r.Head(200, "http", h)
			r.ResponseBody([]byte(test.body))
			r.End(End{Status: 200, BytesIn: size, BytesOut: size})
			d, _ := l.Get(r.ID())
			require.Equal(t, test.shown, string(d.RequestBody))
			require.Equal(t, test.shown, string(d.ResponseBody))
			require.Equal(t, []int64{size, size}, []int64{d.RequestCaptured, d.ResponseCaptured})
			har, err := l.HAR(Filter{}, "test")
			require.NoError(t, err)
			require.NotContains(t, string(har), "hush")
			require.Equal(t, test.shown == "", strings.Contains(string(har), "left out"))
			request, response, ok := l.Bodies(r.ID())
			require.True(t, ok)
			require.Equal(t, []string{test.body, test.body}, []string{string(request), string(response)}, "as they passed")
			o, _ := l.OriginalRequest(r.ID())
			require.Equal(t, test.body, string(o.Body), "a replay sends it as it was")
		})
	}
	_, _, ok := New(Options{}).Bodies(1)
	require.False(t, ok)
}

func TestS11FramesAreMasked(t *testing.T) {
	t.Parallel()
	l := New(Options{Bodies: true})
	r := newSocket(l)
	r.TunnelIn()(frame(0x81, []byte(`{"type":"auth","token":"hush"}`), []byte{1, 2, 3, 4}))
	r.TunnelOut()(frame(0x82, []byte(`{"token":"bytes"}`), nil))
	r.End(End{Status: 101, Protocol: "websocket"})
	for range 2 { // showing changes nothing
		d, _ := l.Get(r.ID())
		require.Equal(t, `{"type":"auth","token":"••••"}`, string(d.Frames[0].Data))
		require.Equal(t, `{"token":"bytes"}`, string(d.Frames[1].Data))
	}
	har, err := l.HAR(Filter{}, "test")
	require.NoError(t, err)
	require.NotContains(t, string(har), "hush")
}

func TestS11TokensInTheProtocolsOfAWebSocketAreMasked(t *testing.T) {
	t.Parallel()
	for sent, shown := range map[string]string{
		"base64url.bearer.authorization.k8s.io.c2VjcmV0LXRva2Vu, base64.binary.k8s.io":           "base64url.bearer.authorization.k8s.io.••••, base64.binary.k8s.io",
		"access_token, eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl":                        "access_token, ••••",
		"access_token,0f3a9c77be2d41d0a6e5":                                                      "access_token, 0f3a9c77be2d41d0a6e5", // 20 characters
		"access_token,0f3a9c77be2d41d0a6e58":                                                     "access_token, ••••",
		"graphql-transport-ws, v5.base64.channel.k8s.io, json.reliable.webpubsub.azure.v1, mqtt": "graphql-transport-ws, v5.base64.channel.k8s.io, json.reliable.webpubsub.azure.v1, mqtt",
	} {
		require.Equal(t, http.Header{"Sec-Websocket-Protocol": {shown}}, masked(http.Header{"Sec-Websocket-Protocol": {sent}}), sent)
	}
}
