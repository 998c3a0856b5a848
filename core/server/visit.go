package server

import (
	"net"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"daemon-proxy/core/api"
	"daemon-proxy/core/preview"
)

// visit is one request, with what was worked out of it at the door.
type visit struct {
	w http.ResponseWriter
	r *http.Request

	start   time.Time
	scheme  string // "http" or "https", as the client sees it
	name    string // the name in Host: lower case, no port, brackets or final dot
	port    string // the port in Host: ":8080"; empty without one
	known   bool   // Host names this server
	token   string // of a preview in host mode; empty if Host is not one's
	domain  string // under which previews have host names
	bridge  string // what a bridge carries it for, one of api.Bridge…; empty: no bridge does
	trusted bool   // a trusted reverse proxy sent it
	remote  string // the client's address

	// failed records the problem that a forwarded request was answered with, and
	// the bytes of that answer; nil before it is forwarded.
	failed func(p *api.Problem, bytes int64)
}

// enter is the door: it works out what there is to know of a request and has it
// handled. What that returns is refused, here and nowhere else.
func (s *Server) enter(w http.ResponseWriter, r *http.Request, handle func(*visit) error) {
	if endInDispute(r) {
		w.Header()["Connection"] = []string{"close"}
	}
	v := s.visit(w, r)
	if err := handle(v); err != nil {
		s.refuse(v, err)
	}
}

func (s *Server) visit(w http.ResponseWriter, r *http.Request) *visit {
	v := &visit{w: w, r: r, start: time.Now(), scheme: "http", domain: s.o.Config.Server.PreviewDomain}
	if v.bridge = s.bridged(r); v.bridge != "" {
		v.domain = "localhost" // the client is a browser or a program on another machine, which finds itself there
	}
	v.name, v.port = splitHost(r.Host)
	v.known = s.knownHost(v.name, v.port)
	v.token, _ = preview.SplitHost(r.Host, v.domain)
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	v.trusted = err == nil && s.trusts(peer.Addr())
	v.remote = s.remote(r, v.trusted)
	secure := r.TLS != nil || v.trusted && strings.EqualFold(r.Header.Get("X-Forwarded-Proto"), "https")
	if secure && v.bridge == "" { // up to the bridge it is plain
		v.scheme = "https"
	}
	return v
}

// splitHost splits a Host header into its name, in lower case without brackets
// or final dot, and its port with the colon.
func splitHost(host string) (name, port string) {
	// Not net.SplitHostPort first: it makes an error for a Host without a port.
	if at := strings.LastIndexByte(host, ':'); at >= 0 {
		if name, number, err := net.SplitHostPort(host); err == nil {
			if number != "" {
				port = host[at:]
			}
			return plainName(name), port
		}
	}
	return plainName(strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")), ""
}

func plainName(name string) string { return strings.ToLower(strings.TrimSuffix(name, ".")) }

// origin is scheme and Host as the client sees them.
func (v *visit) origin() string { return v.scheme + "://" + v.r.Host }

// base is scheme and host under which the client reaches this server.
func (s *Server) base(v *visit) string {
	if url := s.o.Config.Server.PublicURL; url != "" && v.bridge == "" {
		return url
	}
	if addr, err := netip.ParseAddr(v.name); err == nil && addr.IsUnspecified() {
		return v.scheme + "://localhost" + v.port
	}
	return v.origin()
}

// hostLinks reports whether the host form of links works where the client is.
func (s *Server) hostLinks(v *visit) bool { return v.bridge != "" || s.o.Publisher.HostLinks() }

// target is what the log line names: the same in path and in host mode.
func (v *visit) target() string {
	if v.token != "" {
		return "/preview/" + v.token + v.r.RequestURI
	}
	return v.r.RequestURI
}

// endInDispute reports whether another reader may have seen the request end
// elsewhere, so that nothing behind it on the connection may be served (RFC
// 9112 §6.1): one in chunks may also have had a Content-Length, one of HTTP/1.0
// a Transfer-Encoding, and net/http removes either without a trace.
func endInDispute(r *http.Request) bool {
	return r.ProtoMajor == 1 && (r.ContentLength < 0 || r.ProtoMinor == 0)
}
