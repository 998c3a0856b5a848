package preview

import (
	"net"
	"net/http"
	"slices"
	"strings"
)

// Fence keeps the pages of a preview away from other services on the viewer's
// own machine: they may talk to their own origin, to sibling previews and to
// what speaks TLS. It is added to every answer, whatever its type, since workers
// and SVG documents have a policy of their own.
type Fence struct {
	policy, connections string
}

// NewFence returns the fence for requests to host, a Host header, of previews
// under domain.
//
// Of its two headers Content-Security-Policy holds what a page loads:
// form-action is named because default-src does not cover forms, webrtc because
// no list of addresses covers it. Connection-Allowlist (Chromium 152 and later)
// holds what no such policy covers: prefetching and prerendering by speculation
// rules, and navigation of the whole tab. WebSockets are left to the first.
// Redirects are allowed, because the browser could only block all of them; those
// of a prefetched page it still compares with the list.
func NewFence(host, domain string) *Fence {
	if _, port, err := net.SplitHostPort(host); err == nil {
		if _, err := ParsePort(port); err == nil {
			domain += ":" + port
		}
	}
	list := "'self' 'unsafe-inline' 'unsafe-eval' https: wss: data: blob: http://*." + domain + " ws://*." + domain
	return &Fence{
		policy: "default-src " + list + "; form-action " + list + "; webrtc 'block'",
		connections: `(response-origin "https://*:*" "wss://*:*" "ws://*:*" "http://*.` + domain + `" "http://` +
			domain +
			`/preview/*");redirects=allow`,
	}
}

// put puts the fence around an answer. The service's own policies stay beside
// it, but not its own Connection-Allowlist, of which browsers read only the
// first, nor Speculation-Rules, which have other browsers send requests that no
// policy covers.
func (f *Fence) put(h http.Header) {
	fenceReports(h["Content-Security-Policy"])
	fenceReports(h["Content-Security-Policy-Report-Only"])
	h["Content-Security-Policy"] = append(h["Content-Security-Policy"], f.policy)
	h["Connection-Allowlist"] = []string{f.connections}
	delete(h, "Speculation-Rules")
}

// fenceReports takes out of policies the directive report-uri where it names a
// place that the fence does not let a page talk to: no policy covers where its
// violations are reported, so that a page could have the browser post to any
// port. What is sent over TLS or to a path of the preview stays.
func fenceReports(policies []string) {
	for i, line := range policies {
		if !strings.Contains(strings.ToLower(line), "report-uri") {
			continue
		}
		list := strings.Split(line, ",")
		for j, policy := range list {
			directives := strings.Split(policy, ";")
			list[j] = strings.Join(slices.DeleteFunc(directives, reportsOutside), ";")
		}
		policies[i] = strings.Join(list, ",")
	}
}

// reportsOutside reports whether a directive is a report-uri with such a place.
func reportsOutside(directive string) bool {
	words := strings.Fields(directive)
	if len(words) == 0 || !strings.EqualFold(words[0], "report-uri") {
		return false
	}
	return slices.ContainsFunc(words[1:], func(uri string) bool {
		path := strings.HasPrefix(uri, "/") && !strings.HasPrefix(uri, "//") && !strings.Contains(uri, `\`)
		return !path && !hasPrefixFold(uri, "https://")
	})
}
