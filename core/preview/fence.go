package preview

import (
	"net"
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
