package preview

import (
	"strings"

	"daemon-proxy/core/api"
)

// Kind says which route of the front a path belongs to.
type Kind int

// The kinds of route.
const (
	KindOther        Kind = iota // none of the following
	KindPreview                  // /preview/{token}
	KindProxy                    // /proxy/{port}
	KindSandboxProxy             // /sandboxes/{name}/proxy/{port}
)

// Route is where a request target leads. Except for KindOther,
// Prefix + Rest are the bytes of the target.
type Route struct {
	Kind    Kind
	Token   string // KindPreview
	Sandbox string // KindSandboxProxy: a name, "host", or "container:host"
	Port    string // KindProxy and KindSandboxProxy: passes ParsePort
	// Prefix is what belongs to the front, without a slash at its end.
	Prefix string
	// Rest is what belongs to the service, query included. It begins with "/",
	// or is bare: empty or only a query, for a target without that slash.
	Rest string
}

// Bare reports that the target ends where the service's path should begin.
func (r Route) Bare() bool { return r.Rest == "" || r.Rest[0] == '?' }

// SplitPath finds the route of a request target, the raw bytes of the request
// line: decoding would lose what the service must get. So a prefix that is
// itself encoded is none of ours: KindOther. Problems: CodeBadPort for a port
// that is none, CodeBadPath for a target that is no path (RFC 9112 §3.2.2 to
// 3.2.4) and for one whose dot segments climb out of its prefix.
func SplitPath(requestURI string) (Route, error) {
	if requestURI == "" || requestURI[0] != '/' {
		return Route{}, notAPath()
	}
	route, err := splitPrefix(requestURI)
	if err != nil || route.Kind == KindOther {
		return Route{}, err
	}
	route.Prefix = requestURI[:len(requestURI)-len(route.Rest)]
	if path, _, _ := strings.Cut(route.Rest, "?"); climbs(path) {
		return Route{}, outOfPrefix()
	}
	return route, nil
}

// CheckTarget is for a request to a preview's host name, all of whose target
// belongs to the service: it refuses what SplitPath refuses of the rest of a
// path, since the daemon gets it behind a prefix of its own. Problem: CodeBadPath.
func CheckTarget(requestURI string) error {
	if requestURI == "" || requestURI[0] != '/' {
		return notAPath()
	}
	if path, _, _ := strings.Cut(requestURI, "?"); climbs(path) {
		return outOfPrefix()
	}
	return nil
}

// splitPrefix finds the route without its Prefix.
func splitPrefix(target string) (Route, error) {
	if after, ok := strings.CutPrefix(target, "/preview/"); ok {
		token, rest := cutSegment(after)
		if !isName(token, false) {
			return Route{}, nil
		}
		return Route{Kind: KindPreview, Token: token, Rest: rest}, nil
	}
	route := Route{Kind: KindProxy}
	after, ok := strings.CutPrefix(target, "/proxy/")
	if !ok {
		if after, ok = strings.CutPrefix(target, "/sandboxes/"); !ok {
			return Route{}, nil
		}
		route.Kind = KindSandboxProxy
		if route.Sandbox, after, ok = cutSandbox(after); !ok {
			return Route{}, nil
		}
	}
	route.Port, route.Rest = cutSegment(after)
	_, err := ParsePort(route.Port)
	return route, err
}

// cutSandbox cuts NAME/proxy/PORT… or ENGINE/NAME/proxy/PORT… before the port.
func cutSandbox(s string) (sandbox, port string, ok bool) {
	name, rest := cutSegment(s)
	port, short := strings.CutPrefix(rest, "/proxy/")
	short = short && isSandboxName(name)
	if number, _ := cutSegment(port); short && isPort(number) {
		return name, port, true
	}
	if second, rest := cutSegment(strings.TrimPrefix(rest, "/")); isEngine(name) && isSandboxName(second) {
		if port, ok := strings.CutPrefix(rest, "/proxy/"); ok {
			return name + "/" + second, port, true
		}
	}
	return name, port, short
}

func isPort(s string) bool {
	_, err := ParsePort(s)
	return err == nil
}

// isEngine reports whether s can be the id of an engine.
func isEngine(s string) bool { return isName(strings.ReplaceAll(s, "+", ""), true) }

// cutSegment cuts a path before its next slash, or before its query.
func cutSegment(s string) (segment, rest string) {
	if i := strings.IndexAny(s, "/?"); i >= 0 {
		return s[:i], s[i:]
	}
	return s, ""
}

// isSandboxName reports whether s names a sandbox, as api.Ref.String does.
func isSandboxName(s string) bool {
	return isName(s, true) || s == api.ContainerPrefix+api.HostName
}

// isName reports whether s is [a-zA-Z0-9]+, or, with marks, what Docker takes as
// a container's name: [a-zA-Z0-9][a-zA-Z0-9_.-]*.
func isName(s string, marks bool) bool {
	for i := range len(s) {
		switch c := s[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		case marks && i > 0 && (c == '_' || c == '.' || c == '-'):
		default:
			return false
		}
	}
	return s != ""
}

// climbs reports whether the dot segments of a path lead above it, whichever way
// the next server reads it: with only "/" between segments, or also with what
// some take for one ("\", "%2f", "%5c"). A raw "#", which has no place in a
// request, may end the path. Empty segments do not count as depth, since some
// servers drop them.
func climbs(path string) bool {
	if !strings.Contains(path, "..") && !strings.Contains(path, "%") {
		return false
	}
	return climbsBetween(path, false) || climbsBetween(path, true)
}

func climbsBetween(path string, loose bool) bool {
	depth, dots, others := 0, 0, false // of the segments before, of this one
	for i := 0; i <= len(path); {
		c, size := byte('/'), 1 // the end closes the last segment
		if i < len(path) {
			c, size = unescape(path[i:])
		}
		i += size
		switch {
		case size == 1 && (c == '/' || c == '#'), loose && (c == '/' || c == '\\'):
			if !others && dots == 2 {
				depth--
			} else if others || dots > 2 {
				depth++
			}
			if depth < 0 {
				return true
			}
			dots, others = 0, false
		case c == '.':
			dots++
		default:
			others = true
		}
	}
	return false
}

// unescape returns the first character of s and how many bytes stand for it.
func unescape(s string) (c byte, size int) {
	if s[0] == '%' && len(s) >= 3 {
		high, low := unhex(s[1]), unhex(s[2])
		if high < 16 && low < 16 {
			return high<<4 | low, 3
		}
	}
	return s[0], 1
}

// unhex is the value of a hexadecimal digit, 16 for anything else.
func unhex(c byte) byte {
	switch {
	case '0' <= c && c <= '9':
		return c - '0'
	case 'a' <= c && c <= 'f':
		return c - 'a' + 10
	case 'A' <= c && c <= 'F':
		return c - 'A' + 10
	}
	return 16
}

// SplitHost finds the token in a Host header of the form
// {token}.{domain}[:port], one label under the preview domain; domain is in
// lower case. Case and one trailing dot do not matter. The token is in lower
// case; that it is one of ours only Links.Resolve knows.
func SplitHost(host, domain string) (token string, ok bool) {
	name, port, hasPort := strings.Cut(host, ":")
	if hasPort {
		for i := range len(port) {
			if port[i] < '0' || port[i] > '9' {
				return "", false
			}
		}
	}
	name = strings.TrimSuffix(name, ".")
	label, under, found := strings.Cut(name, ".")
	if !found || !strings.EqualFold(under, domain) || label == "" || len(label) > 63 {
		return "", false
	}
	label = strings.ToLower(label) // allocates only if there is something to lower
	for i := range len(label) {
		if c := label[i]; (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' {
			return "", false
		}
	}
	return label, true
}

func notAPath() *api.Problem {
	return badPath("the request target is not a path", "send a request for a path of this server")
}

func outOfPrefix() *api.Problem {
	return badPath("the path leads out of its prefix", "leave out the .. that lead above the first slash")
}

func badPath(detail, hint string) *api.Problem {
	return api.NewProblem(api.CodeBadPath, detail, hint)
}
