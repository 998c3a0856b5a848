package client

import (
	"context"
	"fmt"
	"net/http"
	"net/url"

	"daemon-proxy/core/api"
)

// Diagnose has the server check the way to ref; report, if not nil, is called with each
// finding as it is made.
func (c *Client) Diagnose(ctx context.Context, ref api.Ref, report func(api.Finding)) error {
	path := "/api/doctor"
	if name := ref.Long(); name != "" {
		path += "?sandbox=" + url.QueryEscape(name)
	}
	response, err := c.open(ctx, http.MethodPost, path, "application/x-ndjson", nil)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if report == nil {
		report = func(api.Finding) {}
	}
	err = eachOf(ctx, c, response.Body, func(f api.Finding) (last bool) {
		report(f)
		return f.Finished
	})
	if err != nil {
		return fmt.Errorf("diagnose: %w", err)
	}
	return nil
}
