package server

import (
	"crypto/rand"
	"net/http"
	"strings"
	"sync"

	"daemon-proxy/core/api"
	"daemon-proxy/core/preview"
)

// lastCookie names, by a random id, the preview that a browser opened last in
// path mode. It never holds a token: cookies of localhost go to every port.
const lastCookie = preview.CookiePrefix + "last"

// rescue answers a request that a page of a preview made with an absolute path
// and that so lost its prefix, and reports whether it did. The Referer tells
// which preview is meant. The answer is a redirect and not the service's, so
// that what the file refers to in turn has a Referer under the prefix again.
//
// A WebSocket has no Referer and follows no redirect: it is served in place,
// by the preview that the browser opened last. What programs send stays.
func (s *Server) rescue(v *visit) (done bool, err error) {
	r := v.r
	if !s.o.Config.Preview.Rescue || !pageMade(r) || s.keyed(r) || isProxyRoute(r.RequestURI) {
		return false, nil
	}
	if site := r.Header.Get("Sec-Fetch-Site"); site != "" && site != "same-origin" {
		return false, nil
	}
	if strings.EqualFold(r.Header.Get("Upgrade"), "websocket") {
		if strings.EqualFold(r.Header.Get("Origin"), v.origin()) {
			return s.rescueSocket(v)
		}
		return false, nil
	}
	referers := r.Header["Referer"]
	if len(referers) != 1 {
		return false, nil
	}
	token, ok := preview.PathToken(referers[0], v.origin())
	if !ok {
		return false, nil
	}
	live, err := s.o.Links.Resolve(token)
	if err != nil {
		return false, ifGone(r, err)
	}
	s.redirect(v, http.StatusTemporaryRedirect, "/preview/"+token+r.RequestURI, live.Sandbox, live.Port)
	return true, nil
}

// rescueSocket serves a WebSocket by the preview that was opened last.
func (s *Server) rescueSocket(v *visit) (done bool, err error) {
	token, ok := s.newest.of(v.r)
	if !ok {
		return false, nil
	}
	live, err := s.o.Links.Resolve(token)
	if err == nil {
		err = preview.CheckTarget(v.r.RequestURI)
	}
	if err != nil {
		return false, ifGone(v.r, err)
	}
	return true, s.forward(&hop{visit: v, ref: live.Sandbox, port: live.Port, live: live, prefix: "/preview/" + token,
		rest: v.r.RequestURI,
		note: "guessed: a WebSocket outside every preview, given to the one that was opened last; host mode needs no guess"})
}

// ifGone is err if a page should learn that its link has ended, else nil: what
// is for programs is left to the guard.
func ifGone(r *http.Request, err error) error {
	if api.AsProblem(err).Status != http.StatusGone || guarded(r.RequestURI) {
		return nil
	}
	return err
}

// isProxyRoute reports whether a target is under a route that forwards.
func isProxyRoute(target string) bool {
	return guarded(target) && (strings.HasPrefix(target, "/proxy") || strings.HasPrefix(target, "/sandboxes"))
}

// visited records that a person opens a preview in path mode. The result is
// the Set-Cookie line that tells the browser its id, empty if it has one.
func (s *Server) visited(v *visit, live *preview.Live) string {
	r := v.r
	if !s.o.Config.Preview.Rescue || r.Method != http.MethodGet || !navigation(r) {
		return ""
	}
	if dest := r.Header.Get("Sec-Fetch-Dest"); dest != "" && dest != "document" {
		return ""
	}
	id, made := s.newest.visit(r, live.Token)
	if !made {
		return ""
	}
	line := lastCookie + "=" + id + "; Path=/; HttpOnly; SameSite=Strict"
	if v.scheme == "https" {
		line += "; Secure"
	}
	return line
}

// maxBrowsers bounds how many browsers are remembered.
const maxBrowsers = 1000

// newest knows which preview each browser opened last. Its zero value is empty.
type newest struct {
	mu     sync.Mutex
	tokens map[string]string // by the browser's id
	order  []string          // ids, the oldest first
}

// of is the token of the preview that the browser of r opened last.
func (n *newest) of(r *http.Request) (token string, ok bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	_, token, ok = n.find(r)
	return token, ok
}

// find looks for the browser; n.mu is held.
func (n *newest) find(r *http.Request) (id, token string, ok bool) {
	for _, c := range r.CookiesNamed(lastCookie) {
		if token, ok = n.tokens[c.Value]; ok {
			return c.Value, token, true
		}
	}
	return "", "", false
}

// visit keeps that the browser of r opens a preview. made: it got its id
// just now.
func (n *newest) visit(r *http.Request, token string) (id string, made bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if id, _, ok := n.find(r); ok {
		n.tokens[id] = token
		return id, false
	}
	if n.tokens == nil {
		n.tokens = map[string]string{}
	}
	if len(n.order) >= maxBrowsers {
		delete(n.tokens, n.order[0])
		n.order = n.order[1:]
	}
	id = rand.Text()
	n.tokens[id] = token
	n.order = append(n.order, id)
	return id, true
}

func outsidePrefix() *api.Problem {
	return api.NewProblem(api.CodeOutsidePrefix,
		"a service worker of a preview may not have its script outside the preview's prefix",
		"open the host form of the link")
}
