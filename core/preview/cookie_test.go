package preview

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestM3SetCookieInPathMode(t *testing.T) {
	t.Parallel()
	for line, want := range map[string]string{
		"a=b":                              "a=b",
		"a=b;":                             "a=b;",
		"a=b; Path=/":                      "a=b; Path=" + prefix + "/",
		"a=b; Path=/x; HttpOnly":           "a=b; Path=" + prefix + "/x; HttpOnly",
		"a=b;PATH = /x ;HttpOnly":          "a=b;PATH = " + prefix + "/x ;HttpOnly",
		"a=b; path=/proxy/3000/x":          "a=b; path=" + prefix + "/x",
		"a=b; Path=" + prefix + "/":        "a=b; Path=" + prefix + "/",
		"a=b; Path=x":                      "a=b; Path=x",
		"a=b; Path=":                       "a=b; Path=",
		"a=b; Path":                        "a=b; Path",
		"a=b; Path=/a; Path=/b":            "a=b; Path=" + prefix + "/a; Path=" + prefix + "/b",
		"a=b; Domain=localhost; Max-Age=5": "a=b; Max-Age=5",
		"a=b;domain=.localhost;Domain=x":   "a=b",
		"a=b; Secure; HttpOnly":            "a=b; HttpOnly",
		"a=b; Secure; SameSite=None":       "a=b; Secure; SameSite=None",
		"a=b; Secure; Partitioned":         "a=b; Secure; Partitioned",
		"a=b; Secure; samesite=lax":        "a=b; samesite=lax",
		`a="Path=/x, Domain=y"; Path=/`:    `a="Path=/x, Domain=y"; Path=` + prefix + "/",
		"a=b=c%zz\xff ;  Expires=Wed, 09 Jun 2032 10:18:14 GMT;Path=/": "a=b=c%zz\xff ;  Expires=Wed, 09 Jun 2032 10:18:14 GMT;Path=" + prefix + "/",
		"Secure=1; Secured; Domains=x":                                 "Secure=1; Secured; Domains=x",
		"a":                                                            "a",
	} {
		got, note := pathView().mapCookie(line)
		require.Equal(t, want, got, line)
		require.Empty(t, note)
	}
}

func TestM3SeveralCookiesStaySeveral(t *testing.T) {
	t.Parallel()
	h := http.Header{"Set-Cookie": {"a=1; Path=/", "b=2", "a=3; Domain=x"}}
	require.Empty(t, pathView().RewriteResponse(200, h))
	require.Equal(t, []string{"a=1; Path=" + prefix + "/", "b=2", "a=3"}, h["Set-Cookie"])
}

func TestM3SecureIsDroppedOnPlainLoopbackOnly(t *testing.T) {
	t.Parallel()
	for origin, dropped := range map[string]bool{
		"http://localhost:8080": true, "http://LOCALHOST": true, "http://127.0.0.1:8080": true, "http://127.3.2.1": true,
		"http://[::1]:8080": true, "http://[::1]": true, "http://x.localhost:1": true, "http://localhost.:80": true,
		"https://localhost:8080": false, "http://192.168.1.5:8080": false, "http://desk.lan": false, "http://localhost.evil": false,
	} {
		view := pathView()
		view.Scheme, view.Host, _ = strings.Cut(origin, "://")
		got, _ := view.mapCookie("a=b; Secure")
		require.Equal(t, dropped, got == "a=b", origin)
	}
}

func TestM3PrefixedCookiesAreNeverSilentlyBroken(t *testing.T) {
	t.Parallel()
	path, host, tlsPath, tlsHost := pathView(), hostView(), pathView(), hostView()
	tlsPath.Scheme, tlsHost.Scheme = "https", "https"
	for _, c := range []struct {
		name       string
		view       View
		line, want string
		note       string
	}{
		{"__Host- by path", path, "__Host-a=b; Secure; Path=/", "__Host-a=b; Secure; Path=" + prefix + "/", "needs host mode"},
		{"__Host- by path over TLS", tlsPath, "__host-a=b; Secure; Path=/", "__host-a=b; Secure; Path=" + prefix + "/", "needs host mode"},
		{"__Host- by host", host, "__Host-a=b; Secure; Path=/", "__Host-a=b; Secure; Path=/", "over TLS"},
		{"__Host- by host over TLS", tlsHost, "__Host-a=b; Secure; Path=/", "__Host-a=b; Secure; Path=/", ""},
		{"__Secure- by path", path, "__Secure-a=b; Secure; Path=/", "__Secure-a=b; Secure; Path=" + prefix + "/", "needs host mode"},
		{"__Secure- by path over TLS", tlsPath, "__Secure-a=b; Secure", "__Secure-a=b; Secure", ""},
		{"__Secure- by host", host, "__Secure-a=b; Secure", "__Secure-a=b; Secure", "over TLS"},
		{"a name with escapes", path, "__Host-\x1b]52;x=1", "__Host-\x1b]52;x=1", ""},
		{"a name with escapes and value", path, "__Host-\x1b\u202e=1", "__Host-\x1b\u202e=1", `__Host-\x1b\u202e`},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			h := http.Header{"Set-Cookie": {c.line}}
			notes := c.view.RewriteResponse(200, h)
			require.Equal(t, []string{c.want}, h["Set-Cookie"])
			if c.note == "" {
				require.Empty(t, notes)
				return
			}
			require.Len(t, notes, 1)
			require.Contains(t, notes[0], c.note)
			require.NotContains(t, notes[0], "\x1b")
		})
	}
}

func TestH3CookiesInHostModeLoseOnlyTheirDomain(t *testing.T) {
	t.Parallel()
	for line, want := range map[string]string{
		"a=b; Path=/x; Secure": "a=b; Path=/x; Secure", "a=b; Domain=localhost; Path=/": "a=b; Path=/",
	} {
		got, _ := hostView().mapCookie(line)
		require.Equal(t, want, got)
	}
}

func TestB3ServicesCannotSetTheFrontsCookies(t *testing.T) {
	t.Parallel()
	for _, line := range []string{"daemon-proxy-last=x; Path=/", " daemon-proxy-x=1", "=daemon-proxy-last=x", "daemon-proxy-last"} {
		for _, view := range []View{pathView(), hostView()} {
			h := http.Header{"Set-Cookie": {line}}
			require.Len(t, view.RewriteResponse(200, h), 1)
			require.NotContains(t, h, "Set-Cookie")
		}
	}
}

func FuzzSetCookie(f *testing.F) {
	for _, seed := range []string{
		"a=b; Path=/; Secure", "a=b;domain=x;path=/y ", "__Host-a=b; Path=/", "a", ";;=", "a=b; Path=/proxy/3000", "=daemon-proxy-x",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, line string) {
		view := pathView()
		got, _ := view.mapCookie(line)
		again, _ := view.mapCookie(got)
		require.Equal(t, got, again, "once is enough")

		before, _, _ := strings.Cut(line, ";")
		after, _, _ := strings.Cut(got, ";")
		require.Equal(t, before, after, "name and value are kept")
		// Every attribute that is left is one of the line's, in order, but for
		// the prefix of a path; what is gone is Domain or Secure.
		left := strings.Split(got, ";")[1:]
		for _, attribute := range strings.Split(line, ";")[1:] {
			name, _, _ := strings.Cut(attribute, "=")
			name = strings.ToLower(strings.TrimSpace(name))
			if len(left) > 0 && (left[0] == attribute || name == "path" && strings.Contains(left[0], prefix)) {
				left = left[1:]
				require.NotEqual(t, "domain", name)
				continue
			}
			require.Contains(t, []string{"domain", "secure"}, name)
		}
		require.Empty(t, left)
	})
}
