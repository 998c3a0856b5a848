package preview

import (
	"strconv"
	"strings"
)

// mapURL maps a URL reference of the service to the preview: absolute paths
// (also under the daemon's own /proxy/PORT) and URLs of localhost. Relative
// references, other hosts and what is the preview's already stay as they are.
func (v View) mapURL(ref string) string {
	if strings.HasPrefix(ref, "/") && !strings.HasPrefix(ref, "//") && !strings.HasPrefix(ref, `/\`) {
		return v.mapPath(ref)
	}
	port, rest, ok := cutLocal(ref)
	if !ok {
		return ref
	}
	if port == v.Port {
		if v.HostMode {
			return v.Scheme + "://" + v.Host + v.mapPath(slashed(rest))
		}
		return v.mapPath(slashed(rest))
	}
	if origin, inside := cutOrigin(ref); sameOrigin(origin, v.Scheme+"://"+v.Host) {
		if _, own := cutPrefix(inside, v.Prefix); own {
			return ref
		}
	}
	if v.OtherPort != nil {
		if base, ok := v.OtherPort(port); ok {
			return base + slashed(rest)
		}
	}
	return ref
}

// mapPath puts an absolute path under the prefix, once.
func (v View) mapPath(path string) string {
	if _, ok := cutPrefix(path, v.Prefix); ok && v.Prefix != "" {
		return path
	}
	if inside, ok := cutPrefix(path, "/proxy/"+strconv.Itoa(v.Port)); ok {
		path = slashed(inside)
	}
	return v.Prefix + path
}

// mapRefresh maps the URL in a Refresh header: a time, then a URL that may
// have "url=" and quotes around it.
// Source: HTML, "shared declarative refresh steps".
func (v View) mapRefresh(value string) string {
	i := strings.IndexFunc(value, func(r rune) bool { return r != ' ' && r != '.' && (r < '0' || r > '9') })
	if i < 0 {
		return value
	}
	rest := strings.TrimLeft(value[i:], " \t;,")
	if len(rest) >= 3 && strings.EqualFold(rest[:3], "url") {
		if after := strings.TrimLeft(rest[3:], " \t"); strings.HasPrefix(after, "=") {
			rest = strings.TrimLeft(after[1:], " \t")
		}
	}
	url := rest
	if rest != "" && (rest[0] == '"' || rest[0] == '\'') {
		url, _, _ = strings.Cut(rest[1:], rest[:1])
		rest = rest[1:]
	}
	return value[:len(value)-len(rest)] + v.mapURL(url) + rest[len(url):]
}

// mapLink maps the targets in a Link header: each element begins with one in
// angle brackets, and its parameters may have quoted strings (RFC 8288 §3).
func (v View) mapLink(value string) string {
	var out strings.Builder
	atStart, quoted := true, false
	// so that a target without an end is not searched for to the end each time
	lastEnd := strings.LastIndexByte(value, '>')
	for i := 0; i < len(value); i++ {
		c := value[i]
		switch {
		case quoted && c == '\\' && i+1 < len(value):
			out.WriteByte(c)
			i++
			c = value[i]
		case c == '"' && !atStart:
			quoted = !quoted
		case quoted:
		case c == ',':
			atStart = true
		case c == '<' && atStart && i < lastEnd:
			if end := strings.IndexByte(value[i:], '>'); end > 0 {
				out.WriteByte('<')
				out.WriteString(v.mapURL(value[i+1 : i+end]))
				i, c, atStart = i+end, '>', false
			}
		case c != ' ' && c != '\t':
			atStart = false
		}
		out.WriteByte(c)
	}
	return out.String()
}

// cutLocal cuts http://localhost:PORT, or the same without its scheme, off a
// URL; localhost may be 127.0.0.1 or [::1] too.
func cutLocal(ref string) (port int, rest string, ok bool) {
	origin, rest := cutOrigin(ref)
	if origin == "" {
		return 0, "", false
	}
	scheme, authority, _ := strings.Cut(origin, "//")
	if scheme != "" && !strings.EqualFold(scheme, "http:") {
		return 0, "", false
	}
	host, portText := authority, ""
	if i := strings.LastIndexByte(authority, ':'); i >= 0 && !strings.HasSuffix(authority, "]") {
		host, portText = authority[:i], authority[i+1:]
	}
	if !strings.EqualFold(host, "localhost") && host != "127.0.0.1" && host != "[::1]" {
		return 0, "", false
	}
	if portText == "" {
		return 80, rest, true
	}
	port, err := ParsePort(portText)
	return port, rest, err == nil
}

// cutOrigin cuts scheme://authority, or //authority, off a URL; origin is empty
// if there is none.
func cutOrigin(url string) (origin, rest string) {
	start := strings.Index(url, "//")
	if start < 0 || strings.ContainsAny(url[:start], "/?#\\") || start > 0 && url[start-1] != ':' {
		return "", url
	}
	if i := strings.IndexAny(url[start+2:], "/?#\\"); i >= 0 {
		return url[:start+2+i], url[start+2+i:]
	}
	return url, ""
}

// cutPrefix cuts a path prefix off that ends where a segment ends.
func cutPrefix(path, prefix string) (rest string, ok bool) {
	rest, ok = strings.CutPrefix(path, prefix)
	return rest, ok && (rest == "" || rest[0] == '/' || rest[0] == '?' || rest[0] == '#')
}

// slashed is the rest of a URL after its authority or prefix, with the slash
// that may be left out there.
func slashed(rest string) string {
	if strings.HasPrefix(rest, "/") {
		return rest
	}
	return "/" + rest
}

// sameOrigin compares origins: case and a default port do not matter.
func sameOrigin(a, b string) bool { return strings.EqualFold(trimDefaultPort(a), trimDefaultPort(b)) }

func trimDefaultPort(origin string) string {
	if len(origin) > 5 && strings.EqualFold(origin[:5], "http:") {
		return strings.TrimSuffix(origin, ":80")
	}
	return strings.TrimSuffix(origin, ":443")
}
