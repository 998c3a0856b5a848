package server

import (
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"daemon-proxy/core/preview"
)

func TestM4CookiesOfOthersStayOut(t *testing.T) {
	t.Parallel()
	f, s := newStack(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/login" {
			w.Header()["Set-Cookie"] = []string{"sid=mine; Path=/; HttpOnly", "theme = dark ", "=bare", "gone=; Max-Age=0", "other=refused; Secure; SameSite=None; Path=/never"}
		}
	})
	path, host := f.modes(f.link(s.port))[0], f.modes(f.link(s.port))[1]
	cookies := func(m way, line string) []string {
		f.get(m.prefix+"/", "Host: "+m.host, "Cookie: "+line)
		return s.one(t).Header["Cookie"]
	}
	require.Nil(t, cookies(path, "sid=mine; theme=dark"), "it has set none yet")
	require.Equal(t, []string{"sid=mine"}, cookies(host, "sid=mine"), "a host of its own has a jar of its own")
	f.get(path.prefix+"/login", "Host: "+path.host)
	s.requests()
	for from, want := range map[string]string{
		"sid=mine":                                  "sid=mine",
		"sid=mine;  theme=dark ; bare":              "sid=mine;  theme=dark ; bare",
		"jupyter=secret; sid=mine; theme=dark":      "sid=mine; theme=dark",
		"theme=dark;  jupyter=\"se cret\";sid=mine": "theme=dark;sid=mine",
		"sid=another-program's":                     "",
		"sid=mine; sid=another-program's":           "sid=mine",
		"sid=another-program's; sid=mine":           "sid=mine",
		"sid=mine; sid=mine":                        "sid=mine",
		"other=a-guessed-name":                      "",
		"gone=not-deleted":                          "",
		"mine; sid":                                 "",
		"daemon-proxy-last=x; sid=mine":             "sid=mine",
	} {
		got := cookies(path, from)
		if want == "" {
			require.Nil(t, got, from)
			continue
		}
		require.Equal(t, []string{want}, got, from)
	}
	second := f.modes(f.link(s.port))[0]
	require.Nil(t, cookies(second, "sid=mine"), "another link, another jar")
}

func TestM4AScriptsCookieNeedsHostMode(t *testing.T) {
	t.Parallel()
	f, s := newStack(t, nil)
	m := f.modes(f.link(s.port))[0]
	f.get(m.prefix+"/", "Host: "+m.host, "Cookie: made_by=script\x80; b=secret")
	require.Nil(t, s.one(t).Header["Cookie"])
	note := f.log.Last(1)[0].Note
	require.Contains(t, note, "needs host mode")
	require.Contains(t, note, `"made_by"`)
	require.NotContains(t, note, "secret")
	require.NotContains(t, f.logged.String(), "secret")
}

func TestM4ALoginSurvivesARestart(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "links.db")
	s := newService(t, func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Set-Cookie", "sid=mine") })
	daemon := newDaemon(t)
	token := ""
	t.Run("first", func(t *testing.T) {
		f := newFront(t, daemon, func(set *settings) { set.links.StateFile = file })
		token = f.link(s.port).Token
		f.get("/preview/" + token + "/")
	})
	f := newFront(t, daemon, func(set *settings) { set.links.StateFile = file })
	s.requests()
	f.get("/preview/"+token+"/", "Cookie: sid=mine; sid2=x")
	require.Equal(t, []string{"sid=mine"}, s.one(t).Header["Cookie"])
}

func TestM4TheJarIsBounded(t *testing.T) {
	t.Parallel()
	f, s := newStack(t, func(w http.ResponseWriter, r *http.Request) {
		for i := range 200 {
			w.Header().Add("Set-Cookie", r.URL.Query().Get("n")+strings.Repeat("x", i)+"=1")
		}
		w.Header().Add("Set-Cookie", "sid=mine")
	})
	link := f.linkOf(preview.Request{Sandbox: web, Port: s.port})
	m := f.modes(link)[0]
	for _, n := range []string{"a", "b", "c", "d"} {
		f.get(m.prefix+"/?n="+n, "Host: "+m.host, "Cookie: sid=mine")
	}
	s.requests()
	f.get(m.prefix+"/", "Host: "+m.host, "Cookie: sid=mine; ax=1; dx=1")
	require.Equal(t, []string{"sid=mine; dx=1"}, s.one(t).Header["Cookie"], "what is used stays, what was never sent goes")
}
