package api

import (
	"fmt"
	"strings"
)

// Protocol is the version of the HTTP API, MAJOR.MINOR. A larger MINOR adds
// fields, routes and kinds of events; clients ignore those that they do not
// know. Between different MAJORs nothing is promised.
const Protocol = "1.0"

// ProtocolHeader is the header in which a client names its Protocol. A server
// with another MAJOR refuses the request; without the header it does not check.
const ProtocolHeader = "X-Daemon-Proxy-Protocol"

// CheckProtocol returns nil if this program and another one speak protocols of
// the same MAJOR, else a problem with code CodeProtocolMismatch, which names them
// as us and them. theirs is empty if the other one is older than protocols.
func CheckProtocol(us, them, theirs string) error {
	if major(theirs) == major(Protocol) {
		return nil
	}
	detail := fmt.Sprintf("%s speaks protocol %s, and %s speaks %s", them, theirs, us, Protocol)
	if theirs == "" {
		detail = fmt.Sprintf("%s is older than protocol %s, which %s speaks", them, Protocol, us)
	}
	return NewProblem(CodeProtocolMismatch, detail,
		"install the same version of daemon-proxy on both sides and restart the core")
}

func major(protocol string) string {
	major, _, _ := strings.Cut(protocol, ".")
	return major
}
