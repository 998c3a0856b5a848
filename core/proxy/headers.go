package proxy

import (
	"fmt"
	"net"
	"net/http"
	"strings"

	"golang.org/x/net/http/httpguts"
)

// hopByHop reports whether a header belongs to one hop only (RFC 9110 §7.6.1), in its
// canonical form. Proxy-Authenticate and Proxy-Authorization are from RFC 2616
// §13.5.1, HTTP2-Settings from RFC 7540 §3.2.1.
func hopByHop(name string) bool {
	switch name {
	case "Connection", "Keep-Alive", "Proxy-Connection", "Proxy-Authenticate", "Proxy-Authorization",
		"Te", "Trailer", "Transfer-Encoding", "Upgrade", "Http2-Settings":
		return true
	}
	return false
}

// forwarding reports whether a header tells who forwarded the request: what a
// client sends of these is not believed.
func forwarding(name string) bool {
	return name == "Forwarded" || name == "X-Real-Ip" || strings.HasPrefix(name, "X-Forwarded-")
}

// dropNamed removes the headers that a Connection line names.
func dropNamed(h http.Header, connection []string) {
	for _, line := range connection {
		for name := range strings.SplitSeq(line, ",") {
			if name = strings.Trim(name, " \t"); name != "" {
				delete(h, http.CanonicalHeaderKey(name))
			}
		}
	}
}

// outgoing fills out with the header of r as it goes to the daemon.
func outgoing(out http.Header, r *http.Request, t *Target, hasBody bool) {
	for name, values := range r.Header {
		if !hopByHop(name) && (t.KeepForwarded || !forwarding(name)) {
			out[name] = values
		}
	}
	dropNamed(out, r.Header["Connection"])
	if httpguts.HeaderValuesContainsToken(r.Header["Te"], "trailers") {
		out["Te"] = []string{"trailers"}
	}
	if !hasBody {
		delete(out, "Expect") // RFC 9110 §10.1.1: not without content
	}
	if client := clientAddress(r); client != "" && !t.KeepForwarded {
		out["X-Forwarded-For"] = []string{client}
	}
	if t.ForwardedPrefix != "" {
		out["X-Forwarded-Prefix"] = []string{t.ForwardedPrefix}
	}
	if t.Header != nil {
		t.Header(out)
	}
}

// clientAddress is the address of the client without its port.
func clientAddress(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return host
}

// incoming moves the end-to-end headers of an answer into dst.
func incoming(dst, h http.Header) {
	dropNamed(h, h["Connection"])
	for name, values := range h {
		if !hopByHop(name) {
			dst[wireName(name)] = values
		}
	}
}

// framing reports whether this package writes a request header itself.
func framing(name string) bool {
	return name == "Host" || name == "Content-Length" || (hopByHop(name) && name != "Te")
}

// wireName is the spelling of a header on the wire. Header names have no case,
// but some WebSocket implementations look for the spelling of RFC 6455.
func wireName(name string) string {
	if rest, ok := strings.CutPrefix(name, "Sec-Websocket-"); ok {
		return "Sec-WebSocket-" + rest
	}
	return name
}

// appendHeader appends the lines of h to b, those of framing headers excepted.
func appendHeader(b []byte, h http.Header) ([]byte, error) {
	for name, values := range h {
		if framing(name) {
			continue
		}
		if !httpguts.ValidHeaderFieldName(name) {
			return nil, fmt.Errorf("invalid header name %q", name)
		}
		name = wireName(name)
		for _, v := range values {
			if !httpguts.ValidHeaderFieldValue(v) {
				return nil, fmt.Errorf("invalid value of header %s", name)
			}
			b = appendLine(b, name, v)
		}
	}
	return b, nil
}

func appendLine(b []byte, name, value string) []byte {
	b = append(b, name...)
	b = append(b, ": "...)
	b = append(b, value...)
	return append(b, "\r\n"...)
}

// WantsWebSocket reports whether r asks for an upgrade to a WebSocket (RFC 6455
// §4.1). Any other upgrade, h2c above all, would hand the client a connection
// on which nothing is checked any more (golang/go#80416).
func WantsWebSocket(r *http.Request) bool {
	return r.Method == http.MethodGet && r.ProtoMajor == 1 && r.ProtoMinor >= 1 && r.ContentLength == 0 &&
		httpguts.HeaderValuesContainsToken(r.Header["Connection"], "upgrade") &&
		httpguts.HeaderValuesContainsToken(r.Header["Upgrade"], "websocket")
}

// checkURI returns what is wrong with a request target: it must be a path (RFC
// 9112 §3.2.1) that cannot end the request line.
func checkURI(uri string) error {
	if !strings.HasPrefix(uri, "/") {
		return fmt.Errorf("the request target does not begin with a slash")
	}
	for i := range len(uri) {
		if c := uri[i]; c <= ' ' || c == 0x7f {
			return fmt.Errorf("the request target contains the byte %#02x", c)
		}
	}
	return nil
}
