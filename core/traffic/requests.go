package traffic

import (
	"context"
	"fmt"

	"daemon-proxy/core/api"
)

// Requests is the request log as fronts read it: it is api.Requests on a Log.
type Requests struct {
	Log *Log
	// Version is the program's, as archives name it.
	Version string
}

// UnknownExchange is the problem of an exchange that the log does not hold.
func UnknownExchange(id uint64) *api.Problem {
	return api.NewProblem(api.CodeUnknownExchange,
		fmt.Sprintf("request %d is not, or no longer, in the request log", id), "list the latest requests")
}

// parse reads a filter that a person wrote.
func parse(text string) (Filter, error) {
	f, err := ParseFilter(text)
	if err != nil {
		return f, api.NewProblem(api.CodeBadRequest,
			err.Error(), "for example: status:5xx method:post port:3000 path:/api").Because(err)
	}
	return f, nil
}

// Exchanges are the newest n that match the filter, newest first; n 0: all.
func (r Requests) Exchanges(_ context.Context, filter string, n int) ([]api.Exchange, error) {
	f, err := parse(filter)
	if err != nil {
		return nil, err
	}
	if filter == "" {
		return r.Log.Last(n), nil
	}
	taken := []api.Exchange{}
	for _, x := range r.Log.Last(0) {
		if f.Match(x) {
			if taken = append(taken, x); len(taken) == n {
				break
			}
		}
	}
	return taken, nil
}

// Exchange is one with what was captured of it.
func (r Requests) Exchange(_ context.Context, id uint64) (api.ExchangeDetail, error) {
	d, ok := r.Log.Get(id)
	if !ok {
		return d, UnknownExchange(id)
	}
	return d, nil
}

// Bodies are what was captured of both bodies of an exchange, as they passed.
func (r Requests) Bodies(_ context.Context, id uint64) (request, response []byte, err error) {
	request, response, ok := r.Log.Bodies(id)
	if !ok {
		return nil, nil, UnknownExchange(id)
	}
	return request, response, nil
}

// Rates sums up the last minute.
func (r Requests) Rates(context.Context) (api.Rates, error) { return r.Log.Rates(), nil }

// HAR is what matches the filter, as an HTTP archive with secrets masked.
func (r Requests) HAR(_ context.Context, filter string) ([]byte, error) {
	f, err := parse(filter)
	if err != nil {
		return nil, err
	}
	return r.Log.HAR(f, r.Version)
}
