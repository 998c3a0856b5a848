package preview

import (
	"net"
	"slices"
	"strings"
)

// FencePolicy is the Content-Security-Policy that keeps the pages of a preview
// away from other services on the viewer's own machine: they may talk to their
// own origin, to sibling previews and to what speaks TLS. host is the Host
// header of the request, domain the preview domain.
//
// It goes on every answer, whatever its type, since workers and SVG documents
// have a policy of their own. form-action is named because default-src does
// not cover forms, webrtc because no list of addresses covers it.
func FencePolicy(host, domain string) string {
	siblings := "*." + domain
	if _, port, err := net.SplitHostPort(host); err == nil {
		if _, err := ParsePort(port); err == nil {
			siblings += ":" + port
		}
	}
	list := "'self' 'unsafe-inline' 'unsafe-eval' https: wss: data: blob: http://" + siblings + " ws://" + siblings
	var policy strings.Builder
	policy.WriteString("default-src ")
	policy.WriteString(list)
	policy.WriteString("; form-action ")
	policy.WriteString(list)
	policy.WriteString("; webrtc 'block'")
	return policy.String()
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

// reportsOutside says whether a directive is a report-uri with such a place.
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
