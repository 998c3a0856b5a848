package server

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"mime"
	"net/http"
	"strings"
	"time"

	"daemon-proxy/core/api"
)

// guarded reports whether a request target is for programs, whether or not there
// is anything at it.
func guarded(target string) bool {
	for _, root := range [...]string{"/api", "/daemon", "/proxy", "/sandboxes"} {
		if rest, ok := strings.CutPrefix(target, root); ok && (rest == "" || rest[0] == '/' || rest[0] == '?') {
			return true
		}
	}
	return false
}

// guard is nil if a request may use what is for programs, else the problem. It
// checks the key first, so that a stranger learns nothing else.
func (s *Server) guard(r *http.Request) error {
	keyed := s.keyed(r)
	if s.o.Config.Security.Enabled && !keyed {
		return unauthorized()
	}
	if keyed {
		return nil
	}
	if err := s.cross.Check(r); err != nil {
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

// keyed reports whether the request carries the API key.
func (s *Server) keyed(r *http.Request) bool {
	if s.isKey(r.Header.Get("X-API-Key")) {
		return true
	}
	scheme, credential, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	return strings.EqualFold(scheme, "Bearer") && s.isKey(strings.TrimSpace(credential))
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
func (s *Server) onlyJSON(v *visit) error {
	r := v.r
	if r.ContentLength == 0 {
		return nil
	}
	_ = http.NewResponseController(v.w).SetReadDeadline(time.Now().Add(s.http.ReadHeaderTimeout)) // takeBody and answer end it
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
func (s *Server) takeBody(v *visit) error {
	r := v.r
	if err := s.onlyJSON(v); err != nil || r.ContentLength == 0 {
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
