// Package client is api.Service over HTTP: what a core does for fronts, of one
// that runs elsewhere.
//
// Errors are *api.Problem values with a stable Code, and a Hint for people;
// errors.Is(err, &api.Problem{Code: api.CodeSandboxStopped}) tells one from
// another. They come from the server, except for api.CodeCoreUnreachable: no
// connection came about, or one broke. A call is repeated, a few times and with
// growing pauses, only where that cannot do a thing twice: when no connection
// came about, or when it only reads. An error of the context is returned as such.
package client

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"daemon-proxy/core/api"
	"daemon-proxy/core/logging"
)

var _ api.Service = (*Client)(nil)

// Client talks to one server. Its methods may be called from any goroutine.
type Client struct {
	*wire
	engines
	requests
}

// Option changes how New makes a client.
type Option func(*Client)

// WithAPIKey sends the key with every call.
func WithAPIKey(key string) Option { return WithAPIKeyOf(func() string { return key }) }

// WithAPIKeyOf sends what key returns with each call, because a server may have a
// new key after a restart.
func WithAPIKeyOf(key func() string) Option { return func(c *Client) { c.key = key } }

// WithHTTPClient uses h for all calls. Its Timeout would end streams too, and
// it should not follow redirects: the API makes none, and the key would go
// along to wherever one leads.
func WithHTTPClient(h *http.Client) Option { return func(c *Client) { c.http = h } }

// WithRootCAs trusts these authorities, for a server whose certificate one of
// its own has signed.
func WithRootCAs(pool *x509.CertPool) Option {
	return func(c *Client) {
		dialler := &net.Dialer{Timeout: 10 * time.Second}
		c.http = &http.Client{CheckRedirect: stay, Transport: &http.Transport{
			Proxy: http.ProxyFromEnvironment, DialContext: dialler.DialContext, ForceAttemptHTTP2: true,
			TLSClientConfig: &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}, TLSHandshakeTimeout: 10 * time.Second,
			IdleConnTimeout: 90 * time.Second,
		}}
	}
}

// New makes a client of the server at baseURL, "http://localhost:8080". It
// does not connect. The error names what is wrong with the URL.
func New(baseURL string, options ...Option) (*Client, error) {
	base, err := url.Parse(strings.TrimSuffix(baseURL, "/"))
	if err != nil {
		return nil, fmt.Errorf("the server's URL: %w", err)
	}
	if base.Scheme != "http" && base.Scheme != "https" || base.Host == "" || base.RawQuery != "" || base.Fragment != "" {
		return nil, fmt.Errorf("the server's URL is %q: want http:// or https:// and a host", baseURL)
	}
	w := &wire{
		base: base, key: func() string { return "" }, http: &http.Client{CheckRedirect: stay}, silence: longestSilence,
	}
	c := &Client{wire: w, engines: engines{w}, requests: requests{w}}
	for _, option := range options {
		option(c)
	}
	return c, nil
}

// stay follows no redirect.
func stay(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

// URL is the server's, without a slash at its end.
func (c *Client) URL() string { return c.base.String() }

// Health is the state of the server. It needs no key, but says more with it.
func (c *Client) Health(ctx context.Context) (api.Health, error) {
	return get[api.Health](ctx, c, "/health")
}

// Check returns an error if the server cannot be used: api.CodeProtocolMismatch
// if it speaks another major protocol, api.CodeCoreUnreachable if it does not
// answer. A server that requires an API key says what it speaks only to those
// who have it; otherwise Check returns nil, and every other call is refused.
func (c *Client) Check(ctx context.Context) error {
	health, err := c.Health(ctx)
	if err != nil {
		return err
	}
	if health.Status == "" {
		return api.NewProblem(api.CodeBadUpstream,
			"what answers at "+c.base.Redacted()+" is not daemon-proxy", "check the URL")
	}
	if health.Version == "" && health.Protocol == "" {
		return nil
	}
	return api.CheckProtocol("this program",
		fmt.Sprintf("the core at %s (version %s)", c.base.Redacted(), logging.Printable(health.Version)),
		logging.Printable(health.Protocol))
}

// SandboxList is the host and the containers, with the state of the engine.
func (c *Client) SandboxList(ctx context.Context) (api.SandboxList, error) {
	return get[api.SandboxList](ctx, c, "/api/sandboxes")
}

// Sandboxes are the host and the containers.
func (c *Client) Sandboxes(ctx context.Context) ([]api.Sandbox, error) {
	list, err := c.SandboxList(ctx)
	return list.Sandboxes, err
}

// Sandbox is one of them.
func (c *Client) Sandbox(ctx context.Context, ref api.Ref) (api.Sandbox, error) {
	status, err := c.DaemonStatus(ctx, ref) // which finds the sandbox that a name means
	if err != nil {
		return api.Sandbox{}, err
	}
	list, err := c.Sandboxes(ctx)
	for _, box := range list {
		if api.ParseRef(status.Sandbox).Means(box.Ref) {
			return box, err
		}
	}
	if err == nil {
		err = api.NewProblem(api.CodeUnknownSandbox, status.Sandbox+" is gone", "list the sandboxes again")
	}
	return api.Sandbox{}, err
}

// DaemonStatus is the state of the daemon of ref.
func (c *Client) DaemonStatus(ctx context.Context, ref api.Ref) (api.DaemonStatus, error) {
	query := url.Values{}
	if name := ref.Long(); name != "" {
		query.Set("sandbox", name)
	}
	return get[api.DaemonStatus](ctx, c, "/daemon/status"+queryOf(query))
}

// Links are all links that are remembered, newest first.
func (c *Client) Links(ctx context.Context) ([]api.Link, error) {
	list, err := get[api.Links](ctx, c, "/api/preview")
	return list.Links, err
}

// LinkStats counts the links and what went through them.
func (c *Client) LinkStats(ctx context.Context) (api.LinkStats, error) {
	return get[api.LinkStats](ctx, c, "/api/preview/stats")
}

// CreateLink makes a link.
func (c *Client) CreateLink(ctx context.Context, request api.LinkRequest) (api.Link, error) {
	return call[api.Link](ctx, c, http.MethodPost, "/api/preview/create", request)
}

// RevokeLink ends a link, named by its token or its public id, and what is open
// through it.
func (c *Client) RevokeLink(ctx context.Context, tokenOrID string) error {
	_, err := call[api.Revoked](ctx, c, http.MethodDelete, "/api/preview/"+url.PathEscape(tokenOrID), nil)
	return err
}

// path is that of a sandbox's route. The zero Ref has none: the server knows
// which sandbox is the default one.
func (c *Client) path(ctx context.Context, ref api.Ref, route string) (string, error) {
	name := ref.Long()
	if name == "" {
		status, err := c.DaemonStatus(ctx, ref)
		if err != nil {
			return "", err
		}
		name = status.Sandbox
	}
	return "/api/sandboxes/" + url.PathEscape(name) + route, nil
}

// change calls a route that changes a sandbox.
func (c *Client) change(ctx context.Context, method string, ref api.Ref, route string) error {
	path, err := c.path(ctx, ref, route)
	if err != nil {
		return err
	}
	_, err = call[api.Sandbox](ctx, c, method, path, nil)
	return err
}

// LeaveInjection makes the injection into ref independent of the contexts of its
// callers, those of other clients included.
func (c *Client) LeaveInjection(ctx context.Context, ref api.Ref) error {
	return c.change(ctx, http.MethodPost, ref, "/inject/leave")
}

// CancelInjection undoes the injection into ref, whoever started it.
func (c *Client) CancelInjection(ctx context.Context, ref api.Ref) error {
	return c.change(ctx, http.MethodDelete, ref, "/inject")
}

// StopDaemon stops the daemon of ref.
func (c *Client) StopDaemon(ctx context.Context, ref api.Ref) error {
	return c.change(ctx, http.MethodPost, ref, "/stop")
}

// Eject stops the daemon of ref and removes its files from the container.
func (c *Client) Eject(ctx context.Context, ref api.Ref) error {
	return c.change(ctx, http.MethodPost, ref, "/eject")
}

// StartContainer starts the container of ref.
func (c *Client) StartContainer(ctx context.Context, ref api.Ref) error {
	return c.change(ctx, http.MethodPost, ref, "/container/start")
}

// StopContainer stops the container of ref.
func (c *Client) StopContainer(ctx context.Context, ref api.Ref) error {
	return c.change(ctx, http.MethodPost, ref, "/container/stop")
}

// StartDesktop asks the daemon of ref for its desktop and waits until it is up.
func (c *Client) StartDesktop(ctx context.Context, ref api.Ref) error {
	return c.change(ctx, http.MethodPost, ref, "/desktop")
}

// Listeners are the ports that something listens on in ref.
func (c *Client) Listeners(ctx context.Context, ref api.Ref) ([]api.Port, error) {
	cards, err := c.ports(ctx, ref, "")
	ports := make([]api.Port, len(cards))
	for i, card := range cards {
		ports[i] = card.Port
	}
	return ports, err
}

// Ports are the same with what answers there. All of them are asked together,
// which takes up to 1.5 s.
func (c *Client) Ports(ctx context.Context, ref api.Ref) ([]api.PortCard, error) {
	return c.ports(ctx, ref, "?identify=true")
}

func (c *Client) ports(ctx context.Context, ref api.Ref, query string) ([]api.PortCard, error) {
	path, err := c.path(ctx, ref, "/ports"+query)
	if err != nil {
		return nil, err
	}
	list, err := get[api.PortList](ctx, c, path)
	for i := range list.Ports {
		list.Ports[i].Sandbox = ref
	}
	return list.Ports, err
}

// Logs is the end of a log, all of it if tail is negative, and with follow
// what comes until ctx ends. Close the reader.
func (c *Client) Logs(
	ctx context.Context, ref api.Ref, source string, tail int, follow bool,
) (io.ReadCloser, error) {
	query := url.Values{"source": {source}, "follow": {strconv.FormatBool(follow)}}
	if tail >= 0 {
		query.Set("tail", strconv.Itoa(tail))
	}
	path, err := c.path(ctx, ref, "/logs?"+query.Encode())
	if err != nil {
		return nil, err
	}
	response, err := c.open(ctx, http.MethodGet, path, "text/plain", nil)
	if err != nil {
		return nil, err
	}
	return response.Body, nil
}

// Inject puts a daemon into ref and returns when it is healthy. progress, if
// not nil, is called for each step. The end of ctx undoes the injection.
func (c *Client) Inject(ctx context.Context, ref api.Ref, progress func(api.Injection)) error {
	path, err := c.path(ctx, ref, "/inject")
	if err != nil {
		return err
	}
	response, err := c.open(ctx, http.MethodPost, path, "application/x-ndjson", nil)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	var failed *api.Problem
	err = eachOf(ctx, c, response.Body, func(step api.Injection) (last bool) {
		if progress != nil {
			progress(step)
		}
		failed = step.Error
		return step.Finished || failed != nil
	})
	switch {
	case err != nil:
		return fmt.Errorf("inject %s: %w", ref, err)
	case failed != nil:
		return failed
	}
	return nil
}

// eachOf reads documents of a stream, and calls each for them until one is the last.
func eachOf[T any](ctx context.Context, c *Client, from io.Reader, each func(T) (last bool)) error {
	for documents := json.NewDecoder(from); ; {
		var document T
		err := documents.Decode(&document)
		switch {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
			err = c.lost(ctx, io.ErrUnexpectedEOF)
			fallthrough
		case err != nil:
			return fmt.Errorf("the server hung up before the end: %w", err)
		}
		if each(document) {
			return nil
		}
	}
}
