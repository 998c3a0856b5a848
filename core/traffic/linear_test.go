package traffic

import (
	"bytes"
	"compress/gzip"
	"compress/zlib"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"daemon-proxy/core/api"
	"daemon-proxy/core/logging/lineartest"
)

func TestS43WorkOnRecordedTextIsLinear(t *testing.T) {
	t.Parallel()
	const token = "aabcdefghijklmnopqrstuvwxyz23456"
	header := func(name string) func(string) {
		return func(value string) { masked(http.Header{name: {value}}) }
	}
	x := api.Exchange{Path: "/a", Method: "GET", Sandbox: "web"}
	for name, work := range map[string]func(string){
		"filter": func(s string) {
			if f, err := ParseFilter(s); err == nil {
				f.Match(x)
			}
		},
		"filtered": func(s string) {
			f, err := ParseFilter("path:aab xyz")
			require.NoError(t, err)
			f.Match(api.Exchange{Path: s, Note: s})
		},
		"path":                   func(s string) { ShownPath("/" + s) },
		"names":                  func(s string) { masked(http.Header{s: {"x"}}) },
		"Cookie":                 header("Cookie"),
		"Set-Cookie":             header("Set-Cookie"),
		"Authorization":          header("Authorization"),
		"Sec-Websocket-Protocol": header("Sec-Websocket-Protocol"),
		"Referer":                header("Referer"),
		"X-Other":                header("X-Other"),
		"many values": func(s string) {
			h := http.Header{}
			for i := 0; i+40 < len(s); i += 40 {
				h.Add("X-Other", s[i:i+40])
			}
			masked(h)
			packHead(h, s, s, s, s)
		},
		"curl": func(s string) {
			Original{Exchange: api.Exchange{Method: s}, Sent: Sent{Target: "/" + s + "?" + s}, Header: http.Header{"X": {s}},
				Body: []byte(s), Whole: true}.Curl("http://localhost")
		},
		"HAR": func(s string) {
			entryOf(api.ExchangeDetail{Exchange: api.Exchange{Method: s, Path: "/" + s + "?" + s, Note: s, Sandbox: s}, RequestHeader: http.Header{"X": {s}},
				ResponseBody: []byte(s), Frames: []api.Frame{{Data: []byte(s)}}})
		},
		"readable": func(s string) { readable(http.Header{"Content-Type": {s}}, []byte(s)) },
		"frames":   func(s string) { maskFrames([]api.Frame{{Opcode: 1, Data: []byte(s)}}) },
		"parser": func(s string) {
			(&frameParser{}).feed([]byte(s), func(api.Frame) {})
		},
		"Note": func(s string) {
			l := New(Options{Bodies: true, Now: time.Now})
			r := l.Begin(api.Exchange{})
			for i := 0; i+100 < len(s); i += 100 {
				r.Note(s[i : i+100])
			}
			r.End(End{})
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, unit := range []string{
				"a", "a ", `! "`, ":", "path:a ", token, token + ".", "a,", "a=b;", "&", "?token=", "%61", "'", "\x80\x00", "\x82\x7e\x00", "\x01\xff",
				`{"token":`, "\u202e",
			} {
				lineartest.Run(t, "", unit, "", work)
			}
		})
	}
}

// TestS43ABombCostsNoMoreThanItsLimit unpacks bodies whose plain text is ten
// and a hundred times as long as what is read of it.
func TestS43ABombCostsNoMoreThanItsLimit(t *testing.T) {
	t.Parallel()
	for _, encoding := range []string{"gzip", "deflate"} {
		work := func(plain string) {
			require.LessOrEqual(t, len(unpack(encoding, []byte(plain))), unpackedLimit)
		}
		pack := func(size int) string {
			var b bytes.Buffer
			if encoding == "gzip" {
				w := gzip.NewWriter(&b)
				_, _ = w.Write(make([]byte, size))
				require.NoError(t, w.Close())
			} else {
				w := zlib.NewWriter(&b)
				_, _ = w.Write(make([]byte, size))
				require.NoError(t, w.Close())
			}
			return b.String()
		}
		for _, unit := range []string{pack(0), pack(1), pack(10 << 20)} { // gzip's members may follow one another
			lineartest.Run(t, "", unit, "", work)
		}
	}
}
