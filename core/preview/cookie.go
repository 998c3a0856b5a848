package preview

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
)

// CookiePrefix begins the name of every cookie that the front itself sets. A
// service neither gets such a cookie nor may set one.
const CookiePrefix = "daemon-proxy-"

// filterCookies removes the cookies that are none of the service's: the
// front's own and, in path mode, those that the service has not set and all
// but the first of one name. It leaves the bytes of the others, and of what is
// between them, alone.
func (v View) filterCookies(h http.Header) (notes []string) {
	lines := h["Cookie"]
	if len(lines) == 0 {
		return nil
	}
	f := cookieFilter{}
	if !v.HostMode {
		f.jar = v.Cookies
	}
	kept := lines[:0:0]
	for _, line := range lines {
		if line = f.pass(line); line != "" {
			kept = append(kept, line)
		}
	}
	if len(kept) > 0 {
		h["Cookie"] = kept
	} else {
		delete(h, "Cookie")
	}
	if len(f.held) == 0 {
		return nil
	}
	const shown = 3
	names := f.held[:min(len(f.held), shown)]
	return []string{fmt.Sprintf("%d cookies held back that this link has not set (%s): one that a script made needs "+
		"host mode",
		len(f.held), strings.Join(names, ", "))}
}

// cookieFilter decides on the cookies of one request.
type cookieFilter struct {
	jar    Jar      // nil: only the front's own are removed
	passed []string // names
	held   []string // names, quoted
}

// pass is a Cookie line without the cookies that do not pass.
func (f *cookieFilter) pass(line string) string {
	if f.jar == nil && !strings.Contains(line, CookiePrefix) {
		return line
	}
	pairs := strings.Split(line, ";")
	kept := pairs[:0]
	for _, pair := range pairs {
		if f.passes(strings.Trim(pair, " \t")) {
			kept = append(kept, pair)
		}
	}
	if len(kept) == len(pairs) {
		return line
	}
	return strings.TrimLeft(strings.Join(kept, ";"), " \t")
}

func (f *cookieFilter) passes(pair string) bool {
	if strings.HasPrefix(pair, CookiePrefix) {
		return false
	}
	if f.jar == nil || pair == "" {
		return true
	}
	pair = sentPair(pair)
	name, _, _ := strings.Cut(pair, "=")
	if !f.jar.Knows(pair) {
		f.held = append(f.held, fmt.Sprintf("%+q", name[:min(len(name), 64)]))
		return false
	}
	if slices.Contains(f.passed, name) {
		return false
	}
	f.passed = append(f.passed, name)
	return true
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
		if v.Cookies != nil && !v.HostMode {
			pair, _, _ := strings.Cut(line, ";")
			v.Cookies.Learn(sentPair(pair))
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

// needsSecure reports whether every browser refuses the cookie without Secure:
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
