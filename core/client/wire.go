package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"daemon-proxy/core/api"
)

const (
	maxAnswer = 32 << 20 // bytes of a document
	maxTries  = 4
	firstWait = 100 * time.Millisecond
	userAgent = "daemon-proxy-client"
)

// wire is how a server is reached.
type wire struct {
	base    *url.URL
	key     func() string
	http    *http.Client
	silence time.Duration // after which an event stream counts as broken
}

// wired is the wire, and what has one.
type wired interface{ self() *wire }

func (w *wire) self() *wire { return w }

// queryOf is a query with its question mark; nothing if there is none.
func queryOf(query url.Values) string {
	if len(query) == 0 {
		return ""
	}
	return "?" + query.Encode()
}

func get[T any](ctx context.Context, w wired, path string) (T, error) {
	return call[T](ctx, w, http.MethodGet, path, nil)
}

func call[T any](ctx context.Context, w wired, method, path string, body any) (T, error) {
	var value T
	response, err := w.self().open(ctx, method, path, "application/json", body)
	if err != nil {
		return value, err
	}
	defer response.Body.Close()
	if err := json.NewDecoder(io.LimitReader(response.Body, maxAnswer)).Decode(&value); err != nil {
		return value, fmt.Errorf("%s %s: the answer: %w", method, plainPath(path), noEOF(err))
	}
	return value, nil
}

// question is a request.
type question struct {
	method, path, accept string
	raw                  []byte // the body; nil: none
	lastEvent            string // the id of the last event that is known; empty: none
}

// open sends a request, again where it is safe, and returns its answer if it
// is a good one.
func (w *wire) open(ctx context.Context, method, path, accept string, body any) (*http.Response, error) {
	q := question{method: method, path: path, accept: accept}
	if body != nil {
		var err error
		if q.raw, err = json.Marshal(body); err != nil {
			return nil, err
		}
	}
	return w.ask(ctx, q)
}

func (w *wire) ask(ctx context.Context, q question) (*http.Response, error) {
	wait := firstWait
	for try := 1; ; try++ {
		response, err := w.send(ctx, q)
		if err == nil {
			return response, nil
		}
		if try == maxTries || ctx.Err() != nil || !again(q.method, err) {
			return nil, fmt.Errorf("%s %s: %w", q.method, plainPath(q.path), w.lost(ctx, err))
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(wait):
			wait *= 2
		}
	}
}

func (w *wire) send(ctx context.Context, q question) (*http.Response, error) {
	request, err := http.NewRequestWithContext(ctx, q.method, w.base.String()+q.path, bytes.NewReader(q.raw))
	if err != nil {
		return nil, err
	}
	request.Header.Set("Accept", q.accept)
	request.Header.Set("User-Agent", userAgent)
	if q.raw != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	if q.lastEvent != "" {
		request.Header.Set("Last-Event-ID", q.lastEvent)
	}
	request.Header.Set(api.ProtocolHeader, api.Protocol)
	key := w.key()
	if key != "" {
		request.Header.Set("X-API-Key", key)
	}
	response, err := w.http.Do(request)
	if err != nil {
		return nil, err
	}
	if response.StatusCode < 300 {
		response.Body = &body{response.Body, w, ctx}
		return response, nil
	}
	defer response.Body.Close()
	problem := problemOf(response)
	switch { // the server gives strangers one answer for both
	case problem.Code != api.CodeUnauthorized:
	case key == "":
		problem.Detail = "the core wants an API key, and none was sent"
	default:
		problem.Detail = "the core does not accept the API key that was sent"
	}
	return nil, refusal{problem}
}

// refusal is a problem that the server answered with.
type refusal struct{ *api.Problem }

// Unwrap is the problem itself.
func (r refusal) Unwrap() error { return r.Problem }

// lost is the error of a call: that of its context, what the server refused it
// with, or that the server is not reachable.
func (w *wire) lost(ctx context.Context, err error) error {
	if refused, ok := errors.AsType[refusal](err); ok {
		return refused.Problem
	}
	err = withoutURL(err)
	if ctx.Err() != nil {
		return err
	}
	if p, ok := errors.AsType[*api.Problem](err); ok && p.Code == api.CodeCoreUnreachable {
		return p
	}
	hint := "check that daemon-proxy runs there and that its address is correct"
	if p, ok := errors.AsType[*api.Problem](err); ok && p.Hint != "" {
		hint = p.Hint // of a transport that knows more, such as ssh
	}
	detail := fmt.Sprintf("the core at %s is not reachable: %v", w.base.Redacted(), err)
	return api.NewProblem(api.CodeCoreUnreachable, detail, hint).Because(err)
}

// body is that of an answer; that it breaks off is a problem.
type body struct {
	io.ReadCloser
	wire *wire
	ctx  context.Context
}

// Read implements io.Reader.
func (b *body) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		err = b.wire.lost(b.ctx, err)
	}
	return n, err
}

// problemOf is what a bad answer says.
func problemOf(response *http.Response) *api.Problem {
	kind, _, _ := mime.ParseMediaType(response.Header.Get("Content-Type"))
	problem := &api.Problem{}
	if kind == "application/problem+json" {
		body := json.NewDecoder(io.LimitReader(response.Body, maxAnswer))
		if body.Decode(problem) == nil && problem.Code != "" {
			return problem
		}
	}
	return api.NewProblem(api.CodeBadUpstream,
		"the server answers "+response.Status+", which daemon-proxy never does",
		"check the URL").WithStatus(response.StatusCode)
}

// again reports whether a call that failed may be made once more.
func again(method string, err error) bool {
	if _, ok := errors.AsType[refusal](err); ok {
		return false
	}
	op, ok := errors.AsType[*net.OpError](err)
	return ok && op.Op == "dial" || method == http.MethodGet
}

// plainPath is a path that may be shown: a link's token is cut off.
func plainPath(path string) string {
	path, _, _ = strings.Cut(path, "?")
	if token, ok := strings.CutPrefix(path, "/api/preview/"); ok && token != "create" && token != "stats" {
		return "/api/preview/" + token[:min(3, len(token))] + "…"
	}
	return path
}

// withoutURL drops the URL that http.Client puts into its errors.
func withoutURL(err error) error {
	if u, ok := errors.AsType[*url.Error](err); ok {
		return u.Err
	}
	return err
}

func noEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// read is an answer as it came, of at most so many bytes.
func (w *wire) read(ctx context.Context, path, accept string, most int64) ([]byte, error) {
	response, err := w.open(ctx, http.MethodGet, path, accept, nil)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(io.LimitReader(response.Body, most+1))
	if err == nil && int64(len(text)) > most {
		err = fmt.Errorf("it has more than %d bytes", most)
	}
	if err != nil {
		return nil, fmt.Errorf("GET %s: the answer: %w", plainPath(path), err)
	}
	return text, nil
}
