package client

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"

	"daemon-proxy/core/api"
)

// Share serves a link that expires, named by its token or its public id, on the
// network that the server is on until ctx ends.
func (c *Client) Share(ctx context.Context, tokenOrID string) (api.Share, error) {
	path := "/api/preview/" + url.PathEscape(tokenOrID) + "/share"
	//nolint:bodyclose // the goroutine closes it
	response, err := c.open(ctx, http.MethodPost, path, "application/x-ndjson", nil)
	if err != nil {
		return api.Share{}, err
	}
	var share api.Share
	lines := json.NewDecoder(response.Body)
	if err := lines.Decode(&share); err != nil {
		response.Body.Close()
		return share, fmt.Errorf("POST %s: the answer: %w", plainPath(path), noEOF(err))
	}
	go func() {
		defer response.Body.Close()
		_, _ = io.Copy(io.Discard, response.Body) // it ends with ctx, or with the link
	}()
	return share, nil
}
