package server

import (
	"bufio"
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"io"
	"mime"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"daemon-proxy/core/api"
	"daemon-proxy/core/config"
	"daemon-proxy/core/logging"
)

// guarded reports whether a request target is for programs, whether or not there
// is anything at it.
func guarded(target string) bool {
	for _, root := range [...]string{"/api", "/daemon", "/metrics", "/proxy", "/sandboxes"} {
		if rest, ok := strings.CutPrefix(target, root); ok && (rest == "" || rest[0] == '/' || rest[0] == '?') {
			return true
		}
	}
	return false
}

// guard decides who may ask, and whom to believe.
type guard struct {
	security config.Security
	readOnly bool            // nothing may be changed
	hosts    map[string]bool // names that a Host may have
	trusted  []netip.Prefix  // reverse proxies
	keys     [][sha256.Size]byte
	loopID   string // in CDN-Loop of all that goes to a daemon
	cross    http.CrossOriginProtection
}

func newGuard(c config.Config, hostname, runKey string) *guard {
	g := &guard{
		security: c.Security, readOnly: c.Server.ReadOnly, hosts: map[string]bool{"localhost": true},
		loopID: "daemon-proxy-" + strings.ToLower(rand.Text()[:10]),
	}
	for _, key := range []string{c.Security.Key(), runKey} {
		if key != "" {
			g.keys = append(g.keys, sha256.Sum256([]byte(key)))
		}
	}
	_, public, _ := strings.Cut(c.Server.PublicURL, "://")
	public, _ = splitHost(public)
	for _, name := range append([]string{hostname, public}, c.Server.AllowedHosts...) {
		if name != "" {
			g.hosts[strings.ToLower(name)] = true
		}
	}
	for _, text := range c.Server.TrustedProxies {
		if prefix, err := netip.ParsePrefix(text); err == nil {
			g.trusted = append(g.trusted, prefix)
		} else if addr, err := netip.ParseAddr(text); err == nil {
			g.trusted = append(g.trusted, netip.PrefixFrom(addr, addr.BitLen()))
		}
	}
	return g
}

// check is nil if a request may use what is for programs, else the problem. It
// checks the key first, so that a stranger learns nothing else.
func (g *guard) check(r *http.Request) error {
	keyed := g.keyed(r)
	if g.security.Enabled && !keyed {
		return unauthorized()
	}
	if keyed {
		return nil
	}
	if err := g.cross.Check(r); err != nil {
		return api.NewProblem(api.CodeCrossOrigin, "a page of another origin may not change anything here",
			"call the API from a program")
	}
	if pageMade(r) {
		return api.NewProblem(api.CodePageMade, "a page in a browser may not use this address",
			"call it from a program, or send the API key in X-API-Key; browsers look through preview links")
	}
	return nil
}

func unauthorized() *api.Problem {
	return api.NewProblem(api.CodeUnauthorized, "the API key is missing or wrong",
		"send it as X-API-Key or as Authorization: Bearer")
}

// checkRoute is nil if a request that check has let in may use a route: for some
// a key is needed even with security off, some change something, and only the
// open ones answer a client that speaks another protocol.
func (g *guard) checkRoute(r *http.Request, row route) error {
	if row.keyed && !g.keyed(r) {
		return api.NewProblem(api.CodeUnauthorized, "this needs a key, whether or not security is on",
			"send the API key or the key of this run, which is in core.json in the state directory, "+
				"as X-API-Key or as Authorization: Bearer")
	}
	if protocol := r.Header.Get(api.ProtocolHeader); protocol != "" && !row.open {
		if err := api.CheckProtocol("the core", "the client", logging.Printable(protocol)); err != nil {
			return err
		}
	}
	if row.changes && g.readOnly {
		return readOnly()
	}
	return nil
}

func readOnly() *api.Problem {
	return api.NewProblem(api.CodeReadOnly, "this server is read-only: nothing can be changed through it",
		"start it without --read-only and server.read_only")
}

// keyed reports whether the request carries the API key or that of this run.
func (g *guard) keyed(r *http.Request) bool {
	if g.isKey(r.Header.Get("X-API-Key")) {
		return true
	}
	scheme, credential, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	return strings.EqualFold(scheme, "Bearer") && g.isKey(strings.TrimSpace(credential))
}

// knownHost reports whether a Host names this server: an address, or a name that
// cannot be made to point here by a stranger's DNS.
func (g *guard) knownHost(name, port string) bool {
	if strings.Trim(port, ":0123456789") != "" {
		return false
	}
	if g.hosts[name] {
		return true
	}
	_, err := netip.ParseAddr(name)
	return err == nil
}

// looped reports whether the request has been here before (RFC 8586).
func (g *guard) looped(r *http.Request) bool {
	for _, line := range r.Header["Cdn-Loop"] {
		if strings.Contains(line, g.loopID) {
			return true
		}
	}
	return false
}

// bridged is what a bridge carries the request for; empty if none does. It
// removes the header that tells, whether or not its key is right: it is for nobody
// else.
func (g *guard) bridged(r *http.Request) string {
	lines := r.Header[api.BridgeHeader]
	if lines == nil {
		return ""
	}
	delete(r.Header, api.BridgeHeader)
	what, key, _ := strings.Cut(lines[0], " ")
	if what != api.BridgeCalls && what != api.BridgePreviews || !g.isKey(key) {
		return ""
	}
	return what
}

// isKey reports whether a credential is the API key or that of this run, in
// constant time.
func (g *guard) isKey(credential string) bool {
	sum, is := sha256.Sum256([]byte(credential)), 0
	for _, key := range g.keys {
		is |= subtle.ConstantTimeCompare(sum[:], key[:])
	}
	return is == 1
}

// remote is the client's address; a reverse proxy is believed only if it is a
// trusted one.
func (g *guard) remote(r *http.Request, trusted bool) string {
	peer, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil || !trusted {
		return peer
	}
	hops := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
	for i := len(hops) - 1; i >= 0; i-- {
		addr, err := netip.ParseAddr(strings.TrimSpace(hops[i]))
		if err != nil {
			break
		}
		peer = addr.String()
		if !g.trusts(addr) {
			break
		}
	}
	return peer
}

func (g *guard) trusts(addr netip.Addr) bool {
	for _, prefix := range g.trusted {
		if prefix.Contains(addr.Unmap()) {
			return true
		}
	}
	return false
}

// pageMade reports whether a page in a browser made the request. Browsers send
// Sec-Fetch-Site only to loopback and over TLS, so that without it what else
// betrays a browser counts. In Safari and Firefox a page may choose its
// User-Agent, but no page gets rid of Accept-Language. (Node's fetch sends that
// too, but with a Sec-Fetch-Mode, which no page can set.)
func pageMade(r *http.Request) bool {
	if site := r.Header.Get("Sec-Fetch-Site"); site != "" {
		return site != "none"
	}
	if _, sent := r.Header["Accept-Language"]; sent && r.Header.Get("Sec-Fetch-Mode") == "" {
		return true
	}
	return r.Header.Get("Origin") != "" || r.Header.Get("Referer") != "" || strings.HasPrefix(r.UserAgent(), "Mozilla/")
}

// typed reports whether a person typed the address into a browser.
func typed(r *http.Request) bool {
	return r.Header.Get("Sec-Fetch-Site") == "none" && r.Header.Get("Sec-Fetch-Mode") == "navigate" &&
		(r.Method == http.MethodGet || r.Method == http.MethodHead)
}

// onlyJSON refuses a body that is not JSON; having none is allowed. What it has
// to see of the body must come as soon as a head must.
func (m management) onlyJSON(v *visit) error {
	r := v.r
	if r.ContentLength == 0 {
		return nil
	}
	_ = http.NewResponseController(v.w).SetReadDeadline(time.Now().Add(m.http.ReadHeaderTimeout)) // takeBody and answer end it
	if r.ContentLength < 0 {
		body := bufio.NewReaderSize(r.Body, 16)
		if _, err := body.Peek(1); errors.Is(err, io.EOF) {
			r.Body = http.NoBody
			return nil
		}
		r.Body = struct {
			io.Reader
			io.Closer
		}{body, r.Body}
	}
	kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || kind != "application/json" && !strings.HasSuffix(kind, "+json") {
		return api.NewProblem(api.CodeNotJSON, "the body must be JSON", "send Content-Type: application/json")
	}
	return nil
}

// takeBody reads the body of a request to the API, which is JSON and short, so
// that no handler waits for it, nor net/http before it lets an answer out.
func (m management) takeBody(v *visit) error {
	r := v.r
	if err := m.onlyJSON(v); err != nil || r.ContentLength == 0 {
		return err
	}
	body, err := io.ReadAll(http.MaxBytesReader(v.w, r.Body, maxBody))
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return err
	}
	if err != nil {
		return api.NewProblem(api.CodeBadRequest, "the request body was incomplete: "+err.Error(), "send the complete body")
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	_ = http.NewResponseController(v.w).SetReadDeadline(time.Time{})
	return nil
}

// asProblem is err as the problem that the client gets, its cause in the log.
func (s *Server) asProblem(err error) *api.Problem {
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return api.NewProblem(api.CodeTooLarge, "the body is too large", "send less")
	}
	p := api.AsProblem(err)
	if p.Code == api.CodeInternal {
		s.log.Error("a request met an error", "error", err)
	}
	return p
}
