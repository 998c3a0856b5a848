package core

import (
	"context"
	"net/url"
	"strconv"

	"daemon-proxy/core/api"
	"daemon-proxy/core/server"
	"daemon-proxy/core/traffic"
)

// filter reads the words of a filter.
func filter(text string) (traffic.Filter, error) {
	f, err := traffic.ParseFilter(text)
	if err != nil {
		return f, api.NewProblem(api.CodeBadRequest,
			err.Error(), "for example: status:5xx method:post port:3000 path:/api").Because(err)
	}
	return f, nil
}

// Exchanges are the newest n that the filter takes, newest first; n 0: all.
func (c *Core) Exchanges(_ context.Context, text string, n int) ([]api.Exchange, error) {
	f, err := filter(text)
	if err != nil {
		return nil, err
	}
	if text == "" {
		return c.traffic.Last(n), nil
	}
	taken := []api.Exchange{}
	for _, x := range c.traffic.Last(0) {
		if f.Match(x) {
			if taken = append(taken, x); len(taken) == n {
				break
			}
		}
	}
	return taken, nil
}

// Exchange is one with what was captured of it.
func (c *Core) Exchange(_ context.Context, id uint64) (api.ExchangeDetail, error) {
	d, ok := c.traffic.Get(id)
	if !ok {
		return d, server.UnknownExchange(id)
	}
	return d, nil
}

// Bodies are what was captured of both bodies of an exchange, as they passed.
func (c *Core) Bodies(_ context.Context, id uint64) (request, response []byte, err error) {
	request, response, ok := c.traffic.Bodies(id)
	if !ok {
		return nil, nil, server.UnknownExchange(id)
	}
	return request, response, nil
}

// Rates sums up the last minute.
func (c *Core) Rates(context.Context) (api.Rates, error) { return c.traffic.Rates(), nil }

// Curl is the request as a command for a shell, secrets as variables.
func (c *Core) Curl(_ context.Context, id uint64) (string, error) {
	o, ok := c.traffic.OriginalRequest(id)
	if !ok {
		return "", server.UnknownExchange(id)
	}
	base := c.base()
	address := base.Scheme + "://" + base.Host
	if o.LinkID != "" {
		if link, ok := c.links.Get(o.LinkID); ok {
			return o.Curl(address + "/preview/" + link.Token), nil
		}
	}
	var extra []string
	if c.config.Security.Enabled {
		extra = append(extra, `-H "X-API-Key: $API_KEY"`)
	}
	return o.Curl(address+"/sandboxes/"+url.PathEscape(o.Sandbox)+"/proxy/"+strconv.Itoa(o.Port), extra...), nil
}

// Replay sends the request again, to the same sandbox and port.
func (c *Core) Replay(ctx context.Context, id uint64) (api.Exchange, error) {
	return c.server.Replay(ctx, id)
}

// HAR is what the filter takes as an HTTP archive, secrets masked.
func (c *Core) HAR(_ context.Context, text string) ([]byte, error) {
	f, err := filter(text)
	if err != nil {
		return nil, err
	}
	return c.traffic.HAR(f, c.options.Version)
}
