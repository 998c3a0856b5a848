package preview

import (
	"fmt"
	"net/http"
	"strings"
)

// CookiePrefix begins the name of every cookie that the front itself sets. A
// service neither gets such a cookie nor may set one.
const CookiePrefix = "daemon-proxy-"

// dropOwnCookies removes the front's cookies and leaves the bytes of the
// others, and of what is between them, alone.
func dropOwnCookies(h http.Header) {
	lines := h["Cookie"]
	kept := lines[:0:0]
	for _, line := range lines {
		if line = withoutOwn(line); line != "" {
			kept = append(kept, line)
		}
	}
	if len(kept) > 0 {
		h["Cookie"] = kept
	} else {
		delete(h, "Cookie")
	}
}

// withoutOwn is a Cookie line without the front's cookies.
func withoutOwn(line string) string {
	if !strings.Contains(line, CookiePrefix) {
		return line
	}
	pairs := strings.Split(line, ";")
	kept := pairs[:0]
	for _, pair := range pairs {
		if !strings.HasPrefix(strings.TrimLeft(pair, " \t"), CookiePrefix) {
			kept = append(kept, pair)
		}
	}
	return strings.TrimLeft(strings.Join(kept, ";"), " \t")
}

// mapCookies fits the Set-Cookie lines to the preview and says which of the
// cookies cannot work there.
func (v View) mapCookies(h http.Header) (notes []string) {
	lines := h["Set-Cookie"]
	if len(lines) == 0 {
		return nil
	}
	kept := lines[:0]
	for _, line := range lines {
		// A cookie without a name comes back as its value alone: "=a=b" as "a=b".
		if strings.HasPrefix(strings.TrimLeft(line, " \t="), CookiePrefix) {
			notes = append(notes, "cookie dropped: names that begin with "+CookiePrefix+" are the proxy's own")
			continue
		}
		line, note := v.mapCookie(line)
		kept = append(kept, line)
		if note != "" {
			notes = append(notes, note)
		}
	}
	if len(kept) > 0 {
		h["Set-Cookie"] = kept
	} else {
		delete(h, "Set-Cookie")
	}
	return notes
}

// mapCookie fits one Set-Cookie line: its paths come under the prefix, Domain
// goes, and so does Secure where it would cost the cookie its life. All other
// bytes stay. Attributes are read as RFC 6265 §5.2 reads them.
func (v View) mapCookie(line string) (mapped, note string) {
	pair, rest, _ := strings.Cut(line, ";")
	attributes := strings.Split(rest, ";")
	if len(pair) == len(line) {
		attributes = nil
	}
	name := cookieName(line)
	keepSecure := v.HostMode || !v.plainLoopback() || needsSecure(name, attributes)

	var out strings.Builder
	out.WriteString(pair)
	for _, attribute := range attributes {
		key, value, hasValue := strings.Cut(attribute, "=")
		switch key = strings.TrimSpace(key); {
		case strings.EqualFold(key, "Domain"), strings.EqualFold(key, "Secure") && !keepSecure:
			continue
		case strings.EqualFold(key, "Path") && hasValue && !v.HostMode:
			trimmed := strings.TrimLeft(value, " \t")
			if strings.HasPrefix(trimmed, "/") {
				path := strings.TrimRight(trimmed, " \t")
				attribute = attribute[:len(attribute)-len(trimmed)] + v.mapPath(path) + trimmed[len(path):]
			}
		}
		out.WriteByte(';')
		out.WriteString(attribute)
	}
	return out.String(), v.cookieNote(name)
}

// cookieName is the name that a Set-Cookie line sets.
func cookieName(line string) string {
	pair, _, _ := strings.Cut(line, ";")
	name, _, ok := strings.Cut(pair, "=")
	if !ok {
		return "" // a browser takes such a line as a value without a name
	}
	return strings.Trim(name, " \t")
}

// needsSecure says whether every browser refuses the cookie without Secure:
// by its name (RFC 6265bis §4.1.3), SameSite=None or Partitioned.
func needsSecure(name string, attributes []string) bool {
	if hasPrefixFold(name, "__Secure-") || hasPrefixFold(name, "__Host-") {
		return true
	}
	for _, attribute := range attributes {
		key, value, _ := strings.Cut(attribute, "=")
		key, value = strings.TrimSpace(key), strings.TrimSpace(value)
		if strings.EqualFold(key, "Partitioned") ||
			strings.EqualFold(key, "SameSite") && strings.EqualFold(value, "None") {
			return true
		}
	}
	return false
}

// cookieNote says why a cookie with a prefix in its name will be refused.
// __Host- demands Path=/, which in path mode is everybody's; both demand TLS.
func (v View) cookieNote(name string) string {
	switch {
	case hasPrefixFold(name, "__Host-") && !v.HostMode:
		return fmt.Sprintf("cookie %+q needs host mode", name)
	case (hasPrefixFold(name, "__Host-") || hasPrefixFold(name, "__Secure-")) && v.Scheme != "https":
		return fmt.Sprintf("cookie %+q needs host mode over TLS", name)
	}
	return ""
}

func hasPrefixFold(s, prefix string) bool {
	return len(s) >= len(prefix) && strings.EqualFold(s[:len(prefix)], prefix)
}
