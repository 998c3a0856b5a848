package core

import (
	"context"
	"net/url"
	"strconv"

	"daemon-proxy/core/traffic"
)

// Curl is the request as a command for a shell, secrets as variables.
func (c *Core) Curl(_ context.Context, id uint64) (string, error) {
	o, ok := c.Log.OriginalRequest(id)
	if !ok {
		return "", traffic.UnknownExchange(id)
	}
	if o.LinkID != "" {
		if link, ok := c.links.Get(o.LinkID); ok {
			return o.Curl(c.Base() + "/preview/" + link.Token), nil
		}
	}
	var extra []string
	if c.options.Config.Security.Enabled {
		extra = append(extra, `-H "X-API-Key: $API_KEY"`)
	}
	return o.Curl(c.Base()+"/sandboxes/"+url.PathEscape(o.Sandbox)+"/proxy/"+strconv.Itoa(o.Port), extra...), nil
}
