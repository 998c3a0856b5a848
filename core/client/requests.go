package client

import (
	"context"
	"net/http"
	"net/url"
	"strconv"

	"daemon-proxy/core/api"
)

// maxArchive bounds an HTTP archive, in bytes: it has the bodies of the whole
// request log, whose memory the server's configuration bounds.
const maxArchive = 1 << 30

// requests is api.Requests over HTTP.
type requests struct{ *wire }

// requestPath is that of a route of one request.
func requestPath(id uint64, route string) string {
	return "/api/requests/" + strconv.FormatUint(id, 10) + route
}

// Exchanges are the newest n that a filter matches, newest first; n 0 means all
// that are kept. For filters see traffic.ParseFilter.
func (r requests) Exchanges(ctx context.Context, filter string, n int) ([]api.Exchange, error) {
	query := url.Values{}
	if filter != "" {
		query.Set("filter", filter)
	}
	if n > 0 {
		query.Set("limit", strconv.Itoa(n))
	}
	list, err := get[api.ExchangeList](ctx, r, "/api/requests"+queryOf(query))
	return list.Requests, err
}

// Exchange is one with what was captured of it.
func (r requests) Exchange(ctx context.Context, id uint64) (api.ExchangeDetail, error) {
	detail, err := get[api.ExchangeDetail](ctx, r, requestPath(id, ""))
	detail.Exchange.Frames = detail.FrameCount
	return detail, err
}

// Bodies are what was captured of both bodies as they passed, secrets included.
func (r requests) Bodies(ctx context.Context, id uint64) (request, response []byte, err error) {
	bodies, err := get[api.Bodies](ctx, r, requestPath(id, "/bodies"))
	return bodies.Request, bodies.Response, err
}

// Rates sums up the last minute.
func (r requests) Rates(ctx context.Context) (api.Rates, error) {
	return get[api.Rates](ctx, r, "/api/rates")
}

// Curl is the request as a command for a shell, secrets as variables.
func (r requests) Curl(ctx context.Context, id uint64) (string, error) {
	command, err := r.read(ctx, requestPath(id, "/curl"), "text/plain", maxAnswer)
	return string(command), err
}

// Replay sends the request again, to the same sandbox and port, and returns what
// was recorded of it.
func (r requests) Replay(ctx context.Context, id uint64) (api.Exchange, error) {
	return call[api.Exchange](ctx, r, http.MethodPost, requestPath(id, "/replay"), nil)
}

// HAR is what a filter matches as an HTTP archive, secrets masked.
func (r requests) HAR(ctx context.Context, filter string) ([]byte, error) {
	query := url.Values{}
	if filter != "" {
		query.Set("filter", filter)
	}
	return r.read(ctx, "/api/requests.har"+queryOf(query), "application/json", maxArchive)
}
