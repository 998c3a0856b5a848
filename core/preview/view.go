package preview

import (
	"encoding/base64"
	"net"
	"net/http"
	"strconv"
	"strings"
)

// View is how one request looks from its two ends: the browser sees
// Scheme://Host and Prefix, the service believes to be http://localhost:Port.
// Its methods rewrite headers from one to the other and leave all bytes alone
// that say nothing of it.
type View struct {
	// Scheme is "http" or "https", Host the Host header, as the browser has them.
	Scheme, Host string
	// Prefix is the route's prefix without a slash at its end; empty in host mode.
	Prefix string
	// HostMode reports that the preview has a host name of its own.
	HostMode bool
	// Port is the service's port in the sandbox.
	Port int
	// OtherPort says what stands for http://localhost:PORT of another port of
	// the same sandbox: a prefix or an origin, without a slash at its end. nil:
	// nothing does.
	OtherPort func(port int) (base string, ok bool)
	// IsKey reports whether a credential is the front's API key; it compares in
	// constant time. nil: the front has none.
	IsKey func(credential string) bool
	// Cookies knows which cookies are the service's; in path mode others do not
	// pass. nil: all pass but the front's own.
	Cookies Jar
	// Fence is put around every answer; nil: none.
	Fence *Fence
	// KeepPrefix reports that the service gets the whole path, prefix included.
	KeepPrefix bool
}

// The headers that reach beyond a prefix: they would speak for the whole
// origin, which is the front's and all previews'.
var originWide = [...]string{
	"Service-Worker-Allowed", "Clear-Site-Data", "Strict-Transport-Security", "Alt-Svc", "Nel", "Report-To",
}

// The headers in which a client may contradict the host, scheme and
// origin than we do. X-Forwarded-For and -Prefix are the forwarder's.
var toldByClients = [...]string{
	"Forwarded", "X-Real-Ip", "X-Forwarded-Port", "X-Forwarded-Scheme", "X-Forwarded-Ssl", "X-Forwarded-Server",
}

// RewriteRequest prepares the request header for the service: Origin and
// Referer of the preview itself become the service's own, the X-Forwarded-…
// headers agree with them, the browser's origin goes in X-Preview-Origin, and
// nothing that is the front's secret, or another service's cookie, is left.
// Notes are remarks for the request log.
func (v View) RewriteRequest(h http.Header) (notes []string) {
	own := v.Scheme + "://" + v.Host
	local := "localhost:" + strconv.Itoa(v.Port)

	v.dropKeys(h)
	notes = v.filterCookies(h)
	for _, name := range toldByClients {
		delete(h, name)
	}
	if origins := h["Origin"]; len(origins) == 1 && sameOrigin(origins[0], own) {
		h["Origin"] = []string{"http://" + local}
	}
	v.mapReferer(h, own, "http://"+local)
	h["X-Forwarded-Host"] = []string{local}
	h["X-Forwarded-Proto"] = []string{"http"}
	h["X-Preview-Origin"] = []string{own}
	return notes
}

// dropKeys removes this server's API key wherever it may be, and leaves
// every other Authorization to the service.
func (v View) dropKeys(h http.Header) {
	delete(h, "X-Api-Key")
	values := h["Authorization"]
	if v.IsKey == nil || len(values) == 0 {
		return
	}
	var kept []string
	for _, value := range values {
		if !v.carriesKey(value) {
			kept = append(kept, value)
		}
	}
	if len(kept) == 0 {
		delete(h, "Authorization")
	} else if len(kept) < len(values) {
		h["Authorization"] = kept
	}
}

// carriesKey reports whether an Authorization value has the key in it: bare,
// after any scheme, or as user or password of Basic (RFC 7617).
func (v View) carriesKey(value string) bool {
	value = strings.TrimSpace(value)
	scheme, credential, _ := strings.Cut(value, " ")
	credential = strings.TrimSpace(credential)
	if v.IsKey(value) || v.IsKey(credential) {
		return true
	}
	if !strings.EqualFold(scheme, "Basic") {
		return false
	}
	decoded, err := base64.StdEncoding.DecodeString(credential)
	user, password, _ := strings.Cut(string(decoded), ":")
	return err == nil && (v.IsKey(user) || v.IsKey(password))
}

// mapReferer maps a Referer within the preview to the service, and drops one
// that would give it the token of another preview.
func (v View) mapReferer(h http.Header, own, local string) {
	referers := h["Referer"]
	if len(referers) == 0 {
		return
	}
	origin, rest := cutOrigin(referers[0])
	inside, ok := cutPrefix(rest, v.Prefix)
	switch {
	case len(referers) > 1: // it is unknown which one is true
		delete(h, "Referer")
	case ok && sameOrigin(origin, own):
		if v.KeepPrefix {
			local += v.Prefix
		}
		h["Referer"] = []string{local + slashed(inside)}
	case hasToken(origin, rest):
		delete(h, "Referer")
	}
}

// hasToken reports whether a URL seems to be of a preview, by host or by path.
func hasToken(origin, rest string) bool {
	_, host, _ := strings.Cut(origin, "//")
	label, _, _ := strings.Cut(host, ".")
	segment, _ := cutSegment(strings.TrimPrefix(rest, "/preview/"))
	return isToken(label) || isToken(segment)
}

// RewriteResponse prepares the response header for the browser: URLs and
// cookies that mean the service mean the preview again, and nothing in path
// mode speaks for more than its prefix. It serves every status, interim ones
// and 101 too. The slices of h are changed in place. Notes are remarks for the
// request log.
func (v View) RewriteResponse(status int, h http.Header) (notes []string) {
	if v.Fence != nil && status != http.StatusSwitchingProtocols {
		v.Fence.put(h)
	}
	if v.HostMode {
		if v.Scheme == "http" {
			delete(h, "Strict-Transport-Security")
		}
	} else {
		for _, name := range originWide {
			delete(h, name)
		}
	}
	v.mapValues(h["Location"], v.mapURL)
	v.mapValues(h["Content-Location"], v.mapURL)
	v.mapValues(h["Refresh"], v.mapRefresh)
	v.mapValues(h["Link"], v.mapLink)
	return v.mapCookies(h)
}

func (v View) mapValues(values []string, mapped func(string) string) {
	for i, value := range values {
		values[i] = mapped(value)
	}
}

// plainLoopback reports whether the browser reaches the front over plain HTTP on
// its own machine, where not all browsers keep cookies marked Secure.
func (v View) plainLoopback() bool {
	if v.Scheme != "http" {
		return false
	}
	host, _, err := net.SplitHostPort(v.Host)
	if err != nil {
		host = v.Host
	}
	host = strings.ToLower(strings.TrimSuffix(strings.Trim(host, "[]"), "."))
	ip := net.ParseIP(host)
	return host == "localhost" || strings.HasSuffix(host, ".localhost") || ip != nil && ip.IsLoopback()
}
