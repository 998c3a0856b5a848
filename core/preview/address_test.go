package preview

import (
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"daemon-proxy/core/api"
)

const someToken = "k3vabcdefghijklmnopqrstuvwxyz234"

func TestP2SplitPathKeepsTheBytes(t *testing.T) {
	t.Parallel()
	for target, want := range map[string]Route{
		"/preview/" + someToken:                    {Kind: KindPreview, Token: someToken, Rest: ""},
		"/preview/" + someToken + "?x=1":           {Kind: KindPreview, Token: someToken, Rest: "?x=1"},
		"/preview/" + someToken + "/":              {Kind: KindPreview, Token: someToken, Rest: "/"},
		"/preview/T/a%2Fb%5b%25%3F%23%40;@(x)?":    {Kind: KindPreview, Token: "T", Rest: "/a%2Fb%5b%25%3F%23%40;@(x)?"},
		"/preview/T//a//b/":                        {Kind: KindPreview, Token: "T", Rest: "//a//b/"},
		"/preview/T/a/../b":                        {Kind: KindPreview, Token: "T", Rest: "/a/../b"},
		"/preview/T/a/%2e%2E/b":                    {Kind: KindPreview, Token: "T", Rest: "/a/%2e%2E/b"},
		"/preview/T/./%2e/...":                     {Kind: KindPreview, Token: "T", Rest: "/./%2e/..."},
		"/preview/T/..a/a../%2e%2e%2e/.%2ea":       {Kind: KindPreview, Token: "T", Rest: "/..a/a../%2e%2e%2e/.%2ea"},
		"/preview/T/ä\xff%zz%":                     {Kind: KindPreview, Token: "T", Rest: "/ä\xff%zz%"},
		"/preview/T/x?../../..&a=%zz;b&a=2?":       {Kind: KindPreview, Token: "T", Rest: "/x?../../..&a=%zz;b&a=2?"},
		"/preview/T/%252e%252e/":                   {Kind: KindPreview, Token: "T", Rest: "/%252e%252e/"},
		"/proxy/8080":                              {Kind: KindProxy, Port: "8080", Rest: ""},
		"/proxy/8080/search?q=test":                {Kind: KindProxy, Port: "8080", Rest: "/search?q=test"},
		"/proxy/2280/proxy/80%40h/":                {Kind: KindProxy, Port: "2280", Rest: "/proxy/80%40h/"},
		"/sandboxes/my-box_1.x/proxy/1/":           {Kind: KindSandboxProxy, Sandbox: "my-box_1.x", Port: "1", Rest: "/"},
		"/sandboxes/host/proxy/65535":              {Kind: KindSandboxProxy, Sandbox: "host", Port: "65535", Rest: ""},
		"/sandboxes/container:host/proxy/3000/a?b": {Kind: KindSandboxProxy, Sandbox: "container:host", Port: "3000", Rest: "/a?b"},
		"/sandboxes/unix+run+d.sock/web/proxy/1/": {
			Kind: KindSandboxProxy, Sandbox: "unix+run+d.sock/web", Port: "1", Rest: "/"},
		"/sandboxes/lab/container:host/proxy/1": {
			Kind: KindSandboxProxy, Sandbox: "lab/container:host", Port: "1", Rest: ""},
		"/sandboxes/lab/proxy/proxy/1/":       {Kind: KindSandboxProxy, Sandbox: "lab/proxy", Port: "1", Rest: "/"},
		"/sandboxes/lab/proxy/1/x":            {Kind: KindSandboxProxy, Sandbox: "lab", Port: "1", Rest: "/x"},
		"/":                                   {},
		"/health":                             {},
		"/api/preview":                        {},
		"/preview":                            {},
		"/preview/":                           {},
		"/preview//x":                         {},
		"/preview?x":                          {},
		"//preview/T/":                        {},
		"/Preview/T/":                         {},
		"/%70review/T/":                       {},
		"/preview%2FT/":                       {},
		"/preview/T%2Fx":                      {},
		"/preview/%54/":                       {},
		"/preview/../api":                     {},
		"/x/../preview/T/":                    {},
		"/prox%79/8080/":                      {},
		"/proxy":                              {},
		"/sandboxes/a/":                       {},
		"/sandboxes/a/inject":                 {},
		"/sandboxes//proxy/1/":                {},
		"/sandboxes/-a/proxy/1/":              {},
		"/sandboxes/../proxy/1/":              {},
		"/sandboxes/a%2e/proxy/1/":            {},
		"/sandboxes/container:other/proxy/1/": {},
		"/sandboxes/a@b/proxy/1/":             {},
		"/sandboxes/a/proxy":                  {},
		"/sandboxes/a/b/c/proxy/1/":           {},
		"/sandboxes/a@b/c/proxy/1/":           {},
		"/sandboxes/../a/proxy/1/":            {},
		"/sandboxes/a/../proxy/1/":            {},
	} {
		got, err := SplitPath(target)
		require.NoError(t, err, target)
		if want.Kind != KindOther {
			want.Prefix = strings.TrimSuffix(target, want.Rest)
		}
		require.Equal(t, want, got, target)
	}
}

func TestP2ClimbingOutOfThePrefixIsRefused(t *testing.T) {
	t.Parallel()
	for _, rest := range []string{
		"/..", "/../", "/../x", "/a/../..", "/a/../../b", "/%2e%2e", "/%2E./x", "/.%2e/x", "/..%2f", "/..%2Fx", "/%2e%2e%2f",
		"/a%2f..%2f..%2fb", "/a%2fb/../..", "/./..", "//..", "//../x", "/..\\x", "/..%5Cx", "/a/..%2f..", "/..?x", "/../?",
		"/a/./../../b", "/..#x", "/a%2fb/../..#",
	} {
		for _, prefix := range []string{"/preview/T", "/proxy/3000", "/sandboxes/a/proxy/3000"} {
			route, err := SplitPath(prefix + rest)
			require.Equal(t, 400, requireProblem(t, err, api.CodeBadPath).Status, prefix+rest)
			require.Zero(t, route)
		}
		requireProblem(t, CheckTarget(rest), api.CodeBadPath) // in host mode the daemon's prefix is to be climbed
	}
	for _, target := range []string{"/", "/a/../b", "/a%2fb", "/..a", "/x?/../..", "//a", "/@scope%2fname"} {
		require.NoError(t, CheckTarget(target), target)
	}
}

func TestP11TargetsThatAreNoPathsAreRefused(t *testing.T) {
	t.Parallel()
	for _, target := range []string{"", "*", "http://localhost:8080/preview/T/", "localhost:3000", "preview/T", "?x"} {
		_, err := SplitPath(target)
		require.Equal(t, 400, requireProblem(t, err, api.CodeBadPath).Status, target)
		requireProblem(t, CheckTarget(target), api.CodeBadPath)
	}
}

func TestM1BareTargets(t *testing.T) {
	t.Parallel()
	for target, bare := range map[string]bool{
		"/preview/T": true, "/preview/T?x=1": true, "/preview/T/": false, "/preview/T/?x": false,
	} {
		route, err := SplitPath(target)
		require.NoError(t, err)
		require.Equal(t, bare, route.Bare(), target)
	}
}

func TestS5PortGrammar(t *testing.T) {
	t.Parallel()
	for s, want := range map[string]int{"1": 1, "80": 80, "8080": 8080, "65535": 65535, "10000": 10000} {
		got, err := ParsePort(s)
		require.NoError(t, err, s)
		require.Equal(t, want, got)
	}
	for _, s := range []string{
		"", "0", "00", "080", "+80", "-1", " 80", "80 ", "80%20", "%38%30", "８０", "80@h", "80:", "65536", "99999", "100000",
		"0x50", "8e1", "8_0", "18446744073709551696", "80\x00", "٨٠", strings.Repeat("9", 1000),
	} {
		_, err := ParsePort(s)
		problem := requireProblem(t, err, api.CodeBadPort)
		require.Equal(t, 400, problem.Status, s)
		require.Less(t, len(problem.Detail), 300)
		for _, route := range []string{"/proxy/", "/sandboxes/a/proxy/"} {
			if strings.ContainsAny(s, "/?") {
				continue
			}
			_, err := SplitPath(route + s + "/x")
			requireProblem(t, err, api.CodeBadPort)
		}
	}
}

func TestH1H2SplitHost(t *testing.T) {
	t.Parallel()
	for _, host := range []string{
		someToken + ".localhost", someToken + ".localhost:8080", strings.ToUpper(someToken) + ".LocalHost:80",
		someToken + ".localhost.", someToken + ".localhost.:8080",
	} {
		token, ok := SplitHost(host, "localhost")
		require.True(t, ok, host)
		require.Equal(t, someToken, token)
	}
	token, ok := SplitHost("probe.preview.example.org:443", "preview.example.org")
	require.True(t, ok)
	require.Equal(t, "probe", token)
	_, ok = SplitHost(strings.Repeat("a", 63)+".localhost", "localhost")
	require.True(t, ok)
	for _, host := range []string{
		"", "localhost", "localhost:8080", ".localhost", "..localhost", "a.b.localhost", "t.localhost.evil.com", "t.localhost..",
		"t.localhostx", "tlocalhost", "t.localhost:80:80", "t.localhost:x", "t.localhost:80/x", "[::1]:8080", "127.0.0.1",
		"t_x.localhost", "t%2e.localhost", "ü.localhost", "t@.localhost", strings.Repeat("a", 64) + ".localhost", "t..localhost",
	} {
		token, ok := SplitHost(host, "localhost")
		require.False(t, ok, host)
		require.Empty(t, token)
	}
}

// climbsFor resolves a path with one more independent reading: everything
// decoded, the empty segments dropped.
func climbsFor(path string) bool {
	decoded, err := url.PathUnescape(path)
	if err != nil {
		decoded = path
	}
	depth := 0
	for segment := range strings.SplitSeq(decoded, "/") {
		switch segment {
		case "", ".":
		case "..":
			if depth--; depth < 0 {
				return true
			}
		default:
			depth++
		}
	}
	return false
}

func FuzzSplitPath(f *testing.F) {
	for _, seed := range []string{
		"/preview/T/a/../b", "/preview/T/..%2f", "/proxy/8080/x?y", "/sandboxes/a/proxy/1", "/proxy/080/", "*", "//", "/preview/T?",
		"/preview/T/%2e%2e%5c/%zz", "/preview/0/..#0", "/sandboxes/container:host/proxy/65535/%2E",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, target string) {
		route, err := SplitPath(target)
		if err != nil {
			require.Zero(t, route.Prefix)
			require.True(t, api.AsProblem(err).Status == 400)
			return
		}
		if route.Kind == KindOther {
			require.Zero(t, route)
			return
		}
		require.Equal(t, target, route.Prefix+route.Rest)
		require.True(t, route.Bare() || route.Rest[0] == '/')
		require.False(t, strings.ContainsAny(route.Prefix, "%?#\\@ "))
		path, _, _ := strings.Cut(route.Rest, "?")
		require.False(t, climbsFor(path))
		resolved, err := url.Parse("http://h" + route.Prefix + path)
		if err == nil && strings.HasPrefix(path, "/") { // as a browser or Go's client would
			again := resolved.JoinPath().Path
			require.True(t, strings.HasPrefix(again+"/", route.Prefix+"/"), again)
		}
		switch route.Kind {
		case KindPreview:
			require.Equal(t, "/preview/"+route.Token, route.Prefix)
		case KindProxy:
			require.Equal(t, "/proxy/"+route.Port, route.Prefix)
		case KindSandboxProxy:
			require.Equal(t, "/sandboxes/"+route.Sandbox+"/proxy/"+route.Port, route.Prefix)
		}
		if route.Port != "" {
			_, err := ParsePort(route.Port)
			require.NoError(t, err)
		}
	})
}

func FuzzSplitHost(f *testing.F) {
	f.Add("t.localhost:80", "localhost")
	f.Add("T.localhost.", "localhost")
	f.Fuzz(func(t *testing.T, host, domain string) {
		token, ok := SplitHost(host, domain)
		require.Equal(t, ok, token != "")
		require.False(t, strings.ContainsAny(token, "./:%@ \x00ABCXYZ"))
		require.LessOrEqual(t, len(token), 63)
	})
}

func BenchmarkParsePort(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if _, err := ParsePort("65535"); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkSplitPath(b *testing.B) {
	target := "/preview/" + someToken + "/assets/../a%20long/path/to/some.js?v=12345678"
	b.ReportAllocs()
	for b.Loop() {
		if _, err := SplitPath(target); err != nil {
			b.Fatal(err)
		}
	}
}
