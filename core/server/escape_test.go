package server

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"daemon-proxy/core/preview"
)

// escapes would change a terminal, its clipboard or the order of what it shows.
const escapes = "\x1b[31m\x1b]52;c;aGk=\a\u009b2J\u202e\u2066\x7f\x00"

func TestS10NothingFromOutsideReachesTheTerminalRaw(t *testing.T) {
	t.Parallel()
	f, s := newStack(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header()["X-\u202e"] = []string{"\u202e"}
		w.Header().Set("Set-Cookie", "__Host-\u202e\u009b=1")
		_, _ = io.WriteString(w, escapes)
	})
	m := f.modes(f.linkOf(preview.Request{Sandbox: web, Port: s.port, Label: "a label"}))[0]
	raw := strings.NewReplacer("\x00", "", "\x1b", "", "\a", "", "\x7f", "").Replace(escapes)
	for _, target := range []string{m.prefix + "/" + raw, m.prefix + "/?" + raw, "/" + raw, "/proxy/" + raw} {
		got := f.raw(request("GET", target, f.host, "Cookie: a"+raw+"=1\r\nX-Preview-Origin: "+raw+"\r\n"))
		require.NotZero(t, got.StatusCode)
	}
	f.raw(request("GET", "/", "evil"+raw, ""))
	f.raw(request("G"+"ET\u202e", m.prefix+"/", f.host, ""))
	f.do("POST", "/api/preview/create", `{"port":80,"label":"`+raw+`"}`, "Content-Type: application/json")
	logged := f.logged.String()
	require.Contains(t, logged, "Request: GET")
	for _, x := range f.log.Last(0) {
		logged += x.Path + x.Note + x.Method + x.Remote + "\n"
	}
	for _, r := range logged {
		bad := r < ' ' && r != '\n' || r >= 0x7f && r < 0xa0 || r >= 0x202a && r <= 0x202e || r >= 0x2066 && r <= 0x2069
		require.False(t, bad, "%q in %q", r, logged)
	}
}
