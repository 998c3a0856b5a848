package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
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
	for findings := json.NewDecoder(response.Body); ; {
		var f api.Finding
		if err := findings.Decode(&f); err != nil {
			if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
				err = c.lost(ctx, io.ErrUnexpectedEOF)
			}
			return fmt.Errorf("diagnose: the server hung up before the end: %w", err)
		}
		if report != nil {
			report(f)
		}
		if f.Finished {
			return nil
		}
	}
}
